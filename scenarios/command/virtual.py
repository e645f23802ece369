"""Plays a plan in virtual time, in this process, into its folder of parts."""

from __future__ import annotations

import time
from collections.abc import Callable
from pathlib import Path
from typing import NamedTuple

from scenarios.command.options import UsageError
from scenarios.command.progress import Display
from scenarios.command.workers import Progress
from scenarios.players.virtual import VirtualPlayer, unplayable
from scenarios.record.plan import ORIGIN, VIRTUAL_ORIGIN, Plan, save
from scenarios.record.spool import BatchRecorder, part_path


class Played(NamedTuple):
    """When a run in virtual time ended, on its clock, and whether that was because its key is wrong."""

    ended_s: float
    wrong_key: bool


def check_playable(plan: Plan) -> None:
    """Raise `UsageError` for a plan that virtual time has no room for."""
    if why := unplayable(plan):
        raise UsageError(f"--virtual: {why}; leave --virtual out to run it in real time")


def play(plan: Plan, folder: Path, api_key: str, is_interrupted: Callable[[], bool]) -> Played:
    """Play to the end, or until interrupted, and tell how far it is meanwhile.

    Raises `StandstillError` where time would never go on, and ``OSError`` when the folder cannot be written.
    """
    save(folder, ORIGIN, VIRTUAL_ORIGIN)
    # No process number gets into the record: it would be another in the next run.
    recorder = BatchRecorder(part_path(folder, 0, 0))
    try:
        player = VirtualPlayer(plan, recorder, api_key)
        book, display, began_s = player.book, Display(plan), time.monotonic()

        def progress() -> Progress:
            return Progress(book.done, book.failed, book.under_way)

        def is_over() -> bool:
            display.show(player.agenda.now, progress, time.monotonic() - began_s)
            return is_interrupted()

        ended_s = player.play(is_over)
        display.done(ended_s, progress)
    finally:
        recorder.close()
    return Played(ended_s, book.wrong_key)

"""What a run shows while it lasts: one updating line on a terminal, a plain line now and then elsewhere."""

from __future__ import annotations

import sys
from collections.abc import Callable
from typing import Final

from scenarios.command.console import put
from scenarios.command.workers import Progress
from scenarios.model.load import Script
from scenarios.record.plan import Plan, window_s

_TERMINAL_EVERY_S: Final = 0.5
_PLAIN_EVERY_S: Final = 5.0
# What was answered until then, a rounded second into the window, is the warm-up's.
_FIRST_SECOND_S: Final = 0.5


def describe(plan: Plan, now_s: float, progress: Progress) -> str:
    """Where the run stands, in one line."""
    counted = ""
    if isinstance(plan.load, Script):
        stage = f"{max(now_s, 0):.0f} s"
    elif plan.warmup_s and now_s < plan.warmup_s + _FIRST_SECOND_S:
        stage = f"warm-up, {min(max(now_s, 0), plan.warmup_s):.0f} of {plan.warmup_s:g} s"
    else:
        counted = " with the warm-up" if plan.warmup_s else ""
        if now_s < window_s(plan):
            stage = f"{max(now_s - plan.warmup_s, 0):.0f} of {plan.duration_s or 0:g} s"
        else:
            stage = f"draining, {now_s - window_s(plan):.0f} of at most {plan.drain_s:g} s"
    failed = f", {progress.failed:,} failed" if progress.failed else ""
    return f"{stage}: {progress.done:,} answered{counted}{failed}, {progress.in_flight:,} in flight"


class Display:
    """Writes progress to stdout, on the clock of the run."""

    def __init__(self, plan: Plan) -> None:
        self._plan = plan
        self._terminal = sys.stdout.isatty()
        self._every_s = _TERMINAL_EVERY_S if self._terminal else _PLAIN_EVERY_S
        self._next_s = self._every_s

    def show(self, now_s: float, progress: Callable[[], Progress], spent_s: float | None = None) -> None:
        """Show where the run stands at ``now_s`` on its clock, if it is time again.

        ``spent_s`` is how long it has taken so far, where its clock does not say so.
        """
        spent_s = now_s if spent_s is None else spent_s
        if spent_s >= self._next_s:
            self._next_s = spent_s + self._every_s
            self._write(describe(self._plan, now_s, progress()))

    def line(self, text: str) -> None:
        """A line that stays."""
        self._write(text)
        if self._terminal:
            put("")

    def done(self, now_s: float, progress: Callable[[], Progress]) -> None:
        """The last word."""
        self.line(describe(self._plan, now_s, progress()))

    def _write(self, text: str) -> None:
        if self._terminal:
            put(f"\r\x1b[K{text}", end="")
        else:
            put(text)

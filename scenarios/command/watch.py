"""Watches the run's own mock while it is under load: was it quick enough to be measured against?"""

from __future__ import annotations

import http.client
import threading
import time
from pathlib import Path
from types import TracebackType
from typing import Final

import msgspec

from scenarios.command.target import OwnMock
from scenarios.record.notes import Beat
from scenarios.record.spool import Recorder, mock_path

_EVERY_S: Final = 1.0
# A mock that does not answer for so long is asked again later; what it has to tell waits there for a minute.
_PATIENCE_S: Final = 5.0
# At the end, how long to wait for the beat that reaches it; one lasts a quarter of a second.
_LAST_S: Final = 1.0
_LAST_EVERY_S: Final = 0.1


class _Told(msgspec.Struct, frozen=True):
    number: int
    from_s: float
    at_s: float
    cpu_s: float
    wait_s: float | None
    lag_ms: tuple[float, ...]


class _Load(msgspec.Struct, frozen=True):
    """The part of the mock's ``load`` document that is wanted here."""

    in_flight: int
    beats: tuple[_Told, ...] = ()


class MockWatch:
    """Asks the mock about once a second for its beats, and writes them into ``folder``; never in the way of the run.

    A context manager, which on leaving fetches the last of them.
    """

    def __init__(self, mock: OwnMock, folder: Path) -> None:
        self._mock = mock
        self._recorder = Recorder(mock_path(folder))
        # The last beat that was written: its number, and when it ended.
        self._number = 0
        self._at_s = 0.0
        self._leave = threading.Event()
        self._thread = threading.Thread(target=self._watch, name="mock-watch", daemon=True)

    def __enter__(self) -> MockWatch:
        self._thread.start()
        return self

    def __exit__(self, kind: type[BaseException] | None, error: BaseException | None, at: TracebackType | None) -> None:
        self._leave.set()
        self._thread.join(_PATIENCE_S + _EVERY_S)
        self._fetch_last(time.monotonic())
        self._recorder.close()

    def _watch(self) -> None:
        while not self._leave.wait(_EVERY_S):
            self._fetch()

    def _fetch_last(self, end_s: float) -> None:
        """Fetch until the beats reach ``end_s``, unless the mock is gone or keeps none."""
        while self._fetch() and self._at_s < end_s and time.monotonic() < end_s + _LAST_S:
            time.sleep(_LAST_EVERY_S)

    def _fetch(self) -> bool:
        """Write down what is new; whether the mock told anything at all so far."""
        try:
            said = self._mock.control(f"load?after={self._number}", None, _PATIENCE_S)
            load = msgspec.json.decode(said, type=_Load)
        except (OSError, http.client.HTTPException, msgspec.DecodeError):
            return False
        for told in load.beats:
            beat = Beat(told.from_s, told.at_s, told.cpu_s, told.wait_s, told.lag_ms, 0, 0, load.in_flight)
            self._recorder.write(beat)
            self._number, self._at_s = told.number, told.at_s
        return self._number > 0

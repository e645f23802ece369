"""The pulse of the mock's process: how late its loop was at every tick, how busy it was, how long it waited for a core.

A harness that polls the pulse tells from it whether the mock, and not what it simulates, made a measurement slow.
"""

from __future__ import annotations

import contextlib
import os
from collections import deque
from time import process_time
from typing import Final

from msgspec import Struct

TICK_S: Final = 0.010
BEAT_TICKS: Final = 25
KEPT_S: Final = 60.0


class Beat(Struct, frozen=True, gc=False):
    """25 ticks, or more after a pause; ``from_s`` is the ``at_s`` of the beat before.

    Both are seconds of the machine's monotonic clock. ``cpu_s`` is CPU time used in between, ``wait_s`` the time the
    main thread was ready to run but had no core (null where the kernel does not tell); ``lag_ms`` has one reading for
    each tick of 10 ms, those missed included.
    """

    number: int
    from_s: float
    at_s: float
    cpu_s: float
    wait_s: float | None
    lag_ms: list[float]


class Pulse:
    """Readings on absolute ticks: a pause of 3 s is 300 late ones. Moments are seconds of the monotonic clock.

    Mutable: the ticks taken, what was read since the last beat, and the beats of the last minute.
    """

    def __init__(self, now: float) -> None:
        self._first = now
        self._ticks = 0
        self._lag_ms: list[float] = []
        self._number = 0
        self._beaten = now
        self._cpu = process_time()
        self._kernel = _Schedstat()
        self._wait = self._kernel.wait_s()
        self._beats: deque[Beat] = deque()

    @property
    def due(self) -> float:
        """When to call `tick` next; never the sum of many small steps."""
        return self._first + (self._ticks + 1) * TICK_S

    def tick(self, now: float) -> list[float]:
        """Take in every tick that was due by ``now``, and give the moments of these."""
        taken = []
        while (due := self.due) <= now:
            self._ticks += 1
            self._lag_ms.append(round((now - due) * 1e3, 3))
            taken.append(due)
        if len(self._lag_ms) >= BEAT_TICKS:
            self._beat(now)
        return taken

    def _beat(self, now: float) -> None:
        cpu, wait = process_time(), self._kernel.wait_s()
        waited = None if wait is None or self._wait is None else round(wait - self._wait, 6)
        self._number += 1
        self._beats.append(Beat(self._number, self._beaten, now, round(cpu - self._cpu, 6), waited, self._lag_ms))
        while self._beats[0].at_s < now - KEPT_S:
            self._beats.popleft()
        self._beaten, self._cpu, self._wait, self._lag_ms = now, cpu, wait, []

    def beats(self, after: int) -> list[Beat]:
        """The beats of the last minute whose number, counted from 1, is above ``after``."""
        return [beat for beat in self._beats if beat.number > after]

    def close(self) -> None:
        """Nothing is read afterwards; what was read stays."""
        self._kernel.close()


class _Schedstat:
    """Linux' account of the main thread: ns on a core, ns ready but waiting for one, time slices."""

    def __init__(self) -> None:
        self._file: int | None = None
        with contextlib.suppress(OSError):
            self._file = os.open("/proc/self/schedstat", os.O_RDONLY)

    def wait_s(self) -> float | None:
        """Seconds waited for a core so far; None where the kernel does not tell."""
        if self._file is None:
            return None
        try:
            return int(os.pread(self._file, 64, 0).split()[1]) / 1e9
        except (OSError, ValueError, IndexError):
            return None

    def close(self) -> None:
        if self._file is not None:
            os.close(self._file)
            self._file = None

"""The pulse of a process: how late its event loop was at every tick, how busy it was, how long it waited for a core."""

from __future__ import annotations

import contextlib
import os
import time
from typing import Final

from reports.sample import TICK_S
from scenarios.record.notes import Beat

_BEAT_TICKS: Final = 25


class Pulse:
    """Readings on absolute ticks: a pause of 3 s is 300 late ticks, not one.

    Mutable: when the next tick is due, and what was read since the last beat. Moments are seconds on the run's clock.
    """

    def __init__(self, start_s: float) -> None:
        self._first_s = start_s
        self._ticks = 0
        self._beaten_s = start_s
        self._lag_ms: list[float] = []
        self._cpu_s = time.process_time()
        self._kernel = _Schedstat()
        self._wait_s = self._kernel.wait_s()

    @property
    def due_s(self) -> float:
        """When to call `tick` next; never the sum of many small steps."""
        return self._first_s + (self._ticks + 1) * TICK_S

    def tick(self, now_s: float) -> None:
        """Take in every tick that was due by now."""
        while self.due_s <= now_s:
            self._lag_ms.append(round((now_s - self.due_s) * 1e3, 3))
            self._ticks += 1

    @property
    def full(self) -> bool:
        """Whether enough ticks were taken in for a beat."""
        return len(self._lag_ms) >= _BEAT_TICKS

    def beat(self, now_s: float, *, done: int, failed: int, in_flight: int) -> Beat:
        """What was read since the last beat."""
        cpu_s, wait_s = time.process_time(), self._kernel.wait_s()
        waited = None if wait_s is None or self._wait_s is None else round(wait_s - self._wait_s, 6)
        beat = Beat(
            self._beaten_s,
            now_s,
            round(cpu_s - self._cpu_s, 6),
            waited,
            tuple(self._lag_ms),
            done,
            failed,
            in_flight,
        )
        self._beaten_s, self._cpu_s, self._wait_s = now_s, cpu_s, wait_s
        self._lag_ms = []
        return beat

    def close(self) -> None:
        """Nothing can be read afterwards."""
        self._kernel.close()


class _Schedstat:
    """Linux' account of the main thread: ns on a core, ns ready but waiting for one, time slices."""

    def __init__(self) -> None:
        self._file: int | None = None
        with contextlib.suppress(OSError):
            self._file = os.open("/proc/self/schedstat", os.O_RDONLY)

    def wait_s(self) -> float | None:
        """Seconds waited for a core so far, None where the kernel does not tell."""
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

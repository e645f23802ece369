"""How well the mock itself keeps up: lateness of the event loop and of planned moments, second by second.

The loop's lag is read at every tick of the :class:`Pulse`, missed ones included. The lateness of a planned moment is
how long after it a player got to send what was due; players note it. Both are folded into buckets five percent wide.
"""

from __future__ import annotations

from asyncio import AbstractEventLoop, TimerHandle
from collections import Counter, deque
from collections.abc import Iterable
from math import ceil, log
from time import monotonic
from typing import Final

from msgspec import Struct

from mock_server.http.pulse import Beat, Pulse

KEPT_S: Final = 60
JUDGED_S: Final = 5
LAG_LIMIT_S: Final = 0.050
LATE_LIMIT_S: Final = 0.010
ENOUGH: Final = 20
"""Fewer measurements than this in the judged seconds prove nothing."""
_LEAST_S: Final = 1e-5
_STEP: Final = log(1.05)


class Spread(Struct, frozen=True):
    """Of the last minute, in milliseconds; null where nothing was measured."""

    p50_ms: float | None
    p99_ms: float | None
    max_ms: float | None
    measured: int


class _Second:
    """Measurements of one second, in buckets. Mutable: everything."""

    __slots__ = ("lags", "lates", "number")

    def __init__(self, number: int) -> None:
        self.number = number
        self.lags: Counter[int] = Counter()
        self.lates: Counter[int] = Counter()


class LoadMeter:
    """The lags and the latenesses of the last minute, and whether they are too much.

    Mutable: the pulse, the seconds of the minute, what was noted since the last tick, and since when it is too much.
    """

    def __init__(self) -> None:
        self.late: list[float] = []
        """Wall seconds by which planned moments were missed; players append, the next tick takes them."""
        self.saturated_since: float | None = None
        self.saturated_s = 0.0
        self._began = monotonic()
        self._seconds: deque[_Second] = deque(maxlen=KEPT_S)
        self._pulse: Pulse | None = None
        self._timer: TimerHandle | None = None

    def start(self, loop: AbstractEventLoop) -> None:
        """Begin to measure."""
        pulse = self._pulse = Pulse(monotonic())
        self._arm(loop, pulse)

    def stop(self) -> None:
        """End measuring."""
        if self._timer is not None:
            self._timer.cancel()
        if self._pulse is not None:
            self._pulse.close()

    @property
    def uptime_s(self) -> float:
        """Wall seconds since the start."""
        return monotonic() - self._began

    def beats(self, after: int) -> list[Beat]:
        """The beats of the last minute whose number is above ``after``."""
        return [] if self._pulse is None else self._pulse.beats(after)

    def _arm(self, loop: AbstractEventLoop, pulse: Pulse) -> None:
        # uvloop counts whole milliseconds, and a timer of less than half of one would spin.
        ahead_ms = max(1, ceil((pulse.due - monotonic()) * 1e3))
        self._timer = loop.call_later(ahead_ms / 1e3, self._tick, loop, pulse)

    def _tick(self, loop: AbstractEventLoop, pulse: Pulse) -> None:
        self.measure(pulse, monotonic())
        self._arm(loop, pulse)

    def measure(self, pulse: Pulse, now: float) -> None:
        """Take in the ticks that were due by ``now``, each in its own second, and what was noted since the last."""
        for due in pulse.tick(now):
            number = int(due - self._began)
            if not self._seconds or self._seconds[-1].number != number:
                self._judge()
                self._seconds.append(_Second(number))
            self._seconds[-1].lags[_bucket(now - due)] += 1
        if self.late and self._seconds:
            late, self.late = self.late, []
            self._seconds[-1].lates.update(map(_bucket, late))

    def _judge(self) -> None:
        """Whether the seconds just gone were too much."""
        if not self._seconds:
            return
        last = self._seconds[-1].number
        recent = [second for second in self._seconds if last - second.number < JUDGED_S]
        lag, late = _sum(second.lags for second in recent), _sum(second.lates for second in recent)
        lag_p99, late_p99 = _quantile(lag, 0.99), _quantile(late, 0.99)
        too_much = (lag.total() >= ENOUGH and lag_p99 > LAG_LIMIT_S) or (
            late.total() >= ENOUGH and late_p99 > LATE_LIMIT_S
        )
        if not too_much:
            self.saturated_since = None
            return
        if self.saturated_since is None:
            self.saturated_since = float(last)
        self.saturated_s += 1

    def lag(self) -> Spread:
        """Lag of the event loop."""
        return _spread(_sum(second.lags for second in self._kept()))

    def lateness(self) -> Spread:
        """Lateness of planned moments."""
        return _spread(_sum(second.lates for second in self._kept()))

    def _kept(self) -> list[_Second]:
        oldest = self.uptime_s - KEPT_S
        return [second for second in self._seconds if second.number >= oldest]


def _bucket(seconds: float) -> int:
    return 0 if seconds <= _LEAST_S else 1 + int(log(seconds / _LEAST_S) / _STEP)


def _value(bucket: int) -> float:
    """The middle of a bucket."""
    return 0.0 if bucket == 0 else _LEAST_S * 1.05 ** (bucket - 0.5)


def _sum(counters: Iterable[Counter[int]]) -> Counter[int]:
    total: Counter[int] = Counter()
    for counter in counters:
        total.update(counter)
    return total


def _quantile(buckets: Counter[int], share: float) -> float:
    """By nearest rank; 0 when empty."""
    left = ceil(share * buckets.total())
    for bucket in sorted(buckets):
        left -= buckets[bucket]
        if left <= 0:
            return _value(bucket)
    return 0.0


def _spread(buckets: Counter[int]) -> Spread:
    count = buckets.total()
    if not count:
        return Spread(None, None, None, 0)
    p50, p99, most = (round(1e3 * _quantile(buckets, share), 3) for share in (0.5, 0.99, 1.0))
    return Spread(p50, p99, most, count)

"""Lateness of tries and of event loops: limits that the fault itself cannot inflate, and who broke them."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Final

import numpy as np
from scipy.special import bdtrc

from reports.dependence import Floats
from reports.gate import Gate
from reports.health import Readings
from reports.rules import (
    LAG_MS,
    LATE_MS,
    LATE_SHARE,
    LIMIT_SHARE,
    MOST_MS,
    STALL_MS,
    STALLED_SHARE,
    check,
    judged,
    percent,
)
from reports.sample import HEALTH
from reports.stats import rank, smallest
from reports.values import Check, Result

UNREAD: Final = f"not recorded: no readings in {HEALTH}"
_CHANCE: Final = 0.025


@dataclass(frozen=True)
class Limits:
    """The stretches of time over which processes are judged, s, and how late a try and an event loop may be, ms."""

    begin: float
    window_end: float
    end: float
    late_ms: float
    lag_ms: float

    @classmethod
    def of(cls, window_s: tuple[float, float], ended_s: float, gates: tuple[Gate, ...]) -> Limits:
        """For a window, the end of its run and the gates it is judged by."""
        share = min(MOST_MS, LIMIT_SHARE * tightest_ms(gates))
        return cls(*window_s, max(window_s[1], ended_s), max(LATE_MS, share), max(LAG_MS, share))

    def stretches(self, seen: Readings) -> tuple[Readings, ...]:
        """The window alone, which a long idle drain must not dilute, and the window with its drain."""
        return seen.within(self.begin, self.window_end), seen.within(self.begin, self.end)


def tightest_ms(gates: tuple[Gate, ...]) -> float:
    """The lowest upper limit on any latency, ms, 0 where the gates name none."""
    return min((gate.max for gate in gates if gate.max is not None and gate.metric.endswith("_ms")), default=0.0)


def beyond(late: int, n: int) -> bool:
    """Whether so many late ones of n show that more than 1 % are: p99, by the lower end of its 95 % interval.

    P(B >= late) <= 2.5 % for B binomial with n tries of 1 % each; the same as the distribution-free interval's lower
    rank, and defined for few samples too: 3 of 30, 12 of 600, 121 of 10,000.
    """
    return late > 0 and float(bdtrc(late - 1, n, LATE_SHARE)) <= _CHANCE


def late(name: str, values_ms: Floats, n: int, limit_ms: float, what: str) -> Check:
    """Broken when more of the n than may be are above the limit, beyond what chance explains."""
    seen = values_ms[~np.isnan(values_ms)]
    late = int(np.count_nonzero(seen > limit_ms))
    said = (
        f"p99 of {what} {smallest(seen, 1 - LATE_SHARE):,.1f} ms, limit {limit_ms:,.1f} ms; "
        f"{late:,} of {n:,} ({percent(late / n)}) above it, longest {seen.max():,.1f} ms"
    )
    return judged(name, not beyond(late, n), said)


def stalls(name: str, found: dict[str, Readings] | None, limits: Limits) -> Check:
    """The worst process by either half of the rule."""
    seen = [
        (*_stalled(part, limits.lag_ms), worker)
        for worker, whole in (found or {}).items()
        for part in limits.stretches(whole)
        if len(part.lag_ms)
    ]
    if not seen:
        return check(name, Result.UNKNOWN, UNREAD)
    broken, _, said, worker = max(seen)
    return judged(name, not broken, f"{worker}: {said}")


def _stalled(seen: Readings, limit_ms: float) -> tuple[bool, float, str]:
    """Whether the loop stood still too much, how late it was at p99, ms, and what to say."""
    lag = np.sort(seen.lag_ms)
    p99 = float(lag[rank(len(lag), 1 - LATE_SHARE) - 1])
    late = int(np.count_nonzero(lag > limit_ms))
    said = (
        f"p99 of the lag {p99:,.1f} ms, limit {limit_ms:,.1f} ms; {percent(seen.stalled)} of the time in stalls "
        f"longer than {STALL_MS:g} ms, limit {percent(STALLED_SHARE)}; longest {lag[-1]:,.0f} ms"
    )
    # In a short run one pause is many late ticks; alone, it is a stall or nothing.
    pauses = np.count_nonzero(seen.pauses_ms > limit_ms)
    often = pauses > 1 or lag[-1] > STALL_MS
    return (often and beyond(late, len(lag))) or seen.stalled > STALLED_SHARE, p99, said

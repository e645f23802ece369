"""Rates per second: what happened inside the measure phase / its length.

An answer counts in the second it ended in. In an open load the arrivals are planned, so that what is uncertain is how
many of them failed, with their design effect, and how many were under way at either end of the window. In a closed
load every answer counts as it came, as in a Poisson process with the design effect seen.
"""

from __future__ import annotations

import math
from typing import Final

import numpy as np

from reports.columns import Mask
from reports.dependence import NORMAL, per_block
from reports.gate import Gate
from reports.measured import Measured, Tries
from reports.rates import hang_together, steadiness
from reports.sample import Outcome
from reports.values import Estimate

FAMILIES: Final = ("scheduled", "service", "ttft", "tpot")
_OF_PIECES: Final = ("ttft", "tpot")
NO_RATE: Final = "a script has no rate"


def has_rate(measured: Measured) -> bool:
    """Whether the measure phase has a length that was asked for."""
    return measured.manifest.load.kind != "script" and measured.seconds > 0


def objectives(gates: tuple[Gate, ...]) -> dict[str, float]:
    """Return the loosest upper limit, ms, of each family of latencies that the gates name."""
    limits: dict[str, float] = {}
    for family in FAMILIES:
        given = [g.max for g in gates if g.max is not None and g.metric.startswith(f"{family}_")]
        if given:
            limits[family] = max(given)
    return limits


def meets(tries: Tries, limits: dict[str, float]) -> Mask:
    """Which tries are ok and met every objective; a stream whose first piece was never seen met none about it."""
    good = tries.ok.copy()
    for family, limit in limits.items():
        good &= ~(getattr(tries, f"{family}_ms") > limit)
        if family in _OF_PIECES:
            good &= ~tries.streamed | tries.first_seen
    return good


def per_second(measured: Measured, good: Mask) -> Estimate:
    """Return how many of the good tries, given for the whole run, ended in each second of the measure phase."""
    n = len(measured)
    if not has_rate(measured):
        return Estimate(unit="per_s", n=n, note=NO_RATE)
    begin, end = measured.window_s
    ended = measured.whole.column("end_s")
    inside = good & (ended >= begin) & (ended < end)
    count = int(np.count_nonzero(inside))
    if measured.manifest.load.kind == "closed":
        half = steadiness(per_block(measured.timeline.block(ended[inside])), measured.seconds)
    else:
        half = _open_half(measured, good, inside)
    # What was cut off did not end in the window, whatever it would have come to.
    missing = int(np.count_nonzero(measured.ended_as(Outcome.NEVER_SENT, Outcome.LOST)))
    return Estimate(
        unit="per_s",
        n=n,
        value=count / measured.seconds,
        low=max(0.0, (count - half) / measured.seconds),
        high=(count + half + missing) / measured.seconds,
        unknown=missing,
        method="Poisson" if measured.manifest.load.kind == "closed" else "planned arrivals",
    )


def _open_half(measured: Measured, good: Mask, inside: Mask) -> float:
    """Half the 95 % interval of how many planned arrivals are answered well within the window."""
    begin, end = measured.window_s
    planned = measured.whole.column("planned_s")
    asked = (planned >= begin) & (planned < end)
    # Good answers on the other side of an edge from where they were planned: planned before and ended within, or
    # planned within and ended after.
    across = int(np.count_nonzero(inside & ~asked)) + int(np.count_nonzero(good & asked & ~inside))
    if not asked.any():
        return NORMAL * math.sqrt(across)
    bad = asked & ~good & ~measured.whole.unknown
    failed, tries = (per_block(measured.timeline.block(planned[rows])) for rows in (bad, asked))
    together = hang_together(failed, tries, measured.seconds)
    failures = float(failed.sum())
    spread = failures * (1 - failures / float(tries.sum())) * together.effect
    return math.sqrt(together.spread() ** 2 * spread + NORMAL**2 * across)


def enough_answers(seen: Estimate, limit: float) -> int | None:
    """Roughly how many tries at this rate decide a limit on a rate per second; None where none would."""
    if seen.value is None or seen.low is None or seen.high is None or seen.unknown or seen.value == limit:
        return None
    half = seen.high - seen.value if limit > seen.value else seen.value - seen.low
    return max(math.ceil(seen.n * (half / (limit - seen.value)) ** 2), seen.n + 1)

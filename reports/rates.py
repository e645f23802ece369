"""Shares of tries and rates per second, with their 95 % intervals.

A share has Wilson's score interval (Wilson 1927) at the number of independent tries that would tell as much as these
(`reports.dependence`). What is not known of a try widens it: its low end takes each such try as good, its high end as
bad.
"""

from __future__ import annotations

import math
from typing import Final

from reports.dependence import BLOCKS, NORMAL, Dependence, Floats, dependence
from reports.values import Estimate

_FEW_BURSTS: Final = 3
_MOST_SAMPLES: Final = 100_000_000


def wilson(share: float, n: float) -> tuple[float, float]:
    """95 % score interval for a share of n independent tries; n must be positive, and need not be whole."""
    z2 = NORMAL * NORMAL
    middle = (share + z2 / (2 * n)) / (1 + z2 / n)
    half = NORMAL / (1 + z2 / n) * math.sqrt(share * (1 - share) / n + z2 / (4 * n * n))
    low = 0.0 if share <= 0 else max(0.0, middle - half)
    return low, 1.0 if share >= 1 else min(1.0, middle + half)


def hang_together(hits: Floats, tries: Floats, seconds: float) -> Dependence:
    """Estimate how the tries that were hit hang together, from how many of the tries of each block of time were."""
    n, count = tries.sum(), hits.sum()
    share = count / n
    return dependence(hits - share * tries, n * share * (1 - share), min(count, n - count), seconds)


def share(hits: Floats, tries: Floats, seconds: float, unknown: int = 0) -> Estimate:
    """Return the share of tries that were hit, among those of which it is known.

    `hits` and `tries` count them per block of time; the `unknown` ones are among the tries and not among the hits. The
    interval is that of all tries, the unknown ones once as not hit and once as hit.
    """
    n, count = int(tries.sum()), int(hits.sum())
    if n - unknown == 0:
        note = "no requests of this sort" if n == 0 else "of none of them is it known how it would have ended"
        return Estimate(unit="share", n=n, unknown=unknown, note=note)
    together = hang_together(hits, tries, seconds)
    low, high = _ends(together, n, count, unknown)
    return Estimate(
        unit="share",
        n=n,
        value=count / (n - unknown),
        low=low,
        high=high,
        unknown=unknown,
        effective=max(1, round(together.effective(n))) if together.evident else None,
        method="Wilson",
        note=_bursty(together, min(count, n - count), seconds),
    )


def _ends(together: Dependence, n: float, count: float, unknown: float, longer: float = 1.0) -> tuple[float, float]:
    """The interval of `count` hits among n tries, in a run so many times `longer` that is otherwise alike."""
    few = count * 2 <= n
    down, up = (together.effective(n * longer, rarer=rarer, longer=longer) for rarer in (few, not few))
    return wilson(count / n, down)[0], wilson((count + unknown) / n, up)[1]


def _bursty(together: Dependence, events: int, seconds: float) -> str:
    if not together.evident or together.clusters >= _FEW_BURSTS:
        return ""
    bursts = max(1, round(together.clusters))
    word = "burst" if bursts == 1 else "bursts"
    return f"too bursty to judge in {seconds:,.0f} s: {events:,} of them came as in {bursts:,} {word}"


def steadiness(answers: Floats, seconds: float) -> float:
    """Return half the 95 % interval of how many answers a closed load gets, from how many fell into each block."""
    count = float(answers.sum())
    together = dependence(answers - count / BLOCKS, count, count, seconds)
    return together.spread() * math.sqrt(together.effect * count)


def enough_tries(hits: Floats, tries: Floats, seconds: float, limit: float, unknown: int = 0) -> int | None:
    """Roughly how many tries alike decide a limit on a share of them; None where none would."""
    n, count = float(tries.sum()), float(hits.sum())
    if n == unknown:
        return None
    together = hang_together(hits, tries, seconds)
    longer = 1.0
    while n * longer <= _MOST_SAMPLES:
        longer *= 1.05
        low, high = _ends(together, n, count, unknown, longer)
        if high <= limit or low > limit:
            return math.ceil(n * longer)
    return None

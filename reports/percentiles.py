"""Percentiles with their 95 % intervals.

The interval runs between two order statistics, or two levels of the Kaplan-Meier curve, whose ranks come from the
binomial distribution of as many independent, uncensored samples as would tell as much (Woodruff 1952, with the
design effect of `reports.dependence`; under censoring Brookmeyer & Crowley 1982, with Greenwood's variance).
"""

from __future__ import annotations

import math
from typing import Final

import numpy as np

from reports.dependence import NORMAL
from reports.stats import Observed, Standing, binomial_ranks, least_samples
from reports.values import Estimate

# Fewer independent ones than this at the median, and the run is too short to show how latency wanders at all.
_FEW: Final = 10
_MOST_SAMPLES: Final = 100_000_000


def percentile(observed: Observed, p: float, unit: str) -> Estimate:
    """Return percentile p with its 95 % interval; Kaplan-Meier where anything is censored.

    Where too few samples exist, value and interval are missing and `needed` says how many there must be.
    """
    least = least_samples(p)
    if not observed.n:
        return Estimate(unit=unit, n=0, needed=least)
    stand = observed.standing(p)
    if min(observed.n, round(stand.size)) < least:
        needed = math.ceil(least * observed.n / stand.size - 1e-6)
        return Estimate(unit=unit, n=observed.n, censored=observed.censored, needed=max(needed, least))
    value, last = stand.index, float(observed.time[-1])
    low, high = _ends(observed, stand, p)
    return Estimate(
        unit=unit,
        n=observed.n,
        censored=observed.censored,
        value=None if value is None else float(observed.time[value]),
        above=last if value is None else None,
        low=low,
        high=high,
        effective=_effective(stand),
        method="Kaplan-Meier" if observed.censored else "order statistic",
        note=_bursty(observed, stand, p),
    )


def _ends(observed: Observed, stand: Standing, p: float) -> tuple[float, float | None]:
    short = too_short(observed)
    size = max(1, math.floor(stand.effective()))
    rank = binomial_ranks(size, p)[0]
    if short or rank < 1:
        low = _beyond(float(observed.time[0]), -1, twice=short or _far_too_few(size, p))
    else:
        at = observed.index((rank - 1) / size + 1 / stand.size)
        low = float(observed.time[-1 if at is None else at])
    size = max(1, math.floor(stand.effective(above=True)))
    rank = binomial_ranks(size, p)[1]
    if not short and rank <= size:
        at = observed.index(rank / size)
        return low, None if at is None else float(observed.time[at])
    if not _seen_to_the_end(observed, stand):
        return low, None
    return low, _beyond(float(observed.time[-1]), 1, twice=short or _far_too_few(size, p))


def _seen_to_the_end(observed: Observed, stand: Standing) -> bool:
    """Whether no time beyond the percentile is known only to be longer."""
    return stand.index is not None and bool(observed.event[stand.index :].all())


def _beyond(extreme: float, sign: int, *, twice: bool) -> float:
    """Close an end that no rank closes: at the most extreme value seen, or at twice as far out.

    With three quarters of the samples that an interval needs, the extreme lies beyond the percentile in 94 % of runs.
    With fewer it may well fall short of it.
    """
    if not twice:
        return extreme
    return extreme * 2 if sign * extreme > 0 else extreme / 2


def _far_too_few(size: float, p: float) -> bool:
    return size * 4 < least_samples(p) * 3


def too_short(observed: Observed) -> bool:
    """Whether the run was too short for its own waves to be seen."""
    return observed.median.dependence.evident and observed.median.effective() < _FEW


def _effective(stand: Standing) -> int | None:
    return max(1, round(stand.effective())) if stand.dependence.evident else None


def _bursty(observed: Observed, stand: Standing, p: float) -> str:
    span = f"{observed.seconds:,.0f} s"
    if too_short(observed):
        alone = max(1, round(observed.median.effective()))
        return f"too bursty to judge in {span}: these {observed.n:,} tell as much as {alone:,} independent ones"
    if stand.dependence.evident and _far_too_few(stand.effective(above=True), p):
        came = max(1, round(stand.dependence.clusters))
        times = "time" if came == 1 else "times"
        return f"too bursty to judge in {span}: what lies beyond came about {came:,} {times}, all at once"
    return ""


def share_within(observed: Observed, limit: float) -> float:
    """Return the (Kaplan-Meier) share of observations no longer than `limit`."""
    count = int(np.searchsorted(observed.time, limit, side="right"))
    return 0.0 if count == 0 else 1 - float(observed.surviving[count - 1])


def enough_samples(observed: Observed, p: float, limit: float) -> int | None:
    """Roughly how many samples alike decide a limit on percentile p; None where none would.

    By the normal approximation of the binomial ranks.
    """
    if not observed.n:
        return None
    stand, room = observed.standing(p), share_within(observed, limit) - p
    longer = 1.0
    while observed.n * longer <= _MOST_SAMPLES:
        longer *= 1.05
        size = stand.effective(above=room > 0, longer=longer)
        if size >= least_samples(p) and abs(room) * size > NORMAL * math.sqrt(size * p * (1 - p)) + 1:
            return math.ceil(observed.n * longer)
    return None

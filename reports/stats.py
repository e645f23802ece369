"""Order statistics, their intervals, Kaplan-Meier percentiles and Wilson intervals.

Percentiles are the ceil(n p)-th smallest value, never interpolated. Their 95 % interval runs between two order
statistics whose ranks come from the binomial distribution (distribution-free, equal-tailed; David & Nagaraja,
Order Statistics, 7.1); over blocks of time the ranks are widened to what a bootstrap of the blocks shows
(Woodruff 1952: the interval of F at the percentile, turned into ranks).
"""

from __future__ import annotations

import math
from collections.abc import Callable
from dataclasses import dataclass
from functools import cache, cached_property
from typing import Final

import numpy as np
import numpy.typing as npt
from scipy.special import bdtr

from reports.values import Estimate, Tail

Floats = npt.NDArray[np.float64]

_TAIL: Final = 0.025
_Z: Final = 1.959963984540054  # the normal distribution's 97.5 % point
_RESAMPLES: Final = 1000
_MIN_BLOCKS: Final = 10
_MIN_BEYOND: Final = 20  # samples beyond a percentile before blocks can say how it wanders
_MOST_SAMPLES: Final = 100_000_000


@dataclass(frozen=True)
class Observed:
    """Times in ascending order (any unit); `event` is False where the true time is only known to be longer.

    `block` numbers the block of time each observation began in; empty where blocks are not wanted.
    """

    time: Floats
    event: npt.NDArray[np.bool_]
    block: npt.NDArray[np.int64]

    @property
    def n(self) -> int:
        """Observations, censored ones included."""
        return len(self.time)

    @cached_property
    def censored(self) -> int:
        """Observations known only to be longer."""
        return self.n - int(np.count_nonzero(self.event))

    @cached_property
    def surviving(self) -> Floats:
        """Kaplan-Meier: the share still running just after each observation."""
        at_risk = np.arange(self.n, 0, -1, dtype=float)
        return np.asarray(np.cumprod(np.where(self.event, 1 - 1 / at_risk, 1.0)), dtype=np.float64)


def observe(
    time: Floats,
    event: npt.NDArray[np.bool_] | None = None,
    block: npt.NDArray[np.int64] | None = None,
) -> Observed:
    """Sort observations, at equal times events first; NaN times are left out."""
    event = np.ones(len(time), dtype=bool) if event is None else event
    known = ~np.isnan(time)
    time, event = time[known], event[known]
    order = np.lexsort((~event, time)) if not event.all() else np.argsort(time, kind="stable")
    blocks = np.empty(0, dtype=np.int64) if block is None else block[known][order]
    return Observed(time[order], event[order], blocks)


def rank(n: int, p: float) -> int:
    """Return ceil(n p), at least 1, not fooled by the last binary digit of n * p."""
    return max(1, math.ceil(n * p - 1e-9))


@cache
def least_samples(p: float) -> int:
    """Return how many samples a 95 % interval for percentile p needs: 6, 72, 368, 3,688 for .5, .95, .99, .999."""
    return math.ceil(max(math.log(_TAIL) / math.log(p), math.log(_TAIL) / math.log1p(-p)))


@cache
def interval_ranks(n: int, p: float) -> tuple[int, int] | None:
    """Ranks (1-based) of the order statistics that enclose percentile p with 95 %, or None if n is too small."""
    if n < least_samples(p):
        return None
    reach = 12 * math.sqrt(n * p * (1 - p)) + 12
    counts = np.arange(max(0, math.floor(n * p - reach)), min(n, math.ceil(n * p + reach)) + 1)
    below = bdtr(counts.astype(float), n, p)  # P(B <= count)
    low = int(counts[np.searchsorted(below, _TAIL, side="right")])
    high = int(counts[np.searchsorted(below, 1 - _TAIL, side="left")]) + 1
    return low, high


def block_ranks(observed: Observed, p: float, value: float) -> tuple[int, int] | None:
    """Return interval ranks from a bootstrap over blocks of time, or None where too little is there to tell.

    A rank below 1 or above n says that the blocks leave that side open. The dice are fixed: same samples,
    same interval.
    """
    n = observed.n
    if not observed.block.size or n * min(p, 1 - p) < _MIN_BEYOND:
        return None
    per_block = np.bincount(observed.block)
    within = np.bincount(observed.block, weights=observed.time <= value, minlength=len(per_block))
    filled = per_block > 0
    blocks = int(np.count_nonzero(filled))
    if blocks < _MIN_BLOCKS:
        return None
    dice = np.random.default_rng(0)
    weights = dice.multinomial(blocks, np.full(blocks, 1 / blocks), size=_RESAMPLES)
    shares = (weights @ within[filled]) / (weights @ per_block[filled])
    share = within.sum() / n
    low, high = np.quantile(shares - share, [_TAIL, 1 - _TAIL], method="inverted_cdf")
    return math.floor(n * (p + low)), math.ceil(n * (p + high)) + 1


def percentile(observed: Observed, p: float, unit: str) -> Estimate:
    """Return percentile p with its 95 % interval; Kaplan-Meier where anything is censored.

    The interval assumes nothing about why requests were censored: its lower end takes each of them as if
    finished when last seen, its upper end as if never finished. Where too few samples exist, value and
    interval are missing and `needed` says how many there must be.
    """
    ranks = interval_ranks(observed.n, p) if observed.n else None
    if ranks is None:
        return Estimate(unit=unit, n=observed.n, censored=observed.censored, needed=least_samples(p))
    index = percentile_index(observed, p)
    last_seen = float(observed.time[-1])
    value = last_seen if index is None else float(observed.time[index])
    wider = block_ranks(observed, p, value)
    if wider is not None:
        ranks = min(ranks[0], wider[0]), max(ranks[1], wider[1])
    finished = observed.time[observed.event] if observed.censored else observed.time
    return Estimate(
        unit=unit,
        n=observed.n,
        censored=observed.censored,
        value=None if index is None else value,
        above=last_seen if index is None else None,
        low=float(observed.time[ranks[0] - 1]) if ranks[0] >= 1 else None,
        high=float(finished[ranks[1] - 1]) if ranks[1] <= len(finished) else None,
        method="Kaplan-Meier" if observed.censored else "order statistic",
    )


def percentile_index(observed: Observed, p: float) -> int | None:
    """Where in `observed.time` percentile p stands; None where Kaplan-Meier leaves it undefined."""
    if not observed.censored:
        return rank(observed.n, p) - 1
    reached = observed.event & (observed.surviving <= 1 - p + 1e-9)
    return int(np.argmax(reached)) if reached.any() else None


_TAILS: Final = {"p99": 0.99, "p95": 0.95, "median": 0.5}


def tail(values: Floats) -> Tail | None:
    """Return p99 where n samples can tell it (from 368), else p95 (from 72), else the median; None of no samples.

    `low` is the lower end of its 95 % interval, or below 6 samples, where none exists, the median itself. NaN
    values are left out.
    """
    found = observe(values)
    if not found.n:
        return None
    word = next((word for word, p in _TAILS.items() if found.n >= least_samples(p)), "median")
    p = _TAILS[word]
    value = float(found.time[rank(found.n, p) - 1])
    ranks = interval_ranks(found.n, p)
    low = value if ranks is None else float(found.time[ranks[0] - 1])
    return Tail(percentile=word, n=found.n, value=value, low=low)


def share_within(observed: Observed, limit: float) -> float:
    """Return the (Kaplan-Meier) share of observations no longer than `limit`."""
    count = int(np.searchsorted(observed.time, limit, side="right"))
    return 0.0 if count == 0 else 1 - float(observed.surviving[count - 1])


def wilson(hits: int, n: int) -> tuple[float, float]:
    """95 % score interval for a rate (Wilson 1927); n must be positive."""
    rate, z2 = hits / n, _Z * _Z
    middle = (rate + z2 / (2 * n)) / (1 + z2 / n)
    half = _Z / (1 + z2 / n) * math.sqrt(rate * (1 - rate) / n + z2 / (4 * n * n))
    low = 0.0 if hits == 0 else max(0.0, middle - half)
    return low, 1.0 if hits == n else min(1.0, middle + half)


def samples_for_percentile(p: float, share: float, n: int) -> int | None:
    """Roughly how many samples decide a limit that `share` of them keep; None where none would."""

    def decided(size: int) -> bool:
        ranks = interval_ranks(size, p)
        return ranks is not None and (ranks[1] <= share * size or ranks[0] > share * size)

    return _grow(max(n, least_samples(p)), decided)


def samples_for_rate(rate: float, limit: float, n: int) -> int | None:
    """Roughly how many samples decide a limit on a rate, if the rate stays; None where none would."""

    def decided(size: int) -> bool:
        low, high = wilson(round(rate * size), size)
        return high <= limit or low > limit

    return _grow(max(n, 1), decided)


def _grow(start: int, decided: Callable[[int], bool]) -> int | None:
    size = start
    while size <= _MOST_SAMPLES:
        if decided(size):
            return size
        size += max(1, size // 20)
    return None

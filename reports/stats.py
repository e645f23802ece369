"""Order statistics and Kaplan-Meier curves.

Percentiles are the ceil(n p)-th smallest value, never interpolated. Where the true time of some is only known to be
longer (they are censored), the Kaplan-Meier curve takes the place of the sorted values.
"""

from __future__ import annotations

import math
from collections.abc import Iterable
from dataclasses import dataclass
from functools import cache, cached_property, lru_cache
from typing import Final, Literal

import numpy as np
import numpy.typing as npt
from scipy.special import bdtr

from reports.dependence import BLOCKS, Blocks, Dependence, dependence, per_block
from reports.dependence import Floats as Floats

_TAIL: Final = 0.025
_USUAL: Final = (0.5, 0.95, 0.99, 0.999)  # what one asks of a distribution
_SAME: Final = 1e-9  # what the last binary digits of a share may be off


@dataclass(frozen=True)
class Standing:
    """Where a percentile stands and how well it is known.

    `index` is its place among the sorted times, None where the curve ends before it. `size`: as many uncensored
    tries would tell as much, were they independent.
    """

    index: int | None
    size: float
    dependence: Dependence

    def effective(self, *, above: bool = False, longer: float = 1.0) -> float:
        """As many independent, uncensored tries would give an interval that ends there, below or above the percentile.

        `longer`: in a run so many times longer and otherwise alike.
        """
        return self.dependence.effective(self.size * longer, rarer=not above, longer=longer)


@dataclass(frozen=True, eq=False)
class Observed:
    """Times in ascending order (any unit); `event` is False where the true time is only known to be longer.

    `block` numbers the block of time that each observation began in, of blocks that are `seconds` long together; it is
    empty where they are taken as independent. `beside` holds the time of each in the order of `block`: the ascending
    one where any is censored, else the one they were given in, since sorting a second array by the first costs as much
    as everything else.
    """

    time: Floats
    event: npt.NDArray[np.bool_]
    block: Blocks
    beside: Floats
    seconds: float

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

    @cached_property
    def median(self) -> Standing:
        """Where the median stands: it feels waves of latency most."""
        return self.standing(0.5)

    def index(self, share: float) -> int | None:
        """Where the (Kaplan-Meier) share of finished observations first reaches `share`; None where it never does."""
        if not self.censored:
            at = rank(self.n, share) - 1
        else:
            # Seen from its end the curve rises.
            at = self.n - int(np.searchsorted(self.surviving[::-1], 1 - share + _SAME, side="right"))
        return at if at < self.n else None

    @cached_property
    def _standings(self) -> dict[float, Standing]:
        return {}

    def standing(self, p: float) -> Standing:
        """Where percentile p stands; there must be at least one observation."""
        if p not in self._standings:
            self._standings.update(self._censored({p, *_USUAL}) if self.censored else {p: self._plain(p)})
        return self._standings[p]

    def _plain(self, p: float) -> Standing:
        at = self.index(p)
        # Equal times go together, and where they all lie at the percentile, those below it are looked at.
        value = self.time[0 if at is None else at]
        side: Literal["left", "right"] = "left" if value == self.time[-1] else "right"
        below = int(np.searchsorted(self.time, value, side=side))
        share = below / self.n
        sums = self._sums(self.beside < value if side == "left" else self.beside <= value, share)
        found = dependence(sums, self.n * share * (1 - share), min(below, self.n - below), self.seconds)
        return Standing(at, self.n, found)

    @cached_property
    def _blocked(self) -> Floats:
        return per_block(self.block)

    def _sums(self, below: npt.NDArray[np.bool_], share: float) -> Floats:
        """Per block, how many more than a `share` of its observations are among those below."""
        if not self.block.size:
            return np.zeros(BLOCKS)
        if share <= 1 / 2:
            return per_block(self.block[below]) - share * self._blocked
        return (1 - share) * self._blocked - per_block(self.block[~below])

    def _censored(self, shares: Iterable[float]) -> dict[float, Standing]:
        """Greenwood's variance of the curve, and how observations pull it (its influence function)."""
        at_risk = np.arange(self.n, 0, -1, dtype=float)
        # Were the last one an event, nobody would be left and the variance without bound.
        steps = np.where(self.event, 1 / (at_risk * np.maximum(at_risk - 1, 1)), 0.0)
        pulled = np.cumsum(np.where(self.event, 1 / at_risk**2, 0.0))
        pulls = np.where(self.event, 1 / at_risk, 0.0) - pulled
        return {p: self._censored_at(self.index(p), steps, pulled, pulls) for p in shares}

    def _censored_at(self, at: int | None, steps: Floats, pulled: Floats, pulls: Floats) -> Standing:
        upto = self.n if at is None else int(np.searchsorted(self.time, self.time[at], side="left"))
        left = float(self.surviving[upto - 1]) if upto else 1.0
        greenwood = float(steps[:upto].sum())
        if greenwood == 0:
            size = float(self.n if at is None else self.n - upto)
            return Standing(at, size, Dependence(1.0, math.inf, 0.0))
        size = (1 - left) / max(left * greenwood, 1e-300)
        few = size * min(left, 1 - left)
        if not self.block.size:
            return Standing(at, size, Dependence(1.0, math.inf, few))
        rest = float(pulled[upto - 1])
        sums = per_block(self.block[:upto], pulls[:upto]) - rest * per_block(self.block[upto:])
        variance = float(np.square(pulls[:upto]).sum()) + (self.n - upto) * rest**2
        return Standing(at, size, dependence(sums, variance, few, self.seconds))


def observe(
    time: Floats,
    event: npt.NDArray[np.bool_] | None = None,
    block: Blocks | None = None,
    seconds: float = 0.0,
) -> Observed:
    """Sort observations, at equal times events first; NaN times are left out."""
    known = ~np.isnan(time)
    time, blocks = (time, block) if known.all() else (time[known], block if block is None else block[known])
    blocks = np.empty(0, dtype=np.uint8) if blocks is None else blocks
    ended = np.broadcast_to(np.True_, len(time)) if event is None else event[known]
    if ended.all():
        return Observed(np.sort(time), ended, blocks, time, seconds)
    # A step too small to see puts a censored time behind the equal time of an event.
    order = np.argsort(np.where(ended, time, np.nextafter(time, np.inf)))
    time = time[order]
    return Observed(time, ended[order], blocks[order] if blocks.size else blocks, time, seconds)


def finished(observed: Observed) -> Observed:
    """Only those that ended, of observations some of which are censored."""
    event, time = observed.event, observed.time[observed.event]
    block = observed.block[event] if observed.block.size else observed.block
    return Observed(time, np.broadcast_to(np.True_, len(time)), block, time, observed.seconds)


def rank(n: int, p: float) -> int:
    """Return ceil(n p), at least 1, not fooled by the last binary digit of n * p."""
    return max(1, math.ceil(n * p - _SAME))


def smallest(values: Floats, p: float) -> float:
    """Return percentile p of values in any order, of which there must be one."""
    at = rank(len(values), p) - 1
    return float(np.partition(values, at)[at])


@cache
def least_samples(p: float) -> int:
    """Return how many samples a 95 % interval for percentile p needs: 6, 72, 368, 3,688 for .5, .95, .99, .999."""
    return math.ceil(max(math.log(_TAIL) / math.log(p), math.log(_TAIL) / math.log1p(-p)))


@lru_cache(maxsize=4096)
def binomial_ranks(n: int, p: float) -> tuple[int, int]:
    """Ranks (1-based) of the order statistics that enclose percentile p of n independent samples with 95 %.

    Distribution-free and equal-tailed (David & Nagaraja, Order Statistics, 7.1). Rank 0 or n + 1 says that the samples
    leave that side open.
    """
    reach = 4 * math.sqrt(n * p * (1 - p)) + 12
    counts = np.arange(max(0, math.floor(n * p - reach)), min(n, math.ceil(n * p + reach)) + 1)
    below = bdtr(counts.astype(float), n, p)  # P(B <= count)
    low = int(counts[np.searchsorted(below, _TAIL, side="right")])
    high = int(counts[np.searchsorted(below, 1 - _TAIL, side="left")]) + 1
    return low, high

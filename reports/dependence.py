"""How much less n tries tell because they resemble their neighbours: the design effect, estimated over a run's time.

Failures come in bursts and latencies in waves, so that a run of 6,000 tries may tell no more than 100 independent ones
would. What each try adds to an estimate is summed over equal blocks of time. Were the tries independent, the squared
cosine transform of those sums would be flat; waves and bursts lift its low end, and its height there over the flat
level is the design effect. It is averaged over the lowest few frequencies, which gives Student's t as many degrees of
freedom (equal-weighted cosine estimator: Müller 2007; Lazarus, Lewis, Stock & Watson 2018). `benchmarks/coverage.py`
measures what comes of it.
"""

from __future__ import annotations

import math
from dataclasses import dataclass
from typing import Any, Final

import numpy as np
import numpy.typing as npt
from scipy.fft import dct
from scipy.special import stdtrit

Floats = npt.NDArray[np.float64]
Blocks = npt.NDArray[np.uint8]

BLOCKS: Final = 256  # as many as a byte numbers
NORMAL: Final = 1.959963984540054  # the normal distribution's 97.5 % point

# In 300 s the lowest 8 frequencies, down to waves of 75 s, in t seconds as t^(2/3): more data, more freedom, less bias.
_BAND: Final = 8
_BAND_S: Final = 300.0
_LEAST_BAND: Final = 4
_MOST_BAND: Final = 64
# How many standard errors above 1 a band must lie before tries are held to depend on each other.
_EVIDENT: Final = 2.5


@dataclass(frozen=True)
class Dependence:
    """What is known of how tries hang together.

    `effect`: variance of the estimate over what it would be among independent tries, at least 1. `freedom`: Student's
    degrees of freedom behind that, infinite where nothing speaks against independence. `clusters`: as how many
    independent ones the rarer kind of try came (failures, or tries beyond a percentile).
    """

    effect: float
    freedom: float
    clusters: float

    @property
    def evident(self) -> bool:
        """Whether the tries were seen to depend on each other."""
        return math.isfinite(self.freedom)

    def spread(self, *, rarer: bool = True, longer: float = 1.0) -> float:
        """How many standard errors reach the end of a 95 % interval, in a run so many times `longer`.

        Where the rarer kind of try may be `rarer` still, or else less rare: one burst says little of how long bursts
        are, however many frequencies it fills, so that towards more of them the bursts seen bound the freedom. The sum
        of k bursts of exponential length has as many degrees of freedom as chi-squared: 2 k.
        """
        if not self.evident:
            return NORMAL
        freedom = self.freedom if rarer else min(self.freedom, 2 * max(self.clusters * longer, 1.0))
        return float(stdtrit(freedom, 0.975))

    def effective(self, n: float, *, rarer: bool = True, longer: float = 1.0) -> float:
        """How many independent tries would give an interval that ends as far out as that of these `n`."""
        return n / (self.effect * (self.spread(rarer=rarer, longer=longer) / NORMAL) ** 2)


@dataclass(frozen=True)
class Timeline:
    """A span of time, in seconds, cut into equal blocks."""

    begin: float
    seconds: float

    def block(self, at: Floats) -> Blocks:
        """Return the number of the block that each moment lies in; what is outside goes to the nearest."""
        if self.seconds <= 0:
            return np.zeros(len(at), dtype=np.uint8)
        found = (at - self.begin) * (BLOCKS / self.seconds)
        return np.clip(np.nan_to_num(found, copy=False), 0, BLOCKS - 1, out=found).astype(np.uint8)


def per_block(block: npt.NDArray[np.integer[Any]], weights: Floats | None = None) -> Floats:
    """How many tries, or what sum of weights, lies in each block."""
    return np.bincount(block, weights, minlength=BLOCKS).astype(np.float64, copy=False)


def dependence(sums: Floats, variance: float, events: float, seconds: float) -> Dependence:
    """Estimate the design effect of an estimate from what the tries of each block add to it.

    `sums` holds, per block, the sum over its tries of how far each pulls the estimate (all together 0); `variance` is
    the sum of their squares; `events` counts the rarer kind of try; `seconds` is how long the blocks are together.
    """
    if variance <= 0 or events <= 0:
        return Dependence(1.0, math.inf, events)
    power = np.cumsum(dct(sums, type=2, norm="ortho")[1:] ** 2) * (BLOCKS / variance)
    lowest = min(max(round(_BAND * (seconds / _BAND_S) ** (2 / 3)), _LEAST_BAND), _MOST_BAND)
    bands = lowest * 2 ** np.arange(int(math.log2(len(power) / lowest)) + 1)
    effects = power[bands - 1] / bands
    # A mean of k squared normals has the variance 2 / k; that few events fall together by chance adds to it.
    evident = effects > 1 + _EVIDENT * np.sqrt(2 / bands + 1 / events)
    if not evident.any():
        return Dependence(1.0, math.inf, events)
    # The lowest band alone is too low, by chance, too often where there are few bursts.
    effect = max(1.0, float(effects[:2].max()))
    return Dependence(effect, float(lowest), events / effect)

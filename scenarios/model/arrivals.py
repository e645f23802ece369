"""When requests leave: absolute times, in seconds from the start of a window, planned before the run.

Every process takes one number of arrivals and an exact duration, and gives sorted times in ``[0, duration)``.
The random ones draw one gap more than there are arrivals and divide by their sum, which for exponential gaps
is exactly a Poisson process given its count. The same seed gives the same times in any process.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Final, Literal, TypeAlias

import numpy as np
import numpy.typing as npt

Times: TypeAlias = npt.NDArray[np.float64]
Kind = Literal["constant", "poisson", "gamma"]

_WARMUP: Final = 0
_MEASURE: Final = 1


def generator(seed: int, concern: int) -> np.random.Generator:
    """A generator of its own for one ``concern``, so that a draw more in one never shifts another."""
    return np.random.Generator(np.random.PCG64(np.random.SeedSequence(seed, spawn_key=(concern,))))


def constant(count: int, duration_s: float) -> Times:
    """Evenly spaced, the first at 0."""
    return np.arange(count, dtype=np.float64) * (duration_s / max(count, 1))


def gamma(count: int, duration_s: float, shape: float, rng: np.random.Generator) -> Times:
    """Gamma gaps of the given ``shape`` k; their coefficient of variation is 1/sqrt(k): small k is bursty."""
    if not shape > 0:
        raise ValueError(f"shape must be above 0, not {shape}")
    gaps = rng.standard_gamma(shape, count + 1)
    total = float(gaps.sum())
    if not total > 0:
        # Gaps of a tiny shape can all round to zero; then there is nothing to tell them apart by.
        return constant(count, duration_s)
    return np.minimum(np.cumsum(gaps[:-1]) * (duration_s / total), np.nextafter(duration_s, 0))


def poisson(count: int, duration_s: float, rng: np.random.Generator) -> Times:
    """Exponential gaps: gamma with shape 1."""
    return gamma(count, duration_s, 1.0, rng)


ARRIVALS: Final[dict[Kind, Callable[[int, float, float, np.random.Generator], Times]]] = {
    "constant": lambda count, duration, _shape, _rng: constant(count, duration),
    "poisson": lambda count, duration, _shape, rng: poisson(count, duration, rng),
    "gamma": lambda count, duration, shape, rng: gamma(count, duration, shape, rng),
}


def planned_times(
    kind: Kind, rate: float, warmup_s: float, duration_s: float, *, burstiness: float, seed: int
) -> Times:
    """The whole plan of an open run: warm-up first, then the measured window, each with its exact count.

    There are ``round(rate * warmup_s)`` arrivals before ``warmup_s`` and ``round(rate * duration_s)`` after;
    the position in the result is the call's number.
    """
    law = ARRIVALS[kind]
    before = law(round(rate * warmup_s), warmup_s, burstiness, generator(seed, _WARMUP))
    after = law(round(rate * duration_s), duration_s, burstiness, generator(seed, _MEASURE))
    return np.concatenate([before, after + warmup_s])

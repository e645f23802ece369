"""When the calls of an open load leave: absolute times, in seconds from the run's zero, planned before the run.

The random laws draw one unit gap more than there are arrivals and divide by their sum, which for exponential gaps is
exactly a Poisson process given its count. A ramp warps that unit time: where the expected number of arrivals grows by
one, one unit passes. The same seed gives the same times in any process.
"""

from __future__ import annotations

import sys
from collections.abc import Callable, Iterable
from typing import Final, TypeAlias

import numpy as np
import numpy.typing as npt

from scenarios.model.load import Arrivals, Segment

Times: TypeAlias = npt.NDArray[np.float64]


def generator(seed: int, concern: int) -> np.random.Generator:
    """A generator of its own for one ``concern``, so that a draw more in one never shifts another."""
    return np.random.Generator(np.random.PCG64(np.random.SeedSequence(seed, spawn_key=(concern,))))


def constant(count: int, span: float) -> Times:
    """``count`` times in ``[0, span)``, evenly spaced, the first at 0."""
    return np.arange(count, dtype=np.float64) * (span / max(count, 1))


def gamma(count: int, span: float, shape: float, rng: np.random.Generator) -> Times:
    """``count`` times in ``[0, span)`` with gamma gaps of ``shape`` k.

    The coefficient of variation is 1/sqrt(k): small k is bursty, 1 is a Poisson process.
    """
    if not shape > 0:
        raise ValueError(f"shape must be above 0, not {shape}")
    gaps = rng.standard_gamma(shape, count + 1)
    total = float(gaps.sum())
    if not total > 0:
        # Gaps of a tiny shape can all round to zero; then there is nothing to tell them apart by.
        return constant(count, span)
    return np.minimum(np.cumsum(gaps[:-1]) * (span / total), np.nextafter(span, 0))


LAWS: Final[dict[Arrivals, Callable[[int, float, float, np.random.Generator], Times]]] = {
    "constant": lambda count, span, _shape, _rng: constant(count, span),
    "poisson": lambda count, span, _shape, rng: gamma(count, span, 1.0, rng),
    "gamma": gamma,
}


def warped(expected: Times, segment: Segment) -> Times:
    """When the expected number of arrivals of a segment reaches each of ``expected``, from its start.

    With rates r0 and r1 over T and a = (r1 - r0) / T, n arrivals are expected by (sqrt(r0² + 2an) - r0) / a. It is
    computed as 2n / (sqrt(r0² + 2an) + r0), which loses no digits where a is small and holds for a = 0 as well.
    """
    rate = segment.rate_per_s
    slope = (segment.to_rate_per_s - rate) / segment.for_s
    # On a ramp down to 0, rounding can bring the last arrival a hair beyond the end.
    root = np.sqrt(np.maximum(rate * rate + 2 * slope * expected, 0.0))
    times = 2 * expected / np.maximum(root + rate, sys.float_info.min)
    # Rounding may also swap two that are nearly at once.
    return np.maximum.accumulate(np.minimum(times, np.nextafter(segment.for_s, 0)))


def segment_times(segment: Segment, rng: np.random.Generator) -> Times:
    """The sorted times of a segment, from its start; exactly `Segment.calls` of them, all before its end."""
    count = segment.calls
    law = LAWS[segment.arrivals]
    if segment.rate_per_s == segment.to_rate_per_s:
        return law(count, segment.for_s, segment.burstiness, rng)
    return warped(law(count, segment.expected, segment.burstiness, rng), segment)


def planned_times(segments: Iterable[Segment], seed: int) -> Times:
    """The times of all segments, laid end to end; the position in the result is the call's number.

    Each segment has a generator of its own, by its position.
    """
    start, pieces = 0.0, [np.empty(0)]
    for number, segment in enumerate(segments):
        if segment.calls:
            pieces.append(start + segment_times(segment, generator(seed, number)))
        start += segment.for_s
    return np.concatenate(pieces)

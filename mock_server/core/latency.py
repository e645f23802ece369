"""Latency laws: how long until the first token, and how the tokens then follow.

A law turns draws into simulated seconds. The default, a shifted lognormal with a heavy tail, was fitted on the raw
data of LLMPerf: ``0.5*P + 0.5*P*exp(sigma*N)``, and in 1 % of requests the random part is multiplied by a Pareto
variable of minimum 5 and shape 1.5.
"""

from __future__ import annotations

from array import array
from functools import lru_cache
from itertools import accumulate
from math import exp, log
from typing import Annotated, Final

from msgspec import Meta, Struct

from mock_server.core.dice import Concern, Dice, Roll

MOST: Final = 1e9
"""What no duration, pace or price is above: beyond it sums of them are no longer exact."""
MOST_SIGMA: Final = 5.0

Milliseconds = Annotated[float, Meta(ge=0, le=MOST)]
Positive = Annotated[float, Meta(ge=1e-6, le=MOST)]

TTFT_CAP_S: Final = 60.0
TAIL_SHARE: Final = 0.01
_TAIL_MINIMUM: Final = 5.0
_TAIL_SHAPE: Final = 1.5
_P95: Final = 1.6448536269514722  # standard normal quantile
_GAP_DEVIATION: Final = 0.10


class Constant(Struct, frozen=True, forbid_unknown_fields=True, tag_field="law", tag="constant"):
    """Always the same."""

    ms: Milliseconds

    def median_s(self) -> float:
        """The median, in seconds."""
        return self.ms / 1000

    def draw_s(self, roll: Roll) -> float:  # noqa: ARG002 - a constant asks no dice
        """Seconds to the first token."""
        return self.ms / 1000


class LognormalLatency(Struct, frozen=True, forbid_unknown_fields=True, tag_field="law", tag="lognormal"):
    """A lognormal given by its median and 95th percentile."""

    median_ms: Positive
    p95_ms: Positive

    def median_s(self) -> float:
        """The median, in seconds."""
        return self.median_ms / 1000

    def draw_s(self, roll: Roll) -> float:
        """Seconds to the first token."""
        sigma = log(self.p95_ms / self.median_ms) / _P95
        return self.median_ms / 1000 * exp(sigma * roll.normal(Concern.FIRST_TOKEN))


class HeavyTail(Struct, frozen=True, forbid_unknown_fields=True, tag_field="law", tag="shifted_lognormal"):
    """A shifted lognormal with a heavy tail; ``p_ms`` is its median, half of it fixed."""

    p_ms: Positive
    sigma: Annotated[float, Meta(ge=0, le=MOST_SIGMA)]

    def median_s(self) -> float:
        """The median of the body, in seconds."""
        return self.p_ms / 1000

    def draw_s(self, roll: Roll) -> float:
        """Seconds to the first token."""
        half = self.p_ms / 2000
        part = half * exp(self.sigma * roll.normal(Concern.FIRST_TOKEN))
        tail = roll.uniform(Concern.TAIL)
        if tail < TAIL_SHARE:
            part *= _TAIL_MINIMUM * (tail / TAIL_SHARE) ** (-1 / _TAIL_SHAPE)
        return half + part


class Empirical(Struct, frozen=True, forbid_unknown_fields=True, tag_field="law", tag="empirical"):
    """Measured quantiles at equal steps of probability from 0 to 1, interpolated linearly."""

    quantiles_ms: Annotated[tuple[Milliseconds, ...], Meta(min_length=2)]

    def _at(self, probability: float) -> float:
        position = probability * (len(self.quantiles_ms) - 1)
        below = min(int(position), len(self.quantiles_ms) - 2)
        low, high = self.quantiles_ms[below], self.quantiles_ms[below + 1]
        return (low + (high - low) * (position - below)) / 1000

    def median_s(self) -> float:
        """The median, in seconds."""
        return self._at(0.5)

    def draw_s(self, roll: Roll) -> float:
        """Seconds to the first token."""
        return self._at(roll.uniform(Concern.FIRST_TOKEN))


Law = Constant | LognormalLatency | HeavyTail | Empirical


def scaled(law: Law, factor: float) -> Law:
    """The law with every latency multiplied by ``factor``, which is above 0."""
    match law:
        case Constant(ms=ms):
            return Constant(ms * factor)
        case LognormalLatency(median_ms=median, p95_ms=high):
            return LognormalLatency(median * factor, high * factor)
        case HeavyTail(p_ms=median, sigma=sigma):
            return HeavyTail(median * factor, sigma)
        case Empirical(quantiles_ms=quantiles):
            return Empirical(tuple(ms * factor for ms in quantiles))


class GapTable:
    """Gaps between tokens, in units of the mean gap, as prefix sums: one draw enters it, none per token."""

    __slots__ = ("_size", "_sums", "_total")

    def __init__(self, seed: int, size: int = 4_096) -> None:
        dice = Dice(seed, "")
        gaps = [
            max(0.05, 1 + _GAP_DEVIATION * dice.roll(b"gaps", block, 0).normal(Concern(slot)))
            for block in range(size // 8)
            for slot in range(8)
        ]
        self._sums: Final = array("d", accumulate(gaps, initial=0.0))
        self._size = len(gaps)
        self._total = self._sums[-1]

    def span(self, draw: int, tokens: int) -> float:
        """The sum of the ``tokens`` gaps that follow the place ``draw`` points at."""
        start = draw % self._size
        laps, rest = divmod(start + tokens, self._size)
        return laps * self._total + self._sums[rest] - self._sums[start]


@lru_cache(maxsize=4)
def gaps_of(seed: int) -> GapTable:
    """The gaps of a seed, made once for all mocks in a process."""
    return GapTable(seed)

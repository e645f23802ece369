"""Load shapes: each a type that knows when its calls leave, how many users it has, and what to say of itself.

An *open* load sends calls at moments planned before the run, whatever comes back: at one rate, along a ramp, or in
stages. In a *closed* load each user waits for an answer before asking again. A *script* is one client that makes the
scenario's calls one after another.
"""

from __future__ import annotations

from typing import Annotated, ClassVar, Final, Literal, Self, TypeAlias

import msgspec
from msgspec import Meta

Arrivals = Literal["constant", "poisson", "gamma"]

# Numbers beyond these are slips of the pen, and would fill the memory before they filled a window.
BELOW: Final = 1_000_000
LONGEST_S: Final = 30 * 24 * 3600
SHORTEST_S: Final = 0.001
MOST_CALLS: Final = 20_000_000

Rate = Annotated[float, Meta(ge=0, lt=BELOW)]
Burstiness = Annotated[float, Meta(gt=0, lt=BELOW)]
Users = Annotated[int, Meta(ge=1, lt=BELOW)]
Span = Annotated[float, Meta(ge=SHORTEST_S, le=LONGEST_S)]
Pause = Annotated[float, Meta(ge=0, le=LONGEST_S)]


class Segment(msgspec.Struct, frozen=True):
    """A stretch of an open load, during which its rate changes linearly; ``burstiness`` shapes gamma gaps."""

    for_s: float
    rate_per_s: float
    to_rate_per_s: float
    arrivals: Arrivals
    burstiness: float

    @property
    def expected(self) -> float:
        """The integral of the rate."""
        return (self.rate_per_s + self.to_rate_per_s) / 2 * self.for_s

    @property
    def calls(self) -> int:
        """How many calls leave: exactly ``round(rate * duration)``."""
        return round(self.expected)


class Shape(msgspec.Struct, frozen=True, forbid_unknown_fields=True, tag_field="kind"):
    """What is asked of every load; as it stands here, the answers are those of a load that plans no moments."""

    # Whether calls leave at moments that are planned before the run, whatever comes back.
    planned: ClassVar[bool] = False

    def window(self, _duration_s: float) -> tuple[Segment, ...]:
        """The segments of a window of that length, without its warm-up; none where the answers decide."""
        return ()

    def segments(self, warmup_s: float, duration_s: float) -> tuple[Segment, ...]:
        """The warm-up, at the rate with which the window begins, then the window."""
        window = self.window(duration_s)
        warmup = [msgspec.structs.replace(s, for_s=warmup_s, to_rate_per_s=s.rate_per_s) for s in window[:1]]
        return (*warmup, *window)

    def calls(self, duration_s: float) -> int:
        """How many calls leave in the window because the plan says so; 0 where the answers decide."""
        return sum(segment.calls for segment in self.window(duration_s))


class Flow(Shape, frozen=True, kw_only=True):
    """Calls leave at ``rate_per_s``, or at a rate that moves linearly to ``to_rate_per_s``.

    ``burstiness`` is the shape k of gamma gaps, whose coefficient of variation is 1/sqrt(k).
    """

    planned: ClassVar[bool] = True

    rate_per_s: Rate
    to_rate_per_s: Rate | None = None
    arrivals: Arrivals = "poisson"
    burstiness: Burstiness | None = None

    def segment(self, for_s: float) -> Segment:
        """The whole shape, stretched over ``for_s`` seconds."""
        end = self.rate_per_s if self.to_rate_per_s is None else self.to_rate_per_s
        return Segment(for_s, self.rate_per_s, end, self.arrivals, self.burstiness or 1.0)

    def arriving(self, arrivals: Arrivals | None, burstiness: float | None) -> Self:
        """The same rates with other gaps; ``None`` leaves as it is."""
        given = arrivals or self.arrivals
        kept = self.burstiness if given == "gamma" else None
        return msgspec.structs.replace(self, arrivals=given, burstiness=burstiness or kept)

    @property
    def rates(self) -> str:
        """``20`` or ``10 to 50``."""
        to = "" if self.to_rate_per_s in (None, self.rate_per_s) else f" to {self.to_rate_per_s:g}"
        return f"{self.rate_per_s:g}{to}"

    @property
    def gaps(self) -> str:
        """``poisson`` or ``gamma with burstiness 0.5``."""
        return self.arrivals if self.burstiness is None else f"{self.arrivals} with burstiness {self.burstiness:g}"


class Open(Flow, frozen=True, kw_only=True, tag="open"):
    """One flow over the whole window. ``think_s`` is for the users that ``--users`` makes of it."""

    think_s: Pause = 0.0

    def window(self, duration_s: float) -> tuple[Segment, ...]:
        """One segment, as long as the window."""
        return (self.segment(duration_s),)

    def __str__(self) -> str:
        return f"open, {self.rates} requests/s, {self.gaps}"


class Stage(Flow, frozen=True, kw_only=True, tag="open"):
    """A flow that lasts ``for_s``."""

    for_s: Span


class Stages(Shape, frozen=True, kw_only=True, tag="stages"):
    """Flows one after another; the window lasts as long as they do."""

    planned: ClassVar[bool] = True

    stages: Annotated[tuple[Stage, ...], Meta(min_length=1)]

    @property
    def for_s(self) -> float:
        """How long all stages last."""
        return sum(stage.for_s for stage in self.stages)

    def window(self, _duration_s: float) -> tuple[Segment, ...]:
        """A segment for each stage."""
        return tuple(stage.segment(stage.for_s) for stage in self.stages)

    def arriving(self, arrivals: Arrivals | None, burstiness: float | None) -> Self:
        """The same rates with other gaps; ``None`` leaves as it is."""
        stages = tuple(stage.arriving(arrivals, burstiness) for stage in self.stages)
        return msgspec.structs.replace(self, stages=stages)

    def __str__(self) -> str:
        rates = ", ".join(stage.rates for stage in self.stages)
        gaps = dict.fromkeys(stage.gaps for stage in self.stages)
        return f"open, {len(self.stages)} stages of {rates} requests/s, {' and '.join(gaps)}"


class Closed(Shape, frozen=True, kw_only=True, tag="closed"):
    """Users who each ask, wait for the answer, think, and ask again.

    Think times are exponential with mean ``think_s``; 0 is none.
    """

    users: Users
    think_s: Pause = 0.0

    def __str__(self) -> str:
        thinking = f", thinking {self.think_s:g} s" if self.think_s else ""
        return f"closed, {self.users} user{'s' * (self.users != 1)}{thinking}"


class Script(Shape, frozen=True, kw_only=True, tag="script"):
    """One client that makes the scenario's calls in order, each when the one before it has ended."""

    def __str__(self) -> str:
        return "script, one call after another"


Load: TypeAlias = Open | Stages | Closed | Script

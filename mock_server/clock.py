"""Clocks: simulated seconds for decisions, wall seconds for what is awaited and announced."""

from __future__ import annotations

from collections.abc import Callable
from math import inf
from typing import Final, Protocol


class Sleeper(Protocol):
    """Something that waits for a moment."""

    def nudge(self) -> None:
        """Look at the clock again."""


class SimClock:
    """Simulated time; it starts at 0, runs, stands still, or jumps.

    ``scale`` multiplies every simulated duration: at 0.01 everything is a hundred times faster. With ``auto``, time
    stands still while anything is being done, and jumps to the next awaited moment when everything in flight waits.
    Mutable: where it stands, and what sleeps on it until when.
    """

    __slots__ = ("_monotonic", "_origin", "_sleepers", "_standing", "auto", "in_flight", "scale", "steered")

    def __init__(self, scale: float, monotonic: Callable[[], float]) -> None:
        self.scale: Final = scale
        self.auto = False
        self.in_flight = 0
        self.steered = 0  # how often it was not left to itself
        self._monotonic = monotonic
        self._origin = monotonic()
        self._standing: float | None = None
        self._sleepers: dict[Sleeper, float] = {}

    def now(self) -> float:
        """Simulated seconds since the start."""
        if self._standing is not None:
            return self._standing
        return (self._monotonic() - self._origin) / self.scale

    def at(self, monotonic: float) -> float:
        """The simulated moment of a reading of the monotonic clock."""
        if self._standing is not None:
            return self._standing
        return (monotonic - self._origin) / self.scale

    @property
    def frozen(self) -> bool:
        """Whether time stands still."""
        return self._standing is not None

    def left(self, at: float) -> float:
        """Wall seconds until the moment ``at``; infinite while time stands still before it."""
        ahead = at - self.now()
        return inf if ahead > 0 and self._standing is not None else ahead * self.scale

    def wall(self, simulated_s: float) -> float:
        """Wall seconds that a simulated duration takes."""
        return simulated_s * self.scale

    def freeze(self) -> None:
        """Let time stand still."""
        self.auto = False
        self._standing = self.now()
        self._nudge_all()

    def resume(self) -> None:
        """Let time run on from where it stands."""
        now = self.now()
        self.auto = False
        self._standing = None
        self._origin = self._monotonic() - now * self.scale
        self._nudge_all()

    def jump_by_itself(self) -> None:
        """Let time stand still, but for jumps to the next moment when everything in flight waits."""
        self._standing = self.now()
        self.auto = True
        self._nudge_all()

    def advance(self, simulated_s: float) -> None:
        """Jump ahead."""
        if self._standing is not None:
            self._standing += simulated_s
        else:
            self._origin -= simulated_s * self.scale
        self._nudge_all()

    def fork(self) -> SimClock:
        """A clock of its own that shows the same time and runs on as this one does now."""
        clock = SimClock(self.scale, self._monotonic)
        clock._origin = self._origin
        clock._standing = self._standing
        clock.auto = self.auto
        return clock

    def fall_asleep(self, sleeper: Sleeper, until: float) -> None:
        """Note that ``sleeper`` waits; it is nudged when time is changed."""
        self._sleepers[sleeper] = until

    def wake_up(self, sleeper: Sleeper) -> None:
        """Note that ``sleeper`` no longer waits."""
        self._sleepers.pop(sleeper, None)

    def hand_over(self, sleeper: Sleeper, other: SimClock) -> None:
        """Let something in flight, which may be asleep, go by a fork of this clock from now on."""
        self.in_flight -= 1
        other.in_flight += 1
        until = self._sleepers.pop(sleeper, None)
        if until is not None:
            other._sleepers[sleeper] = until

    @property
    def may_jump(self) -> bool:
        """Whether time jumps by itself and everything in flight waits."""
        return self.auto and 0 < self.in_flight <= len(self._sleepers)

    def jump(self) -> None:
        """If it may, jump to the first moment anything waits for."""
        if self.may_jump and (first := min(self._sleepers.values())) < inf:
            self._standing = max(self.now(), first)
            self._nudge_all()

    def _nudge_all(self) -> None:
        self.steered += 1
        for sleeper in sorted(self._sleepers, key=self._sleepers.__getitem__):  # who waits for less acts first
            sleeper.nudge()

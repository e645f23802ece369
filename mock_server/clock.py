"""Clocks: simulated seconds for decisions, wall seconds for what is awaited and announced."""

from __future__ import annotations

from collections.abc import Callable
from typing import Final


class ScaledClock:
    """Simulated time that runs ``1 / scale`` times as fast as the monotonic clock it is given; starts at 0.

    ``scale`` multiplies every simulated duration: at 0.01 everything is a hundred times faster.
    """

    __slots__ = ("_monotonic", "_origin", "scale")

    def __init__(self, scale: float, monotonic: Callable[[], float]) -> None:
        self.scale: Final = scale
        self._monotonic = monotonic
        self._origin = monotonic()

    def now(self) -> float:
        """Simulated seconds since the start."""
        return (self._monotonic() - self._origin) / self.scale

    def at(self, monotonic: float) -> float:
        """The simulated moment of a reading of the monotonic clock."""
        return (monotonic - self._origin) / self.scale

    def simulated(self, wall_s: float) -> float:
        """Simulated seconds that pass in a wall duration."""
        return wall_s / self.scale

    def wall(self, simulated_s: float) -> float:
        """Wall seconds that a simulated duration takes."""
        return simulated_s * self.scale

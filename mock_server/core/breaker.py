"""A circuit breaker per provider: closed, open for a cooldown, then half-open for one probe."""

from __future__ import annotations

from typing import Annotated, Literal, Protocol

from msgspec import Meta, Struct

State = Literal["closed", "open", "half_open"]


class BreakerSettings(Struct, frozen=True, forbid_unknown_fields=True):
    """``failures`` in a row open it; ``cooldown_s`` later one probe decides."""

    failures: Annotated[int, Meta(ge=1, description="failures in a row that open it")] = 5
    cooldown_s: Annotated[float, Meta(ge=0, le=1e9, description="how long it stays open before one probe")] = 30.0


class Probe(Protocol):
    """An attempt that decides whether a half-open breaker closes."""

    def verdict(self) -> tuple[float, bool]:
        """When it will have been settled at the latest, and whether it then fails; infinite: nobody can tell."""


class Breaker:
    """Mutable: failures in a row, until when it is open, and the probe that is out."""

    __slots__ = ("_failures", "_open_until", "_probe", "_settings")

    def __init__(self, settings: BreakerSettings) -> None:
        self._settings = settings
        self._failures = 0
        self._open_until: float | None = None
        self._probe: Probe | None = None

    def state(self, now: float) -> State:
        """The state at ``now``."""
        if self._open_until is None:
            return "closed"
        return "open" if now < self._open_until else "half_open"

    def allows(self, now: float) -> bool:
        """Whether an attempt may be made at ``now``."""
        return self._open_until is None or (now >= self._open_until and self._probe is None)

    def cooldown(self, now: float) -> float:
        """Seconds for which it stays open; 0 when it is not."""
        return 0.0 if self._open_until is None else max(0.0, self._open_until - now)

    def wait(self, now: float) -> float:
        """Seconds until it allows an attempt, as far as its probe is planned; 0 when it allows one now."""
        if self._open_until is None:
            return 0.0
        at = self._open_until
        if self._probe is not None:
            at, fails = self._probe.verdict()
            at += self._settings.cooldown_s if fails else 0.0
        return max(0.0, at - now)

    def may_allow(self, now: float) -> bool:
        """Whether an attempt at ``now`` might be allowed, whatever other attempts come to until then."""
        return self._open_until is None or now >= self._open_until

    def may_refuse(self, attempts: int) -> bool:
        """Whether an attempt might be refused, should so many others fail before."""
        return self._open_until is not None or self._failures + attempts >= self._settings.failures

    def trip(self, now: float) -> None:
        """Open it for a cooldown, whatever came before."""
        self._probe = None
        self._open_until = now + self._settings.cooldown_s

    def mend(self) -> None:
        """Close it, and forget the failures."""
        self.success(probe=True)

    def begin(self, now: float, attempt: Probe) -> bool:
        """An attempt starts; True when it is the probe of the half-open state."""
        if self._open_until is None or now < self._open_until or self._probe is not None:
            return False
        self._probe = attempt
        return True

    def success(self, *, probe: bool) -> None:
        """An attempt succeeded: a probe closes; a late success of before the opening changes nothing."""
        if probe or self._open_until is None:
            self._failures = 0
            self._open_until = None
            self._probe = None

    def failure(self, now: float, *, probe: bool) -> None:
        """An attempt failed: count it; open when there are too many; a failed probe opens again."""
        if probe:
            self._probe = None
            self._open_until = now + self._settings.cooldown_s
        elif self._open_until is None:
            self._failures += 1
            if self._failures >= self._settings.failures:
                self._open_until = now + self._settings.cooldown_s

    def undecided(self, *, probe: bool) -> None:
        """An attempt ended without telling anything, as when the client left: let another one probe."""
        if probe:
            self._probe = None

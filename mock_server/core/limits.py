"""Token buckets and the limits of a plan; all times are simulated seconds on the caller's clock."""

from __future__ import annotations

from collections.abc import Collection, Iterable
from math import inf
from typing import Final, NamedTuple, Protocol

from msgspec import Struct

from mock_server.contract.accounts import Plan

MINUTE_S: Final = 60.0
DAY_S: Final = 86_400.0
_SLACK_S: Final = 1e-6  # rounding of times must not refuse what is due, however long the clock has run


class Bucket:
    """A token bucket: holds at most ``capacity``, refills at ``capacity / window_s`` per second.

    The level may be negative after a correction; then nothing can be taken until it has refilled.
    """

    __slots__ = ("_at", "_level", "capacity", "per_s")

    def __init__(self, capacity: int, window_s: float, now: float) -> None:
        self.capacity = capacity
        self.per_s = capacity / window_s
        self._level = float(capacity)
        self._at = now

    def level(self, now: float) -> float:
        """How much it holds at ``now``; a clock that stepped back refills nothing."""
        if now > self._at:
            self._level = min(float(self.capacity), self._level + (now - self._at) * self.per_s)
            self._at = now
        return self._level

    def wait(self, amount: float, now: float) -> float:
        """Seconds until ``amount`` can be taken; 0 when it can be taken at once."""
        short = amount - self.level(now)
        if short <= 0:
            return 0.0
        wait = short / self.per_s + max(0.0, self._at - now)  # a clock that stepped back has to catch up first
        return 0.0 if wait <= _SLACK_S else wait

    def wait_for_good(self, amount: float, takes: Iterable[tuple[float, float]], now: float) -> float:
        """Seconds from which on ``amount`` can be taken whenever one likes, while so much is taken at these moments.

        That is never too early if moments and amounts are the latest and the most that are possible.
        """
        level, at = self.level(now), max(now, self._at)
        ready = at + max(0.0, amount - level) / self.per_s
        for when, taken in sorted(takes):
            then = max(when, at)
            level = min(self.capacity, min(self.capacity, level + (then - at) * self.per_s) - taken)
            at = then
            if level < amount or ready > at:
                ready = at + max(0.0, amount - level) / self.per_s
        return ready - now

    def take(self, amount: float, now: float) -> None:
        """Take ``amount``, below zero if need be; a negative amount gives back, up to the capacity."""
        self._level = min(float(self.capacity), self.level(now) - amount)

    def full_in(self, now: float) -> float:
        """Seconds until it is full."""
        return (self.capacity - self.level(now)) / self.per_s


class Quota(NamedTuple):
    """What the rate-limit headers announce: requests per minute, left, and seconds until all are back."""

    limit: int
    remaining: int
    reset_s: float


class Outlook(Struct, frozen=True, gc=False):
    """What is to come of a request in flight: moments at the latest, infinite where only its client ends it.

    By ``settles_by`` it will be known what it used: at most so many ``tokens`` more than were taken of the minute's,
    or, where that is negative, at least so many less.
    """

    ends_by: float
    settles_by: float
    tokens: int


class Running(Protocol):
    """A request in flight."""

    def outlook(self) -> Outlook:
        """What is to come of it, as far as that is planned."""


class Limits:
    """The limits of one account. Mutable: the buckets."""

    __slots__ = ("_concurrent", "_day", "_minute", "_tokens")

    def __init__(self, plan: Plan, now: float) -> None:
        self._minute = None if plan.rpm is None else Bucket(plan.rpm, MINUTE_S, now)
        self._day = None if plan.rpd is None else Bucket(plan.rpd, DAY_S, now)
        self._tokens = None if plan.tpm is None else Bucket(plan.tpm, MINUTE_S, now)
        self._concurrent = plan.concurrent

    def wait(self, tokens: int, running: Collection[Running], now: float) -> float:
        """Seconds until a request of an estimated ``tokens`` tokens is allowed; 0 when it is allowed now.

        ``running`` holds every request in flight. Where only their clients will end them, nobody can tell: a day.
        """
        waits = short = 0.0
        for bucket in (self._minute, self._day):
            if bucket is not None:
                waits = max(waits, bucket.wait(1, now))
        if self._tokens is not None:
            tokens = min(tokens, self._tokens.capacity)
            short = self._tokens.wait(tokens, now)
        full = self._concurrent is not None and len(running) >= self._concurrent
        if not full and (not running or self._tokens is None or waits == short == 0):
            return max(waits, short)
        # It is refused: what those in flight come to decides from when on it is allowed.
        outlooks = [each.outlook() for each in running]
        if self._tokens is not None:
            takes = [(each.settles_by, each.tokens) for each in outlooks if each.settles_by < inf]
            short = self._tokens.wait_for_good(tokens, takes, now)
        if self._concurrent is not None and full:
            ends = sorted(each.ends_by for each in outlooks)
            waits = max(waits, min(ends[len(running) - self._concurrent] - now, DAY_S))
        return max(waits, short, _SLACK_S)

    def take_request(self, now: float) -> None:
        """Count one request."""
        for bucket in (self._minute, self._day):
            if bucket is not None:
                bucket.take(1, now)

    def give_back_request(self, now: float) -> None:
        """Uncount one request."""
        for bucket in (self._minute, self._day):
            if bucket is not None:
                bucket.take(-1, now)

    def take_tokens(self, tokens: int, now: float) -> int:
        """Count an estimate of ``tokens``; returns what was taken, at most the bucket."""
        if self._tokens is None:
            return 0
        taken = min(tokens, self._tokens.capacity)
        self._tokens.take(taken, now)
        return taken

    def correct_tokens(self, taken: int, actual: int, now: float) -> None:
        """Replace the estimate ``taken`` by what was ``actual``."""
        if self._tokens is not None:
            self._tokens.take(actual - taken, now)

    def quota(self, now: float) -> Quota | None:
        """What to announce; None where requests per minute are not limited."""
        if self._minute is None:
            return None
        remaining = int(self._minute.level(now) + self._minute.per_s * _SLACK_S)
        return Quota(self._minute.capacity, max(0, remaining), self._minute.full_in(now))

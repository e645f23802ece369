"""What every request of one running mock shares."""

from __future__ import annotations

from collections.abc import Callable
from typing import Protocol

from mock_server.clock import SimClock
from mock_server.core.engine import Engine
from mock_server.core.scope import Scope
from mock_server.edge.exchange import Exchanges
from mock_server.edge.journal import Journal
from mock_server.http.meter import LoadMeter


class Playing(Protocol):
    """A call in flight."""

    def follow(self) -> None:
        """Go by the clock that its test goes by now."""


class Context:
    """Engine and exchanges, clocks and meter. Mutable: the clocks that single tests have of their own, and the calls
    in flight.

    ``unix_now`` reads the calendar clock in seconds, for headers that announce calendar times; ``born_ms`` is what it
    said at first, and tells one mock from the next.
    """

    __slots__ = ("_clocks", "born_ms", "clock", "engine", "exchanges", "meter", "playing", "version", "world_name")

    def __init__(
        self, engine: Engine, clock: SimClock, unix_now: Callable[[], float], *, world_name: str, version: str
    ) -> None:
        self.engine = engine
        self.clock = clock
        self.world_name = world_name
        self.version = version
        self.born_ms = int(unix_now() * 1e3)
        self.exchanges = Exchanges(engine, clock.scale, unix_now)
        self.meter = LoadMeter()
        self.playing: set[Playing] = set()
        self._clocks: dict[str, SimClock] = {}
        engine.when_forgotten = self._forget

    @property
    def journal(self) -> Journal:
        """What is remembered of requests."""
        return self.exchanges.journal

    def scope(self, test: str | None) -> Scope:
        """The state of a test id; None and the empty name are everybody else's."""
        return self.engine.scope(test or "", self.now(test))

    def now(self, test: str | None) -> float:
        """The moment on the clock a test id goes by."""
        return self.clock_of(test or "").now()

    def clock_of(self, test: str) -> SimClock:
        """The clock a test id goes by: everybody's, unless it was given one of its own."""
        return self._clocks.get(test, self.clock)

    def own_clock(self, test: str) -> SimClock:
        """The clock to steer for a test id, made when first asked for; the empty name is everybody's.

        Calls of that test that are in flight go by it from then on.
        """
        if not test:
            return self.clock
        if test not in self._clocks:
            self.scope(test)  # with which the clock is forgotten
            self._clocks[test] = self.clock.fork()
            for player in self.playing:
                player.follow()
        return self._clocks[test]

    def _forget(self, test: str) -> None:
        """Keep nothing of a test that the engine forgets."""
        self.drop_clock(test)
        self.journal.forget(test)

    def drop_clock(self, test: str | None) -> None:
        """Let a test id go by everybody's clock again; None: all of them, and everybody's runs on."""
        dropped = list(self._clocks) if test is None else [test]
        for name in dropped:
            clock = self._clocks.pop(name, None)
            if clock is not None:
                clock.resume()  # what still waits on it must come to its end
        if test is None:
            self.clock.resume()

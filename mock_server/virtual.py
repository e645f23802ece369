"""The mock in virtual time: what `edge` decides is played on an agenda of events, without network and without waiting.

Time is the moment of the event that is being acted on; it jumps to the next one. Whoever asks shares the agenda. Bytes
reach their receiver at the moment they are sent, so what takes time is only what the world plans.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from heapq import heappop, heappush
from math import inf
from typing import Final, Protocol, assert_never

from msgspec import Struct

from mock_server.contract.endpoints import LLM_AUTO
from mock_server.contract.errors import Refusal
from mock_server.core.engine import Engine
from mock_server.core.session import Session
from mock_server.core.world import World
from mock_server.edge import whole
from mock_server.edge.admission import admit, decide, enter, not_found, note_body
from mock_server.edge.answers import Headers, WholeAnswer
from mock_server.edge.exchange import Exchange, Exchanges
from mock_server.edge.journal import Journal
from mock_server.edge.moves import End, Fin, Flush, Move, Moves, Part, Reset, Start, Turn, Until
from mock_server.edge.notes import Notes
from mock_server.edge.request import Head
from mock_server.edge.script import Script

# The mock's own server has more behind these paths than the API, and parses no other methods to bodies alike.
_PAGES: Final = ("/__", "/docs", "/openapi.json")
_METHODS: Final = ("POST", "GET", "PUT", "PATCH", "DELETE")


class Agenda:
    """What is to happen, and when, in seconds; what is due at one moment happens in the order it was put down.

    Mutable: the time, which only moves ahead, and the events to come.
    """

    __slots__ = ("_events", "_number", "now")

    def __init__(self) -> None:
        self.now = 0.0
        self._events: list[tuple[float, int, Callable[[], None]]] = []
        self._number = 0

    def at(self, moment: float, act: Callable[[], None]) -> None:
        """Let ``act`` be called at a moment, or next where that is past."""
        self._number += 1
        heappush(self._events, (moment if moment > self.now else self.now, self._number, act))

    @property
    def next_at(self) -> float:
        """When the next event is due; infinite where there is none."""
        return self._events[0][0] if self._events else inf

    def act(self) -> None:
        """Go to the next event and let it happen; raises IndexError where there is none."""
        self.now, _, act = heappop(self._events)
        act()

    def wait_until(self, moment: float) -> None:
        """Go to a moment before which nothing happens."""
        self.now = max(self.now, moment)


class Asked(Struct, frozen=True, eq=False):
    """The head of a request, which many may share."""

    head: Head
    method: str
    path: str
    query: bytes

    @classmethod
    def of(cls, method: str, target: str, lines: Sequence[tuple[str, str]]) -> Asked:
        """From its method, its target and its header lines."""
        path, _, query = target.partition("?")
        named = [(name.lower().encode("latin-1"), value.encode("latin-1")) for name, value in lines]
        return cls(Head(named), method, path, query.encode("latin-1"))

    @property
    def is_usual(self) -> bool:
        """Whether it is a call of the API by the documented method, without a query."""
        return self.path == LLM_AUTO.path and self.method == LLM_AUTO.method and not self.query


def not_played(method: str, target: str) -> str | None:
    """Why a request is not played in virtual time, if so: only the API is, not what the mock's server adds to it."""
    path = target.partition("?")[0]
    if method not in _METHODS:
        return f"its method is {method}; in virtual time there are {', '.join(_METHODS)}"
    if path == "/" or path.startswith(_PAGES) or "%" in path:
        return (
            f"it asks for {path}; in virtual time there is only the API, {LLM_AUTO.path}, and paths that do not exist"
        )
    return None


class Receiver(Protocol):
    """A client that waits for its answer; told at the agenda's time. After `end` or `cut` it hears no more."""

    def head(self, status: int, headers: Headers) -> None:
        """The head of the answer."""

    def part(self, data: bytes, at: float) -> None:
        """A part of the body, written ``at`` a moment that may be past: the pieces of a stream are told together."""

    def end(self, data: bytes) -> None:
        """The last part of the body, which may be empty; its framing is complete."""

    def cut(self, *, reset: bool) -> None:
        """The connection was reset, or else closed, before the answer was complete."""


class VirtualMock:
    """One mock whose world begins at the agenda's time 0; so does its calendar, in 1970.

    ``scale`` is seconds of the agenda per simulated second. Mutable: all that the engine and the journal keep.
    """

    def __init__(self, world: World, seed: int, scale: float, agenda: Agenda) -> None:
        self._agenda = agenda
        self._scale = scale
        self._engine = Engine(world, seed, agenda.now / scale)
        self._exchanges = Exchanges(self._engine, scale, lambda: agenda.now)
        self._engine.when_forgotten = self.journal.forget

    @property
    def engine(self) -> Engine:
        """What decides."""
        return self._engine

    @property
    def journal(self) -> Journal:
        """What is remembered of requests."""
        return self._exchanges.journal

    def ask(self, asked: Asked, body: bytes, receiver: Receiver) -> Playing | None:
        """A request arrives whole now; ``None`` where all of its answer was received at once."""
        wall_s = self._agenda.now
        now = wall_s / self._scale
        notes = Notes(asked.head, wall_s, wall_s, method=asked.method, path=asked.path)
        exchange = self._exchanges.open(now, notes)
        if asked.is_usual:
            decision = decide(exchange, asked.head, b"", body)
            if exchange.fault is None and (answer := whole.due(exchange, decision, now, now)) is not None:
                exchange.ending, notes.first_byte = "complete", wall_s
                notes.handed_over(answer)
                exchange.close(now)
                receiver.head(answer.status, answer.headers)
                receiver.end(answer.body)
                return None
        else:
            decision = self._decide(exchange, asked, body)
        playing = Playing(exchange, self._agenda, self._scale, receiver)
        playing.begin(decision)
        return playing

    def _decide(self, exchange: Exchange, asked: Asked, body: bytes) -> Session | Refusal:
        """Decide what is not a call of the API as documented."""
        if asked.path != LLM_AUTO.path:
            exchange.belong(self._engine.scope(exchange.test, exchange.arrived))
            note_body(exchange, asked.query, body)
            return not_found()
        refusal = enter(exchange, asked.head, asked.method)
        note_body(exchange, asked.query, body)
        return refusal or admit(exchange, asked.head, asked.query, body)


class Playing:
    """A call in flight, played move by move. Mutable: what it waits for, and whether its client is there."""

    __slots__ = ("_agenda", "_exchange", "_moves", "_receiver", "_scale", "_until")

    def __init__(self, exchange: Exchange, agenda: Agenda, scale: float, receiver: Receiver) -> None:
        self._exchange = exchange
        self._agenda = agenda
        self._scale = scale
        self._receiver: Receiver | None = receiver
        self._moves: Moves | None = None
        self._until = 0.0

    def begin(self, decision: Session | Refusal) -> None:
        """Make the first moves."""
        self._moves = Script(self._exchange, self._agenda.now / self._scale).moves(decision)
        self._play(None, self._agenda.now / self._scale)

    def catch_up(self) -> None:
        """Let the client hear of all that was sent to it before now."""
        if self._moves is not None and self._until < self._agenda.now / self._scale:
            self._play(self._until, self._agenda.now / self._scale)

    def leave(self) -> None:
        """The client leaves before its answer is complete."""
        self.catch_up()
        self._exchange.notes.left = self._agenda.now
        self._receiver = None
        self._play(None, self._agenda.now / self._scale)

    def _wake(self) -> None:
        # Rounding must not lose what was waited for.
        self._play(self._until, max(self._agenda.now / self._scale, self._until))

    def _play(self, moment: float | None, now: float) -> None:
        """Tell the script the ``moment`` it waited for, and make moves until one has to wait or the script is over."""
        moves = self._moves
        if moves is None:  # it is over since its client left
            return
        at = now if moment is None else moment
        try:
            move = moves.send(moment)
            while True:
                if type(move) is Until:
                    if move.at > now:
                        self._wait(move.at)
                        return
                    at = max(at, move.at)
                else:
                    self._make(move, at)
                move = moves.send(None if self._receiver is None else at)
        except StopIteration:
            pass
        self._moves = self._receiver = None
        self._exchange.close(at)

    def _wait(self, until: float) -> None:
        """Wake when a moment has come.

        Pieces of a stream concern nobody but their client, who hears of all of them at the end of the last, each with
        the moment at which it was sent.
        """
        self._until, exchange = until, self._exchange
        if exchange.notes.stage == "mid_stream" and exchange.fault is None and exchange.session is not None:
            until = max(until, exchange.session.attempt.ends_at)
        if until < inf:
            self._agenda.at(until * self._scale, self._wake)

    def _make(self, move: Move, at: float) -> None:
        receiver = self._receiver
        if receiver is None:
            return
        match move:
            case Part():
                receiver.part(move.data, at * self._scale)
            case Start():
                self._first_byte()
                receiver.head(move.status, move.headers)
            case End():
                receiver.end(move.data)
            case WholeAnswer():
                self._first_byte()
                receiver.head(move.status, move.headers)
                receiver.end(move.body)
            case Reset() | Fin():
                self._receiver = None
                receiver.cut(reset=isinstance(move, Reset))
            case Flush() | Turn():
                pass  # what was sent has arrived, and others have their turn when time moves
            case Until():
                raise AssertionError(move)
            case _:
                assert_never(move)

    def _first_byte(self) -> None:
        notes = self._exchange.notes
        if notes.first_byte is None:
            notes.first_byte = self._agenda.now

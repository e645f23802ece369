"""The API's one endpoint as plain ASGI, without Starlette's request and response objects, which halve the throughput.

A request that has arrived whole is decided at once, and answered at once if its answer is due; what must wait, or
is more than one write, is played.
"""

from __future__ import annotations

from asyncio import ensure_future
from math import inf
from time import monotonic
from typing import Final, NamedTuple

from starlette.types import Receive, Scope, Send

from mock_server.clock import SimClock
from mock_server.contract.errors import Refusal
from mock_server.core.session import Session
from mock_server.core.world import ConnectionSettings
from mock_server.edge import whole
from mock_server.edge.admission import admit, decide, enter, note_body
from mock_server.edge.answers import Headers, WholeAnswer, length_line
from mock_server.edge.exchange import Exchange
from mock_server.edge.notes import Notes
from mock_server.edge.request import Head
from mock_server.http.addresses import without_test
from mock_server.http.body import read_body
from mock_server.http.context import Context
from mock_server.http.control.table import PREFIX
from mock_server.http.player import Player
from mock_server.http.wire import WIRE, Wire

_CALENDAR_S: Final = 1.0
"""So long the calendar is taken to keep pace with the monotonic clock."""
_AT_ONCE_S: Final = 20e-6
"""Two clocks that were not read within so short a time, by a process that had to wait, say nothing of each other."""
_LOOKS: Final = 10
BEGUN: Final = "mock.begun"
"""Where the scope of a request holds what was decided on arrival, as :class:`Begun`."""


class Begun(NamedTuple):
    """An exchange that was decided on arrival, and is still to be played; or the error that came of deciding."""

    exchange: Exchange
    clock: SimClock
    decision: Session | Refusal | Exception


class Api:
    """The endpoint, as an ASGI application that can also answer at once. Mutable: how far the calendar is ahead."""

    def __init__(self, context: Context) -> None:
        self._context = context
        self._calendar_s = 0.0  # from the monotonic clock to the calendar's, not read for each request
        self._calendar_until = -inf

    def request_id_line(self) -> tuple[bytes, bytes]:
        """The header line with an id, for the answer to what is no request at all."""
        return self._context.exchanges.id_line()

    @property
    def limits(self) -> ConnectionSettings:
        """What the server bears with on one connection."""
        return self._context.engine.world.connection

    def refuse(self, wire: Wire, method: str, address: bytes, headers: Headers, refusal: Refusal) -> WholeAnswer:
        """The answer to a request of which only a part has come, to an ``address`` that is empty where it is not known.

        It is in the journal as 404s are: if the address is known, and not the control plane's.
        """
        path = address.partition(b"?")[0]
        scope = without_test({"path": path.decode("latin-1"), "raw_path": path, "headers": headers})
        exchange, clock = self._open(wire, Head(scope["headers"]), method, scope["path"])
        note_body(exchange, address.partition(b"?")[2], b"")
        noted = path and not scope["path"].startswith(PREFIX)
        if noted:
            exchange.belong(self._context.scope(exchange.test))
        whole = exchange.refusal(refusal, clock.now())
        if noted:
            _hand_over(exchange, whole)
            exchange.close(clock.now())
        return whole

    async def refused(self, scope: Scope, receive: Receive, refusal: Refusal) -> WholeAnswer:
        """The answer to what is no call of the API; it is in the journal."""
        wire: Wire = scope.get(WIRE) or Wire(monotonic())
        exchange, clock = self._open(wire, Head(scope["headers"]), scope["method"], scope["path"])
        exchange.belong(self._context.scope(exchange.test))
        body = await _body(exchange, wire, scope, receive)
        clock = self._context.clock_of(exchange.test)  # it may be another by now
        exchange.arrived = clock.at(wire.arrived)
        whole = exchange.refusal(refusal, clock.now())
        if body is not None:
            _hand_over(exchange, whole)
        _close(exchange, clock.now(), wire)
        return whole

    def at_once(
        self, arrived: float, headers: Headers, body: bytes, connection: int, on_connection: int, opened: float
    ) -> WholeAnswer | Begun:
        """Decide a POST that arrived whole at the monotonic moment ``arrived``: its answer, or what is to be played.

        Its connection, ``opened`` at an earlier such moment, has a number, and so has the request on it.
        """
        head = Head(headers)
        exchange, clock = self.open(arrived, head, connection, on_connection, opened)
        try:
            decision = decide(exchange, head, b"", body)
            answer = None
            if exchange.fault is None:
                now = clock.now()
                answer = whole.due(exchange, decision, exchange.arrived, now)
        except Exception as error:  # raised again where the server expects it
            return Begun(exchange, clock, error)
        if answer is None:
            return Begun(exchange, clock, decision)
        exchange.ending = "complete"
        notes = exchange.notes
        notes.first_byte, notes.stage = monotonic(), ""  # as `handed_over`
        notes.sent_bytes, notes.pieces = len(answer.body), answer.pieces
        exchange.close(now)
        return answer

    def left(
        self, arrived: float, headers: Headers, body: bytes, connection: int, on_connection: int, opened: float
    ) -> None:
        """Decide a POST as `at_once` does whose client has left by now; it is given up."""
        head = Head(headers)
        exchange, clock = self.open(arrived, head, connection, on_connection, opened)
        try:
            decide(exchange, head, b"", body)
        finally:
            exchange.notes.left = monotonic()
            exchange.close(clock.now())

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Answer one request."""
        wire: Wire = scope.get(WIRE) or Wire(monotonic())
        begun: Begun | None = scope.get(BEGUN)
        journal = self._context.journal
        journal.in_flight += 1
        try:
            if begun is None:
                await self._receive(wire, scope, receive, send)
            else:
                await self._play(begun, wire, send)
        finally:
            journal.in_flight -= 1
            wire.close()

    async def _receive(self, wire: Wire, scope: Scope, receive: Receive, send: Send) -> None:
        """Decide when the body has come, and play. Some refusals need no body."""
        head = Head(scope["headers"])
        exchange, clock = self._open(wire, head, scope["method"], scope["path"])
        exchange.can_cut = WIRE in scope
        player = Player(self._context, exchange, clock, wire, send)
        try:
            decision: Session | Refusal | None = enter(exchange, head, scope["method"])
            body = await _body(exchange, wire, scope, receive)
            player.follow()
            exchange.arrived = player.at(wire.arrived)  # how long a client sends is not the mock's doing
            if body is None:
                return
            if decision is None:
                decision = body if isinstance(body, Refusal) else admit(exchange, head, scope["query_string"], body)
            if WIRE in scope:
                await player.play(decision)
                return
            watcher = ensure_future(wire.watch(receive))
            try:
                await player.play(decision)
            finally:
                watcher.cancel()
        except Exception:
            await self._own_error(exchange, player.now(), wire, send)
            raise
        finally:
            _close(exchange, player.now(), wire)

    async def _play(self, begun: Begun, wire: Wire, send: Send) -> None:
        exchange, clock, decision = begun
        player = Player(self._context, exchange, clock, wire, send)
        try:
            if isinstance(decision, Exception):
                raise decision
            await player.play(decision)
        except Exception:
            await self._own_error(exchange, player.now(), wire, send)
            raise
        finally:
            _close(exchange, player.now(), wire)

    async def _own_error(self, exchange: Exchange, now: float, wire: Wire, send: Send) -> None:
        """Answer for an error of our own as a gateway would, if nothing was sent; the server is to hear of it then."""
        if exchange.answered or wire.gone:
            return
        wire.last()
        whole = exchange.refusal(exchange.give_up(now), now)
        headers = [*whole.headers, length_line(whole.body)]
        await send({"type": "http.response.start", "status": whole.status, "headers": headers})
        await send({"type": "http.response.body", "body": whole.body})
        _hand_over(exchange, whole)

    def _open(self, wire: Wire, head: Head, method: str, path: str) -> tuple[Exchange, SimClock]:
        exchange, clock = self.open(wire.arrived, head, wire.connection, wire.on_connection, wire.opened)
        exchange.notes.method, exchange.notes.path = method, path
        return exchange, clock

    def open(
        self, arrived: float, head: Head, connection: int, on_connection: int, opened: float
    ) -> tuple[Exchange, SimClock]:
        """An exchange for a call that arrived at a monotonic moment, and the clock it goes by."""
        context = self._context
        clock, exchanges = context.clock_of(head.test), context.exchanges
        if arrived > self._calendar_until:
            self._look_at_calendar()
        unix_s = arrived + self._calendar_s
        return exchanges.open(clock.at(arrived), Notes(head, arrived, unix_s, connection, on_connection, opened)), clock

    def _look_at_calendar(self) -> None:
        """Find by how much the calendar is ahead of the monotonic clock, as exactly as the machine lets us."""
        for _ in range(_LOOKS):
            before, unix_s, after = monotonic(), self._context.exchanges.unix_now(), monotonic()
            self._calendar_s, self._calendar_until = unix_s - (before + after) / 2, after + _CALENDAR_S
            if after - before < _AT_ONCE_S:
                break


async def _body(exchange: Exchange, wire: Wire, scope: Scope, receive: Receive) -> bytes | Refusal | None:
    """The body; a refusal where it will not come whole, None where the client left before.

    A client that waits to be asked for it is not asked where its request is refused anyway.
    """
    notes = exchange.notes
    body: bytes | Refusal | None = wire.body()
    if not body:
        unasked = exchange.account is None and b"expect" in notes.head.named
        body = b"" if unasked else await read_body(receive, wire, notes)
    if body is None:
        wire.leave()
    elif WIRE not in scope:
        wire.arrived = monotonic()
    notes.arrived_unix_s += wire.arrived - notes.arrived
    notes.arrived = wire.arrived
    note_body(exchange, scope["query_string"], body if isinstance(body, bytes) else b"")
    return body


def _hand_over(exchange: Exchange, whole: WholeAnswer) -> None:
    """A whole answer is handed over now."""
    exchange.ending, exchange.notes.first_byte = "complete", monotonic()
    exchange.notes.handed_over(whole)


def _close(exchange: Exchange, now: float, wire: Wire) -> None:
    exchange.notes.left = wire.left
    exchange.close(now)

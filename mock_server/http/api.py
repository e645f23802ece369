"""The API's one endpoint as plain ASGI, without Starlette's request and response objects, which halve the throughput.

A request that has arrived whole is decided at once, and answered at once if its answer is due; what must wait, or
is more than one write, is played.
"""

from __future__ import annotations

from asyncio import ensure_future
from time import monotonic
from typing import Final, NamedTuple

from starlette.types import Receive, Scope, Send

from mock_server.clock import SimClock
from mock_server.contract.errors import INTERNAL_ERROR, Refusal
from mock_server.core.session import Session
from mock_server.core.world import ConnectionSettings
from mock_server.edge import whole
from mock_server.edge.admission import admit, decide, enter
from mock_server.edge.answers import Headers, WholeAnswer, length_line
from mock_server.edge.exchange import Exchange
from mock_server.edge.request import Head
from mock_server.http.addresses import without_test
from mock_server.http.body import read_body
from mock_server.http.context import Context
from mock_server.http.control.table import PREFIX
from mock_server.http.player import Player
from mock_server.http.wire import WIRE, NoTransportError, Wire

BEGUN: Final = "mock.begun"
"""Where the scope of a request holds what was decided on arrival, as :class:`Begun`."""


def arrival_of(scope: Scope) -> float:
    """The monotonic moment at which a request arrived, as far as that is known."""
    wire: Wire | None = scope.get(WIRE)
    return monotonic() if wire is None else wire.arrived


class Begun(NamedTuple):
    """An exchange that was decided on arrival, and is still to be played; or the error that came of deciding."""

    exchange: Exchange
    clock: SimClock
    decision: Session | Refusal | Exception


class Api:
    """The endpoint, as an ASGI application that can also answer at once."""

    def __init__(self, context: Context) -> None:
        self._context = context

    def request_id_line(self) -> tuple[bytes, bytes]:
        """The header line with an id, for the answer to what is no request at all."""
        return self._context.exchanges.id_line()

    @property
    def limits(self) -> ConnectionSettings:
        """What the server bears with on one connection."""
        return self._context.engine.world.connection

    def refuse(self, arrived: float, address: bytes, headers: Headers, refusal: Refusal) -> WholeAnswer:
        """The answer to a request of which only a part has come, to an ``address`` that is empty where it is not known.

        It is in the journal as 404s are: if the address is known, and not the control plane's.
        """
        path = address.partition(b"?")[0]
        scope = without_test({"path": path.decode("latin-1"), "raw_path": path, "headers": headers})
        noted = path and not scope["path"].startswith(PREFIX)
        return self.refused(arrived, Head(scope["headers"]), refusal, noted=bool(noted))

    def refused(self, arrived: float, head: Head, refusal: Refusal, *, noted: bool = True) -> WholeAnswer:
        """The answer to what is no call of the API; ``noted``: it is in the journal."""
        exchange, clock = self.open(arrived, head)
        if noted:
            exchange.belong(self._context.scope(head.test))
        whole = exchange.refusal(refusal, clock.now())
        if noted:
            exchange.ending = "complete"
            exchange.close(clock.now())
        return whole

    def at_once(self, arrived: float, headers: Headers, body: bytes) -> WholeAnswer | Begun:
        """Decide a POST that arrived whole at the monotonic moment ``arrived``: its answer, or what is to be played."""
        head = Head(headers)
        exchange, clock = self.open(arrived, head)
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
        exchange.close(now)
        return answer

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
        exchange, clock = self.open(wire.arrived, head)
        try:
            decision: Session | Refusal | None = enter(exchange, head, scope["method"])
            if decision is None:
                body = wire.body() or await read_body(receive, wire)
                if body is None:  # the client left before
                    return
                if WIRE not in scope:
                    wire.arrived = monotonic()
                exchange.arrived = clock.at(wire.arrived)  # how long a client sends is not the mock's doing
                decision = body if isinstance(body, Refusal) else admit(exchange, head, scope["query_string"], body)
            if WIRE in scope:
                await self._player(wire, send, clock).play(exchange, decision)
                return
            watcher = ensure_future(wire.watch(receive))
            try:
                await self._player(wire, send, clock).play(exchange, decision)
            finally:
                watcher.cancel()
        except NoTransportError:
            raise
        except Exception:
            await self._own_error(exchange, wire, send, clock)
            raise
        finally:
            exchange.close(clock.now())

    async def _play(self, begun: Begun, wire: Wire, send: Send) -> None:
        exchange, clock, decision = begun
        try:
            if isinstance(decision, Exception):
                raise decision
            await self._player(wire, send, clock).play(exchange, decision)
        except NoTransportError:
            raise
        except Exception:
            await self._own_error(exchange, wire, send, clock)
            raise
        finally:
            exchange.close(clock.now())

    async def _own_error(self, exchange: Exchange, wire: Wire, send: Send, clock: SimClock) -> None:
        """Answer for an error of our own as a gateway would, if nothing was sent; the server is to hear of it then."""
        if exchange.answered or wire.gone:
            return
        wire.last()
        whole = exchange.refusal(Refusal(INTERNAL_ERROR, INTERNAL_ERROR.message), clock.now())
        headers = [*whole.headers, length_line(whole.body)]
        await send({"type": "http.response.start", "status": whole.status, "headers": headers})
        await send({"type": "http.response.body", "body": whole.body})
        exchange.ending = "complete"

    def _player(self, wire: Wire, send: Send, clock: SimClock) -> Player:
        return Player(wire, send, clock, self._context.meter)

    def open(self, arrived: float, head: Head) -> tuple[Exchange, SimClock]:
        """An exchange for a request that arrived at a monotonic moment, and the clock it goes by."""
        context = self._context
        clock = context.clock_of(head.test)
        return context.exchanges.open(clock.at(arrived), head.test), clock

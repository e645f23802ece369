"""uvicorn's HTTP protocol, with what ASGI hides: when a request arrived, when its client left, and the transport.

A request to the API's endpoint that arrives whole, in one read, is first offered to the API's ``at_once``, and what
that answers is written in the same turn of the event loop: no task, no cycle, no event. The requests of a turn are
answered one after the other when all have been read, as code that alternates with system calls runs a good deal slower.
Whatever else comes goes uvicorn's way. What is put around the application, as an access log or another ASGI
application, sees only that; it takes nothing from the speed of the rest.
"""

from __future__ import annotations

from itertools import count
from time import monotonic
from typing import Any, Final

from uvicorn.protocols.http.httptools_impl import RequestResponseCycle
from uvicorn.protocols.utils import get_client_addr, get_path_with_query_string

from mock_server.contract.endpoints import LLM_AUTO
from mock_server.edge.answers import WholeAnswer
from mock_server.http.api import BEGUN, Api, Begun
from mock_server.http.reception import BODY, HEAD, NOTHING, Reception
from mock_server.http.wire import WIRE, CycleWire, MockCycle, UnchunkedCycle, message

_METHOD: Final = LLM_AUTO.method.encode()
_URL: Final = LLM_AUTO.path.encode()


class MockProtocol(Reception):
    """Answers at once what it can, and puts a :class:`Wire` into the scope of every other request.

    Mutable: of a request that may be answered at once the body so far (else None), and whether it is complete and waits
    for the end of the turn. A class made by `protocol_for` also has ``api``, its limits, the numbers its connections
    get, and the connections whose requests were read in this turn of the event loop and are to be answered.
    """

    turn: list[MockProtocol]

    def __init__(self, *args: Any, **kwargs: Any) -> None:
        super().__init__(*args, **kwargs)
        self._held: list[bytes] | None = None
        self._complete = False
        self._chunks = self._keep_alive = True

    def on_message_begin(self) -> None:
        """A request begins, after the answer to what came before; its scope is made when it goes uvicorn's way."""
        self.end_of_turn()
        self.stage = HEAD
        self.url = b""
        self.headers = []
        self.expect_100_continue = False

    def on_headers_complete(self) -> None:
        """The head of a request is complete."""
        if self.large:
            self.check_head()
        if self.parser.should_upgrade() and self.declines():
            return
        self.requests += 1
        self.trailer_bytes = 0
        self.arrived = monotonic()
        if self._may_hold():
            self._held = []
        else:
            self._start()
        self.stage = BODY

    def on_body(self, body: bytes) -> None:
        """A part of a body."""
        if self._held is None:
            self.pieces = True
            super().on_body(body)
        else:
            self._held.append(body)

    def on_message_complete(self) -> None:
        """A request is complete."""
        self.stage, self.whole = NOTHING, True
        if self._declined:
            return
        if self._held is None:
            self.wires[-1].arrived = monotonic()
            super().on_message_complete()
        elif self.transport.is_closing():
            self._held = None  # what is pipelined behind a "Connection: close" is not answered
        else:
            # The parser forgets this when the message is over.
            self._chunks = self.parser.get_http_version() != "1.0"
            self._keep_alive = self._chunks and self.parser.should_keep_alive()
            self._complete = True
            turn = self.turn
            if not turn:
                self.loop.call_soon(_end_turn, turn)
            turn.append(self)

    def end_of_turn(self) -> None:
        """Answer the request that is complete, if there is one and its client is still there."""
        if self._complete:
            self._complete = False
            if self.transport.is_closing():
                self._leave()
            else:
                self._answer()

    def _leave(self) -> None:
        """The client has left before the end of the turn in which its request came whole."""
        assert self._held is not None
        body, self._held = b"".join(self._held), None
        self.api.left(self.arrived, self.headers, body, self.number, self.requests, self.opened)

    def give_up(self, error: Exception) -> None:
        """Answering went wrong in a way of our own: say so, and hang up."""
        self.logger.error("Exception while answering\n", exc_info=error)
        self.transport.abort()

    def _may_hold(self) -> bool:
        """Whether this request may be answered as soon as it is complete."""
        cycle: RequestResponseCycle | None = self.cycle  # None before the first
        parser = self.parser
        return (
            self.url == _URL
            and (cycle is None or cycle.response_complete)
            and not (self.expect_100_continue or self.flow.write_paused)
            and parser.get_method() == _METHOD
            and self.limit_concurrency is None
        )

    def _answer(self) -> None:
        assert self._held is not None
        body, self._held = b"".join(self._held), None
        outcome = self.api.at_once(self.arrived, self.headers, body, self.number, self.requests, self.opened)
        if isinstance(outcome, Begun):
            self._start(outcome)
            self.cycle.keep_alive = self._keep_alive
            super().on_message_complete()
            return
        self._write(outcome, keep_alive=self._keep_alive, chunks=self._chunks)
        if self.access_log:
            self._log(_METHOD.decode(), LLM_AUTO.path, self.parser.get_http_version(), outcome.status)

    def write_whole(self, whole: WholeAnswer, cycle: RequestResponseCycle) -> None:
        """Write a whole answer of one of uvicorn's cycles: what that does with a start and a body message."""
        cycle.response_started = cycle.response_complete = True
        cycle.waiting_for_100_continue = False
        cycle.message_event.set()
        self._write(whole, keep_alive=cycle.keep_alive, chunks=cycle.scope["http_version"] != "1.0")
        if cycle.access_log:
            scope = cycle.scope
            self._log(scope["method"], get_path_with_query_string(scope), scope["http_version"], whole.status)

    def _write(self, whole: WholeAnswer, *, keep_alive: bool, chunks: bool) -> None:
        """Write a whole answer in one piece, and go on to what comes after it on this connection."""
        lines = self.server_state.default_headers
        self.transport.write(message(whole, lines, keep_alive=keep_alive, chunks=chunks))
        if not keep_alive:
            self.close_after_answer()
        self.on_response_complete()

    def _log(self, method: str, path: str, version: str, status: int) -> None:
        client = get_client_addr({"client": self.client})  # type: ignore[arg-type]  # it reads nothing else
        self.access_logger.info('%s - "%s %s HTTP/%s" %d', client, method, path, version, status)

    def let_go(self) -> None:
        """The rest of the request is still on its way: let uvicorn receive it."""
        if self._held is None:
            return
        pieces, self._held = self._held, None
        self._start()
        for piece in pieces:
            self.on_body(piece)

    def _start(self, begun: Begun | None = None) -> None:
        """Let uvicorn start the request whose head is complete, or what is to be played of it."""
        url, headers, expect = self.url, self.headers, self.expect_100_continue
        super().on_message_begin()
        self.url, self.expect_100_continue = url, expect
        self.headers += headers  # the scope holds this very list
        super().on_headers_complete()
        self.cycle.__class__ = UnchunkedCycle if self.scope["http_version"] == "1.0" else MockCycle
        self.cycle.id_line = self.api.request_id_line  # type: ignore[attr-defined]  # it is one of ours now
        wire = CycleWire(self.arrived, self, self.cycle)
        scope: dict[str, Any] = self.scope  # type: ignore[assignment]  # the keys are ours
        scope[WIRE] = wire
        if begun is not None:
            scope[BEGUN] = begun
        self.wires = [*(earlier for earlier in self.wires if not earlier.finished), wire]

    def connection_lost(self, exc: Exception | None) -> None:
        """The client has left, or was sent away."""
        self.end_of_turn()
        self._held = None
        super().connection_lost(exc)
        for wire in self.wires:
            wire.leave()


def _end_turn(turn: list[MockProtocol]) -> None:
    connections = turn[:]
    turn.clear()
    for connection in connections:
        try:
            connection.end_of_turn()
        except Exception as error:
            connection.give_up(error)


def protocol_for(api: Api) -> type[MockProtocol]:
    """A class of connections to one mock's API, for uvicorn's setting ``http``."""
    return type("ApiProtocol", (MockProtocol,), {"api": api, "limits": api.limits, "numbers": count(1), "turn": []})

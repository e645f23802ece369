"""uvicorn's HTTP protocol, with what ASGI hides: when a request arrived, when its client left, and the transport.

A request that arrives whole, in one read, is first offered to the application's ``at_once``, and what that answers is
written in the same turn of the event loop: no task, no cycle, no event. The requests of a turn are answered one after
the other when all have been read, as code that alternates with system calls runs a good deal slower. Whatever else
comes goes uvicorn's way.
"""

from __future__ import annotations

from time import monotonic
from typing import Any, Final, NamedTuple, Protocol, runtime_checkable

from uvicorn.protocols.http.httptools_impl import HttpToolsProtocol, RequestResponseCycle

from mock_server.contract.endpoints import LLM_AUTO
from mock_server.contract.errors import Refusal
from mock_server.core.session import Session
from mock_server.http.answers import Headers, Reply
from mock_server.http.exchange import Exchange
from mock_server.http.wire import Wire, message

WIRE: Final = "mock.wire"
BEGUN: Final = "mock.begun"
_METHOD: Final = LLM_AUTO.method.encode()
_URL: Final = LLM_AUTO.path.encode()


class Begun(NamedTuple):
    """An exchange that was decided on arrival, and is still to be played; or the error that came of deciding."""

    exchange: Exchange
    decision: Session | Refusal | Exception


@runtime_checkable
class Prompt(Protocol):
    """An application that can answer a call of the API's one endpoint without waiting.

    ``turn`` holds the connections whose requests were read in this turn of the event loop and are to be answered.
    """

    turn: list[MockProtocol]

    def at_once(self, arrived: float, headers: Headers, body: bytes) -> Reply | Begun:
        """The answer; or, when it is not due, what the scope of the request shall hold under `BEGUN`."""


def _end_turn(turn: list[MockProtocol]) -> None:
    connections = turn[:]
    turn.clear()
    for connection in connections:
        connection.end_of_turn()


class MockProtocol(HttpToolsProtocol):
    """Answers at once what it can, and puts a :class:`Wire` into the scope of every other request.

    Mutable: the requests under way; of one that may be answered at once the body so far (else None), and whether it
    is complete and waits for the end of the turn.
    """

    def __init__(self, *args: Any, **kwargs: Any) -> None:
        super().__init__(*args, **kwargs)
        self._wires: list[Wire] = []  # one, or more where the client pipelines
        self._held: list[bytes] | None = None
        self._complete = False
        self._keep_alive = True
        self._arrived = 0.0
        prompt = isinstance(self.app, Prompt) and not self.access_log and self.limit_concurrency is None
        self._prompt: Prompt | None = self.app if prompt else None

    def data_received(self, data: bytes) -> None:
        """Bytes have come: a request that they leave incomplete goes uvicorn's way."""
        super().data_received(data)
        if self._held is not None and not self._complete:
            self._let_go()

    def send_400_response(self, msg: str) -> None:
        """What has come is not HTTP; what came before it is answered first."""
        self.end_of_turn()
        super().send_400_response(msg)

    def on_message_begin(self) -> None:
        """A request begins, after the answer to what came before; its scope is made when it goes uvicorn's way."""
        self.end_of_turn()
        self.url = b""
        self.headers = []
        self.expect_100_continue = False

    def on_headers_complete(self) -> None:
        """The head of a request is complete."""
        self._arrived = monotonic()
        if self._may_hold():
            self._held = []
        else:
            self._start()

    def on_body(self, body: bytes) -> None:
        """A part of a body."""
        if self._held is None:
            super().on_body(body)
        else:
            self._held.append(body)

    def on_message_complete(self) -> None:
        """A request is complete."""
        if self._held is None:
            super().on_message_complete()
        elif self.transport.is_closing():
            self._held = None  # what is pipelined behind a "Connection: close" is not answered
        else:
            assert self._prompt is not None
            # The parser forgets this when the message is over.
            self._keep_alive = self.parser.get_http_version() != "1.0" and self.parser.should_keep_alive()
            self._complete = True
            turn = self._prompt.turn
            if not turn:
                self.loop.call_soon(_end_turn, turn)
            turn.append(self)

    def end_of_turn(self) -> None:
        """Answer the request that is complete, if there is one and its client is still there."""
        if self._complete:
            self._complete = False
            if self.transport.is_closing():
                self._held = None
            else:
                self._answer()

    def _may_hold(self) -> bool:
        """Whether this request may be answered as soon as it is complete."""
        cycle: RequestResponseCycle | None = self.cycle  # None before the first
        parser = self.parser
        return (
            self._prompt is not None
            and self.url == _URL
            and (cycle is None or cycle.response_complete)
            and not (self.expect_100_continue or self.flow.write_paused or parser.should_upgrade())
            and parser.get_method() == _METHOD
        )

    def _answer(self) -> None:
        assert self._prompt is not None
        assert self._held is not None
        body = b"".join(self._held)
        outcome = self._prompt.at_once(self._arrived, self.headers, body)
        if isinstance(outcome, Begun):
            self._held = None
            self._start(outcome)
            self.cycle.keep_alive = self._keep_alive
            super().on_message_complete()
            return
        self._held = None
        self.transport.write(message(outcome, self.server_state.default_headers, keep_alive=self._keep_alive))
        if not self._keep_alive:
            self.transport.close()
        self.on_response_complete()

    def _let_go(self) -> None:
        """The rest of the request is still on its way: let uvicorn receive it."""
        assert self._held is not None
        pieces, self._held = self._held, None
        self._start()
        for piece in pieces:
            super().on_body(piece)

    def _start(self, begun: Begun | None = None) -> None:
        """Let uvicorn start the request whose head is complete, or what is to be played of it."""
        url, headers, expect = self.url, self.headers, self.expect_100_continue
        super().on_message_begin()
        self.url, self.expect_100_continue = url, expect
        self.headers += headers  # the scope holds this very list
        super().on_headers_complete()
        wire = Wire(self._arrived, self.cycle)
        scope: dict[str, Any] = self.scope  # type: ignore[assignment]  # the keys are ours
        scope[WIRE] = wire
        if begun is not None:
            scope[BEGUN] = begun
        self._wires = [*(earlier for earlier in self._wires if not earlier.finished), wire]

    def connection_lost(self, exc: Exception | None) -> None:
        """The client has left, or was sent away."""
        self._held, self._complete = None, False
        super().connection_lost(exc)
        for wire in self._wires:
            wire.leave()

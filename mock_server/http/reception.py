"""uvicorn's HTTP protocol with limits on what a client sends, and on how long it may take to send it.

A head may have so many bytes, and must come within so many seconds of its first one; a body has some seconds, and more
as it comes. What breaks a limit, or is not HTTP, is read no further: the client is told why once all that came before
it is answered, and the connection is closed so that it can read this. The seconds are real, whatever the mock's clocks
say, and count only while it is the client that is waited for.

No request has a timer of its own: `look`, called for every connection about once a second, finds what is overdue.
"""

from __future__ import annotations

from asyncio import Transport
from collections.abc import Iterator
from contextlib import suppress
from time import monotonic
from typing import Any, Final

from httptools import HttpParserCallbackError, HttpParserError, HttpParserUpgrade, HttpRequestParser
from uvicorn.protocols.http.httptools_impl import HttpToolsProtocol, RequestResponseCycle

from mock_server.contract.errors import INVALID_REQUEST, REQUEST_TIMEOUT, Refusal
from mock_server.core.world import ConnectionSettings
from mock_server.edge.answers import PLAIN_TYPE, WholeAnswer
from mock_server.http.api import Api
from mock_server.http.body import DRAIN_BYTES
from mock_server.http.hangup import has_hung_up
from mock_server.http.heads import HEAD_TOO_LARGE, HeadRefusedError, head_bytes, without_offer
from mock_server.http.wire import CycleWire, Wire, message

NOTHING: Final = 0
"""Nothing of a request has come; or it has come whole."""
HEAD: Final = 1
"""A part of a request's head has come."""
BODY: Final = 2
"""A request's head has come, and its body not yet, or not all of it."""

LINGER_S: Final = 5.0
ANSWER_WITHIN_S: Final = 0.5
_KIB: Final = 1024
_NOT_HTTP: Final = "Invalid HTTP request received."
_BROKEN_BODY: Final = Refusal(
    INVALID_REQUEST, f"{INVALID_REQUEST.message}: the body is not framed as HTTP/1.1 wants it"
)
_HEAD_LATE: Final = Refusal(REQUEST_TIMEOUT, f"{REQUEST_TIMEOUT.message}: the rest of its head did not come")
_BODY_LATE: Final = Refusal(REQUEST_TIMEOUT, f"{REQUEST_TIMEOUT.message}: the rest of its body did not come")


class Reception(HttpToolsProtocol):
    """Mutable: what of a request has come, and what has become of it.

    ``stage`` says what has come of the request that is being received; who reads requests keeps it. ``_since`` is the
    monotonic moment since which the client is waited for. Once ``_refused``, nothing more is read as HTTP; ``_refusal``
    is why, None where it is not HTTP, and while ``_unsaid`` the client is still to be told.
    """

    api: Api
    limits: ConnectionSettings
    numbers: Iterator[int]

    def __init__(self, *args: Any, **kwargs: Any) -> None:
        super().__init__(*args, **kwargs)
        self.stage = NOTHING
        self.whole = False
        """Whether a request was completed by what is being read."""
        self.pieces = False
        """Whether a piece of a body was in what is being read."""
        self.large = False
        """Whether the head that is being read may be too large."""
        self.arrived = 0.0
        """The monotonic moment at which the latest head was complete."""
        self.number = 0
        """Of the connection, since the start of the mock."""
        self.opened = 0.0
        """The monotonic moment at which the connection was opened."""
        self.requests = 0
        """How many heads came whole on this connection."""
        self.wires: list[CycleWire] = []
        """Of the requests under way: one, or more where the client pipelines."""
        self._declined = b""  # a head that offered another protocol, as it is without the offer
        self._since = monotonic()
        self._seen = 0.0  # the latest head at the last look
        self._bytes = 0  # of what is half-sent
        self._bare_bytes = 0  # of a body's framing, since its last piece
        self.trailer_bytes = 0
        """Of the lines that have come after the pieces of a body."""
        self._refused = False
        self._refusal: Refusal | None = None
        self._unsaid = False
        self._lingers_until: float | None = None
        self._discarded = 0

    def connection_made(self, transport: Transport) -> None:  # type: ignore[override]  # as uvicorn has it
        """A client has connected."""
        self.number, self.opened = next(self.numbers), monotonic()
        super().connection_made(transport)

    def data_received(self, data: bytes) -> None:
        """Bytes have come."""
        while data:
            data = self._receive(data)

    def _receive(self, data: bytes) -> bytes:
        """Take in bytes; those that are still to be received, if any."""
        if self._refused:
            self._discard(len(data))
            return b""
        before = self.stage
        self.whole = False
        self.large = before == HEAD or len(data) > self.limits.head_bytes
        try:
            self.parser.feed_data(data)
        except HttpParserUpgrade as offer:
            again, self._declined = self._declined, b""
            if again:
                self._read_afresh()
            return again + data[offer.args[0] :]
        except HttpParserCallbackError as error:
            why = error.__context__
            self._refuse(why.refusal if isinstance(why, HeadRefusedError) else None)
            return b""
        except HttpParserError:
            self._refuse(None)
            return b""
        if self.stage != NOTHING:
            self._half_sent(before, len(data))
        return b""

    def _read_afresh(self) -> None:
        """Read on as on a new connection: the parser takes a head that was read once, and may close, for answered."""
        self.parser = HttpRequestParser(self)
        with suppress(AttributeError):  # as uvicorn has it: httptools < 0.6.3
            self.parser.set_dangerous_leniencies(lenient_data_after_close=True)

    def on_header(self, name: bytes, value: bytes) -> None:
        """A line of the head, in place of uvicorn's, or a trailer, which must not pass for one (RFC 9110, 6.5.1).

        Raises :class:`HeadRefusedError` for trailers that are too large.
        """
        if self.stage == HEAD:
            name = name.lower()
            if name == b"expect" and value.lower() == b"100-continue":
                self.expect_100_continue = True
            self.headers.append((name, value))
            return
        self.trailer_bytes += len(name) + len(value) + 4
        if self.trailer_bytes > self.limits.head_bytes:
            raise HeadRefusedError(HEAD_TOO_LARGE)

    def check_head(self) -> None:
        """The head that may be too large is complete; raises :class:`HeadRefusedError`."""
        if self._head_bytes() > self.limits.head_bytes:
            raise HeadRefusedError(HEAD_TOO_LARGE)

    def declines(self) -> bool:
        """Whether the head that is complete, and offers another protocol, is to be read again without the offer.

        Raises :class:`HeadRefusedError`.
        """
        parser = self.parser
        self._declined = without_offer(parser.get_method(), self.url, parser.get_http_version(), self.headers)
        return bool(self._declined)

    def _half_sent(self, before: int, size: int) -> None:
        """A read of ``size`` bytes has left something incomplete; ``before`` is the stage it found."""
        same = before == self.stage and not self.whole
        if not same:
            self._since = monotonic()
            self._bytes = self._bare_bytes = 0
        if self.stage == HEAD:
            # Where in a read a head begins, the parser tells only if it is at its start.
            self._bytes += size if same or (before == NOTHING and not self.whole) else self._head_bytes()
            if self._bytes > self.limits.head_bytes:
                self._refuse(HEAD_TOO_LARGE)
            return
        self.let_go()
        self._bytes += size
        self._bare_bytes = self._bare_bytes + size if same and not self.pieces else 0
        self.pieces = False
        if self._bare_bytes > self.limits.head_bytes:
            self._refuse(HEAD_TOO_LARGE)

    def _head_bytes(self) -> int:
        """Of the head so far, as far as the parser has told."""
        return head_bytes(self.parser.get_method(), self.url, self.headers)

    def end_of_turn(self) -> None:
        """Answer what has come whole and waits for that."""

    def let_go(self) -> None:
        """The rest of the request is still on its way: let it be received."""

    @property
    def _at_work(self) -> bool:
        """Whether the latest request that has begun is still to be answered."""
        cycle: RequestResponseCycle | None = self.cycle  # None before the first
        return cycle is not None and not cycle.response_complete

    def look(self, now: float) -> None:
        """Send away a client that has been waited for too long, at the monotonic moment ``now``, or that has left."""
        if self.flow.read_paused and self._has_hung_up():
            self.transport.abort()
        elif self._refused:
            self._look_after_refusal(now)
        elif self.transport.is_closing():
            pass
        elif self.stage == BODY:
            self._look_at_body(now)
        elif self._at_work:
            self._since = now
        elif self.stage == HEAD:
            if now - self._since > self.limits.head_timeout_s:
                self._refuse(_HEAD_LATE)
        elif self.arrived != self._seen:
            self._since, self._seen = now, self.arrived
        elif now - self._since > self.limits.idle_timeout_s:
            self.transport.close()

    def _has_hung_up(self) -> bool:
        connection = self.transport.get_extra_info("socket")
        return connection is not None and not self.transport.is_closing() and has_hung_up(connection.fileno())

    def _look_at_body(self, now: float) -> None:
        waits = self.pipeline or self.flow.read_paused or self.cycle.waiting_for_100_continue
        if waits and self._at_work:
            self._since = now  # it is the mock that is waited for
        elif now - self._since > self.limits.body_timeout_s + self._bytes / _KIB:
            self._refuse(_BODY_LATE)

    def _look_after_refusal(self, now: float) -> None:
        if self._lingers_until is not None:
            if now > self._lingers_until:
                self.transport.abort()
        elif self._answer_is_late(now):
            # An application around the mock that asks for the body, and does not know how the mock is told.
            self.transport.write(self._words(noted=False))
            self._hang_up()
            self.wires[-1].leave()

    def _answer_is_late(self, now: float) -> bool:
        """Whether nobody answers a request whose body was spoiled."""
        waits = self.stage == BODY and not self.pipeline and not self.cycle.response_started
        return waits and now - self._since > ANSWER_WITHIN_S

    def _refuse(self, refusal: Refusal | None) -> None:
        """Read no more, and say why after the answers to what came before; None: it is not HTTP."""
        self._refused = True
        if refusal is None:
            self.logger.warning(_NOT_HTTP)
        self.end_of_turn()
        if self.transport.is_closing():
            return
        if self.stage != BODY:
            with suppress(HttpParserError):
                self.parser.feed_data(b"x")  # it tells of a header line when the next one begins
            self._refusal, self._unsaid = refusal, True
            if not self._at_work:
                self._hang_up()
            return
        self.let_go()
        self._refusal = refusal or _BROKEN_BODY
        if self._at_work:  # the request is known, and is refused as others are
            self._since = monotonic()
            self.wires[-1].spoil(self._refusal)
        else:
            self._hang_up()

    def _words(self, *, noted: bool) -> bytes:
        """A whole answer that says why, the last one; ``noted``: it is to be in the journal."""
        if self._refusal is None:
            whole = WholeAnswer(400, [PLAIN_TYPE, self.api.request_id_line()], _NOT_HTTP.encode())
        else:
            # Before the first header line it is not known whether the address is all there.
            address = self.url if self.headers and noted else b""
            wire = Wire(monotonic(), self.number, self.requests + 1, self.opened)
            method = self.parser.get_method().decode("latin-1")
            whole = self.api.refuse(wire, method, address, self.headers, self._refusal)
        return message(whole, self.server_state.default_headers, keep_alive=False)

    def _hang_up(self) -> None:
        """Close the connection after what is still to be said.

        While there is something that was not read, a close is a reset, which takes from the client what it has not
        read yet: for a while what still comes is read and thrown away.
        """
        if self._lingers_until is not None:
            return
        transport = self.transport
        if self._unsaid:
            self._unsaid = False
            transport.write(self._words(noted=True))
        self._lingers_until = monotonic() + LINGER_S
        self.flow.resume_reading()
        if transport.can_write_eof():
            transport.write_eof()
        else:  # TLS, whose close reads on by itself until the client has closed as well
            transport.close()

    def _discard(self, size: int) -> None:
        self._discarded += size
        if self._discarded > DRAIN_BYTES:
            self.transport.abort()

    def close_after_answer(self) -> None:
        """The answer that was written is the last one."""
        if self._refused:
            self._hang_up()
        else:
            self.transport.close()

    def on_response_complete(self) -> None:
        """An answer is complete: go on to what comes after it. In place of uvicorn's, which arms a timer each time."""
        self.server_state.total_requests += 1
        if self.transport.is_closing():
            return
        self.flow.resume_reading()
        if self.pipeline:
            cycle, app = self.pipeline.pop()
            self._start_asgi_task(cycle, app)
        elif self._refused:
            self._hang_up()

    def shutdown(self) -> None:
        """The server is about to end: a call that came whole has a moment; what is half-sent, none."""
        half_sent = self.stage == BODY and not self.pipeline
        if self._lingers_until is not None or half_sent or not self._at_work:
            self.transport.close()
        else:
            super().shutdown()

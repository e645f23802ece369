"""One request's place on its connection: when it came, whether its client is still there, and the transport itself.

Like `protocol`, it reaches into uvicorn's request cycle; nothing else does.
"""

from __future__ import annotations

import socket
import sys
from asyncio import Future, get_running_loop, sleep
from collections.abc import Callable
from math import inf
from struct import pack, unpack
from time import monotonic
from typing import Final, Protocol

from starlette.types import Receive
from uvicorn._types import ASGISendEvent
from uvicorn.protocols.http.httptools_impl import STATUS_LINE, RequestResponseCycle

from mock_server.contract.errors import Refusal
from mock_server.edge.answers import Headers, WholeAnswer, length_line
from mock_server.http.unread import unread

WIRE: Final = "mock.wire"
"""Where the scope of a request holds its :class:`Wire`, under the mock's own server."""
_NO_LINGER: Final = pack("ii", 1, 0)
_FLUSH_S: Final = 0.001
_ARRIVE_WITHIN_S: Final = 1.0
_READ_S: Final = 0.050
_SMALL_BYTES: Final = 1024 * 1024
_UNKNOWN_BYTES: Final = 1 << 62


class Wire:
    """A request under any ASGI server, which hides its connection: what would cut that is refused before.

    ``connection`` and ``on_connection`` number its connection and the request on it, ``opened`` is the monotonic moment
    at which that was opened; 0 where they are not known.
    Mutable: the monotonic moment at which it arrived, once its body has come that of the body; whether the client is
    gone, the monotonic moment at which it left if it was not sent away, why the rest of the body will not come, if so,
    and what waits.
    """

    def __init__(self, arrived: float, connection: int = 0, on_connection: int = 0, opened: float = 0.0) -> None:
        self.arrived = arrived
        self.connection = connection
        self.on_connection = on_connection
        self.opened = opened
        self.gone = False
        self.left: float | None = None
        self.spoiled: Refusal | None = None
        self._future: Future[None] | None = None
        self._sent_away = False

    async def sleep(self, seconds: float) -> None:
        """Wait ``seconds``, which may be infinite, or less when nudged or when the client leaves."""
        loop = get_running_loop()
        future = self._future = loop.create_future()
        timer = None if seconds == inf else loop.call_later(seconds, _wake, future)
        try:
            await future
        finally:
            if timer is not None:
                timer.cancel()
            self._future = None

    def nudge(self) -> None:
        """Wake what waits, to look at the clock again."""
        if self._future is not None:
            _wake(self._future)

    def leave(self) -> None:
        """The client has left, or was sent away."""
        if not self.gone:
            self.gone = True
            if not self._sent_away:
                self.left = monotonic()
        self.nudge()

    async def watch(self, receive: Receive) -> None:
        """Learn from the server when the client leaves, once the body has come."""
        while (await receive())["type"] != "http.disconnect":
            pass
        self.leave()

    def body(self) -> bytes | None:
        """The body, when it is small and has all arrived with the head; None when it must be received."""
        return None

    def write_whole(self, whole: WholeAnswer) -> bool:  # noqa: ARG002 - here everything goes the ordinary way
        """Write a whole answer in one piece; False, writing nothing, when that must go the ordinary way."""
        return False

    def last(self) -> None:
        """The answer is the last one on its connection, as far as that is ours to say."""

    @property
    def may_wait_to_write(self) -> bool:
        """Whether it may be that the client has to read before more can be written; unknown counts."""
        return True

    @property
    def behind(self) -> bool:
        """Whether what was written waits for the client to read, as far as is known."""
        return False

    async def catch_up(self) -> None:
        """Wait until all that was written has been handed to the kernel, or the client has left."""

    async def reset(self) -> None:
        """Reset the connection (TCP RST)."""
        raise NotImplementedError

    async def fin(self) -> None:
        """Close the connection (TCP FIN) after what was written."""
        raise NotImplementedError

    def close(self) -> None:
        """The request is over."""


class MockCycle(RequestResponseCycle):
    """uvicorn's cycle, whose own 500 has an id."""

    id_line: Callable[[], tuple[bytes, bytes]]

    async def send_500_response(self) -> None:
        """Answer for an application that raised or said nothing."""
        self.default_headers = [*self.default_headers, self.id_line()]
        await super().send_500_response()


class UnchunkedCycle(MockCycle):
    """uvicorn's cycle for HTTP/1.0, which has no chunks: a body of no stated length ends with the connection."""

    async def send(self, message: ASGISendEvent) -> None:
        """Send one message."""
        if message["type"] == "http.response.start":
            if not any(name.lower() == b"content-length" for name, _ in message.get("headers", [])):
                self.chunked_encoding = False
                self.expected_content_length = _UNKNOWN_BYTES
        elif message["type"] == "http.response.body" and self.expected_content_length > _UNKNOWN_BYTES // 2:
            self.expected_content_length = _UNKNOWN_BYTES if message.get("more_body") else len(message.get("body", b""))
        await super().send(message)


class Connection(Protocol):
    """What a connection under the mock's own server can do; its number, when it was opened, how many requests came."""

    number: int
    opened: float
    requests: int

    def write_whole(self, whole: WholeAnswer, cycle: RequestResponseCycle) -> None:
        """Write a whole answer of a cycle."""


class CycleWire(Wire):
    """A request under the mock's own server. Mutable: uvicorn's cycle is let go of when the request is over."""

    def __init__(self, arrived: float, connection: Connection, cycle: RequestResponseCycle) -> None:
        super().__init__(arrived, connection.number, connection.requests, connection.opened)
        self._connection = connection
        self._cycle: RequestResponseCycle | None = cycle

    @property
    def finished(self) -> bool:
        """Whether the request is over."""
        return self._cycle is None or self._cycle.response_complete

    def body(self) -> bytes | None:
        """The body, when it is small and has all arrived with the head; None when it must be received."""
        cycle = self._cycle
        if cycle is None or cycle.more_body or cycle.waiting_for_100_continue or len(cycle.body) > _SMALL_BYTES:
            return None
        return bytes(cycle.body)

    def close(self) -> None:
        """The request is over: let go of uvicorn's cycle, which holds the scope that holds this."""
        self._cycle = None

    def leave(self) -> None:
        """The client has left."""
        if self._cycle is not None:  # uvicorn tells only the newest of a connection's cycles
            self._cycle.disconnected = True
            self._cycle.message_event.set()
        super().leave()

    def spoil(self, refusal: Refusal) -> None:
        """The rest of the body will not come: who waits for it is to answer with this, and nothing comes after that."""
        self.spoiled, self.arrived = refusal, monotonic()
        self.last()
        if self._cycle is not None:
            self._cycle.message_event.set()

    def last(self) -> None:
        """The answer is the last one on its connection."""
        if self._cycle is not None:
            self._cycle.keep_alive = False

    @property
    def may_wait_to_write(self) -> bool:
        """Whether the client has to read before more can be written."""
        return self._cycle is not None and self._cycle.flow.write_paused

    @property
    def behind(self) -> bool:
        """Whether what was written waits for the client to read."""
        cycle = self._cycle
        return cycle is not None and not self.gone and cycle.transport.get_write_buffer_size() > 0

    async def catch_up(self) -> None:
        """Wait until all that was written has been handed to the kernel, or the client has left."""
        # The transport tells only when much is waiting; the last bytes have to be looked for.
        while self.behind:  # noqa: ASYNC110 - see above
            await sleep(_FLUSH_S)

    async def reset(self) -> None:
        """Reset the connection (TCP RST)."""
        cycle = self._cycle
        assert cycle is not None
        await self._let_arrive(cycle)
        connection = cycle.transport.get_extra_info("socket")
        if connection is not None and not cycle.transport.is_closing():  # the client may have left meanwhile
            connection.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, _NO_LINGER)
        cycle.disconnected = self._sent_away = True
        cycle.transport.abort()

    async def fin(self) -> None:
        """Close the connection (TCP FIN) after what was written."""
        cycle = self._cycle
        assert cycle is not None
        await self._let_arrive(cycle)
        cycle.disconnected = self._sent_away = True
        cycle.transport.close()

    async def _let_arrive(self, cycle: RequestResponseCycle) -> None:
        """Let the client's program read what was written before the connection breaks, if it does so at all.

        A reset throws away what the kernel has not sent yet; Node.js reads one right behind data as an orderly close;
        and clients with queues inside, Chromium first, drop at either break what they had not handed on.
        """
        transport = cycle.transport
        connection = transport.get_extra_info("socket")
        if connection is None:
            return
        deadline = monotonic() + _ARRIVE_WITHIN_S
        while not transport.is_closing() and monotonic() < deadline:
            if not _unsent(connection) and not unread(connection):
                break
            await sleep(_FLUSH_S)
        if cycle.response_started:
            await sleep(_READ_S)

    def write_whole(self, whole: WholeAnswer) -> bool:
        """Write a whole answer in one piece; False, writing nothing, when that must go the ordinary way."""
        cycle = self._cycle
        if cycle is None or cycle.flow.write_paused or cycle.response_started or cycle.scope["method"] == "HEAD":
            return False
        if not cycle.disconnected:
            self._connection.write_whole(whole, cycle)
        return True


if sys.platform == "linux":
    from fcntl import ioctl

    _SIOCOUTQNSD: Final = 0x894B  # linux/sockios.h: bytes in the send queue that have not been sent

    def _unsent(connection: socket.socket) -> int:
        """Bytes the kernel has not sent yet."""
        (count,) = unpack("i", ioctl(connection.fileno(), _SIOCOUTQNSD, bytes(4)))
        return int(count)

else:

    def _unsent(connection: socket.socket) -> int:  # noqa: ARG001 - this system does not tell
        """Bytes the kernel has not sent yet; 0, as this system does not tell."""
        return 0


def _wake(future: Future[None]) -> None:
    if not future.done():
        future.set_result(None)


def message(whole: WholeAnswer, default_headers: Headers, *, keep_alive: bool, chunks: bool = True) -> bytes:
    """An answer as it goes over the wire; header lines are not checked, as here they hold no foreign text.

    A streamed body is one of the ``chunks`` of the protocol, where that has any, or else ends with the connection.
    """
    parts = [STATUS_LINE[whole.status]]
    for name, value in default_headers:
        parts += (name, b": ", value, b"\r\n")
    for name, value in whole.headers:
        parts += (name, b": ", value, b"\r\n")
    body = whole.body
    if not whole.streamed:
        name, value = length_line(body)
        parts += (name, b": ", value, b"\r\n")
    elif chunks:
        parts.append(b"transfer-encoding: chunked\r\n")
        body = b"%x\r\n%b\r\n0\r\n\r\n" % (len(body), body)
    parts += (b"\r\n" if keep_alive else b"connection: close\r\n\r\n", body)
    return b"".join(parts)

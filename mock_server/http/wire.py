"""One request's place on its connection: when it came, whether its client is still there, and the transport itself.

Like `protocol`, it reaches into uvicorn's request cycle; nothing else does.
"""

from __future__ import annotations

import socket
import sys
from asyncio import Future, get_running_loop, sleep
from math import inf
from struct import pack, unpack
from time import monotonic
from typing import Final

from uvicorn.protocols.http.httptools_impl import STATUS_LINE, RequestResponseCycle

from mock_server.http.answers import Headers, Reply, length_line

_NO_LINGER: Final = pack("ii", 1, 0)
_FLUSH_S: Final = 0.001
_ARRIVE_WITHIN_S: Final = 1.0
_SMALL_BYTES: Final = 1024 * 1024


class Wire:
    """One request's place on its connection. Mutable: whether the client has left, and what waits for it."""

    __slots__ = ("_cycle", "_future", "arrived", "finished", "gone")

    def __init__(self, arrived: float, cycle: RequestResponseCycle | None = None) -> None:
        self.arrived = arrived
        self.gone = False
        self.finished = False
        self._cycle = cycle
        self._future: Future[None] | None = None

    def body(self) -> bytes | None:
        """The body, when it is small and has all arrived with the head; None when it must be received."""
        cycle = self._cycle
        if cycle is None or cycle.more_body or cycle.waiting_for_100_continue or len(cycle.body) > _SMALL_BYTES:
            return None
        return bytes(cycle.body)

    def close(self) -> None:
        """The request is over: let go of uvicorn's cycle, which holds the scope that holds this."""
        self.finished = True
        self._cycle = None

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

    async def left(self) -> None:
        """Wait until the client has left."""
        while not self.gone:
            await self.sleep(inf)

    async def flush(self) -> None:
        """Hand what was written to the kernel, so that it leaves before what follows."""
        await sleep(0)
        # The transport tells only when much is waiting; the last bytes have to be looked for.
        while self._waits_to_leave():  # noqa: ASYNC110 - see above
            await sleep(_FLUSH_S)

    def _waits_to_leave(self) -> bool:
        cycle = self._cycle
        return cycle is not None and not self.gone and cycle.transport.get_write_buffer_size() > 0

    async def reset(self) -> None:
        """Reset the connection (TCP RST)."""
        await self.flush()
        cycle = self._must_have_cycle()
        connection = cycle.transport.get_extra_info("socket")
        if connection is not None and not cycle.transport.is_closing():
            # A reset throws away what the kernel has not sent yet.
            deadline = monotonic() + _ARRIVE_WITHIN_S
            while _unsent(connection) and monotonic() < deadline:  # noqa: ASYNC110 - nothing tells when it is sent
                await sleep(_FLUSH_S)
            connection.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, _NO_LINGER)
        cycle.disconnected = True
        cycle.transport.abort()

    async def fin(self) -> None:
        """Close the connection (TCP FIN) after what was written."""
        await self.flush()
        cycle = self._must_have_cycle()
        cycle.disconnected = True
        cycle.transport.close()

    def _must_have_cycle(self) -> RequestResponseCycle:
        if self._cycle is None:
            msg = "faults of the connection need the mock's own server"
            raise RuntimeError(msg)
        return self._cycle

    def leave(self) -> None:
        """The client has left."""
        self.gone = True
        if self._cycle is not None:  # uvicorn tells only the newest of a connection's cycles
            self._cycle.disconnected = True
            self._cycle.message_event.set()
        self.nudge()

    def write_whole(self, reply: Reply) -> bool:
        """Write a whole answer in one piece; False, writing nothing, when that must go the ordinary way.

        It does what uvicorn's cycle does with a start and a body message.
        """
        cycle = self._cycle
        if cycle is None or cycle.flow.write_paused or cycle.response_started or cycle.scope["method"] == "HEAD":
            return False
        if not cycle.disconnected:
            cycle.response_started = True
            cycle.waiting_for_100_continue = False
            cycle.transport.write(message(reply, cycle.default_headers, keep_alive=cycle.keep_alive))
            cycle.response_complete = True
            cycle.message_event.set()
            if not cycle.keep_alive:
                cycle.transport.close()
            cycle.on_response()
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


def message(reply: Reply, default_headers: Headers, *, keep_alive: bool) -> bytes:
    """An answer as it goes over the wire; header lines are not checked, as here they hold no foreign text."""
    parts = [STATUS_LINE[reply.status]]
    for name, value in default_headers:
        parts += (name, b": ", value, b"\r\n")
    for name, value in reply.headers:
        parts += (name, b": ", value, b"\r\n")
    name, value = length_line(reply.body)
    parts += (name, b": ", value, b"\r\n\r\n" if keep_alive else b"\r\nconnection: close\r\n\r\n", reply.body)
    return b"".join(parts)

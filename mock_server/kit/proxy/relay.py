"""The relay: each connection of a client has one of its own to the gateway; what comes on one goes out on the other.

Bytes are passed on as they come, so that framing, pace and breaks stay what they were: a reset becomes a reset, a half
close a half close, and a side that cannot take more holds up the other one. Only ``Host`` and what stands before the
path are replaced. Where TLS is spoken to the gateway there is no half close: a client that closes its half has left.
"""

from __future__ import annotations

import asyncio
import contextlib
import socket
import ssl
import struct
from collections import deque
from collections.abc import Callable
from time import monotonic
from typing import Final

from mock_server.kit.conform.target import Target
from mock_server.kit.proxy.messages import Part, Scanner, request_size, response_size, status_of
from mock_server.kit.proxy.record import Record
from mock_server.kit.proxy.watched import Watched

RESET: Final = "the connection was reset"
CLOSED: Final = "the connection closed before its end"
UNREACHABLE: Final = "no connection to the gateway"
NOT_HTTP: Final = "what came is not HTTP"
_RESET_ON_CLOSE: Final = struct.pack("ii", 1, 0)
_CONNECT_WITHIN_S: Final = 30.0


class Side(asyncio.Protocol):
    """One of a link's two connections. Mutable: its transport, and whether its peer has closed its half."""

    def __init__(self, link: Link) -> None:
        self.link = link
        self.transport: asyncio.Transport | None = None
        self.ended = self.lost = False

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        """Keep it; what the system does not take at once holds up the other side."""
        assert isinstance(transport, asyncio.Transport)
        self.transport = transport
        # The least that makes it tell: for TLS, 0 would be a limit that is always reached.
        transport.set_write_buffer_limits(high=0 if transport.can_write_eof() else 1, low=0)
        self.link.made(self)

    def data_received(self, data: bytes) -> None:
        """Pass it on."""
        self.link.came(self, data)

    def eof_received(self) -> bool:
        """Pass on the half close; the other half stays open where it can."""
        self.ended = True
        self.link.half_closed(self)
        return self.can_half_close

    def connection_lost(self, exc: Exception | None) -> None:
        """Pass on how it ended."""
        self.lost = True
        self.link.gone(self, reset=exc is not None)

    def pause_writing(self) -> None:
        """Read no more than can be passed on."""
        self.link.other(self).hold(True)

    def resume_writing(self) -> None:
        """All has been passed on."""
        self.link.other(self).hold(False)
        self.link.drained(self)

    @property
    def can_half_close(self) -> bool:
        """Whether one direction can end before the other."""
        return self.transport is not None and self.transport.can_write_eof()

    def hold(self, held: bool) -> None:
        """Read on, or not."""
        if self.transport is not None and not self.transport.is_closing():
            self.transport.pause_reading() if held else self.transport.resume_reading()

    def write(self, data: bytes) -> None:
        """Hand over what is to be sent."""
        if self.transport is not None and data:
            self.transport.write(data)

    def reset(self) -> None:
        """End the connection with a reset; what was not sent yet is lost."""
        if self.transport is not None and not self.lost:
            sock = self.transport.get_extra_info("socket")
            with contextlib.suppress(OSError):  # it is closed already
                sock.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, _RESET_ON_CLOSE)
            self.transport.abort()


class Link:
    """A client's connection and the one to the gateway that belongs to it.

    Mutable: both sides, and the calls in flight between them in the order they came.
    """

    def __init__(self, relay: Relay) -> None:
        self._relay = relay
        self.client, self.gateway = Side(self), Side(self)
        self._asked = Scanner(request_size)
        self._answered = Scanner(lambda head: response_size(head, self._calls[0].method if self._calls else ""))
        self._calls: deque[Watched] = deque()
        self._asking: Watched | None = None
        self._reset_client = self._over = self._blind = False
        self._connecting: asyncio.Task[None] | None = None

    def other(self, side: Side) -> Side:
        """The side opposite."""
        return self.gateway if side is self.client else self.client

    def made(self, side: Side) -> None:
        """A client is there: connect to the gateway before anything is read; then let both begin."""
        if side is self.client:
            self._relay.links.add(self)
            side.hold(True)
            self._connecting = asyncio.get_running_loop().create_task(self._connect())
        elif self.client.lost or self._over:
            side.reset()
        else:
            self.client.hold(False)

    async def _connect(self) -> None:
        relay, loop = self._relay, asyncio.get_running_loop()
        target = relay.target
        try:
            async with asyncio.timeout(_CONNECT_WITHIN_S):
                await loop.create_connection(lambda: self.gateway, target.host, target.port, ssl=relay.tls)
        except OSError:  # TimeoutError and what TLS refuses are some
            relay.unreachable += 1
            self.client.reset()

    def came(self, side: Side, data: bytes) -> None:
        """Pass on what one side sent, then look at it."""
        began = monotonic()
        if side is self.client:
            for part in self._asked.feed(data):
                self._ask(part)
            call = self._asking or (self._calls[-1] if self._calls else None)
        else:
            self.client.write(data)
            call = self._calls[0] if self._calls else None
            for part in self._answered.feed(data):
                self._answer(part, began)
        if call is not None:
            call.own_s += monotonic() - began

    def _ask(self, part: Part) -> None:
        if part.head is None:
            self.gateway.write(part.raw)
        else:
            self._asking = Watched(part.head)
            self._calls.append(self._asking)
            self.gateway.write(_addressed(part.raw, self._relay.target))
        if self._asking is not None:
            self._asking.asks(part)
            if part.end:
                self._asking.sent_at = monotonic()
                self._asking = None
        if self._asked.blind and not self._blind:
            self._blind = True
            self._relay.blind += 1

    def _answer(self, part: Part, now: float) -> None:
        if not self._calls:
            return
        call = self._calls[0]
        if part.head is not None and status_of(part.head) >= 200:
            call.answer_head, call.head_at = part.head, now
        call.answers(part, now)
        if part.end and call.answer_head is not None:
            self._calls.popleft()
            self._relay.tell(call.ended(now))
        elif self._answered.blind:
            self._finish(broke=NOT_HTTP)

    def half_closed(self, side: Side) -> None:
        """One side will send no more: tell the other, and end where both have said so."""
        other = self.other(side)
        if side is self.client:
            self.gateway.write(self._asked.held)
        else:
            self._gateway_ended(CLOSED)
        if other.transport is None or other.lost:
            return
        if self.client.ended and self.gateway.ended:
            self._finish(left=True)
            for one in (self.client, self.gateway):
                if one.transport is not None:
                    one.transport.close()
        elif other.can_half_close:
            other.transport.write_eof()
        else:
            other.transport.close()

    def _gateway_ended(self, broke: str) -> None:
        """The gateway sends no more: the answer is whole if that is how its end is known, else broken."""
        if self._answered.ends_with_connection and broke == CLOSED and self._calls:
            self._relay.tell(self._calls.popleft().ended(monotonic()))
        left = self.client.lost or self.client.ended
        self._finish(broke="" if left else broke, left=left)

    def gone(self, side: Side, *, reset: bool) -> None:
        """A connection is no more; where it was reset, so is the other one."""
        if side is self.client:
            self._finish(left=True)
            if reset or self.gateway.transport is None:
                self.gateway.reset()
            elif not self.gateway.lost:
                self.gateway.transport.close()
            if self._connecting is not None:
                self._connecting.cancel()
        else:
            self._gateway_ended(RESET if reset else CLOSED)
            self._end_client(reset=reset)
        if self.client.lost:
            self._relay.links.discard(self)

    def _end_client(self, *, reset: bool) -> None:
        client = self.client.transport
        if client is None or self.client.lost:
            return
        if not reset:
            client.close()
        elif client.get_write_buffer_size():
            self._reset_client = True
        else:
            self.client.reset()

    def drained(self, side: Side) -> None:
        """All that came before a reset has been handed over."""
        if side is self.client and self._reset_client:
            side.reset()

    def stop(self) -> None:
        """The recorder ends: what is in flight is cut off."""
        self._over = True
        self._finish(stopped=True)
        self.gateway.reset()
        self.client.reset()

    def _finish(self, *, broke: str = "", left: bool = False, stopped: bool = False) -> None:
        now = monotonic()
        while self._calls:
            self._relay.tell(self._calls.popleft().ended(now, broke=broke, left=left, stopped=stopped))
        self._asking = None


class Relay:
    """All links to one gateway. ``tell`` is called with each call that is over.

    Mutable: the links, how many connections the gateway did not take, and how many were no HTTP.
    """

    def __init__(self, target: Target, tell: Callable[[Record], None]) -> None:
        self.target = target
        self.tell = tell
        self.tls: ssl.SSLContext | None = None
        if target.tls:
            self.tls = ssl.create_default_context()
            self.tls.set_alpn_protocols(["http/1.1"])
        self.links: set[Link] = set()
        self.unreachable = 0
        self.blind = 0

    def protocol(self) -> Side:
        """One more client's connection."""
        return Link(self).client

    def stop(self) -> None:
        """Cut off what is in flight."""
        for link in tuple(self.links):
            link.stop()


def _addressed(raw: bytes, target: Target) -> bytes:
    """The head with the gateway's own ``Host``, and with what stands before its paths; the rest as it came."""
    start, newline, rest = raw.partition(b"\n")
    method, path, version = start.split(b" ", 2)
    if path.startswith(b"/"):
        start = b" ".join((method, target.prefix.encode() + path, version))
    lines = rest.split(b"\n")
    for at, line in enumerate(lines):
        if line[:5].lower() == b"host:":
            lines[at] = b"Host: " + target.authority.encode() + (b"\r" if line.endswith(b"\r") else b"")
    return start + newline + b"\n".join(lines)

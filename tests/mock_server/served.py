"""A mock behind uvicorn's protocol in this very process, on connections that keep what is written to them."""

from __future__ import annotations

import asyncio
from collections.abc import Callable
from typing import Any, NamedTuple

import uvicorn
from starlette.types import ASGIApp
from uvicorn.server import ServerState

from mock_server.http.app import MockApp
from mock_server.http.protocol import MockProtocol, protocol_for
from tests.mock_server.wire import PATH

MADE_BY_THE_SERVER = (b"transfer-encoding", b"connection")


class Call(NamedTuple):
    method: str
    query: bytes
    headers: list[tuple[bytes, bytes]]
    body: bytes
    path: str = PATH


class Got(NamedTuple):
    """An answer: its head, its body in the writes it came in, and whether the connection broke before its end."""

    status: int
    headers: list[tuple[bytes, bytes]]
    writes: list[bytes]
    broken: bool


class Transport(asyncio.Transport):
    """A connection that keeps what is written to it."""

    def __init__(self) -> None:
        super().__init__()
        self.written: list[bytes] = []
        self.closing = False
        self.eof = False

    def write(self, data: Any) -> None:
        if data and not self.closing:
            self.written.append(bytes(data))

    def close(self) -> None:
        self.closing = True

    abort = close

    def is_closing(self) -> bool:
        return self.closing

    def can_write_eof(self) -> bool:
        return True

    def write_eof(self) -> None:
        self.eof = True

    def get_write_buffer_size(self) -> int:
        return 0

    def pause_reading(self) -> None: ...

    def resume_reading(self) -> None: ...


class Served:
    """A mock behind uvicorn's protocol; ``split`` sends requests in two parts, so that none is answered at once.

    ``settings`` are uvicorn's; ``app`` is what is served, if not the mock itself.
    """

    def __init__(self, mock: MockApp, *, split: bool = False, app: ASGIApp | None = None, **settings: Any) -> None:
        self.mock = mock
        self.at_once = 0
        self._split = split
        settings = {"ws": "none", "lifespan": "off", "log_config": None, "access_log": False} | settings
        self._config = uvicorn.Config(app or mock, **settings)
        self._state = ServerState()
        self._class = protocol_for(mock.api)
        self._protocol: MockProtocol | None = None

    def connect(self, transport: Transport | None = None) -> MockProtocol:
        """One more connection."""
        connection = self._class(self._config, self._state, {})
        connection.connection_made(transport or Transport())
        return connection

    async def answer(self, call: Call) -> Got:
        """The answer on a connection that is kept as long as it lasts."""
        if self._protocol is None or self._protocol.transport.is_closing():
            self._protocol = self.connect()
        protocol = self._protocol
        transport = protocol.transport
        assert isinstance(transport, Transport)
        transport.written.clear()
        data = bytes_of(call)
        cut = len(data) - 1 if self._split else len(data)
        for part in (data[:cut], data[cut:]):
            if part:
                protocol.data_received(part)
        await asyncio.sleep(0)  # what is answered at once is answered at the end of this turn
        self.at_once += not self._state.tasks
        if self._state.tasks:
            await asyncio.wait(self._state.tasks)
        return read(transport.written, transport.closing)


async def until(condition: Callable[[], bool]) -> None:
    """Let the loop turn until something has come about; nothing tells when."""
    while not condition():  # noqa: ASYNC110 - see above
        await asyncio.sleep(0)


def bytes_of(call: Call) -> bytes:
    """A call as it goes over the wire."""
    lines = b"".join(b"%s: %s\r\n" % line for line in call.headers)
    return b"%s %s HTTP/1.1\r\n%s\r\n%s" % (call.method.encode(), call.path.encode() + call.query, lines, call.body)


def read(written: list[bytes], closed: bool) -> Got:
    """What a client reads of these writes."""
    raw = b"".join(written)
    if not raw:
        return Got(0, [], [], True)
    head, _, body = raw.partition(b"\r\n\r\n")
    lines = [line.split(b": ", 1) for line in head.split(b"\r\n")[1:]]
    headers = [(line[0], line[1]) for line in lines if line[0] not in MADE_BY_THE_SERVER]
    status = int(head.split()[1])
    if b"transfer-encoding: chunked" not in head:
        whole = int(dict(headers)[b"content-length"]) == len(body)
        return Got(status, headers, [body], not whole)
    writes, ended = [], False
    while body:
        size, _, body = body.partition(b"\r\n")
        length = int(size, 16)
        ended = not length
        writes += [body[:length]] if length else []
        body = body[length + 2 :]
    assert ended or closed
    return Got(status, headers, writes, not ended)

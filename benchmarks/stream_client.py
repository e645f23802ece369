"""A tight reader of many streams at once: it notes when how many events arrived, and nothing else."""

from __future__ import annotations

import asyncio
import gc
import time
from collections.abc import Callable
from dataclasses import dataclass, field
from typing import Final, cast

import uvloop

from benchmarks.harness import KEY, PATH, BenchmarkError

_EVENT_END: Final = b"\n\n"
_LAST: Final = b"0\r\n\r\n"
HEAD_END: Final = b"\r\n\r\n"


@dataclass(slots=True)
class Stream:
    """One stream: its number, when it was sent, its head, and when how many events had arrived; monotonic seconds."""

    number: int
    sent_at: float
    head: bytes = b""
    arrivals: list[tuple[float, int]] = field(default_factory=list)


@dataclass
class Streams:
    """As many streams at once as there are connections: each sends the next one when its last has ended.

    All connections are made first; then the streams start evenly over `spread_s`; none starts after `stop_after_s`.
    """

    port: int
    connections: int
    next_body: Callable[[int], bytes]
    spread_s: float
    stop_after_s: float
    finished: list[Stream] = field(default_factory=list)
    begun_at: float = 0.0
    _sent: int = 0
    _open: int = 0

    def run(self, within_s: float) -> list[Stream]:
        """The streams in the order in which they ended; the collector is off meanwhile."""
        gc.collect()
        gc.disable()
        try:
            return uvloop.run(self._run(within_s))
        finally:
            gc.enable()

    async def _run(self, within_s: float) -> list[Stream]:
        loop = asyncio.get_running_loop()
        done: asyncio.Future[None] = loop.create_future()
        readers = []
        for _ in range(self.connections):
            _, reader = await loop.create_connection(lambda: _Reader(self, done), "127.0.0.1", self.port)
            readers.append(reader)
        self._open, self.begun_at = len(readers), time.monotonic()
        for place, reader in enumerate(readers):
            loop.call_later(self.spread_s * place / len(readers), reader.send)
        try:
            await asyncio.wait_for(done, within_s)
        except TimeoutError:
            raise BenchmarkError(f"{self._open} streams had not ended within {within_s:.0f} s") from None
        return self.finished

    def next_stream(self) -> tuple[Stream, bytes] | None:
        """The next stream and the bytes that ask for it; None when it is time to stop."""
        now = time.monotonic()
        if now > self.begun_at + self.stop_after_s:
            return None
        body = self.next_body(self._sent)
        stream = Stream(self._sent, now)
        self._sent += 1
        head = (
            f"POST {PATH} HTTP/1.1\r\nHost: 127.0.0.1\r\nAuthorization: Bearer {KEY}\r\n"
            f"Content-Type: application/json\r\nContent-Length: {len(body)}\r\n\r\n"
        )
        return stream, head.encode() + body

    def closed(self) -> bool:
        """One connection will send no more; whether that was the last one."""
        self._open -= 1
        return self._open == 0


class _Reader(asyncio.Protocol):
    def __init__(self, streams: Streams, done: asyncio.Future[None]) -> None:
        self._streams = streams
        self._done = done
        self._stream: Stream | None = None
        self._transport: asyncio.WriteTransport | None = None

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        # uvloop's transports do not inherit from asyncio's.
        self._transport = cast(asyncio.WriteTransport, transport)

    def send(self) -> None:
        assert self._transport is not None
        following = self._streams.next_stream()
        if following is None:
            self._stream = None
            self._transport.close()
            if self._streams.closed() and not self._done.done():
                self._done.set_result(None)
            return
        self._stream, request = following
        self._transport.write(request)

    def data_received(self, data: bytes) -> None:
        now = time.monotonic()
        stream = self._stream
        assert stream is not None
        if not stream.arrivals:
            stream.head = data[: data.find(HEAD_END) + len(HEAD_END)]
        stream.arrivals.append((now, data.count(_EVENT_END)))
        if data.endswith(_LAST):
            self._streams.finished.append(stream)
            self.send()

    def connection_lost(self, exc: Exception | None) -> None:
        if self._stream is not None and not self._done.done():
            self._done.set_exception(BenchmarkError(f"the server closed a connection: {exc or 'no reason given'}"))

"""A tight HTTP/1.1 client for many keep-alive connections: bytes in, bytes out, one callback per answer.

It understands only what these benchmarks send: plain answers with a `Content-Length`. It costs far less than any
HTTP library, so that what it measures is the server.
"""

from __future__ import annotations

import asyncio
import gc
import re
import time
from collections.abc import Callable
from dataclasses import dataclass, field
from typing import Final, cast

import uvloop

from benchmarks.harness import KEY, PATH, BenchmarkError

_LENGTH: Final = re.compile(rb"\r\ncontent-length: (\d+)", re.IGNORECASE)
_PLANNED: Final = re.compile(rb"\r\nserver-timing: [^\r]*planned;dur=([\d.]+)", re.IGNORECASE)
_OVERHEAD: Final = re.compile(rb"\r\nserver-timing: [^\r]*overhead;dur=([\d.]+)", re.IGNORECASE)


@dataclass(frozen=True, slots=True)
class Answer:
    """One answer: when its request was sent, seconds to its last byte, and what the server said of itself."""

    sent_at: float
    elapsed_s: float
    status: int
    planned_s: float
    overhead_s: float
    body_bytes: int


@dataclass
class Load:
    """One closed-loop load: every connection sends the next request as soon as it has its answer.

    `next_body` gives the n-th request's body; `total` requests are sent in all; connections start evenly over
    `spread_s`, so that the first requests do not arrive as one burst.
    """

    port: int
    connections: int
    total: int
    next_body: Callable[[int], bytes]
    spread_s: float = 0.0
    sent: int = 0
    answers: list[Answer] = field(default_factory=list)

    def run(self, within_s: float) -> list[Answer]:
        """Send everything and return the answers in the order they arrived; the collector is off meanwhile."""
        gc.collect()
        gc.disable()
        try:
            return uvloop.run(self._run(within_s))
        finally:
            gc.enable()

    async def _run(self, within_s: float) -> list[Answer]:
        loop = asyncio.get_running_loop()
        finished: asyncio.Future[None] = loop.create_future()
        started = [loop.create_task(self._connect(at, finished)) for at in range(self.connections)]
        try:
            await asyncio.wait_for(finished, within_s)
        except TimeoutError:
            raise BenchmarkError(f"only {len(self.answers)} of {self.total} answers within {within_s:.0f} s") from None
        finally:
            for task in started:
                task.cancel()
        return self.answers

    async def _connect(self, at: int, finished: asyncio.Future[None]) -> None:
        await asyncio.sleep(self.spread_s * at / self.connections)
        loop = asyncio.get_running_loop()
        try:
            await loop.create_connection(lambda: _Connection(self, finished), "127.0.0.1", self.port)
        except OSError as error:
            if not finished.done():
                finished.set_exception(BenchmarkError(f"cannot connect to port {self.port}: {error}"))

    def next_request(self) -> bytes | None:
        """The next request's bytes, or None when all are sent."""
        if self.sent >= self.total:
            return None
        body = self.next_body(self.sent)
        self.sent += 1
        return (
            f"POST {PATH} HTTP/1.1\r\nHost: 127.0.0.1\r\nAuthorization: Bearer {KEY}\r\n"
            f"Content-Type: application/json\r\nContent-Length: {len(body)}\r\n\r\n"
        ).encode() + body


class _Connection(asyncio.Protocol):
    def __init__(self, load: Load, finished: asyncio.Future[None]) -> None:
        self._load = load
        self._finished = finished
        self._buffer = b""
        self._sent_at = 0.0
        self._transport: asyncio.WriteTransport | None = None

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        # uvloop's transports do not inherit from asyncio's.
        self._transport = cast(asyncio.WriteTransport, transport)
        self._send()

    def _send(self) -> None:
        assert self._transport is not None
        request = self._load.next_request()
        if request is None:
            self._transport.close()
            return
        self._sent_at = time.perf_counter()
        self._transport.write(request)

    def data_received(self, data: bytes) -> None:
        arrived = time.perf_counter()
        self._buffer = buffer = self._buffer + data
        end = buffer.find(b"\r\n\r\n")
        length = _LENGTH.search(buffer, 0, end + 2) if end >= 0 else None
        if length is None or len(buffer) < end + 4 + int(length[1]):
            return
        self._buffer = b""
        answers = self._load.answers
        answers.append(_answer(buffer[: end + 2], self._sent_at, arrived - self._sent_at, int(length[1])))
        if len(answers) == self._load.total and not self._finished.done():
            self._finished.set_result(None)
        self._send()

    def connection_lost(self, exc: Exception | None) -> None:
        if self._load.sent < self._load.total and not self._finished.done():
            self._finished.set_exception(BenchmarkError(f"the server closed a connection: {exc or 'no reason given'}"))


def _answer(head: bytes, sent_at: float, elapsed_s: float, body_bytes: int) -> Answer:
    planned, overhead = _PLANNED.search(head), _OVERHEAD.search(head)
    return Answer(
        sent_at=sent_at,
        elapsed_s=elapsed_s,
        status=int(head[9:12]),
        planned_s=float(planned[1]) / 1e3 if planned else float("nan"),
        overhead_s=float(overhead[1]) / 1e3 if overhead else float("nan"),
        body_bytes=body_bytes,
    )


def refused(answers: list[Answer]) -> int:
    """How many answers are not a 200."""
    return sum(answer.status != 200 for answer in answers)


def percentile(values: list[float], share: float) -> float:
    """The exact order statistic: the ceil(n * share)-th smallest of n values."""
    ordered = sorted(values)
    return ordered[max(0, -int(-len(ordered) * share // 1) - 1)]

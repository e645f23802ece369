"""uvicorn's HTTP protocol, with what ASGI hides: when a request arrived, when its client left, and the transport."""

from __future__ import annotations

from asyncio import Future, get_running_loop
from time import monotonic
from typing import Any, Final

from uvicorn.protocols.http.httptools_impl import STATUS_LINE, HttpToolsProtocol, RequestResponseCycle

WIRE: Final = "mock.wire"
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
        """Wait ``seconds``, or less when the client leaves."""
        loop = get_running_loop()
        future = self._future = loop.create_future()
        timer = loop.call_later(seconds, _wake, future)
        try:
            await future
        finally:
            timer.cancel()
            self._future = None

    def leave(self) -> None:
        """The client has left."""
        self.gone = True
        if self._future is not None:
            _wake(self._future)

    def write_whole(self, status: int, headers: list[tuple[bytes, bytes]], body: bytes) -> bool:
        """Write a whole answer in one piece; False, writing nothing, when that must go the ordinary way.

        It does what uvicorn's cycle does with a start and a body message, in one write and without its checks of
        header lines, which here hold no foreign text.
        """
        cycle = self._cycle
        if cycle is None or cycle.flow.write_paused or cycle.response_started or cycle.scope["method"] == "HEAD":
            return False
        if not cycle.disconnected:
            parts = [STATUS_LINE[status]]
            for name, value in cycle.default_headers:
                parts += (name, b": ", value, b"\r\n")
            for name, value in headers:
                parts += (name, b": ", value, b"\r\n")
            if not cycle.keep_alive:
                parts.append(b"connection: close\r\n")
            parts += (b"\r\n", body)
            cycle.response_started = True
            cycle.waiting_for_100_continue = False
            cycle.transport.write(b"".join(parts))
            cycle.response_complete = True
            cycle.message_event.set()
            if not cycle.keep_alive:
                cycle.transport.close()
            cycle.on_response()
        return True


def _wake(future: Future[None]) -> None:
    if not future.done():
        future.set_result(None)


class MockProtocol(HttpToolsProtocol):
    """Puts a :class:`Wire` into the scope of every request."""

    def __init__(self, *args: Any, **kwargs: Any) -> None:
        super().__init__(*args, **kwargs)
        self._wires: list[Wire] = []  # one, or more where the client pipelines

    def on_headers_complete(self) -> None:
        """The head of a request is complete."""
        super().on_headers_complete()
        wire = Wire(monotonic(), self.cycle)
        scope: dict[str, Any] = self.scope  # type: ignore[assignment]  # the key is ours
        scope[WIRE] = wire
        if self._wires and not self._wires[0].finished:
            self._wires.append(wire)
        else:
            self._wires = [wire]

    def connection_lost(self, exc: Exception | None) -> None:
        """The client has left, or was sent away."""
        super().connection_lost(exc)
        for wire in self._wires:
            wire.leave()

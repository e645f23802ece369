"""uvicorn's HTTP protocol, with the two things ASGI hides: when a request arrived, and the connection itself."""

from __future__ import annotations

from asyncio import Future, get_running_loop
from time import monotonic
from typing import Any, Final

from uvicorn.protocols.http.httptools_impl import HttpToolsProtocol

CONNECTION: Final = "mock.connection"
ARRIVED: Final = "mock.arrived"


class Waiter:
    """Where one connection's request waits for a moment, or for the client to leave."""

    __slots__ = ("_future", "gone")

    def __init__(self) -> None:
        self.gone = False
        self._future: Future[None] | None = None

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


def _wake(future: Future[None]) -> None:
    if not future.done():
        future.set_result(None)


class MockProtocol(HttpToolsProtocol):
    """Puts the moment of arrival and a :class:`Waiter` into the scope of every request."""

    def __init__(self, *args: Any, **kwargs: Any) -> None:
        super().__init__(*args, **kwargs)
        self._waiter = Waiter()

    def on_message_begin(self) -> None:
        """A request begins."""
        super().on_message_begin()
        scope: dict[str, Any] = self.scope  # type: ignore[assignment]  # the keys are ours
        scope[ARRIVED] = monotonic()
        scope[CONNECTION] = self._waiter

    def connection_lost(self, exc: Exception | None) -> None:
        """The client has left, or was sent away."""
        super().connection_lost(exc)
        self._waiter.leave()

"""The mock inside the test's own process, as an ASGI application: no socket, and therefore nothing that needs one."""

from __future__ import annotations

import asyncio
import time
from collections.abc import Coroutine, Iterable, Mapping
from concurrent.futures import ThreadPoolExecutor
from typing import Any, Final, TypeVar
from urllib.parse import parse_qs

from starlette.types import Message, Receive, Scope, Send

from mock_server.clock import SimClock
from mock_server.config import WorldError, load_world
from mock_server.contract.endpoints import TEST_PREFIX
from mock_server.core.engine import Engine
from mock_server.core.faults import Fault, FaultError, Framing, Kind, parse_fault
from mock_server.http.app import MockApp
from mock_server.kit.pytest_plugin.mock import LlmMock
from mock_server.kit.pytest_plugin.plane import RefusedError, request_parts, understood
from mock_server.kit.pytest_plugin.servers import CannotStartError
from mock_server.kit.pytest_plugin.servers import World as Chosen

__tracebackhide__ = True  # pytest's: a failure shows the line of the test

BASE: Final = "http://llm-mock.localhost"
_INSTEAD: Final = "use llm_mock, which is on the wire"
_UNSEEN: Final[Mapping[Kind | Framing, str]] = {
    **dict.fromkeys(("reset", "fin"), "there is no connection to break"),
    "truncated_json": "there is no length to fall short of",
    **dict.fromkeys(("stall", "done_then_hang"), "a client without a connection can neither time out nor leave"),
    **dict.fromkeys(("dribble", "bytewise", "coalesced", "split_utf8"), "httpx hands the body over in one piece"),
}
"""What a client cannot see in process, and why."""

T = TypeVar("T")


class NotInProcessError(RuntimeError):
    """Something that a mock in process cannot show; the message says why, and what can."""


class Room:
    """A mock in this process, and its control plane."""

    waits = False
    url = BASE

    def __init__(self, app: MockApp) -> None:
        self.app = app
        self.world = app.context.world_name

    def ask(
        self, method: str, path: str, wanted: type[T], test: str, query: Mapping[str, Any] = {}, body: object = None
    ) -> T:
        """As :class:`mock_server.kit.pytest_plugin.plane.Plane` says."""
        _refuse_unseen(_faults_in(body))
        target, headers, content = request_parts(method, path, test, query, body)
        got: list[Message] = []

        async def receive() -> Message:
            return {"type": "http.request", "body": content or b"", "more_body": False}

        async def send(message: Message) -> None:
            got.append(message)

        answering = self.app(_scope(method, target, headers), receive, send)
        if method == "GET":  # the verdict is found in a thread, for which a loop must run; this one's may not
            with ThreadPoolExecutor(1) as other:
                other.submit(asyncio.run, _whole(answering)).result()
        else:  # what changes may wake what sleeps on this thread's loop
            _at_once(_whole(answering))
        return understood(got[0]["status"], b"".join(message.get("body", b"") for message in got), wanted)


class Rooms:
    """The mocks of this process. Mutable: one for each world that was asked for."""

    def __init__(self) -> None:
        self._rooms: dict[Chosen, Room] = {}

    def room(self, chosen: Chosen) -> Room:
        """The mock of a world. Raises :class:`CannotStartError`, also for a world that cannot be shown here."""
        if chosen not in self._rooms:
            self._rooms[chosen] = _open(chosen)
        return self._rooms[chosen]


class LlmMockApp(LlmMock):
    """A mock as an ASGI application: ``httpx.AsyncClient(transport=httpx.ASGITransport(app=llm_mock_app))``.

    Every request that it gets belongs to its test, whatever the base URL. It raises :class:`NotInProcessError` for what
    has no meaning without a connection, rather than show a client something else.
    """

    def __init__(self, room: Room, test_id: str) -> None:
        super().__init__(room, test_id)
        self._app = room.app

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Answer one request."""
        if scope["type"] == "http":
            _refuse_unseen(_directives(scope))
            if not scope["path"].startswith(TEST_PREFIX):
                scope = {**scope, "headers": [*scope["headers"], (b"x-mock-test", self.test_id.encode())]}
        await self._app(scope, receive, send)


def _open(chosen: Chosen) -> Room:
    try:
        world = load_world(chosen.name)
    except WorldError as error:
        raise CannotStartError(str(error)) from None
    if world.latency_scale > 0:
        raise CannotStartError(
            f"world {chosen.name!r} has latencies, and in process a stream's pace cannot be seen; {_INSTEAD}, or a"
            " world with latency_scale = 0, such as 'instant'"
        )
    replies = (reply.fault for rule in world.answers for reply in rule.replies)
    try:
        _refuse_unseen([*(rule.fault for rule in world.faults), *replies])
    except NotInProcessError as error:
        raise CannotStartError(f"world {chosen.name!r}: {error}") from None
    clock = SimClock(chosen.time_scale, time.monotonic)
    engine = Engine(world, chosen.seed, clock.now())
    return Room(MockApp(engine, clock, time.time, world_name=chosen.name, version="in process"))


def _refuse_unseen(directives: Iterable[str | None]) -> None:
    """Raise :class:`NotInProcessError` for a fault that no client sees here; the mock says what is none."""
    for words in directives:
        try:
            fault = parse_fault(words or "")
        except FaultError:
            continue
        if (why := _unseen(fault)) is not None:
            raise NotInProcessError(f"{words!r} cannot be seen in process: {why}; {_INSTEAD}")


def _unseen(fault: Fault) -> str | None:
    if fault.kind == "delay" and fault.stage != "before_headers":
        return _UNSEEN["dribble"]
    return next((_UNSEEN[name] for name in (fault.kind, fault.framing) if name is not None and name in _UNSEEN), None)


def _faults_in(body: object) -> list[str | None]:
    """The faults that a rule for the control plane names."""
    if not isinstance(body, Mapping):
        return []
    replies = body.get("replies", ())
    found = [body.get("fault"), *(reply.get("fault") for reply in replies if isinstance(reply, Mapping))]
    return [words for words in found if isinstance(words, str)]


def _directives(scope: Scope) -> list[str]:
    """The faults that a request asks for itself."""
    sent = [value.decode("latin-1") for name, value in scope["headers"] if name.lower() == b"x-mock-fault"]
    return sent + parse_qs(scope["query_string"].decode("latin-1")).get("__fault", [])


def _scope(method: str, target: str, headers: Mapping[str, str]) -> Scope:
    path, _, query = target.partition("?")
    lines = [(name.lower().encode(), value.encode()) for name, value in headers.items()]
    return {
        "type": "http",
        "http_version": "1.1",
        "method": method,
        "scheme": "http",
        "path": path,
        "raw_path": path.encode(),
        "query_string": query.encode(),
        "root_path": "",
        "headers": [(b"host", BASE.partition("//")[2].encode()), *lines],
    }


async def _whole(answering: Any) -> None:
    await answering


def _at_once(coroutine: Coroutine[Any, Any, None]) -> None:
    """Run a coroutine that has nothing to wait for."""
    try:
        coroutine.send(None)
    except StopIteration:
        return
    coroutine.close()
    raise RefusedError("in process the mock cannot wait; await the client's calls first")

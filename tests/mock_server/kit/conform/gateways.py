"""Gateways in this very process: the mock, and the mock with one thing broken."""

from __future__ import annotations

import asyncio
import json
import time
from collections.abc import Callable
from typing import Any, NamedTuple

from starlette.types import ASGIApp, Message, Receive, Scope, Send

from mock_server.clock import SimClock
from mock_server.config import load_world
from mock_server.core.engine import Engine
from mock_server.core.world import ConnectionSettings
from mock_server.http.app import MockApp
from mock_server.kit.conform.asking import Asker, Keys
from mock_server.kit.conform.budget import Budget
from mock_server.kit.conform.defaults import MOCK_KEY, MOCK_KEYS
from mock_server.kit.conform.probes import TOO_LONG_WORDS
from mock_server.kit.conform.seen import Seen
from mock_server.kit.conform.target import Target, read_target
from mock_server.kit.conform.wire import Message as Asked
from mock_server.kit.conform.wire import NoReply, Reply
from tests.mock_server.served import Call, Served

TARGET = read_target("http://127.0.0.1:1")
KEYS = Keys(MOCK_KEY, MOCK_KEYS)
HEAD_BYTES = ConnectionSettings().head_bytes
ENOUGH = 10 * TOO_LONG_WORDS


class Request(NamedTuple):
    """A request as a gateway gets it."""

    method: str
    path: str
    headers: dict[str, list[str]]
    body: bytes

    @property
    def call(self) -> dict[str, Any]:
        """The body as a JSON object; empty where it is none."""
        try:
            document = json.loads(self.body)
        except ValueError:
            return {}
        return document if isinstance(document, dict) else {}

    @property
    def key(self) -> str:
        return "".join(self.headers.get("authorization", []))


class Got(NamedTuple):
    """An answer as a gateway gives it."""

    status: int
    headers: dict[str, list[str]]
    body: bytes

    @property
    def document(self) -> Any:
        return json.loads(self.body) if "json" in self.headers["content-type"][0] and self.body else {}


BreakRequest = Callable[[Request], Request]
BreakAnswer = Callable[[Request, Got], Got]


def broken(app: ASGIApp, request: BreakRequest | None = None, answer: BreakAnswer | None = None) -> ASGIApp:
    """``app`` behind something that changes what it is asked, or what it answers."""

    async def around(scope: Scope, receive: Receive, send: Send) -> None:
        body = b""
        while (message := await receive())["type"] == "http.request":
            body += message.get("body", b"")
            if not message.get("more_body"):
                break
        asked = Request(scope["method"], scope["path"], _named(scope["headers"]), body)
        changed = request(asked) if request else asked
        got = await _ask(app, changed)
        if answer is not None:
            got = answer(asked, got)
        await send({"type": "http.response.start", "status": got.status, "headers": _lines(got.headers)})
        await send({"type": "http.response.body", "body": got.body})

    return around


async def _ask(app: ASGIApp, request: Request) -> Got:
    scope = {
        "type": "http",
        "asgi": {"version": "3.0"},
        "http_version": "1.1",
        "method": request.method,
        "scheme": "http",
        "path": request.path,
        "raw_path": request.path.encode(),
        "query_string": b"",
        "root_path": "",
        "headers": _lines(request.headers),
        "client": ("127.0.0.1", 1),
        "server": ("127.0.0.1", 2),
    }
    asked, parts, head = False, list[bytes](), dict[str, Any]()

    async def receive() -> Message:
        nonlocal asked
        if asked:
            await asyncio.Event().wait()
        asked = True
        return {"type": "http.request", "body": request.body}

    async def send(message: Message) -> None:
        if message["type"] == "http.response.start":
            head.update(message)
        else:
            parts.append(message.get("body", b""))

    await app(scope, receive, send)
    return Got(head["status"], _named(head["headers"]), b"".join(parts))


def _named(lines: Any) -> dict[str, list[str]]:
    named: dict[str, list[str]] = {}
    for name, value in lines:
        named.setdefault(name.decode("latin-1").lower(), []).append(value.decode("latin-1"))
    return named


def _lines(named: dict[str, list[str]]) -> list[tuple[bytes, bytes]]:
    return [(name.encode(), value.encode("latin-1")) for name, values in named.items() for value in values]


class Mock:
    """The mock in a world, as good as new for each conversation."""

    def __init__(self, world: str) -> None:
        self.clock = SimClock(1.0, time.monotonic)
        self.engine = Engine(load_world(world), 0, 0.0)
        self.app = MockApp(self.engine, self.clock, time.time, world_name=world, version="1")

    def seen(
        self,
        request: BreakRequest | None = None,
        answer: BreakAnswer | None = None,
        budget: Budget | None = None,
        keys: Keys = KEYS,
    ) -> Seen:
        """What a whole conversation with it shows, with one thing broken or none."""
        self.engine.reset(None, self.clock.now())
        gateway = broken(self.app, request, answer)
        budget = budget or Budget(1_000, ENOUGH)

        def send(_target: Target, message: Asked, _timeout_s: float) -> Reply | NoReply:
            headers = _named((name.encode(), value.encode()) for name, value in message.lines)
            asked = Request(message.method, message.path, headers, message.body)
            if sum(map(len, _lines(asked.headers)[-1])) > HEAD_BYTES:  # refused before the application sees it
                got = runner.run(self._at_the_door(asked))
                got = answer(asked, got) if answer else got
            else:
                got = runner.run(_ask(gateway, asked))
            body = b"" if message.method == "HEAD" else got.body
            lines = tuple((name, value) for name, values in got.headers.items() for value in values)
            return Reply(got.status, lines, body, 0.0, ((0.0, len(body)),))

        with asyncio.Runner() as runner:
            asker = Asker(TARGET, keys, budget, timeout_s=1.0, patience_s=0.5, send=send, wait=_no_wait)
            return asker.ask_all()

    async def _at_the_door(self, asked: Request) -> Got:
        """What the mock's server itself answers."""
        call = Call(asked.method, b"", _lines(asked.headers), asked.body, asked.path)
        status, lines, writes, _ = await Served(self.app).answer(call)
        return Got(status, _named(lines), b"".join(writes))


def _no_wait(seconds: float) -> None:
    raise AssertionError(f"nobody has {seconds} s to wait")

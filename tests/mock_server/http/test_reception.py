"""What a client may send, when it is waited for and for how long, and how it is told."""

from __future__ import annotations

import asyncio
import gc
import json
import time
import weakref
from collections.abc import Awaitable, Callable
from functools import cache
from pathlib import Path
from time import monotonic

import pytest
from starlette.types import Receive, Scope, Send

from mock_server.clock import SimClock
from mock_server.config import load_world
from mock_server.contract.errors import HEADERS_TOO_LARGE
from mock_server.core.engine import Engine
from mock_server.core.world import ConnectionSettings
from mock_server.http.app import MockApp
from mock_server.http.body import DRAIN_BYTES
from mock_server.http.protocol import MockProtocol
from mock_server.http.reception import ANSWER_WITHIN_S, LINGER_S
from tests.mock_server.served import Served, Transport, until
from tests.mock_server.wire import chat, raw_call

LIMITS = ConnectionSettings()
HEAD = b"POST /v1/llm/auto HTTP/1.1\r\nHost: localhost\r\nAuthorization: Bearer sk-test-unlimited\r\n"
EXPECTING = raw_call().replace(b"Host:", b"Expect: 100-continue\r\nHost:")
SLOW = raw_call().replace(b"Host:", b"X-Mock-Fault: delay;for=600\r\nHost:")
QUICK = raw_call({"messages": []})  # a 400, which waits for nobody


@cache
def a_mock() -> MockApp:
    clock = SimClock(1.0, time.monotonic)
    return MockApp(Engine(load_world("instant"), 0, 0.0), clock, time.time, world_name="instant", version="1")


class Client:
    """One connection to a mock in this process."""

    def __init__(self, served: Served | None = None) -> None:
        self.served = served or Served(a_mock())
        self.connection: MockProtocol = self.served.connect()
        transport = self.connection.transport
        assert isinstance(transport, Transport)
        self.transport = transport

    async def send(self, *parts: bytes) -> None:
        for part in parts:
            self.connection.data_received(part)
            await self.turn()

    async def turn(self) -> None:
        for _ in range(10):
            await asyncio.sleep(0)

    async def look(self, after_s: float) -> None:
        """What the server's look finds after so many seconds from now."""
        self.connection.look(monotonic() + after_s)
        await self.turn()

    def statuses(self) -> list[int]:
        heads = b"".join(self.transport.written).split(b"HTTP/1.1 ")[1:]
        return [int(head[:3]) for head in heads]


LATE_S = 1_000.0


def head_of(size: int) -> bytes:
    """A head that asks for a path there is not, of ``size`` bytes."""
    start = b"GET /nowhere HTTP/1.1\r\nHost: mock\r\nX-Mock-Test: large\r\nX-Long: "
    return start + b"a" * (size - len(start) - 4) + b"\r\n\r\n"


def played(play: Callable[[Client], Awaitable[None]]) -> None:
    async def run() -> None:
        client = Client()
        await play(client)
        client.connection.connection_lost(None)
        await client.turn()

    asyncio.run(run())


@pytest.mark.parametrize("over", [0, 1])
@pytest.mark.parametrize("cuts", [(), (10,), (65_535,), (40, 30_000)])
def test_a_head_may_have_64_kib_however_it_is_cut(over: int, cuts: tuple[int, ...]) -> None:
    head = head_of(LIMITS.head_bytes + over)
    ends = [*cuts, len(head)]

    async def play(client: Client) -> None:
        await client.send(*(head[start:end] for start, end in zip([0, *cuts], ends, strict=True)))
        assert client.statuses() == [431 if over else 404]

    played(play)


def test_the_heads_of_pipelined_requests_are_measured_one_by_one() -> None:
    async def play(client: Client) -> None:
        many = QUICK * 500
        assert len(many) > LIMITS.head_bytes
        await client.send(many + QUICK[:50], QUICK[50:])
        assert client.statuses() == [400] * 501

    played(play)


def test_a_connection_without_any_of_a_request_is_idle_and_not_late() -> None:
    async def play(client: Client) -> None:
        await client.send(b"\r\n", QUICK, b"\r\n")
        await client.look(0)
        await client.look(LIMITS.head_timeout_s + LIMITS.body_timeout_s)
        assert (client.statuses(), client.transport.closing) == ([400], False)
        await client.look(LIMITS.idle_timeout_s + 1)
        assert (client.statuses(), client.transport.closing) == ([400], True)

    played(play)


def test_a_body_that_progresses_has_all_the_time_it_needs() -> None:
    body = json.dumps(chat("x" * 100_000)).encode()
    call = raw_call(body)

    async def play(client: Client) -> None:
        await client.send(call[:60_000])
        await client.look(LIMITS.body_timeout_s + 50)
        await client.send(call[60_000:90_000])
        await client.look(LIMITS.body_timeout_s + 80)
        assert client.statuses() == []
        await client.look(LIMITS.body_timeout_s + 100)
        assert client.statuses() == [408]

    played(play)


@pytest.mark.parametrize("half", [HEAD, QUICK[:-1], EXPECTING[:-1], b"\0"], ids=["head", "body", "expect", "no http"])
def test_what_is_half_sent_behind_a_call_in_flight_waits_for_its_answer(half: bytes) -> None:
    async def play(client: Client) -> None:
        await client.send(SLOW, half)
        for after_s in (LATE_S, 2 * LATE_S):
            await client.look(after_s)
        assert client.statuses() == []
        client.served.mock.context.clock.advance(700.0)
        await until(lambda: bool(client.transport.written))
        await client.look(2 * LATE_S + 1)
        await client.look(4 * LATE_S)
        statuses = [status for status in client.statuses() if status != 100]
        assert statuses == [200, 400 if half == b"\0" else 408]

    played(play)


def test_a_call_that_has_come_whole_may_take_as_long_as_it_takes() -> None:
    async def play(client: Client) -> None:
        await client.send(SLOW[:-1], SLOW[-1:])
        for after_s in (LATE_S, 2 * LATE_S, 3 * LATE_S):
            await client.look(after_s)
        assert (client.statuses(), client.transport.closing) == ([], False)

    played(play)


@pytest.mark.parametrize(
    ("sent", "closed"), [(HEAD, True), (SLOW[:-1], True), (QUICK + HEAD, True), (SLOW, False), (SLOW + HEAD, False)]
)
def test_a_server_that_ends_gives_a_moment_to_calls_that_came_whole_alone(sent: bytes, closed: bool) -> None:
    async def play(client: Client) -> None:
        await client.send(sent)
        client.connection.shutdown()
        assert client.transport.closing is closed

    played(play)


def test_a_body_for_which_the_answer_did_not_wait_ends_the_connection_without_another() -> None:
    async def play(client: Client) -> None:
        await client.send(QUICK.replace(b"sk-test-unlimited", b"nobody")[:-1])
        await client.look(LATE_S)
        assert (client.statuses(), client.transport.eof) == ([401], True)
        await client.look(2 * LATE_S)
        assert client.transport.closing

    played(play)


def test_a_refused_client_is_read_on_for_a_while_and_then_cut_off() -> None:
    async def play(client: Client) -> None:
        await client.send(head_of(70_000), b"a" * 100_000)
        await client.look(LINGER_S / 2)
        assert (client.statuses(), client.transport.closing) == ([431], False)
        await client.look(LINGER_S * 2)
        assert client.transport.closing

    played(play)


def test_an_application_that_reads_the_body_itself_is_answered_for() -> None:
    async def around(_scope: Scope, receive: Receive, _send: Send) -> None:
        while (await receive())["type"] != "http.disconnect":
            pass

    async def run() -> None:
        client = Client(Served(a_mock(), app=around))
        await client.send(QUICK[:-1])
        await client.look(LATE_S)
        assert client.statuses() == []
        await client.look(LATE_S + ANSWER_WITHIN_S)
        assert (client.statuses(), client.transport.eof) == ([408], True)
        await until(lambda: not client.connection.tasks)

    asyncio.run(run())


def test_no_look_keeps_a_connection_alive() -> None:
    async def run() -> None:
        served = Served(a_mock())
        gone = []
        for half in (QUICK, QUICK[:-1], HEAD, head_of(70_000), b"\0"):
            client = Client(served)
            await client.send(half)
            await client.look(LATE_S)
            client.connection.connection_lost(None)
            gone.append(weakref.ref(client.connection))
            await client.turn()
        del client
        gc.collect()
        assert [reference() for reference in gone] == [None] * 5

    asyncio.run(run())


def test_the_documents_tell_the_limits() -> None:
    size = f"over {LIMITS.head_bytes // 1024} KiB"
    text = (Path(__file__).parents[3] / "docs" / "contract-testing.md").read_text(encoding="utf-8")
    section = text.partition("## Requests that do not come as they should")[2].partition("\n## ")[0]
    for said in (
        f"headers {size}, or",
        f"half a head, {LIMITS.head_timeout_s:g} s after",
        f"half a body, {LIMITS.body_timeout_s:g} s after",
        f"nothing for {LIMITS.idle_timeout_s:g} s",
        f"up to {LINGER_S:g} s and {DRAIN_BYTES // 1024**2} MiB",
    ):
        assert said in section
    assert size in HEADERS_TOO_LARGE.when

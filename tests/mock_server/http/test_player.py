"""Scripts played in real time: what is written in which turn of the loop, to clients that read and that do not.

And time that jumps by itself, beside calls that wait for their clients.
"""

from __future__ import annotations

import asyncio
import time
from typing import Any

import pytest

from mock_server.clock import SimClock
from mock_server.config import build_world
from mock_server.core.engine import Engine
from mock_server.edge.timeline import WRITE_CHARS
from mock_server.http import player
from mock_server.http.app import MockApp
from mock_server.http.protocol import MockProtocol
from mock_server.http.wire import CycleWire
from tests.mock_server.http.test_parity import a_mock
from tests.mock_server.http.test_protocol import a_call
from tests.mock_server.served import Call, Served, Transport, bytes_of, read, until
from tests.mock_server.wire import events, text_of

TIMEOUT_S = 10.0
HIGH_WATER_BYTES = 65_536  # asyncio's and uvloop's
LONG = "word " * 20_000
LONG_WORLD = f"""
extends = "instant"

[plans.single]
concurrent = 1

[accounts.sk-single]
plan = "single"

[[answers]]
match = {{ contains = "long" }}
replies = [{{ text = "{LONG}" }}]
"""


async def beside(mock: MockApp, waiting: Call, *, reads: bool) -> int:
    """The status of a call whose model takes its time, beside one that waits for its client."""
    served = Served(mock)
    other = served.connect()
    other.data_received(bytes_of(waiting))
    await asyncio.sleep(0)
    if not reads:
        other.pause_writing()  # the client reads no more
    got = await asyncio.wait_for(answered(served, a_call(max_tokens=20)), TIMEOUT_S)
    assert mock.context.journal.in_flight == 1
    other.connection_lost(None)
    await until(lambda: mock.context.journal.in_flight == 0)
    return got


async def answered(served: Served, call: Call) -> int:
    connection = served.connect()
    connection.data_received(bytes_of(call))
    transport = connection.transport
    assert isinstance(transport, Transport)
    await until(lambda: bool(transport.written))
    return read(transport.written, transport.closing).status


@pytest.mark.parametrize(
    ("waiting", "reads"),
    [
        (a_call(stream=True, max_tokens=20), False),
        *(
            (call._replace(headers=[*call.headers, (b"x-mock-fault", fault)]), True)
            for call, fault in (
                (a_call(), b"stall"),
                (a_call(stream=True), b"stall;stage=mid_stream;after=2"),
            )
        ),
    ],
    ids=["does not read", "stalled", "stalled in the middle"],
)
def test_time_jumps_on_beside_a_call_that_waits_for_its_client(waiting: Call, reads: bool) -> None:
    assert asyncio.run(beside(a_mock(0), waiting, reads=reads)) == 200


@pytest.mark.parametrize("fault", [b"reset", b"fin", b"stall;for=1", b"truncated_json"])
def test_time_jumps_on_while_a_connection_is_broken(fault: bytes, monkeypatch: pytest.MonkeyPatch) -> None:
    async def in_vain(wire: CycleWire) -> None:
        await until(lambda: wire.gone)

    monkeypatch.setattr(CycleWire, "reset", in_vain)
    monkeypatch.setattr(CycleWire, "fin", in_vain)
    call = a_call()
    struck = call._replace(headers=[*call.headers, (b"x-mock-fault", fault)])
    assert asyncio.run(beside(a_mock(0), struck, reads=True)) == 200


class Client(Transport):
    """A client that stops reading when told, at which the transport asks for no more. It notes turns of the loop."""

    def __init__(self) -> None:
        super().__init__()
        self.turn = 0
        self.turns: list[int] = []
        self.reads = True
        self.unread = 0
        self.connection: MockProtocol | None = None

    def write(self, data: Any) -> None:
        super().write(data)
        self.turns.append(self.turn)
        if not self.reads:
            self.unread += len(data)
            if self.unread > HIGH_WATER_BYTES and self.connection is not None:
                self.connection.pause_writing()

    async def let_turn(self, turns: int) -> None:
        for _ in range(turns):
            await asyncio.sleep(0)
            self.turn += 1


def long_mock() -> MockApp:
    engine = Engine(build_world(LONG_WORLD, "long.toml"), 0, 0.0)
    return MockApp(engine, SimClock(1.0, time.monotonic), time.time, world_name="", version="1")


def client_of(mock: MockApp, call: Call, *, reads: bool = True, split: bool = False) -> Client:
    """A client that has just sent this call."""
    client = Client()
    client.reads = reads
    connection = client.connection = Served(mock).connect(client)
    data = bytes_of(call)
    cut = len(data) - 1 if split else len(data)
    for part in (data[:cut], data[cut:]):
        connection.data_received(part)
    return client


def text_in(client: Client) -> str:
    got = read(client.written, client.closing)
    assert (got.status, got.broken) == (200, False)
    return text_of(events(b"".join(got.writes))[0])


@pytest.mark.parametrize("split", [False, True], ids=["at once", "played"])
def test_a_stream_of_which_all_is_due_is_one_write(split: bool) -> None:
    async def ask() -> Client:
        client = client_of(long_mock(), a_call(stream=True, max_tokens=60), split=split)
        await client.let_turn(20)
        return client

    client = asyncio.run(ask())
    assert len(text_in(client).split()) > 30
    assert len(client.written) == 1


def test_a_long_stream_is_a_write_of_bounded_size_in_each_turn_of_the_loop() -> None:
    async def ask() -> Client:
        client = client_of(long_mock(), a_call(text="long", stream=True))
        await client.let_turn(200)
        return client

    client = asyncio.run(ask())
    assert text_in(client) == LONG
    needed = len(LONG) / WRITE_CHARS
    assert needed <= len(client.written) <= needed + 3  # the head, the closing events, and what is left over
    assert max(map(len, client.written)) < HIGH_WATER_BYTES
    assert len(set(client.turns)) >= needed


def test_a_client_that_does_not_read_is_sent_no_more_until_it_does_and_then_all_the_rest() -> None:
    async def ask() -> Client:
        client = client_of(mock, a_call(text="long", stream=True), reads=False)
        assert client.connection is not None
        await client.let_turn(200)
        assert HIGH_WATER_BYTES < client.unread < 2 * HIGH_WATER_BYTES
        assert mock.context.journal.in_flight == 1
        client.reads = True
        client.connection.resume_writing()
        await client.let_turn(200)
        return client

    mock = long_mock()
    assert text_in(asyncio.run(ask())) == LONG
    assert mock.context.journal.in_flight == 0


def test_who_waits_for_a_call_whose_client_does_not_read_is_told_a_day_until_it_does(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setattr(player, "_UNREAD_S", 0.0)
    headers = [(b"authorization", b"Bearer sk-single"), (b"content-type", b"application/json")]

    async def retry_after() -> bytes:
        call = a_call()
        got = await asyncio.wait_for(Served(mock).answer(call._replace(headers=headers_of(call))), TIMEOUT_S)
        assert got.status in (200, 429)
        return dict(got.headers).get(b"retry-after", b"")

    def headers_of(call: Call) -> list[tuple[bytes, bytes]]:
        return [line for line in call.headers if line[0] in (b"host", b"content-length")] + headers

    async def ask() -> list[bytes]:
        call = a_call(text="long", stream=True)
        client = client_of(mock, call._replace(headers=headers_of(call)), reads=False)
        assert client.connection is not None
        told = [await retry_after()]
        await until(lambda: client.unread > HIGH_WATER_BYTES)
        await client.let_turn(20)
        told.append(await retry_after())
        client.reads = True
        client.connection.resume_writing()
        await client.let_turn(5)
        told.append(await retry_after())
        await client.let_turn(200)
        return [*told, await retry_after()]

    mock = long_mock()
    assert asyncio.run(ask()) == [b"1", b"86400", b"1", b""]


def test_a_client_that_leaves_in_the_middle_of_a_long_stream_pays_for_what_was_sent() -> None:
    async def ask() -> None:
        client = client_of(mock, a_call(text="long", stream=True), reads=False)
        assert client.connection is not None
        await client.let_turn(200)
        client.connection.connection_lost(None)
        await client.let_turn(5)

    mock = long_mock()
    asyncio.run(ask())
    (entry,) = (record.entry for record in mock.context.journal.records())
    assert entry.ending == "abandoned"
    assert entry.prompt_tokens < entry.charged < entry.prompt_tokens + entry.completion_tokens

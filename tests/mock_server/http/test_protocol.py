"""What stands around the mock, or happens beside a call, and must not matter to the others."""

from __future__ import annotations

import asyncio
import gc
import json
import logging
import time
from typing import Any

import pytest
from starlette.types import Receive, Scope, Send

from mock_server.clock import SimClock
from mock_server.config import load_world
from mock_server.contract.errors import INTERNAL_ERROR
from mock_server.core.engine import Engine
from mock_server.http.app import MockApp
from tests.mock_server.served import Call, Served, Transport, bytes_of, read, until
from tests.mock_server.wire import REQUEST_ID, chat, heads


def instant_mock() -> MockApp:
    clock = SimClock(1.0, time.monotonic)
    return MockApp(Engine(load_world("instant"), 0, 0.0), clock, time.time, world_name="instant", version="1")


def a_call(**fields: Any) -> Call:
    body = json.dumps(chat(**fields)).encode()
    headers = {"Host": "mock", "Content-Length": str(len(body))} | heads()
    return Call("POST", b"", [(name.lower().encode(), value.encode()) for name, value in headers.items()], body)


def in_parts(fault: bytes = b"framing=comments") -> Call:
    """A call whose answer is played: a stream that is not sent in one piece."""
    call = a_call(stream=True)
    return call._replace(headers=[*call.headers, (b"x-mock-fault", fault)])


def statuses(served: Served, *calls: Call) -> list[int]:
    """The statuses of calls on one connection, one after the other."""

    async def ask() -> list[int]:
        return [(await served.answer(call)).status for call in calls]

    return asyncio.run(ask())


def test_an_application_around_the_mock_leaves_its_calls_answered_at_once() -> None:
    mock, through = instant_mock(), list[str]()

    async def around(scope: Scope, receive: Receive, send: Send) -> None:
        through.append(scope["path"])
        await mock(scope, receive, send)

    served = Served(mock, app=around)
    assert statuses(served, a_call(), a_call(stream=True), in_parts()) == [200, 200, 200]
    assert (served.at_once, through) == (2, ["/v1/llm/auto"])


def test_an_access_log_tells_of_every_call_and_leaves_them_answered_at_once(caplog: pytest.LogCaptureFixture) -> None:
    served = Served(instant_mock(), access_log=True)
    with caplog.at_level(logging.INFO, "uvicorn.access"):
        odd = a_call()._replace(method="PUT", query=b"?a=b")
        assert statuses(served, a_call(), a_call(stream=True), in_parts(), odd) == [200, 200, 200, 405]
    assert served.at_once == 2
    told = [record.getMessage() for record in caplog.records if record.name == "uvicorn.access"]
    *calls, last = (line.partition(" - ")[2] for line in told)
    assert calls == ['"POST /v1/llm/auto HTTP/1.1" 200'] * 3
    assert last == '"PUT /v1/llm/auto?a=b HTTP/1.1" 405'


HEALTH = Call("GET", b"", [(b"host", b"localhost")], b"", "/__mock__/health")
MISSING = HEALTH._replace(path="/nowhere")


@pytest.mark.parametrize(
    "call",
    [HEALTH, MISSING, a_call(), a_call(stream=True), in_parts()],
    ids=["control", "404", "call", "stream", "stream in parts"],
)
def test_hundreds_of_requests_on_one_connection_leave_nothing_behind(call: Call) -> None:
    mock = instant_mock()
    served = Served(mock)

    async def growth() -> int:
        async def ask(times: int) -> int:
            for _ in range(times):
                await served.answer(call)
            mock.context.journal.clear(None)
            mock.context.engine.reset(None, 0.0)
            gc.collect()
            return len(gc.get_objects())

        await ask(20)
        before = await ask(20)
        return await ask(400) - before

    assert asyncio.run(growth()) < 100


def test_an_error_while_one_connection_is_answered_keeps_none_of_the_others_from_it(
    caplog: pytest.LogCaptureFixture, monkeypatch: pytest.MonkeyPatch
) -> None:
    served = Served(instant_mock())

    async def ask() -> list[Transport]:
        connections = [served.connect() for _ in range(3)]
        for connection in connections:
            connection.data_received(bytes_of(a_call()))
        transports = [connection.transport for connection in connections]
        monkeypatch.setattr(transports[1], "write", broken)
        await asyncio.sleep(0)
        return [transport for transport in transports if isinstance(transport, Transport)]

    first, second, third = asyncio.run(ask())
    assert [read(each.written, each.closing).status for each in (first, third)] == [200, 200]
    assert (second.written, second.closing) == ([], True)
    assert "no such wire" in caplog.text


def broken(*_: object, **__: object) -> None:
    raise OSError("no such wire")


def test_an_application_that_raises_is_a_500_with_an_id(caplog: pytest.LogCaptureFixture) -> None:
    async def around(_scope: Scope, _receive: Receive, _send: Send) -> None:
        raise OSError("no such thing")

    got = asyncio.run(Served(instant_mock(), app=around).answer(in_parts()))
    assert got.status == 500
    assert REQUEST_ID.fullmatch(dict(got.headers)[b"x-request-id"].decode())
    assert "no such thing" in caplog.text


@pytest.mark.parametrize("split", [False, True])
def test_an_error_of_our_own_is_the_documented_500_and_in_the_journal(
    split: bool, caplog: pytest.LogCaptureFixture, monkeypatch: pytest.MonkeyPatch
) -> None:
    served = Served(instant_mock(), split=split)
    monkeypatch.setattr(served.mock.context.engine, "start", broken)
    got = asyncio.run(served.answer(a_call()))
    assert (got.status, json.loads(got.writes[0])["error"]["code"]) == (500, INTERNAL_ERROR.code)
    (record,) = served.mock.context.journal.records()
    assert (record.entry.status, record.entry.ending) == (500, "complete")
    assert record.entry.request_id.encode() == dict(got.headers)[b"x-request-id"]
    assert "no such wire" in caplog.text


@pytest.mark.parametrize("call", [a_call(stream=True), in_parts()], ids=["at once", "in parts"])
def test_a_stream_to_a_client_of_http_1_0_has_no_chunks_and_ends_with_its_connection(call: Call) -> None:
    async def ask() -> Transport:
        served = Served(instant_mock())
        connection = served.connect()
        connection.data_received(bytes_of(call).replace(b"HTTP/1.1", b"HTTP/1.0", 1))
        transport = connection.transport
        assert isinstance(transport, Transport)
        await until(lambda: transport.closing)
        return transport

    head, _, body = b"".join(asyncio.run(ask()).written).partition(b"\r\n\r\n")
    assert b"transfer-encoding" not in head.lower()
    assert body.startswith((b"data: {", b": "))
    assert body.endswith(b"data: [DONE]\n\n")

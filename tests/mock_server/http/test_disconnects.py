from __future__ import annotations

import socket
import struct
import sys
from pathlib import Path
from typing import Any

import pytest

from mock_server.contract.tokens import estimate
from tests.mock_server.conftest import StartMock
from tests.mock_server.wire import Connection, Mock, chat, eventually, raw_call

KEY = "sk-test-pro"
STEADY = {"models": ["slow/steady"]}
# Longer than any test waits: what ends sooner, ended because the client left.
LONG = chat("Tell me of the sea", strategy=STEADY, max_tokens=20_000)
RST = struct.pack("ii", 1, 0)


def send(connection: Connection, body: dict[str, Any]) -> None:
    connection.send(raw_call(body).replace(b"sk-test-unlimited", KEY.encode()))


def forgotten(mock: Mock) -> bool:
    account = mock.account(KEY)
    return mock.idle() and account["reserved"] == 0 and account["in_flight"] == 0


def leave(connection: Connection, how: str) -> None:
    if how == "reset":
        connection.socket.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, RST)
    connection.close()


@pytest.fixture(scope="module")
def prompt_tokens(patient_mock: Mock) -> int:
    body = LONG | {"max_tokens": 1}
    return int(patient_mock.call(body).json()["usage"]["prompt_tokens"])


@pytest.mark.parametrize("stream", [False, True])
@pytest.mark.parametrize("how", ["fin", "reset"])
def test_a_client_that_leaves_while_it_waits_frees_its_place_and_pays_the_prompt(
    slow_mock: Mock, prompt_tokens: int, how: str, stream: bool
) -> None:
    connection = slow_mock.connect()
    send(connection, LONG | {"stream": stream})
    eventually(lambda: slow_mock.account(KEY)["in_flight"] == 1)
    assert slow_mock.account(KEY)["reserved"] > 20_000
    leave(connection, how)
    eventually(lambda: forgotten(slow_mock))
    (entry,) = slow_mock.control("requests")["entries"]
    assert (entry["ending"], entry["charged"]) == ("abandoned", prompt_tokens)
    assert slow_mock.account(KEY)["charged"] == prompt_tokens
    assert slow_mock.control("requests")["totals"]["abandoned"] == 1


def read_pieces(connection: Connection, count: int) -> str:
    """The text of the first ``count`` chunks of a stream."""
    assert connection.head()[0] == 200
    chunks = connection.chunks()
    received = b"".join(next(chunks) for _ in range(count)).decode()
    return "".join(part.partition('","done":false')[0] for part in received.split('data: {"response":"')[1:])


def leave_mid_stream(mock: Mock) -> str:
    """Read a few pieces of a stream, then leave; the text that was read."""
    connection = mock.connect()
    send(connection, LONG | {"stream": True})
    text = read_pieces(connection, 4)
    connection.close()
    eventually(lambda: forgotten(mock))
    return text


def test_a_client_that_leaves_a_stream_pays_prompt_and_what_was_sent(slow_mock: Mock, prompt_tokens: int) -> None:
    text = leave_mid_stream(slow_mock)
    account = slow_mock.account(KEY)
    assert prompt_tokens < account["charged"] < prompt_tokens + 20
    assert account["charged"] >= prompt_tokens + estimate(text)
    assert 100_000_000 - account["balance"] == account["charged"]
    (entry,) = slow_mock.control("requests")["entries"]
    assert (entry["status"], entry["ending"], entry["stream"]) == (200, "abandoned", True)


@pytest.mark.parametrize("charge", ["none", "generated"])
def test_a_world_decides_what_a_client_that_leaves_pays(
    start_mock: StartMock, tmp_path: Path, slow_world: str, prompt_tokens: int, charge: str
) -> None:
    path = tmp_path / "own.toml"
    path.write_text(f'{Path(slow_world).read_text()}\n[gateway]\nabandoned_charge = "{charge}"\n')
    own = start_mock("--world", str(path))
    text = leave_mid_stream(own)
    charged = own.account(KEY)["charged"]
    if charge == "none":
        assert charged == 0
    else:
        assert charged > prompt_tokens + estimate(text) + 10


def test_a_client_that_leaves_during_its_request_costs_nothing(slow_mock: Mock) -> None:
    connection = slow_mock.connect()
    send(connection, LONG)
    connection.close()
    partial = slow_mock.connect()
    partial.send(raw_call(LONG).replace(b"sk-test-unlimited", b"sk-test-basic")[:-10])
    eventually(lambda: slow_mock.control("health")["in_flight"] >= 1)
    partial.close()
    eventually(lambda: forgotten(slow_mock))
    assert slow_mock.account("sk-test-basic")["charged"] == 0
    assert slow_mock.call(chat(strategy=STEADY, max_tokens=1), key="sk-test-basic").status_code == 200


def test_the_call_that_follows_on_a_connection_is_given_up_with_it(slow_mock: Mock) -> None:
    connection = slow_mock.connect()
    send(connection, LONG | {"max_tokens": 1})
    send(connection, LONG)
    assert connection.answer().status == 200
    eventually(lambda: slow_mock.account(KEY)["in_flight"] == 1)
    connection.close()
    eventually(lambda: forgotten(slow_mock))


def test_a_stream_is_given_up_even_where_more_calls_wait_behind_it(start_mock: StartMock, slow_world: str) -> None:
    own = start_mock("--world", slow_world)
    connection = own.connect()
    send(connection, LONG | {"max_tokens": 1})
    send(connection, LONG | {"stream": True})
    assert connection.answer().status == 200
    read_pieces(connection, 1)
    send(connection, LONG)
    next(connection.chunks())
    leave(connection, "reset")
    eventually(lambda: forgotten(own))


@pytest.mark.skipif(sys.platform != "linux", reason="elsewhere the kernel does not tell")
@pytest.mark.parametrize("how", ["fin", "reset"])
@pytest.mark.parametrize("fault", ["stall", "stall;stage=mid_stream", "done_then_hang", "delay;for=86400", ""])
def test_an_answer_without_end_is_given_up_even_where_more_calls_wait_behind_it(
    slow_mock: Mock, fault: str, how: str
) -> None:
    connection = slow_mock.connect()
    stream = "stage" in fault or fault == "done_then_hang"
    hanging = raw_call(LONG | {"stream": stream, "max_tokens": 1 if fault else 20_000})
    struck = hanging.replace(b"Host", b"X-Mock-Fault: %b\r\nHost" % fault.encode() if fault else b"Host")
    connection.send((struck + hanging * 2).replace(b"sk-test-unlimited", KEY.encode()))
    eventually(lambda: slow_mock.account(KEY)["in_flight"] == 1)
    leave(connection, how)
    eventually(lambda: forgotten(slow_mock))


def test_a_client_that_leaves_does_not_disturb_the_others(slow_mock: Mock) -> None:
    body = chat(strategy=STEADY, max_tokens=3)
    with slow_mock.connect() as patient:
        patient.send(raw_call(body))
        leavers = [slow_mock.connect() for _ in range(10)]
        for connection in leavers:
            send(connection, LONG | {"stream": True})
        eventually(lambda: slow_mock.account(KEY)["in_flight"] == 10)
        for connection in leavers:
            connection.close()
        assert patient.answer().status == 200
    eventually(lambda: forgotten(slow_mock))
    assert slow_mock.control("requests")["totals"]["abandoned"] == 10


def test_a_client_that_only_stops_sending_still_gets_its_answer_or_is_given_up(slow_mock: Mock) -> None:
    with slow_mock.connect() as connection:
        send(connection, chat(strategy=STEADY, max_tokens=2))
        connection.socket.shutdown(socket.SHUT_WR)
        received = connection.rest()
    assert received == b"" or received.startswith(b"HTTP/1.1 200 ")
    eventually(lambda: forgotten(slow_mock))

"""What goes through the recorder comes out as it went in: bytes, pace, breaks, and who leaves first."""

from __future__ import annotations

import json
import os
import re
import socket
import ssl
import threading
from collections.abc import Callable, Iterator

import httpx
import pytest

from mock_server.launch import Launched, LaunchError
from tests.mock_server.kit.proxy.recorders import Gateway, command, read_request, recording, reset
from tests.mock_server.wire import Connection, Mock, chat, eventually, heads, raw_call

FRAMINGS = ["comments", "crlf", "coalesced", "bytewise", "split_utf8", "multiline", "retry_lines"]
BREAKS = [
    "reset",
    "fin",
    "reset;stage=before_first_token",
    "fin;stage=before_first_token",
    "reset;stage=mid_stream;after=3",
    "fin;stage=mid_stream;after=3",
    "eof;stage=mid_stream;after=3",
    "error_event;stage=mid_stream;after=3",
    "garbage_event;stage=mid_stream;after=3",
    "reset;stage=before_done",
]


@pytest.fixture(scope="module")
def recorder(instant_mock: Mock) -> Iterator[Launched]:
    with recording(instant_mock.url) as launched:
        yield launched
        assert launched.stop()[0] in (0, 1)
        assert "Traceback" not in launched.complaints()


def told(port: int, request: bytes, *, or_reset: bool = True) -> tuple[bytes, str]:
    """All that is answered on a connection until it ends, without what differs from call to call; and how it ends."""
    with socket.create_connection(("127.0.0.1", port), timeout=20) as connection:
        connection.sendall(request)
        came = b""
        try:
            while more := connection.recv(65_536):
                came += more
        except ConnectionResetError:
            if not or_reset:
                raise
            return _same(came), "reset"
    return _same(came), "closed"


def _same(answer: bytes) -> bytes:
    lines = answer.split(b"\r\n")
    named = (b"server-timing", b"date", b"x-request-id")
    return b"\r\n".join(line for line in lines if not line.lower().startswith(named))


def asked(body: object, *lines: str) -> bytes:
    head, _, content = raw_call(body, close=True).partition(b"\r\n\r\n")
    return b"\r\n".join([head, *(line.encode() for line in lines)]) + b"\r\n\r\n" + content


def same_both_ways(mock: Mock, recorder: Launched, request: bytes) -> tuple[bytes, str]:
    """What is told straight and through the recorder, which has to be the same, but for the ids."""
    mock.reset()
    straight = told(mock.port, request)
    mock.reset()
    through = told(recorder.port, request)
    assert [_without_ids(straight[0]), straight[1]] == [_without_ids(through[0]), through[1]]
    return through


def _without_ids(answer: bytes) -> bytes:
    return re.sub(rb"req_[0-9a-f]{7}", b"req_", answer.replace(b"\r\n1\r\n", b""))  # bytes that are chunks of their own


@pytest.mark.parametrize(
    "request_bytes",
    [
        asked(chat()),
        asked(chat("你好", stream=True)),
        asked(chat(), "Prefer: code=429"),
        asked(b"{"),
        asked(chat(max_tokens=0)),
        raw_call(chat(), close=True).replace(b"POST /v1/llm/auto", b"GET /nowhere"),
        raw_call(chat(), version="1.0"),
        b"HEAD /v1/llm/auto HTTP/1.1\r\nHost: x\r\nConnection: close\r\n\r\n",
    ],
)
def test_answers_come_through_byte_for_byte(mock: Mock, recorder: Launched, request_bytes: bytes) -> None:
    answer, _ = same_both_ways(mock, recorder, request_bytes)
    assert answer


@pytest.mark.parametrize(
    "noise", [b"this is not HTTP\r\n\r\n", b"\x16\x03\x01 no TLS\n\n", b"POST / HTTP/1.1\r\nHalf: a"]
)
def test_what_is_not_http_or_not_whole_comes_through_too(noise: bytes) -> None:
    got: list[bytes] = []

    def talk(connection: socket.socket) -> None:
        while more := connection.recv(65_536):
            got.append(more)
        connection.sendall(b"what?")

    with Gateway(talk) as gateway, recording(gateway.url) as recorder:
        with socket.create_connection(("127.0.0.1", recorder.port), timeout=20) as connection:
            connection.sendall(noise)
            connection.shutdown(socket.SHUT_WR)
            assert connection.recv(65_536) == b"what?"
            assert connection.recv(1) == b""
        assert recorder.stop()[0] == 4
    assert b"".join(got) == noise


@pytest.mark.parametrize("framing", FRAMINGS)
def test_every_framing_comes_through_as_it_is(mock: Mock, recorder: Launched, framing: str) -> None:
    body = chat("你好", stream=True, max_tokens=20)
    answer, _ = same_both_ways(mock, recorder, asked(body, f"X-Mock-Fault: framing={framing}"))
    assert b"DONE" in answer.replace(b"\r\n1\r\n", b"")


@pytest.mark.parametrize("fault", BREAKS)
def test_a_break_stays_the_break_it_was(mock: Mock, recorder: Launched, fault: str) -> None:
    body = chat(stream=True, max_tokens=50)
    _, ending = same_both_ways(mock, recorder, asked(body, f"X-Mock-Fault: {fault}"))
    assert ending == ("reset" if fault.startswith("reset") else "closed")


def test_calls_on_one_connection_stay_on_one_connection(mock: Mock, recorder: Launched) -> None:
    with Connection(recorder.port) as connection:
        for _ in range(3):
            connection.send(raw_call())
            assert connection.answer().status == 200
    entries = mock.control("requests")["entries"]
    assert sorted(entry["on_connection"] for entry in entries) == [1, 2, 3]
    assert len({entry["connection"] for entry in entries}) == 1


def test_the_gateway_is_addressed_by_its_own_name_and_path_and_everything_else_is_as_sent() -> None:
    got: list[bytes] = []

    def talk(connection: socket.socket) -> None:
        got.append(read_request(connection))
        connection.sendall(b"HTTP/1.1 200 OK\r\nContent-Length: 0\r\nConnection: close\r\n\r\n")

    head = b"POST /v1/llm/auto?x=1 HTTP/1.1\r\nHOST:  proxy:1\r\nX-Odd:   Two  Words \r\ncontent-length: 2\r\n\r\n{}"
    with Gateway(talk) as gateway, recording(f"{gateway.url}/base") as recorder:
        assert told(recorder.port, head)[1] == "closed"
    host = gateway.url.removeprefix("http://").encode()
    assert got == [head.replace(b"/v1", b"/base/v1").replace(b"HOST:  proxy:1", b"Host: " + host)]


def test_a_piece_is_passed_on_before_the_next_one_is_there() -> None:
    piece = b"data: {}\n\n"
    seen = threading.Event()

    def talk(connection: socket.socket) -> None:
        read_request(connection)
        connection.sendall(b"HTTP/1.1 200 OK\r\nContent-Type: text/event-stream\r\nConnection: close\r\n\r\n" + piece)
        assert seen.wait(20)  # set by whoever has read it through the recorder
        connection.sendall(piece)

    with Gateway(talk) as gateway, recording(gateway.url) as recorder, Connection(recorder.port) as connection:
        connection.send(raw_call())
        status, _ = connection.head()
        assert (status, connection._reader.read(len(piece))) == (200, piece)
        seen.set()
        assert connection.rest() == piece


def leaves_by_close(connection: socket.socket) -> None:
    connection.close()


@pytest.mark.parametrize("leaves", [leaves_by_close, reset])
def test_a_client_that_leaves_ends_the_call_at_the_gateway(
    slow_mock: Mock, leaves: Callable[[socket.socket], None]
) -> None:
    body = chat(stream=True, strategy={"models": ["glacial"]})
    with recording(slow_mock.url) as recorder:
        connection = socket.create_connection(("127.0.0.1", recorder.port), timeout=20)
        connection.sendall(raw_call(body))
        assert connection.recv(12) == b"HTTP/1.1 200"
        leaves(connection)
        eventually(slow_mock.idle)
        (entry,) = (one for one in slow_mock.control("requests")["entries"] if not one["test"])
        assert entry["left_in"] == "mid_stream"
        code, report = recorder.stop()
    assert code == 0, report
    assert "1 calls were ended by their client" in report


def test_a_gateway_that_speaks_tls_is_talked_to_with_its_certificate_checked(
    slow_world: str, start_mock: Callable[..., Mock], certificate: tuple[str, str]
) -> None:
    mock = start_mock("--world", slow_world, "--tls-cert", certificate[0], "--tls-key", certificate[1])
    trusting = os.environ | {"SSL_CERT_FILE": certificate[0]}
    mock.http.close()
    mock.http = httpx.Client(base_url=mock.url, verify=ssl.create_default_context(cafile=certificate[0]))
    url = mock.url.replace("127.0.0.1", "localhost")
    with Launched(command(url), trusting) as recorder:
        body = chat("hello " * 50_000, max_tokens=1, strategy={"models": ["steady"]})
        with Connection(recorder.port) as connection:
            for _ in range(2):
                connection.send(raw_call(body))
                assert connection.answer().status == 200
        glacial = raw_call(chat(stream=True, strategy={"models": ["glacial"]}))
        with socket.create_connection(("127.0.0.1", recorder.port), timeout=20) as leaving:
            leaving.sendall(glacial)
            assert leaving.recv(12) == b"HTTP/1.1 200"
        eventually(mock.idle)
        code, report = recorder.stop()
    assert code == 0, report
    assert "1 calls were ended by their client" in report
    with pytest.raises(LaunchError, match="certificate is not trusted"):
        Launched(command(url))


def test_a_client_that_does_not_read_holds_up_the_gateway_and_then_gets_all_of_it() -> None:
    size, sent = 64 << 20, threading.Event()

    def talk(connection: socket.socket) -> None:
        read_request(connection)
        connection.sendall(b"HTTP/1.1 200 OK\r\nContent-Length: %d\r\nConnection: close\r\n\r\n" % size)
        connection.sendall(b"x" * size)
        sent.set()

    with Gateway(talk) as gateway, recording(gateway.url) as recorder, Connection(recorder.port) as connection:
        connection.send(raw_call())
        connection.head()
        assert not sent.wait(0.5)
        assert len(connection.rest()) == size
        assert sent.wait(20)


def test_a_gateway_that_is_gone_is_a_reset_before_any_byte(start_mock: Callable[..., Mock]) -> None:
    mock = start_mock("--world", "instant")
    with recording(mock.url) as recorder:
        mock.launched.stop()
        with pytest.raises(ConnectionResetError):  # it may come before the system has told that there is a connection
            told(recorder.port, b"", or_reset=False)
        code, report = recorder.stop()
        mock.http.close()
    assert code == 4
    assert "1 connections were not taken by the gateway" in report
    assert "NOT EXERCISED" in report


def test_an_early_answer_and_an_interim_one_come_through() -> None:
    interim = b"HTTP/1.1 100 Continue\r\n\r\n"
    final = b"HTTP/1.1 413 Too Large\r\nContent-Length: 2\r\nConnection: close\r\n\r\n{}"

    def talk(connection: socket.socket) -> None:
        read_request(connection)
        connection.sendall(interim + final)

    head = "".join(f"{name}: {value}\r\n" for name, value in heads().items())
    request = f"POST /v1/llm/auto HTTP/1.1\r\nHost: x\r\n{head}Expect: 100-continue\r\n"
    with Gateway(talk) as gateway, recording(gateway.url) as recorder:
        whole = json.dumps(chat()).encode()
        answer, _ = told(recorder.port, f"{request}Content-Length: {len(whole)}\r\n\r\n".encode() + whole)
    assert answer == interim + final

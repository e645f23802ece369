"""Connections against a server that counts them: real sockets, a thread for each connection."""

from __future__ import annotations

import contextlib
import json
import socket
import struct
import threading
from collections.abc import Callable, Iterator
from typing import Any
from urllib.parse import urlsplit

import gevent
import pytest

from reports.sample import Outcome
from scenarios.model.workload import Call
from scenarios.wire import connections
from scenarios.wire.connections import ConnectionPool
from scenarios.wire.reader import Reader, Reading

# What a server does after its answer: keep the connection, close it, or reset it.
KEEP, CLOSE, RESET = "keep", "close", "reset"
HANG = b""
_CUT_SHORT = b"HTTP/1.1 200 OK\r\nContent-Type: application/json\r\nContent-Length: 99\r\n\r\n{"


def plain(document: Any, status: int = 200, extra: str = "", version: str = "1.1") -> bytes:
    body = json.dumps(document).encode()
    head = f"HTTP/{version} {status} X\r\nContent-Type: application/json\r\nContent-Length: {len(body)}\r\n{extra}\r\n"
    return head.encode() + body


def refusal(status: int, code: str) -> bytes:
    return plain({"success": False, "error": {"code": code, "message": "no"}}, status)


def streamed(events: list[str], end: bytes = b"0\r\n\r\n") -> bytes:
    head = b"HTTP/1.1 200 OK\r\nContent-Type: text/event-stream\r\nTransfer-Encoding: chunked\r\n\r\n"
    chunks = [f"data: {event}\n\n".encode() for event in events]
    return head + b"".join(b"%x\r\n%b\r\n" % (len(chunk), chunk) for chunk in chunks) + end


class CountingServer:
    """Gives the same answer to everybody, and counts connections and requests."""

    def __init__(self) -> None:
        self.answer, self.afterwards = HANG, KEEP
        self.accepted = 0
        self.payloads: list[bytes] = []
        # Set when a connection has been closed, by whichever side.
        self.closed = threading.Event()
        self._listener = socket.create_server(("127.0.0.1", 0))
        self.url = f"http://127.0.0.1:{self._listener.getsockname()[1]}"
        threading.Thread(target=self._accept, daemon=True).start()

    def _accept(self) -> None:
        with contextlib.suppress(OSError):
            while True:
                sock, _ = self._listener.accept()
                self.accepted += 1
                threading.Thread(target=self._serve, args=(sock,), daemon=True).start()

    def _serve(self, sock: socket.socket) -> None:
        with contextlib.suppress(ConnectionError), sock:
            while payload := sock.recv(1 << 16):
                self.payloads.append(payload)
                sock.sendall(self.answer)
                if self.afterwards == RESET:
                    sock.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, struct.pack("ii", 1, 0))
                if self.afterwards != KEEP:
                    break
        self.closed.set()

    def stop(self) -> None:
        self._listener.shutdown(socket.SHUT_RDWR)
        self._listener.close()


@pytest.fixture
def server() -> Iterator[CountingServer]:
    one = CountingServer()
    yield one
    one.stop()


class Clock:
    """Real time, and as much more as a test says."""

    def __init__(self) -> None:
        self.ahead_s = 0.0

    def __call__(self) -> float:
        return self.ahead_s


@pytest.fixture
def clock() -> Clock:
    return Clock()


@pytest.fixture
def ask(server: CountingServer, clock: Clock) -> Iterator[Callable[..., Reading]]:
    pool = ConnectionPool(urlsplit(server.url), clock, "sk-test")

    def exchange(*, stream: bool = False) -> Reading:
        return pool.exchange(pool.payload(Call("k", b"{}", stream)), Reader(stream))

    yield exchange
    pool.close()


@pytest.mark.parametrize("stream", [False, True])
@pytest.mark.parametrize(
    ("status", "code", "outcome"),
    [
        (200, None, Outcome.OK),
        (401, "INVALID_API_KEY", Outcome.REFUSED),
        (502, "ALL_PROVIDERS_FAILED", Outcome.REFUSED),
    ],
)
def test_one_connection_serves_all_requests_whatever_the_answer(
    server: CountingServer,
    ask: Callable[..., Reading],
    document: dict[str, Any],
    events: list[str],
    stream: bool,
    status: int,
    code: str | None,
    outcome: Outcome,
) -> None:
    good = streamed(events) if stream else plain(document)
    server.answer = good if code is None else refusal(status, code)
    found = [ask(stream=stream) for _ in range(20)]
    assert {(reading.outcome, reading.error_code) for reading in found} == {(outcome, code)}
    assert (server.accepted, len(server.payloads)) == (1, 20)
    assert [reading.connect_ms is None for reading in found] == [False] + [True] * 19


@pytest.mark.parametrize(
    ("answer", "connections_made"),
    [
        (lambda document: plain(document, extra="Connection: close\r\n"), 3),
        (lambda document: plain(document, version="1.0"), 3),
        (lambda document: plain(document, version="1.0", extra="Connection: keep-alive\r\n"), 1),
        (lambda document: plain(document) + b"HTTP/1.1 200 OK\r\nContent-Length: 0\r\n\r\n", 3),
        (lambda document: plain(document) + b"more", 3),
        (lambda document: b"HTTP/1.1 100 Continue\r\n\r\n" + plain(document), 1),
    ],
    ids=["connection: close", "HTTP/1.0", "HTTP/1.0 keep-alive", "an answer too many", "too much", "1xx"],
)
def test_a_connection_is_kept_only_if_both_sides_keep_it(
    server: CountingServer,
    ask: Callable[..., Reading],
    document: dict[str, Any],
    answer: Callable[[Any], bytes],
    connections_made: int,
) -> None:
    server.answer = answer(document)
    assert [ask().outcome for _ in range(3)] == [Outcome.OK] * 3
    assert (server.accepted, len(server.payloads)) == (connections_made, 3)


def test_a_body_that_ends_with_its_connection_is_a_good_answer(
    server: CountingServer, ask: Callable[..., Reading], document: dict[str, Any]
) -> None:
    head = b"HTTP/1.1 200 OK\r\nContent-Type: application/json\r\n\r\n"
    server.answer, server.afterwards = head + json.dumps(document).encode(), CLOSE
    assert [ask().outcome for _ in range(2)] == [Outcome.OK] * 2
    assert server.accepted == 2


def test_a_server_that_closes_idle_connections_costs_no_request(
    server: CountingServer, ask: Callable[..., Reading], document: dict[str, Any]
) -> None:
    server.answer, server.afterwards = plain(document), CLOSE
    for _ in range(5):
        server.closed.clear()
        assert ask().outcome is Outcome.OK
        assert server.closed.wait(5)
    assert (server.accepted, len(server.payloads)) == (5, 5)


def test_a_connection_that_was_idle_for_long_is_not_used_again(
    server: CountingServer, ask: Callable[..., Reading], document: dict[str, Any], clock: Clock
) -> None:
    server.answer = plain(document)
    for pause_s, accepted in ((0.0, 1), (2.9, 1), (3.1, 2)):
        clock.ahead_s += pause_s
        ask()
        assert server.accepted == accepted


@pytest.mark.parametrize(
    ("answer", "afterwards", "errors"),
    [
        (HANG, CLOSE, {"NoAnswerError", "ConnectionResetError"}),
        (
            _CUT_SHORT,
            CLOSE,
            {"IncompleteBodyError"},
        ),
        (HANG, RESET, {"ConnectionResetError"}),
        (b"SSH-2.0-x\r\n\r\n", KEEP, {"BadHttp"}),
    ],
    ids=["close", "early close", "reset", "not HTTP"],
)
def test_after_a_failure_the_next_request_has_a_new_connection_and_nothing_is_sent_twice(
    server: CountingServer,
    ask: Callable[..., Reading],
    document: dict[str, Any],
    answer: bytes,
    afterwards: str,
    errors: set[str],
) -> None:
    server.answer, server.afterwards = answer, afterwards
    assert ask().error_code in errors
    assert len(server.payloads) == 1
    server.answer, server.afterwards = plain(document), KEEP
    assert ask().outcome is ask().outcome is Outcome.OK
    assert (server.accepted, len(server.payloads)) == (2, 3)


def test_a_client_that_gives_up_closes_its_connection(
    server: CountingServer, ask: Callable[..., Reading], document: dict[str, Any]
) -> None:
    with gevent.Timeout(0.05, False):
        ask()
    assert server.closed.wait(5)
    server.answer = plain(document)
    assert ask().outcome is Outcome.OK
    assert server.accepted == 2


def test_a_stream_is_over_at_done_even_if_its_body_is_not(
    server: CountingServer, ask: Callable[..., Reading], events: list[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(connections, "REST_S", 0.05)
    server.answer = streamed(events, end=b"")
    reading = ask(stream=True)
    assert (reading.outcome, reading.chunks) == (Outcome.OK, 3)
    assert server.closed.wait(5)
    server.answer = streamed(events)
    assert ask(stream=True).outcome is Outcome.OK
    assert server.accepted == 2


def test_what_comes_after_done_is_malformed(
    server: CountingServer, ask: Callable[..., Reading], events: list[str]
) -> None:
    server.answer = streamed([*events, events[1]])
    assert ask(stream=True).error_code == "AfterDone"


def test_the_connection_used_last_is_taken_first(
    server: CountingServer, document: dict[str, Any], clock: Clock
) -> None:
    pool = ConnectionPool(urlsplit(server.url), clock, "sk-test")
    server.answer = plain(document)
    payload = pool.payload(Call("k", b"{}"))
    both = [gevent.spawn(pool.exchange, payload, Reader(stream=False)) for _ in range(2)]
    gevent.joinall(both, raise_error=True)
    assert server.accepted == 2
    # One of two is enough from now on: the other grows old, and is closed.
    for _ in range(4):
        clock.ahead_s += 1
        assert pool.exchange(payload, Reader(stream=False)).connect_ms is None
    assert server.closed.wait(5)
    assert server.accepted == 2
    pool.close()


def test_a_request_goes_out_whole_with_the_calls_own_key_and_headers(server: CountingServer, clock: Clock) -> None:
    pool = ConnectionPool(urlsplit(f"{server.url}/base/"), clock, "sk-run")
    own = Call("k", "世".encode(), True, key="sk-own", headers=(("Prefer", "code=429"),))
    assert pool.payload(own).decode().splitlines() == [
        "POST /base/v1/llm/auto HTTP/1.1",
        f"Host: {server.url.removeprefix('http://')}",
        "Authorization: Bearer sk-own",
        "Content-Type: application/json",
        "Accept: text/event-stream",
        "User-Agent: apiflowx-harness",
        "Prefer: code=429",
        "Content-Length: 3",
        "",
        "世",
    ]
    assert b"Bearer sk-run\r\n" in pool.payload(Call("k", b"{}"))


def test_no_connection_is_told_apart(clock: Clock) -> None:
    with socket.create_server(("127.0.0.1", 0)) as listener:
        url = f"http://127.0.0.1:{listener.getsockname()[1]}"
    pool = ConnectionPool(urlsplit(url), clock, "sk-test")
    reading = pool.exchange(b"x", Reader(stream=False))
    assert (reading.outcome, reading.error_code, reading.connect_ms) == (
        Outcome.CONNECTION,
        "ConnectionRefusedError",
        None,
    )

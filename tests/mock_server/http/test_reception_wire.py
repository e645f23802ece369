"""Limits on what real clients send, and on how long they take, beside which nobody else's calls are disturbed."""

from __future__ import annotations

import signal
import socket
import ssl
from collections.abc import Iterator
from pathlib import Path

import pytest

from mock_server.launch import launch
from tests.mock_server.conftest import StartMock, running
from tests.mock_server.wire import REQUEST_ID, TIMEOUT_S, Mock, assert_refused, raw_call, timing

HEAD = b"POST /v1/llm/auto HTTP/1.1\r\nHost: localhost\r\nAuthorization: Bearer sk-test-unlimited\r\n"
CHUNKED = HEAD + b"Content-Type: application/json\r\nTransfer-Encoding: chunked\r\n\r\n"
MIB = 1_048_576
EXPECTING = raw_call().replace(b"Host:", b"Expect: 100-continue\r\nHost:")
CONTROL = (
    b"POST /__mock__/clock HTTP/1.1\r\nHost: localhost\r\nContent-Type: application/json\r\nContent-Length: 99\r\n\r\n{"
)


@pytest.fixture(scope="module")
def strict_world(tmp_path_factory: pytest.TempPathFactory) -> str:
    """The path of a world whose gateway has little patience, but with idle connections."""
    world = tmp_path_factory.mktemp("worlds") / "strict.toml"
    world.write_text('extends = "instant"\n[connection]\nhead_timeout_s = 0.3\nbody_timeout_s = 0.3\n')
    return str(world)


@pytest.fixture(scope="module")
def strict_mock(strict_world: str) -> Iterator[Mock]:
    with running("--world", strict_world) as mock:
        yield mock


@pytest.mark.parametrize(
    "half",
    [
        HEAD,
        b"GE",
        raw_call()[:-1],
        raw_call(version="1.0")[:-1],
        CHUNKED + b"5\r\n{",
        CONTROL,
    ],
    ids=["head", "method", "body", "http 1.0", "chunked", "control"],
)
def test_a_client_that_sends_half_a_request_is_told_and_sent_away(strict_mock: Mock, half: bytes) -> None:
    with strict_mock.connect() as connection:
        connection.send(half)
        answer = connection.answer()
        assert_refused(answer, 408, "REQUEST_TIMEOUT", says="did not come in time")
        assert answer.headers["connection"] == "close"
        assert timing(answer)["overhead"] < 300  # it is not the mock that was slow
        assert connection.rest() == b""


def test_an_expected_body_that_does_not_come_is_a_408_after_the_100(strict_mock: Mock) -> None:
    with strict_mock.connect() as connection:
        connection.send(EXPECTING[:-1])
        assert connection.head()[0] == 100
        assert_refused(connection.answer(), 408, "REQUEST_TIMEOUT", says="body")


def head_of(size: int) -> bytes:
    """A head that asks for a path there is not, of ``size`` bytes."""
    start = b"GET /nowhere HTTP/1.1\r\nHost: mock\r\nX-Mock-Test: large\r\nX-Long: "
    return start + b"a" * (size - len(start) - 4) + b"\r\n\r\n"


SMALL = b"".join(b"X-%04d: %s\r\n" % (number, b"v" * 26) for number in range(2_000))


@pytest.mark.parametrize(
    "head",
    [
        head_of(70_000),
        head_of(70_000)[:-4],
        HEAD + SMALL + b"\r\n",
        b"GET /" + b"a" * 70_000 + b" HTTP/1.1\r\n\r\n",
        CHUNKED + b"1\r\n{\r\n0\r\n" + SMALL * 5 + b"\r\n",
        head_of(15 * MIB),
    ],
    ids=["one header", "half-sent", "2,000 headers", "address", "trailers", "15 MiB"],
)
def test_a_head_that_is_too_large_is_refused_so_that_the_client_can_read_why(mock: Mock, head: bytes) -> None:
    with mock.connect() as connection:
        connection.send(head)  # all of it, before anything is read
        answer = connection.answer()
        assert_refused(answer, 431, "HEADERS_TOO_LARGE")
        assert answer.headers["connection"] == "close"
        assert connection.rest() == b""


def test_no_head_is_read_without_end(mock: Mock) -> None:
    with mock.connect() as connection:
        connection.send(HEAD + b"X-Long: ")
        with pytest.raises(ConnectionError):
            connection.send(b"a" * 100 * MIB)
    assert mock.call().status_code == 200


@pytest.mark.parametrize(("sent", "status"), [(HEAD, 408), (raw_call()[:-1], 408), (head_of(MIB), 431)])
def test_refusals_can_be_read_over_tls(
    strict_world: str, certificate: tuple[str, str], sent: bytes, status: int
) -> None:
    context = ssl.create_default_context(cafile=certificate[0])
    with launch("--world", strict_world, "--tls-cert", certificate[0], "--tls-key", certificate[1]) as own:
        plain = socket.create_connection(("127.0.0.1", own.port), timeout=TIMEOUT_S)
        with context.wrap_socket(plain, server_hostname="127.0.0.1") as connection, connection.makefile("rb") as reader:
            connection.sendall(sent)
            assert reader.read().startswith(b"HTTP/1.1 %d " % status)


def test_refusals_are_in_the_journal_with_what_was_known_of_the_request(
    start_mock: StartMock, strict_world: str
) -> None:
    own = start_mock("--world", strict_world)
    named = b"POST /v1/llm/auto HTTP/1.1\r\nHost: localhost\r\nX-Mock-Test: half\r\n"
    asked = [
        named,
        raw_call(test="half")[:-1],
        b"GET /__test__/half/nowhere HTTP/1.1\r\nHost: mock\r\n",
        named + b"X-Long: " + b"a" * 70_000,
        named + CHUNKED.partition(b"\r\n")[2] + b"not a size\r\n",
        CONTROL.replace(b"Host", b"X-Mock-Test: half\r\nHost"),
        named.replace(b"/v1/llm/auto", b"/__mock__/health"),
        b"FOO / HTTP/1.1\r\nX-Mock-Test: half\r\n\r\n",
    ]
    answers = []
    for half in asked:
        with own.connect() as connection:
            connection.send(half)
            answers.append(connection.answer())
    assert [answer.status for answer in answers] == [408, 408, 408, 431, 400, 408, 408, 400]
    ids = [answer.headers["x-request-id"] for answer in answers]
    assert all(map(REQUEST_ID.fullmatch, ids))
    entries = own.control("requests", test="half")["entries"]
    assert [(entry["request_id"], entry["status"]) for entry in reversed(entries)] == [
        (answer.headers["x-request-id"], answer.status) for answer in answers[:5]
    ]
    assert {entry["ending"] for entry in entries} == {"complete"}
    assert own.stop()[2].splitlines() == ["WARNING:  Invalid HTTP request received."] * 2


def test_a_crowd_that_dawdles_keeps_nobody_from_calling_and_is_sent_away(strict_mock: Mock) -> None:
    crowd = [strict_mock.connect() for _ in range(200)]
    for number, connection in enumerate(crowd):
        connection.send(HEAD if number % 2 else raw_call()[:-1])
    for _ in range(50):
        assert strict_mock.call().status_code == 200
    for connection in crowd:
        assert connection.answer().status == 408
        assert connection.rest() == b""
        connection.close()
    assert strict_mock.idle()


@pytest.mark.parametrize("number", [signal.SIGINT, signal.SIGTERM])
def test_half_sent_requests_do_not_trouble_the_end(start_mock: StartMock, number: signal.Signals) -> None:
    own = start_mock("--world", "instant")
    with own.connect() as head, own.connect() as body, own.connect() as behind, own.connect() as refused:
        for connection, half in ((head, HEAD), (body, raw_call()[:-1]), (behind, raw_call() + HEAD)):
            connection.send(half)
        refused.send(head_of(70_000))
        assert (behind.answer().status, refused.answer().status) == (200, 431)
        code, stdout, stderr = own.stop(number)
        assert (code in (130, -number), stdout, stderr) == (True, "", "")
        assert [connection.rest() for connection in (head, body, behind, refused)] == [b""] * 4


def test_connections_that_stay_idle_are_closed_in_silence(start_mock: StartMock, tmp_path: Path) -> None:
    world = tmp_path / "idle.toml"
    world.write_text('extends = "instant"\n[connection]\nidle_timeout_s = 0.2\n')
    own = start_mock("--world", str(world))
    with own.connect() as fresh, own.connect() as used:
        used.send(raw_call())
        assert used.answer().status == 200
        assert (fresh.rest(), used.rest()) == (b"", b"")

"""What the journal holds of requests that came over real connections, those of clients that left included."""

from __future__ import annotations

import asyncio
import json
import time
from typing import Any

import pytest

from mock_server.clock import SimClock
from mock_server.config import load_world
from mock_server.core.engine import Engine
from mock_server.edge.notes import hash_of
from mock_server.http import api
from mock_server.http.app import MockApp
from tests.mock_server.served import Served, Transport, until
from tests.mock_server.wire import PATH, UNLIMITED, Mock, chat, data_of, eventually, raw_call

STEADY = {"models": ["slow/steady"]}
LONG = chat("Tell me of the sea", strategy=STEADY, max_tokens=20_000)
BODY = json.dumps(chat()).encode()
GOOD = (b"Authorization: Bearer " + UNLIMITED.encode(),)
WRONG = (b"Authorization: Bearer sk-wrong-key-1234",)
HEAD_END = b"\r\n\r\n"


def raw(*lines: bytes, body: bytes = BODY, path: str = PATH, method: str = "POST") -> tuple[bytes, bytes]:
    """Head and body of a request."""
    head = [f"{method} {path} HTTP/1.1".encode(), b"Host: mock", *lines, b"Content-Length: %d" % len(body), b"", b""]
    return b"\r\n".join(head), body


def entries(mock: Mock, count: int = 1, **wanted: Any) -> list[dict[str, Any]]:
    """So many entries, the oldest first, once they are there."""
    eventually(lambda: mock.control("requests", **wanted)["matching"] >= count)
    found: list[dict[str, Any]] = mock.control("requests", **wanted)["entries"]
    assert len(found) == count
    return found[::-1]


def test_connections_are_numbered_and_the_requests_on_each(mock: Mock) -> None:
    for requests in (3, 1, 2):
        with mock.connect() as connection:
            for _ in range(requests):
                connection.send(raw_call())
                assert connection.answer().status == 200
    found = entries(mock, 6)
    assert [entry["on_connection"] for entry in found] == [1, 2, 3, 1, 1, 2]
    first, second, third = sorted({entry["connection"] for entry in found})
    assert [entry["connection"] for entry in found] == [first] * 3 + [second] + [third] * 2
    assert [entry["connected_ms"] is not None for entry in found] == [True, False, False, True, True, False]


def test_it_is_noted_how_long_a_connection_had_been_open_before_its_first_request(mock: Mock) -> None:
    with mock.connect() as early, mock.connect() as late:
        for connection in (late, early, late):
            connection.send(raw_call())
            assert connection.answer().status == 200
    first, second, third = entries(mock, 3)
    opened = [entry["arrived_unix_s"] - entry["connected_ms"] / 1e3 for entry in (second, first)]
    assert opened[0] < opened[1] < first["arrived_unix_s"] < second["arrived_unix_s"]
    assert third["connected_ms"] is None


@pytest.mark.parametrize("together", [True, False], ids=["in one write", "head first"])
@pytest.mark.parametrize(
    ("lines", "path", "method", "status"),
    [
        (GOOD, PATH, "POST", 415),
        ((*GOOD, b"Content-Type: application/json"), PATH, "POST", 200),
        ((*WRONG, b"Content-Type: application/json"), PATH, "POST", 401),
        (GOOD, PATH, "PUT", 405),
        (GOOD, "/v1/chat/completions", "POST", 404),
    ],
)
def test_a_body_is_told_again_whatever_it_is_answered_and_however_it_comes(
    mock: Mock, lines: tuple[bytes, ...], path: str, method: str, status: int, together: bool
) -> None:
    head, body = raw(*lines, path=path, method=method)
    with mock.connect() as connection:
        for part in (head + body,) if together else (head, body):
            connection.send(part)
            if not together:
                mock.idle()  # a round trip, in which the head is read
        answer = connection.answer()
    assert answer.status == status
    (entry,) = entries(mock)
    told = (entry["status"], entry["body_hash"], entry["path"], entry["method"])
    assert told == (status, hash_of(BODY), path, method)
    assert entry["key_place"] == "authorization"
    assert entry["sent_bytes"] == len(answer.body)
    assert 0 <= entry["first_byte_ms"] <= 5_000
    assert (entry["left_ms"], entry["left_in"]) == (None, "")


def test_a_body_that_is_too_large_is_told_again_if_it_was_read_to_its_end(mock: Mock) -> None:
    body = b"x" * 5_000_000
    for _ in range(2):
        assert mock.call(body).status_code == 413
    assert {entry["body_hash"] for entry in entries(mock, 2)} == {hash_of(body)}


def test_a_client_that_waits_to_be_asked_for_its_body_is_refused_without(mock: Mock) -> None:
    head, _ = raw(*WRONG, b"Expect: 100-continue")
    with mock.connect() as connection:
        connection.send(head)
        assert connection.answer().status == 401
    assert entries(mock)[0]["body_hash"] == ""


@pytest.mark.parametrize(
    ("lines", "query", "body", "place"),
    [
        ((b"X-Api-Key: sk-test-pro",), "", BODY, "x-api-key"),
        ((), "?api_key=sk-test-pro", BODY, "query"),
        (GOOD, "?api_key=sk-test-pro", BODY, "query"),
        ((), "", b'{"api_key": "sk-test-pro"}', "body"),
        ((), "", BODY, ""),
    ],
)
def test_a_key_is_noted_where_it_stood_and_never_shown(
    mock: Mock, lines: tuple[bytes, ...], query: str, body: bytes, place: str
) -> None:
    head, body = raw(*lines, b"Content-Type: application/json", path=PATH + query, body=body)
    with mock.connect() as connection:
        connection.send(head + body)
        connection.answer()
    (entry,) = entries(mock)
    assert (entry["key_place"], entry["path"]) == (place, PATH)
    assert "sk-test-pro" not in json.dumps(entry)


def test_what_client_and_answer_say_of_trying_again_is_noted(mock: Mock) -> None:
    said = {"Retry-After": "30", "x-should-retry": "false"}
    mock.http.post("/__mock__/faults", json={"code": 429, "headers": said}).raise_for_status()
    assert mock.call(headers={"X-Stainless-Retry-Count": "2", "Idempotency-Key": "mine"}).status_code == 429
    mock.call(headers={"Prefer": "code=429"})
    first, second = entries(mock, 2)
    assert (first["retry_count"], first["idempotency_key"], first["replayed"]) == (2, "mine", False)
    assert (first["retry_after_s"], first["should_retry"]) == (30.0, False)
    assert (second["retry_after_s"], second["should_retry"], second["retry_count"]) == (1.0, None, None)


def test_the_moment_of_arrival_is_one_of_the_calendar(mock: Mock) -> None:
    before = time.time()
    mock.call()
    after = time.time()
    assert before - 0.1 <= entries(mock)[0]["arrived_unix_s"] <= after + 0.1


def test_the_test_id_of_an_address_is_no_part_of_the_path(mock: Mock) -> None:
    assert mock.http.get("/__test__/mine/nowhere?a=b").status_code == 404
    (entry,) = entries(mock, test="mine")
    assert (entry["path"], entry["method"], entry["body_hash"]) == ("/nowhere", "GET", "")


@pytest.mark.parametrize("path", [PATH, "/v1/elsewhere"])
def test_a_head_that_is_too_large_is_noted_with_its_connection(mock: Mock, path: str) -> None:
    with mock.connect() as connection:
        connection.send(raw_call())
        connection.answer()
        connection.send(f"PUT {path} HTTP/1.1\r\nHost: mock\r\nX-Long: {'a' * 70_000}\r\n\r\n".encode())
        assert connection.answer().status == 431
    *_, entry = entries(mock, 2)
    assert (entry["status"], entry["method"], entry["path"], entry["on_connection"]) == (431, "PUT", path, 2)


def test_a_stream_that_is_handed_over_whole_has_all_its_pieces_on_every_way(mock: Mock) -> None:
    streamed = [
        mock.call(chat(stream=True), headers={"X-Mock-Fault": fault} if fault else None)
        for fault in ("", "delay;for=0", "framing=crlf", "framing=coalesced")
    ]
    for entry, answer in zip(entries(mock, 4), streamed, strict=True):
        pieces = len(data_of(answer.content)) - len(("opening", "usage", "[DONE]"))
        assert (entry["pieces"], entry["sent_bytes"]) == (pieces, len(answer.content))


@pytest.mark.parametrize(
    ("fault", "stream", "sees", "stage"),
    [
        ("", False, b"", "before_headers"),
        ("", True, b"", "before_headers"),
        ("stall;for=600", False, b"", "before_headers"),
        ("stall;stage=before_first_token", False, HEAD_END, "before_first_token"),
        ("delay;stage=before_first_token;for=600", True, b'"response":""', "before_first_token"),
        ("", True, b'"done":false}\n\n', "mid_stream"),
        ("framing=coalesced", True, b'"done":false}\n\n', "mid_stream"),
        ("stall;stage=mid_stream;after=2", True, b'"done":false}\n\n', "mid_stream"),
        ("dribble;for=600", False, HEAD_END + b'{"success"', "mid_stream"),
        ("stall;stage=before_done", True, b'"usage"', "before_done"),
    ],
)
def test_a_client_that_leaves_is_noted_with_the_stage_it_left_in(
    slow_mock: Mock, fault: str, stream: bool, sees: bytes, stage: str
) -> None:
    lasts = not sees or (stream and stage == "mid_stream")
    body = LONG | {"stream": stream, "max_tokens": 20_000 if lasts else 4}
    line = b"X-Mock-Fault: " + fault.encode() + b"\r\n" if fault else b""
    connection = slow_mock.connect()
    connection.send(raw_call(body).replace(b"Host:", line + b"Host:"))
    eventually(lambda: bool(slow_mock.control("health")["in_flight"]))
    received = b""
    while sees not in received:
        received += connection.socket.recv(65_536)
    connection.close()
    (entry,) = entries(slow_mock)
    assert entry["left_in"] == stage
    assert 0 < entry["left_ms"] <= entry["took_ms"] + 1.0
    assert (entry["first_byte_ms"] is None) == (entry["status"] == 0) == (stage == "before_headers")
    assert (entry["pieces"] > 0) == (stream and stage in ("mid_stream", "before_done"))
    assert (entry["sent_bytes"] > 0) == (b'"' in sees)


def test_a_client_that_reads_all_and_hangs_up_has_not_left_early(slow_mock: Mock) -> None:
    body = LONG | {"stream": True, "max_tokens": 2}
    connection = slow_mock.connect()
    connection.send(raw_call(body).replace(b"Host:", b"X-Mock-Fault: done_then_hang\r\nHost:"))
    assert connection.head()[0] == 200
    received = b""
    for chunk in connection.chunks():
        received += chunk
        if received.endswith(b"[DONE]\n\n"):
            break
    connection.close()
    (entry,) = entries(slow_mock)
    assert (entry["ending"], entry["struck"], entry["left_ms"], entry["left_in"]) == ("fault", True, None, "")
    assert entry["sent_bytes"] == len(received)


@pytest.mark.parametrize("fault", ["reset", "fin", "eof;stage=mid_stream;after=2", "reset;stage=mid_stream;after=2"])
def test_a_client_that_is_sent_away_has_not_left(mock: Mock, fault: str) -> None:
    with mock.connect() as connection:
        call = raw_call(chat(stream=True)).replace(b"Host:", b"X-Mock-Fault: " + fault.encode() + b"\r\nHost:")
        connection.send(call)
        try:
            while connection.socket.recv(65_536) and not fault.startswith("eof"):
                pass
        except ConnectionResetError:
            pass
        (entry,) = entries(mock)
    assert (entry["ending"], entry["left_ms"], entry["left_in"]) == ("fault", None, "")
    assert entry["pieces"] == (2 if "after=2" in fault else 0)


@pytest.mark.parametrize("lost", [True, False], ids=["connection lost", "about to be lost"])
def test_a_client_that_leaves_in_the_turn_it_called_in_is_remembered(lost: bool) -> None:
    clock = SimClock(1.0, time.monotonic)
    mock = MockApp(Engine(load_world("instant"), 0, 0.0), clock, time.time, world_name="", version="1")

    async def run() -> None:
        connection = Served(mock).connect()
        transport = connection.transport
        assert isinstance(transport, Transport)
        connection.data_received(raw_call())
        transport.close()
        if lost:
            connection.connection_lost(None)
        await until(lambda: any(True for _ in mock.context.journal.records()))
        assert transport.written == []

    asyncio.run(run())
    (record,) = mock.context.journal.records()
    entry = record.entry
    assert (entry.status, entry.ending, entry.left_in) == (0, "abandoned", "before_headers")
    assert (entry.body_hash, entry.on_connection, entry.key) == (hash_of(BODY), 1, "…ited")
    assert entry.left_ms is not None
    assert entry.charged > 0


def test_clients_that_call_and_leave_at_once_are_remembered(mock: Mock) -> None:
    for _ in range(20):
        connection = mock.connect()
        connection.send(raw_call(chat(max_tokens=1)))
        connection.close()
    eventually(lambda: mock.control("requests")["matching"] == 20)


def test_the_calendar_may_be_set_while_the_mock_runs(monkeypatch: pytest.MonkeyPatch) -> None:
    ahead_s = [0.0]
    clock = SimClock(1.0, time.monotonic)
    engine = Engine(load_world("instant"), 0, clock.now())
    mock = MockApp(engine, clock, lambda: time.time() + ahead_s[0], world_name="instant", version="0")
    moment = [time.monotonic()]
    monkeypatch.setattr(api, "monotonic", lambda: moment[0])
    headers = [(b"content-type", b"application/json"), (b"authorization", b"Bearer " + UNLIMITED.encode())]
    for after_s, set_ahead_s in ((0.0, 0.0), (0.5, 3_600.0), (0.6, 3_600.0)):
        moment[0] += after_s
        ahead_s[0] = set_ahead_s
        mock.api.at_once(moment[0], headers, BODY, 1, 1, 0.0)
    first, second, third = (record.entry.arrived_unix_s for record in mock.context.journal.records())
    assert second - first == pytest.approx(0.5)
    assert third - first == pytest.approx(3_600, abs=60)

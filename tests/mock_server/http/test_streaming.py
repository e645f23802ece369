from __future__ import annotations

import json
from typing import Any

import pytest

from mock_server.contract.examples import EXAMPLE_STREAM
from mock_server.contract.tokens import estimate
from tests.mock_server.conftest import StartMock
from tests.mock_server.wire import Connection, Mock, assert_refused, chat, events, raw_call, text_of, timing

STEADY = {"models": ["slow/steady"]}
TEXTS = ["Tell me of the sea", "写一个产品介绍", "Write a Python function that sorts a list", "Prove that 17 is prime"]


def stream_of(mock: Mock, body: dict[str, Any], **how: Any) -> list[dict[str, Any]]:
    answer = mock.call(body | {"stream": True}, **how)
    assert answer.status_code == 200, answer.text
    return events(answer.content)[0]


def keys(event: dict[str, Any]) -> list[str]:
    return list(event)


def test_a_stream_has_the_documented_events_in_order(mock: Mock) -> None:
    answer = mock.call(chat(stream=True))
    found, _ = events(answer.content)
    opening, *pieces, closing = found
    documented = [json.loads(line[6:]) for line in EXAMPLE_STREAM.split("\n\n") if line.startswith("data: {")]
    assert [keys(opening), keys(pieces[0]), keys(closing)] == [keys(documented[n]) for n in (0, 1, -1)]
    assert (opening["success"], opening["response"], opening["done"]) == (True, "", False)
    assert opening["request_id"] == answer.headers["x-request-id"]
    assert len(pieces) > 1
    assert all(keys(piece) == ["response", "done"] and piece["response"] and not piece["done"] for piece in pieces)
    assert (closing["response"], closing["done"], closing["finish_reason"]) == ("", True, "stop")
    assert list(closing["usage"]) == ["prompt_tokens", "completion_tokens", "total_tokens"]


def test_a_stream_is_declared_as_events_that_nobody_caches(mock: Mock) -> None:
    answer = mock.call(chat(stream=True))
    assert answer.headers["content-type"].split(";")[0] == "text/event-stream"
    assert answer.headers["cache-control"] == "no-cache"
    assert "content-length" not in answer.headers


@pytest.mark.parametrize("limit", [None, 1, 2, 33])
@pytest.mark.parametrize("text", TEXTS)
def test_the_pieces_make_up_the_plain_answer_of_the_same_call(mock: Mock, text: str, limit: int | None) -> None:
    body = chat(text) if limit is None else chat(text, max_tokens=limit)
    plain = mock.call(body).json()
    mock.reset()
    found = stream_of(mock, body)
    assert text_of(found) == plain["response"]
    assert found[-1]["usage"] == plain["usage"]
    assert found[-1]["usage"]["completion_tokens"] == estimate(text_of(found))
    assert (found[0]["provider"], found[0]["model"]) == (plain["provider"], plain["model"])
    if limit is None:
        assert found[-1]["finish_reason"] == "stop"


def test_an_answer_cut_by_max_tokens_says_so(mock: Mock) -> None:
    assert stream_of(mock, chat(max_tokens=1))[-1]["finish_reason"] == "length"


def test_chinese_pieces_are_raw_utf8_of_a_few_characters(mock: Mock) -> None:
    answer = mock.call(chat("写一个产品介绍", stream=True))
    assert b"\\u" not in answer.content
    pieces = events(answer.content)[0][1:-1]
    assert max(len(piece["response"].strip()) for piece in pieces) <= 4


@pytest.mark.parametrize(
    ("body", "how", "status", "code"),
    [
        (b'{"messages": [], "stream": true}', {}, 400, "INVALID_REQUEST"),
        (chat(stream=True, strategy={"models": ["none"]}), {}, 400, "MODEL_UNAVAILABLE"),
        (chat(stream=True), {"key": "wrong"}, 401, "INVALID_API_KEY"),
        (chat(stream=True), {"key": "sk-test-empty"}, 402, "INSUFFICIENT_BALANCE"),
        (chat(stream=True), {"headers": {"Prefer": "code=429"}}, 429, "RATE_LIMIT_EXCEEDED"),
        (chat(stream=True), {"key": "sk-test-error"}, 500, "INTERNAL_ERROR"),
        (chat(stream=True), {"key": "sk-test-outage"}, 502, "ALL_PROVIDERS_FAILED"),
    ],
)
def test_before_the_first_piece_an_error_is_ordinary_json(
    mock: Mock, body: Any, how: dict[str, Any], status: int, code: str
) -> None:
    assert_refused(mock.call(body, **how), status, code)


def test_a_stream_is_charged_what_it_used(mock: Mock) -> None:
    usage = stream_of(mock, chat(), key="sk-test-pro")[-1]["usage"]
    account = mock.account("sk-test-pro")
    assert (100_000_000 - account["balance"], account["reserved"]) == (usage["total_tokens"], 0)


def open_stream(connection: Connection, body: dict[str, Any]) -> tuple[dict[str, str], bytes]:
    """The head of a stream and the first bytes that follow it."""
    connection.send(raw_call(body | {"stream": True}))
    status, headers = connection.head()
    assert status == 200
    return headers, next(connection.chunks())


def test_the_opening_leaves_together_with_the_first_piece(slow_mock: Mock) -> None:
    with slow_mock.connect() as connection:
        _, first = open_stream(connection, chat(strategy=STEADY, max_tokens=5))
    opening, piece = (json.loads(line.removeprefix("data: ")) for line in first.decode().split("\n\n")[:2])
    assert opening["success"] is True
    assert piece["response"] != ""


def test_head_and_first_piece_are_one_write(slow_mock: Mock) -> None:
    with slow_mock.connect() as connection:
        connection.send(raw_call(chat(strategy=STEADY, max_tokens=5, stream=True)))
        received = connection.socket.recv(65_536)
        while b'"done":false}\n\ndata: ' not in received:
            received += connection.socket.recv(65_536)
    assert received.startswith(b"HTTP/1.1 200 ")


def test_a_long_silence_is_filled_with_comments(start_mock: StartMock, slow_world: str) -> None:
    slow = start_mock("--world", slow_world, "--time-scale", "0.02")
    found = slow.call(chat(strategy={"models": ["slow/glacial"]}, max_tokens=3, stream=True))
    stream, comments = events(found.content)
    # Two gaps of 40 simulated seconds, give or take a tenth, with a comment after 15 and 30 of each.
    assert comments == 4
    assert estimate(text_of(stream)) == 3
    assert found.content.index(b"data: ") < found.content.index(b": keep-alive")


def test_the_plain_answer_waits_for_its_last_token_and_the_stream_for_its_first(slow_mock: Mock) -> None:
    body = chat(strategy=STEADY, max_tokens=4)
    plain = timing(slow_mock.call(body))
    slow_mock.reset()
    streamed = timing(slow_mock.call(body | {"stream": True}))
    assert plain["first"] == plain["planned"] == streamed["planned"]
    assert 300 <= streamed["first"] < 320
    assert plain["planned"] == pytest.approx(300 + 3 * 100, rel=0.2)

from __future__ import annotations

import json
import re
import threading
import time
from collections.abc import Callable
from typing import Any

import httpx
import pytest

from mock_server.contract.accounts import PLANS, TEST_KEYS
from tests.mock_server.wire import PATH, UNLIMITED, Mock, assert_refused, chat, data_of, eventually, raw_call, timing

LIMITS = ("x-ratelimit-limit", "x-ratelimit-remaining", "x-ratelimit-reset", "ratelimit-policy", "ratelimit")
RPM = {row.key: PLANS[row.plan].rpm for row in TEST_KEYS}
STEADY = {"models": ["slow/steady"]}


def quota(answer: httpx.Response) -> tuple[int, int, int]:
    """Limit, remaining and Unix second of the reset, after checking that both families of headers agree."""
    assert all(name in answer.headers for name in LIMITS), answer.headers
    limit, remaining, reset = (int(answer.headers[name]) for name in LIMITS[:3])
    assert answer.headers["ratelimit-policy"] == f'"minute";q={limit};w=60'
    match = re.fullmatch(r'"minute";r=(\d+);t=(\d+)', answer.headers["ratelimit"])
    assert match is not None
    assert int(match[1]) == remaining
    assert 0 <= int(match[2]) <= 60
    return limit, remaining, reset


@pytest.mark.parametrize(
    "send",
    [
        lambda mock: mock.call(),
        lambda mock: mock.call(chat(stream=True)),
        lambda mock: mock.call(b"{"),
        lambda mock: mock.call(key="wrong"),
        lambda mock: mock.call(key="sk-test-empty"),
        lambda mock: mock.call(key="sk-test-outage"),
        lambda mock: mock.call(headers={"Content-Type": "text/plain"}),
        lambda mock: mock.call(headers={"Prefer": "code=500"}),
        lambda mock: mock.http.get(PATH),
        lambda mock: mock.http.get("/nowhere"),
        lambda mock: mock.http.post("/openapi.json"),
    ],
)
def test_every_answer_has_an_id_and_says_what_was_planned(mock: Mock, send: Callable[[Mock], httpx.Response]) -> None:
    answer = send(mock)
    assert re.fullmatch(r"req_[0-9a-f]{7}", answer.headers["x-request-id"])
    plan = timing(answer)
    assert plan["first"] <= plan["planned"]
    assert plan["wasted"] <= plan["planned"]
    assert len(answer.headers.get_list("content-type")) == 1
    assert "server" not in answer.headers


@pytest.mark.parametrize(
    ("method", "path"),
    [
        ("GET", "/docs"),
        ("GET", "/openapi.json"),
        ("HEAD", "/openapi.json"),
        ("GET", "/__mock__/openapi.json"),
        ("GET", "/__mock__/health"),
        ("GET", "/__mock__/metrics"),
        ("GET", "/__mock__/accounts/nobody"),
        ("DELETE", "/__mock__/faults"),
        ("OPTIONS", PATH),
        ("GET", "/__test__/mine/nowhere"),
    ],
)
def test_what_is_no_call_has_an_id_too_and_each_another(mock: Mock, method: str, path: str) -> None:
    ids = [mock.http.request(method, path).headers.get_list("x-request-id") for _ in range(2)]
    assert [len(found) for found in ids] == [1, 1]
    assert ids[0] != ids[1]
    assert all(re.fullmatch(r"req_[0-9a-f]{7}", found[0]) for found in ids)


@pytest.mark.parametrize("key", [key for key, rpm in RPM.items() if rpm is not None])
@pytest.mark.parametrize("body", [chat(max_tokens=1), chat(stream=True, max_tokens=1), b"{"], ids=["ok", "sse", "bad"])
def test_a_key_with_limits_is_told_them(mock: Mock, key: str, body: Any) -> None:
    limit, remaining, reset = quota(mock.call(body, key=key))
    assert limit == RPM[key]
    assert remaining <= limit
    assert time.time() - 1 <= reset <= time.time() + 61


@pytest.mark.parametrize(
    ("headers", "status"),
    [({"Content-Type": "text/plain"}, 415), ({"Prefer": "code=x"}, 400), ({"Prefer": "code=502"}, 502)],
)
def test_every_authenticated_answer_has_the_limits(mock: Mock, headers: dict[str, str], status: int) -> None:
    answer = mock.call(key="sk-test-basic", headers=headers)
    assert (answer.status_code, quota(answer)[:2]) == (status, (60, 60))


@pytest.mark.parametrize("key", [UNLIMITED, "sk-test-revoked", "wrong"])
def test_a_key_without_limits_is_told_none(mock: Mock, key: str) -> None:
    answer = mock.call(key=key)
    assert [name for name in LIMITS if name in answer.headers] == []
    assert "retry-after" not in answer.headers


def test_what_remains_goes_down_call_by_call_and_the_reset_goes_up(mock: Mock) -> None:
    seen = [quota(mock.call(chat(max_tokens=1), key="sk-test-free")) for _ in range(10)]
    assert [remaining for _, remaining, _ in seen] == list(range(9, -1, -1))
    assert [reset for _, _, reset in seen] == sorted(reset for _, _, reset in seen)
    refused = mock.call(chat(max_tokens=1), key="sk-test-free")
    assert_refused(refused, 429, "RATE_LIMIT_EXCEEDED")
    assert quota(refused)[1] == 0
    assert 1 <= int(refused.headers["retry-after"]) <= 6


def test_mistakes_of_the_caller_consume_nothing(mock: Mock) -> None:
    assert mock.call(key="sk-test-limited", headers={"Prefer": "code=429"}).status_code == 429
    assert mock.call(b"{", key="sk-test-limited").status_code == 400
    assert mock.call(chat(strategy={"models": ["none"]}), key="sk-test-limited").status_code == 400
    assert mock.call(key="sk-test-limited").status_code == 200
    assert mock.call(key="sk-test-limited").status_code == 429


def test_a_second_call_of_a_single_plan_is_told_to_come_back_within_the_minute(mock: Mock) -> None:
    assert quota(mock.call(key="sk-test-limited"))[:2] == (1, 0)
    refused = mock.call(key="sk-test-limited")
    assert 55 <= int(refused.headers["retry-after"]) <= 60


@pytest.mark.parametrize(("key", "status"), [("sk-test-empty", 402), ("sk-test-error", 500), ("sk-test-outage", 502)])
def test_failures_consume_a_request_and_no_tokens(mock: Mock, key: str, status: int) -> None:
    balance = mock.account(key)["balance"]
    assert [quota(mock.call(key=key))[1] for _ in range(3)] == [299, 298, 297]
    account = mock.account(key)
    assert (account["balance"], account["reserved"], account["charged"]) == (balance, 0, 0)
    assert mock.call(key=key).status_code == status


def test_tokens_per_minute_are_limited_by_their_estimate(mock: Mock) -> None:
    big = chat(max_tokens=15_000)
    assert mock.call(chat("word " * 21_000, max_tokens=1), key="sk-test-free").status_code == 200
    refused = mock.call(big, key="sk-test-free")
    assert_refused(refused, 429, "RATE_LIMIT_EXCEEDED")
    assert int(refused.headers["retry-after"]) > 30
    assert quota(refused)[1] == 9


def test_the_estimate_is_corrected_by_what_was_used(mock: Mock) -> None:
    statuses = [mock.call(chat(max_tokens=15_000), key="sk-test-free").status_code for _ in range(5)]
    assert statuses == [200] * 5


def test_too_many_calls_at_once_are_told_when_one_will_be_over(slow_mock: Mock) -> None:
    key = "sk-own-pair-abcd"
    body = chat(strategy=STEADY, max_tokens=10)
    answers: list[httpx.Response] = []
    threads = [
        threading.Thread(target=lambda n=n: answers.append(slow_mock.call(body | {"max_tokens": n}, key=key)))
        for n in (8, 9)
    ]
    for thread in threads:
        thread.start()
    eventually(lambda: slow_mock.account(key)["in_flight"] == 2)
    refused = slow_mock.call(body, key=key)
    for thread in threads:
        thread.join()
    assert [answer.status_code for answer in answers] == [200, 200]
    assert_refused(refused, 429, "RATE_LIMIT_EXCEEDED")
    shortest = min(timing(answer)["planned"] for answer in answers)
    assert 1 <= int(refused.headers["retry-after"]) <= -(-shortest // 1000)
    assert slow_mock.call(chat(strategy=STEADY, max_tokens=1), key=key).status_code == 200


def test_two_calls_at_once_cannot_spend_the_same_tokens(slow_mock: Mock) -> None:
    key, body = "sk-own-purse-wxyz", chat(strategy=STEADY, max_tokens=10)
    with slow_mock.connect() as first:
        first.send(raw_call(body).replace(b"sk-test-unlimited", key.encode()))
        eventually(lambda: slow_mock.account(key)["reserved"] > 0)
        assert_refused(slow_mock.call(body, key=key), 402, "INSUFFICIENT_BALANCE")
        assert first.answer().status == 200
    account = slow_mock.account(key)
    assert (account["reserved"], account["balance"] + account["charged"]) == (0, 25)


def test_keep_alive_answers_many_calls_on_one_connection(mock: Mock) -> None:
    with mock.connect() as connection:
        for _ in range(20):
            connection.send(raw_call(chat(max_tokens=1)))
            answer = connection.answer()
            assert (answer.status, "connection" in answer.headers) == (200, False)


def test_connection_close_is_honoured(mock: Mock) -> None:
    with mock.connect() as connection:
        connection.send(raw_call(close=True))
        answer = connection.answer()
        assert (answer.status, answer.headers["connection"]) == (200, "close")
        assert connection.rest() == b""


def test_http_1_0_is_answered_and_closed_without_chunks(mock: Mock) -> None:
    with mock.connect() as connection:
        connection.send(raw_call(version="1.0"))
        answer = connection.answer()
        assert (answer.status, answer.headers["connection"]) == (200, "close")
        assert "transfer-encoding" not in answer.headers
        assert connection.rest() == b""


@pytest.mark.parametrize(
    ("fault", "whole"),
    [("", True), ("framing=bytewise", True), ("bad_chunk", True), ("eof;after=3", False), ("dribble;for=0", True)],
)
def test_a_stream_over_http_1_0_has_no_chunks_and_ends_with_the_connection(mock: Mock, fault: str, whole: bool) -> None:
    stream = not fault.startswith("dribble")
    call = raw_call(chat(stream=stream, max_tokens=20), version="1.0")
    if fault:
        call = call.replace(b"Host:", f"X-Mock-Fault: {fault}\r\nHost:".encode())
    with mock.connect() as connection:
        connection.send(call)
        status, headers = connection.head()
        body = connection.rest()
    assert (status, headers["connection"]) == (200, "close")
    assert "transfer-encoding" not in headers
    if not stream:
        assert (len(body), json.loads(body)["success"]) == (int(headers["content-length"]), True)
        return
    assert "content-length" not in headers
    data = data_of(body)
    assert (data[-1] == "[DONE]") is whole
    assert json.loads(data[0])["request_id"] == headers["x-request-id"]


@pytest.mark.parametrize("stream", [False, True])
def test_pipelined_calls_are_answered_in_order(slow_mock: Mock, stream: bool) -> None:
    texts = ["first", "second", "third"]
    fast = {"models": ["slow/steady"]}
    expected = [slow_mock.call(chat(text, max_tokens=2, strategy=fast)).json()["response"] for text in texts]
    slow_mock.reset()
    with slow_mock.connect() as connection:
        connection.send(b"".join(raw_call(chat(text, max_tokens=2, strategy=fast, stream=stream)) for text in texts))
        bodies = [connection.answer().body.decode() for _ in texts]
    for text, body in zip(expected, bodies, strict=True):
        assert text.split()[0] in body


def test_a_client_may_wait_for_100_continue(mock: Mock) -> None:
    head, _, body = raw_call(chat(max_tokens=1)).partition(b"\r\n\r\n")
    with mock.connect() as connection:
        connection.send(head + b"\r\nExpect: 100-continue\r\n\r\n")
        assert connection.head() == (100, {})
        connection.send(body)
        assert connection.answer().status == 200


def test_a_call_that_comes_byte_by_byte_is_understood(mock: Mock) -> None:
    with mock.connect() as connection:
        for byte in raw_call(chat(max_tokens=1)):
            connection.send(bytes([byte]))
        assert connection.answer().status == 200


def test_no_body_and_no_length_is_an_empty_body(mock: Mock) -> None:
    with mock.connect() as connection:
        connection.send(re.sub(rb"Content-Length: \d+\r\n", b"", raw_call(b"")))
        assert_refused(connection.answer(), 400, "INVALID_REQUEST", says="empty")

"""Header lines that rules add, on the wire."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest

from mock_server.core.added import OWN
from mock_server.http.cors import EVERY_ANSWER
from tests.mock_server.conftest import StartMock
from tests.mock_server.wire import Mock, assert_refused, chat, raw_call


def queue(mock: Mock, what: str, **rule: Any) -> None:
    answer = mock.http.post(f"/__mock__/{what}", json=rule)
    assert answer.status_code == 200, answer.text


def test_a_queued_error_may_say_whether_to_retry_and_when(mock: Mock) -> None:
    queue(mock, "faults", code=429, times=1, headers={"x-should-retry": "false", "Retry-After": "37"})
    refused = mock.call()
    assert_refused(refused, 429, "RATE_LIMIT_EXCEEDED")
    assert refused.headers["x-should-retry"] == "false"
    assert refused.headers.get_list("retry-after") == ["37"]
    assert "x-should-retry" not in mock.call(headers={"Prefer": "code=429"}).headers


def test_an_error_that_is_about_the_route_has_them_too(mock: Mock) -> None:
    queue(mock, "faults", code=500, match={"provider": "groq"}, headers={"Retry-After": "5"})
    refused = mock.call(chat(strategy={"providers": {"only": ["groq"]}}))
    assert_refused(refused, 500, "INTERNAL_ERROR")
    assert refused.headers["retry-after"] == "5"


@pytest.mark.parametrize("stream", [False, True])
def test_a_canned_answer_may_add_some(mock: Mock, stream: bool) -> None:
    replies = [{"text": "Sunny.", "headers": {"X-Served-By": "cache", "RateLimit": "none"}}, {"text": "Rain."}]
    queue(mock, "answers", replies=replies)
    first, second = (mock.call(chat(stream=stream), key="sk-test-pro") for _ in range(2))
    assert first.headers["x-served-by"] == "cache"
    assert first.headers.get_list("ratelimit") == ["none"]
    assert first.headers["x-ratelimit-limit"] == "300"
    assert "x-served-by" not in second.headers
    assert second.headers["ratelimit"].startswith('"minute"')


@pytest.mark.parametrize("name", ["cache-control", "Content-Type"])
@pytest.mark.parametrize("stream", [False, True])
def test_a_line_of_a_canned_answer_takes_the_place_of_the_mocks_own(mock: Mock, name: str, stream: bool) -> None:
    queue(mock, "answers", replies=[{"text": "Sunny.", "headers": {name: "mine"}}])
    assert mock.call(chat(stream=stream)).headers.get_list(name) == ["mine"]


def test_an_answer_that_is_given_again_has_them_again(start_mock: StartMock, tmp_path: Path) -> None:
    world = tmp_path / "again.toml"
    world.write_text('extends = "instant"\n[gateway]\nidempotency = true\n')
    own = start_mock("--world", str(world))
    queue(own, "answers", replies=[{"text": "Sunny.", "headers": {"X-Served-By": "cache"}}, {"text": "Rain."}])
    first, again = (own.call(chat("alike"), headers={"Idempotency-Key": "one"}) for _ in range(2))
    assert [answer.headers["x-served-by"] for answer in (first, again)] == ["cache", "cache"]
    assert again.content == first.content


def test_bytes_are_what_they_say(mock: Mock) -> None:
    queue(mock, "faults", code=500, times=1, headers={"X-Size": "größe"})
    with mock.connect() as connection:
        connection.send(raw_call())
        assert connection.head()[1]["x-size"] == "größe"


@pytest.mark.parametrize(
    ("what", "rule", "says"),
    [
        ("faults", {"code": 500, "headers": {"Content-Length": "5"}}, "belongs to HTTP's own framing"),
        ("faults", {"code": 500, "headers": {"X-A": "b\r\nX-C: d"}}, "must be one line"),
        ("faults", {"code": 500, "headers": {"X-A": 5}}, "headers.X-A: must be a string, not 5"),
        ("faults", {"fault": "reset", "headers": {"X-A": "b"}}, "headers go with code"),
        ("answers", {"replies": [{"text": "a", "headers": {"transfer-encoding": "x"}}]}, "HTTP's own framing"),
        ("answers", {"replies": [{"text": "a", "headers": {"X-Request-Id": "x"}}]}, "the mock's own to say"),
        ("faults", {"code": 429, "headers": {"Date": "now"}}, "Date is the mock's own to say"),
    ],
)
def test_what_cannot_be_added_is_refused(mock: Mock, what: str, rule: dict[str, Any], says: str) -> None:
    assert_refused(mock.http.post(f"/__mock__/{what}", json=rule), 400, "INVALID_MOCK_DIRECTIVE", says=says)


def test_what_the_server_says_of_every_answer_is_not_a_rules_to_say(start_mock: StartMock) -> None:
    told = start_mock("--cors").http.get("/nowhere").headers
    said = {name for name, _ in EVERY_ANSWER} | {"date"}
    assert said <= set(told)
    assert said <= OWN


def test_a_world_may_add_them(start_mock: StartMock, tmp_path: Path) -> None:
    world = tmp_path / "world.toml"
    world.write_text('extends = "instant"\n[[faults]]\ncode = 429\nheaders = { Retry-After = "9" }\n')
    assert start_mock("--world", str(world)).call().headers["retry-after"] == "9"

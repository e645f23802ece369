"""Queued faults over a real socket: which calls they strike, and what comes before what."""

from __future__ import annotations

from typing import Any

import pytest

from tests.mock_server.wire import Mock, assert_refused, chat


def queue(mock: Mock, **rule: Any) -> None:
    answer = mock.http.post("/__mock__/faults", json=rule)
    assert answer.status_code in (200, 201), answer.text


def statuses(mock: Mock, calls: int, **how: Any) -> list[int]:
    return [mock.call(**how).status_code for _ in range(calls)]


@pytest.mark.parametrize(
    ("rule", "expected"),
    [
        ({"times": 2}, [502, 502, 200, 200, 200, 200]),
        ({"every": 3}, [200, 200, 502, 200, 200, 502]),
        ({}, [502] * 6),
        ({"rate": 1.0}, [502] * 6),
    ],
    ids=str,
)
def test_a_queued_code_strikes_the_calls_it_picks(mock: Mock, rule: dict[str, Any], expected: list[int]) -> None:
    queue(mock, code=502, **rule)
    assert statuses(mock, 6) == expected


def test_stratified_codes_strike_exactly_their_share(mock: Mock) -> None:
    queue(mock, code=500, hits=2, of=10)
    found = statuses(mock, 40)
    assert [found[start : start + 10].count(500) for start in range(0, 40, 10)] == [2, 2, 2, 2]


@pytest.mark.parametrize(
    ("match", "how"),
    [
        ({"key": "sk-test-basic"}, {"key": "sk-test-basic"}),
        ({"test": "mine"}, {"test": "mine"}),
        ({"text": "sea"}, {"body": chat("tell me of the sea")}),
        ({"stream": True}, {"body": chat(stream=True)}),
        ({"provider": "groq"}, {"body": chat(strategy={"providers": {"only": ["groq"]}})}),
        ({"model": "mistral-small"}, {"body": chat(strategy={"models": ["mistral-small"]})}),
    ],
    ids=str,
)
def test_a_queued_fault_strikes_only_calls_that_match(mock: Mock, match: dict[str, Any], how: dict[str, Any]) -> None:
    queue(mock, code=502, match=match, times=1)
    assert mock.call().status_code == 200
    assert_refused(mock.call(**how), 502, "ALL_PROVIDERS_FAILED")
    assert mock.call(**how).status_code == 200


def test_a_call_struck_by_a_code_costs_nothing(mock: Mock) -> None:
    queue(mock, code=502, times=1)
    queue(mock, code=500, match={"provider": "openai"}, times=1)
    assert statuses(mock, 2, key="sk-test-pro") == [502, 500]
    account = mock.account("sk-test-pro")
    assert (account["balance"], account["reserved"], account["in_flight"]) == (100_000_000, 0, 0)


def test_faults_strike_in_the_order_in_which_they_were_queued(mock: Mock) -> None:
    queue(mock, code=500, times=1)
    queue(mock, fault="empty", times=1)
    queue(mock, code=429, times=1)
    answers = [mock.call() for _ in range(4)]
    assert [(answer.status_code, bool(answer.content)) for answer in answers] == [
        (500, True),
        (200, False),
        (429, True),
        (200, True),
    ]


def test_a_directive_of_the_call_itself_comes_first_and_leaves_the_queue_alone(mock: Mock) -> None:
    queue(mock, code=500, times=1)
    assert mock.call(headers={"Prefer": "code=429"}).status_code == 429
    assert mock.call(headers={"X-Mock-Fault": "empty"}).content == b""
    assert statuses(mock, 2) == [500, 200]


def test_a_queued_fault_waits_for_a_call_it_can_strike(mock: Mock) -> None:
    queue(mock, fault="eof", times=1)
    assert mock.call().status_code == 200
    assert b"[DONE]" not in mock.call(chat(stream=True)).content
    assert b"[DONE]" in mock.call(chat(stream=True)).content


@pytest.mark.parametrize(
    ("rule", "says"),
    [
        ({"fault": "boom"}, "unknown fault kind 'boom'"),
        ({"fault": "delay"}, "delay needs for=SECONDS"),
        ({"code": 200}, "code must be one of"),
        ({"code": 502, "fault": "reset"}, "give either code or fault"),
        ({}, "give either code or fault"),
        ({"code": 502, "times": 1, "every": 2}, "contradict each other"),
        ({"code": 502, "times": 0}, "times"),
        ({"code": 502, "tmies": 1}, "tmies"),
        ({"fault": "eof", "match": {"stream": False}}, "eof cannot strike a plain answer"),
    ],
    ids=str,
)
def test_what_cannot_be_queued_is_refused_and_disturbs_nothing(mock: Mock, rule: dict[str, Any], says: str) -> None:
    answer = mock.http.post("/__mock__/faults", json=rule)
    assert answer.status_code == 400
    assert says in answer.json()["error"]["message"]
    assert mock.call().status_code == 200

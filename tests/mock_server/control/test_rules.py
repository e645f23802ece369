"""Queued faults and canned answers."""

from __future__ import annotations

import pytest

from tests.mock_server.control.conftest import Plane
from tests.mock_server.wire import assert_refused, chat

CANNED = {"replies": [{"text": "one"}, {"text": "two"}]}


def test_a_queued_fault_strikes_and_counts(plane: Plane) -> None:
    queued = plane.post("faults", {"match": {"text": "boom"}, "code": 502, "times": 2})
    assert queued == {
        "source": "queued",
        "rule": {"match": {"text": "boom"}, "code": 502, "times": 2},
        "seen": 0,
        "struck": 0,
        "spent": False,
    }
    statuses = [plane.mock.call(chat(text)).status_code for text in ("boom", "calm", "boom", "boom")]
    assert statuses == [502, 200, 502, 200]
    (listed,) = plane.get("faults")["faults"]
    assert (listed["seen"], listed["struck"], listed["spent"]) == (2, 2, True)
    assert plane.get("requests/count", fault="code=502") == {"count": 2}


def test_the_test_header_makes_a_fault_the_tests_own(plane: Plane) -> None:
    plane.post("faults", {"code": 500}, test="one")
    assert [plane.mock.call(test=test).status_code for test in ("one", "two", "")] == [500, 200, 200]
    assert [f["rule"]["match"]["test"] for f in plane.get("faults", test="one")["faults"]] == ["one"]
    assert plane.get("faults", test="two")["faults"] == []
    assert plane.delete("faults", test="two") == {"cleared": 0}
    assert plane.delete("faults", test="one") == {"cleared": 1}
    assert plane.mock.call(test="one").status_code == 200


def test_all_faults_are_cleared_at_once(plane: Plane) -> None:
    for test in ("", "one", "two"):
        plane.post("faults", {"code": 500}, test=test)
    assert plane.delete("faults") == {"cleared": 3}
    assert plane.mock.call(test="one").status_code == 200


def test_keys_in_rules_are_shown_by_their_end_only(plane: Plane) -> None:
    plane.post("faults", {"match": {"key": "sk-test-pro"}, "code": 500})
    plane.post("answers", {"match": {"key": "sk-test-pro"}, **CANNED})
    for path in ("faults", "answers"):
        assert plane.get(path)[path][0]["rule"]["match"]["key"] == "…-pro"
    assert plane.mock.call(key="sk-test-pro").status_code == 500
    assert plane.mock.call(key="sk-test-free").status_code == 200


@pytest.mark.parametrize(
    ("body", "says"),
    [
        ({}, "give either code or fault"),
        ({"code": 500, "fault": "reset"}, "give either code or fault"),
        ({"code": 418}, "code must be one of 400, 401, 402"),
        ({"code": "502"}, "code: must be an integer, not '502'"),
        ({"code": True}, "code: must be an integer, not true"),
        ({"fault": "explode"}, "unknown fault kind 'explode'; allowed are reset, fin"),
        ({"fault": "eof;stage=before_headers"}, "eof cannot strike at stage before_headers"),
        ({"code": 500, "times": 0}, "times: must be an integer >= 1, not 0"),
        ({"code": 500, "times": 1, "every": 2}, "times and every contradict each other"),
        ({"code": 500, "tiems": 1}, "tiems: unknown key: did you mean 'times'?"),
        ({"code": 500, "match": {"modle": "x"}}, "match.modle: unknown key: did you mean 'model'?"),
        ({"code": 500, "match": {"stream": 1}}, "match.stream: must be true or false, not 1"),
        ({"code": 500, "match": {"provider": "acme"}}, "match.provider is about no model: 'acme'; models are"),
        ({"code": 500, "match": {"model": "acme-1"}}, "match.model is about no model: 'acme-1'; models are"),
        ({"code": 500, "rate": 0}, "rate is 0: it would strike no call"),
        ({"fault": "reset", "match": {"key": "sk-test-error"}}, "match.key: calls with this key are answered 500"),
        ({"code": 500, "match": {"test": ""}}, "match.test must be 1 to 128 visible ASCII characters"),
        ({"code": 500, "match": {"test": "a b"}}, "match.test must be 1 to 128 visible ASCII characters"),
        ({"code": 500, "match": {"key": "sk-secret-thing"}}, "match.key: no account has this key"),
        ({"code": 500, "match": {"key": ["sk-secret-thing"]}}, "match.key: must be a string"),
        (b'{"code": 500', "the body is not valid JSON"),
        (b'{"code": 1' + b"0" * 5_000 + b"}", "the body is not valid JSON"),
        (b'{"times": 1' + b"0" * 100 + b', "code": 500.5}', "code: must be an integer"),
        (b"[" * 100_000, "the body is not valid JSON"),
        (b"[]", "the body must be a JSON object"),
        (b"\xff", "the body is not valid JSON"),
        (b"", "the body is empty"),
    ],
    ids=lambda value: str(value)[:60],
)
def test_faults_that_cannot_be_understood_are_refused(plane: Plane, body: object, says: str) -> None:
    message = assert_refused(plane.ask("POST", "faults", body), 400, "INVALID_MOCK_DIRECTIVE", says=says)
    assert "secret" not in message
    assert len(message) < 500
    assert plane.get("faults")["faults"] == []


def test_what_another_rule_of_the_test_always_forestalls_is_refused(plane: Plane) -> None:
    plane.post("faults", {"code": 500})
    answer = plane.ask("POST", "faults", {"code": 502})
    assert_refused(answer, 400, "INVALID_MOCK_DIRECTIVE", says="faults[0] is asked before it and strikes every call")
    plane.post("faults", {"code": 502}, test="another")
    plane.post("answers", CANNED)
    answer = plane.ask("POST", "answers", CANNED)
    assert_refused(answer, 400, "INVALID_MOCK_DIRECTIVE", says="answers[0] comes before it")


def test_a_fault_can_strike_the_provider_that_a_canned_answer_names(plane: Plane) -> None:
    plane.post("answers", {"replies": [{"text": "one", "provider": "acme"}]})
    plane.post("faults", {"code": 500, "match": {"provider": "acme"}})
    assert plane.mock.call().status_code == 500


def test_an_empty_test_id_is_not_everybody(plane: Plane) -> None:
    plane.post("faults", {"code": 500}, test="mine")
    reset = plane.mock.http.post("/__mock__/reset", json={}, headers={"X-Mock-Test": ""})
    assert_refused(reset, 400, "INVALID_MOCK_DIRECTIVE", says="X-Mock-Test must be 1 to 128")
    assert plane.get("faults", test="mine")["faults"]


def test_a_fault_for_another_test_than_the_headers_is_refused(plane: Plane) -> None:
    answer = plane.ask("POST", "faults", {"match": {"test": "a"}, "code": 500}, test="b")
    assert_refused(answer, 400, "INVALID_MOCK_DIRECTIVE", says="X-Mock-Test and match.test contradict each other")


def test_a_canned_answer_is_given_in_turn_and_counted(plane: Plane) -> None:
    plane.post("answers", {"match": {"contains": "hello"}, **CANNED})
    assert [plane.mock.call().json()["response"] for _ in range(3)] == ["one", "two", "two"]
    (listed,) = plane.get("answers")["answers"]
    assert (listed["source"], listed["answered"]) == ("queued", 3)
    assert plane.delete("answers") == {"cleared": 1}
    assert plane.mock.call().json()["response"] not in ("one", "two")


def test_canned_answers_of_one_test_are_its_own(plane: Plane) -> None:
    plane.post("answers", CANNED, test="one")
    assert plane.mock.call(test="one").json()["response"] == "one"
    assert plane.mock.call(test="two").json()["response"] != "one"
    assert plane.delete("answers", test="two") == {"cleared": 0}


@pytest.mark.parametrize(
    ("body", "says"),
    [
        ({}, "replies: is missing"),
        ({"replies": []}, "replies: needs at least 1 entries"),
        ({"replies": [{"text": ""}]}, "replies"),
        ({"replies": [{"text": "x", "delay_s": -1}]}, "replies[0].delay_s: must be a number >= 0 and <= 86400, not -1"),
        ({"replies": [{"text": "x", "fault": "bang"}]}, "unknown fault kind 'bang'"),
        ({"match": {"regex": "("}, **CANNED}, "match.regex is not a regular expression"),
        ({"match": {"model": "acme*"}, **CANNED}, "match.model is about no model: 'acme*'; models are"),
        ({"match": {"key": "sk-secret-thing"}, **CANNED}, "match.key: no account has this key"),
    ],
    ids=str,
)
def test_answers_that_cannot_be_understood_are_refused(plane: Plane, body: object, says: str) -> None:
    answer = plane.ask("POST", "answers", body)
    assert "secret" not in assert_refused(answer, 400, "INVALID_MOCK_DIRECTIVE", says=says)
    assert plane.get("answers")["answers"] == []

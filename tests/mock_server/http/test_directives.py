from __future__ import annotations

import pytest

from mock_server.contract.errors import FORCED
from tests.mock_server.wire import PATH, UNLIMITED, Mock, assert_refused, chat, timing

CODES = sorted(FORCED)


@pytest.mark.parametrize("code", CODES)
def test_any_documented_error_can_be_forced_by_preference(mock: Mock, code: int) -> None:
    answer = mock.call(headers={"Prefer": f"code={code}"})
    assert assert_refused(answer, code, FORCED[code].code) == FORCED[code].message
    assert answer.headers["preference-applied"] == f"code={code}"


@pytest.mark.parametrize("code", CODES)
def test_any_documented_error_can_be_forced_by_query(mock: Mock, code: int) -> None:
    answer = mock.call(query=f"?__code={code}")
    assert_refused(answer, code, FORCED[code].code)
    assert "preference-applied" not in answer.headers


def test_forced_errors_have_the_headers_of_real_ones(mock: Mock) -> None:
    def header(code: int, name: str) -> str | None:
        value: str | None = mock.call(headers={"Prefer": f"code={code}"}).headers.get(name)
        return value

    assert header(400, "retry-after") is None
    assert header(401, "www-authenticate") == "Bearer"
    assert header(405, "allow") == "POST"
    assert header(429, "retry-after") == "1"
    assert header(502, "retry-after") is None


@pytest.mark.parametrize("code", CODES)
def test_a_forced_error_is_charged_nothing_and_consumes_nothing(mock: Mock, code: int) -> None:
    for _ in range(3):
        answer = mock.call(key="sk-test-limited", headers={"Prefer": f"code={code}"})
        assert (answer.status_code, answer.headers["x-ratelimit-remaining"]) == (code, "1")
    assert mock.account("sk-test-limited")["balance"] == 1_000_000
    assert mock.call(key="sk-test-limited").status_code == 200


def test_a_forced_error_does_not_shift_the_answers_that_follow(mock: Mock) -> None:
    expected = mock.call().json()["response"]
    mock.reset()
    mock.call(headers={"Prefer": "code=500"})
    assert mock.call().json()["response"] == expected


@pytest.mark.parametrize(
    "value",
    [
        'code="429"',
        "CODE=429",
        "Code = 429",
        "respond-async, code=429",
        "respond-async, wait=10 , code=429",
        'code=429; reason="a, b"',
        'note="x;y", code=429',
        "code=429, code=500",
        "code=429, code=nonsense",
    ],
)
def test_a_preference_is_read_as_rfc_7240_writes_it(mock: Mock, value: str) -> None:
    answer = mock.call(headers={"Prefer": value})
    assert_refused(answer, 429, "RATE_LIMIT_EXCEEDED")
    assert answer.headers["preference-applied"] == "code=429"


@pytest.mark.parametrize(
    "value",
    [
        "respond-async",
        "return=minimal",
        "wait=code",
        'note="a, code=429"',
        'note="say \\", code=429"',
        "encode=429",
        "x-code=429",
        "note; code=429",
        "handling=lenient; code=500, wait=3",
        ",,",
        "",
    ],
)
def test_other_preferences_are_ignored(mock: Mock, value: str) -> None:
    answer = mock.call(headers={"Prefer": value})
    assert (answer.status_code, answer.headers.get("preference-applied")) == (200, None)


def test_a_preference_may_come_in_a_header_line_of_its_own(mock: Mock) -> None:
    headers = [("Authorization", "Bearer sk-test-unlimited"), ("Content-Type", "application/json")]
    answer = mock.http.post(
        "/v1/llm/auto", json=chat(), headers=[*headers, ("Prefer", "wait=1"), ("Prefer", "code=502")]
    )
    assert_refused(answer, 502, "ALL_PROVIDERS_FAILED")


BAD = ["200", "299", "418", "404.5", "-429", "x", "", '""', "+429", "٤٢٩", "4" * 5_000]


@pytest.mark.parametrize("value", BAD, ids=lambda value: value[:8])
def test_an_impossible_code_is_refused_with_what_is_allowed(mock: Mock, value: str) -> None:
    answers = [mock.call(query=f"?__code={value}")]
    if value.isascii():
        answers.append(mock.call(headers={"Prefer": f"code={value}"}))
    for answer in answers:
        message = assert_refused(answer, 400, "INVALID_MOCK_DIRECTIVE")
        assert ", ".join(map(str, CODES)) in message
        assert len(message) < 300
        assert "preference-applied" not in answer.headers


@pytest.mark.parametrize("value", ["code", "code;x=1", "wait=1, code", "code="])
def test_a_code_without_a_value_is_refused(mock: Mock, value: str) -> None:
    assert_refused(mock.call(headers={"Prefer": value}), 400, "INVALID_MOCK_DIRECTIVE", says="Prefer: code")


@pytest.mark.parametrize("query", ["?__cod=429", "?__faults=reset", "?__", "?a=1&__x"])
def test_an_unknown_directive_in_the_query_is_refused(mock: Mock, query: str) -> None:
    assert_refused(mock.call(query=query), 400, "INVALID_MOCK_DIRECTIVE", says="__code")


@pytest.mark.parametrize("query", ["?", "?a=1", "?code=429", "?_code=500", "?a=__code", "?%", "?%ff=%00"])
def test_other_query_parameters_are_ignored(mock: Mock, query: str) -> None:
    assert mock.call(query=query).status_code == 200


@pytest.mark.parametrize(("query", "prefer"), [("?__code=429", "code=500"), ("?__code=429&__code=500", "wait=1")])
def test_a_contradiction_is_refused(mock: Mock, query: str, prefer: str) -> None:
    answer = mock.call(query=query, headers={"Prefer": prefer})
    assert_refused(answer, 400, "INVALID_MOCK_DIRECTIVE", says="contradict")


def test_saying_the_same_twice_is_no_contradiction(mock: Mock) -> None:
    answer = mock.call(query="?__code=429", headers={"Prefer": "code=429"})
    assert answer.status_code == 429


def test_a_directive_is_looked_at_after_the_call_itself(mock: Mock) -> None:
    assert_refused(mock.call(key="wrong", headers={"Prefer": "code=500"}), 401, "INVALID_API_KEY")
    assert_refused(mock.call(b"{}", headers={"Prefer": "code=500"}), 400, "INVALID_REQUEST", says="messages")


@pytest.mark.parametrize("value", [b"t" * 129, b"t" * 5_000, b"two words", b"caf\xc3\xa9"], ids=lambda value: value[:9])
def test_a_test_id_that_is_too_long_or_no_visible_ascii_is_refused(mock: Mock, value: bytes) -> None:
    headers = [(b"Authorization", b"Bearer sk-test-unlimited"), (b"Content-Type", b"application/json")]
    answer = mock.http.post("/v1/llm/auto", json=chat(), headers=[*headers, (b"X-Mock-Test", value)])
    message = assert_refused(answer, 400, "INVALID_MOCK_DIRECTIVE", says="X-Mock-Test")
    assert "128" in message
    assert mock.call(test="~" * 128).status_code == 200


def test_a_fault_header_that_says_nothing_is_refused(mock: Mock) -> None:
    assert_refused(mock.call(headers={"X-Mock-Fault": ""}), 400, "INVALID_MOCK_DIRECTIVE", says="allowed are reset")


def test_two_fault_headers_that_differ_contradict_each_other(mock: Mock) -> None:
    headers = [("X-Mock-Fault", "empty"), ("X-Mock-Fault", "reset")]
    answer = mock.http.post(PATH, json=chat(), headers=[("Authorization", f"Bearer {UNLIMITED}"), *headers])
    assert_refused(answer, 400, "INVALID_MOCK_DIRECTIVE", says="contradict")


def test_what_a_dribble_adds_is_announced(mock: Mock) -> None:
    answer = mock.call(headers={"X-Mock-Fault": "dribble;for=0.2"})
    assert (timing(answer)["first"], timing(answer)["planned"]) == (0, 200)

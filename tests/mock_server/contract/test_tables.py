"""The contract's tables hold what the documentation says, and hang together."""

from __future__ import annotations

import msgspec
import pytest

from mock_server.contract import errors
from mock_server.contract.accounts import PLANS, TEST_KEYS
from mock_server.contract.endpoints import BASE_URL, INTRODUCTION, LLM_AUTO, QUICK_TIPS, TITLE
from mock_server.contract.errors import BY_CODE, COMMON_ERRORS, ERRORS, FORCED, STATUSES
from mock_server.contract.examples import DOCUMENTED_REQUEST, EXAMPLE_RESPONSE
from mock_server.contract.headers import REQUEST_HEADERS, RESPONSE_HEADERS
from mock_server.contract.messages import FIELDS, ChatRequest, ChatResponse, ErrorResponse
from mock_server.contract.provenance import DOCUMENTED, Source

PAIRS = [
    (400, "INVALID_REQUEST", False),
    (400, "CONTEXT_LENGTH_EXCEEDED", False),
    (400, "MODEL_UNAVAILABLE", False),
    (401, "INVALID_API_KEY", False),
    (402, "INSUFFICIENT_BALANCE", False),
    (404, "NOT_FOUND", False),
    (405, "METHOD_NOT_ALLOWED", False),
    (408, "REQUEST_TIMEOUT", True),
    (413, "PAYLOAD_TOO_LARGE", False),
    (415, "UNSUPPORTED_MEDIA_TYPE", False),
    (429, "RATE_LIMIT_EXCEEDED", True),
    (431, "HEADERS_TOO_LARGE", False),
    (400, "INVALID_MOCK_DIRECTIVE", False),
    (409, "IDEMPOTENCY_CONFLICT", False),
    (500, "INTERNAL_ERROR", True),
    (502, "ALL_PROVIDERS_FAILED", True),
]


def test_every_error_of_the_contract_is_there_and_no_other() -> None:
    assert sorted((kind.status, kind.code, kind.retry) for kind in ERRORS) == sorted(PAIRS)
    assert {code: kind.code for code, kind in BY_CODE.items()} == {code: code for _, code, _ in PAIRS}


@pytest.mark.parametrize(
    ("kind", "text"),
    [
        (errors.INVALID_API_KEY, "Invalid API key in Authorization header"),
        (errors.INSUFFICIENT_BALANCE, "Insufficient token balance for this request"),
        (errors.RATE_LIMIT_EXCEEDED, "Rate limit exceeded for your current plan"),
        (errors.ALL_PROVIDERS_FAILED, "All candidate model providers failed"),
        (errors.MODEL_UNAVAILABLE, "No provider matched your route policy or constraints"),
        (errors.INTERNAL_ERROR, "Unexpected server error"),
    ],
)
def test_documented_texts_are_word_for_word(kind: errors.ErrorKind, text: str) -> None:
    assert kind.message == text


def test_common_errors_are_the_documented_five() -> None:
    assert COMMON_ERRORS == (
        (400, "Missing required message content"),
        (401, "Invalid API key in Authorization header"),
        (402, "Insufficient token balance for this request"),
        (429, "Rate limit exceeded for your current plan"),
        (502, "All candidate model providers failed"),
    )


def test_the_status_reference_is_the_documented_one() -> None:
    documented = [(row.status, row.phrase, row.meaning) for row in STATUSES if row.provenance is DOCUMENTED]
    assert documented == [
        (200, "OK", "Request successful"),
        (400, "Bad Request", "Invalid request parameters"),
        (401, "Unauthorized", "Authentication required or failed"),
        (402, "Payment Required", "Insufficient token balance"),
        (429, "Too Many Requests", "Rate limit exceeded"),
        (500, "Internal Server Error", "Unexpected server error"),
        (502, "Bad Gateway", "Upstream model provider failed"),
    ]
    assert {row.status for row in STATUSES} == {200} | {kind.status for kind in ERRORS}


def test_every_error_status_can_be_forced_and_the_general_error_stands_for_it() -> None:
    assert set(FORCED) == {kind.status for kind in ERRORS}
    assert all(kind.status == status for status, kind in FORCED.items())
    assert FORCED[400] is errors.INVALID_REQUEST
    assert 200 not in FORCED
    assert 418 not in FORCED


def test_headers_that_errors_need_are_described() -> None:
    named = {header.name for header in RESPONSE_HEADERS}
    assert {name for kind in ERRORS for name in kind.headers} <= named
    assert errors.INVALID_API_KEY.headers == ("WWW-Authenticate",)
    assert errors.METHOD_NOT_ALLOWED.headers == ("Allow",)
    assert errors.RATE_LIMIT_EXCEEDED.headers == ("Retry-After",)


def test_every_assumption_gives_its_reason() -> None:
    marks = [kind.provenance for kind in ERRORS] + [row.provenance for row in STATUSES]
    marks += [header.provenance for header in RESPONSE_HEADERS] + [header.provenance for header in REQUEST_HEADERS]
    marks += [mark for _, mark in FIELDS.values()]
    assert {mark.source for mark in marks} == set(Source)
    assert all(mark.reason for mark in marks if mark.source is Source.ASSUMED)


def test_the_endpoint_is_the_documented_one() -> None:
    assert (LLM_AUTO.method, LLM_AUTO.path, LLM_AUTO.name) == ("POST", "/v1/llm/auto", "LLM Auto Route")
    assert LLM_AUTO.summary == "Automatically select and use the best LLM model for your task"
    assert (TITLE, BASE_URL, len(QUICK_TIPS)) == ("API Documentation", "https://apiflowx.top", 3)
    assert INTRODUCTION.endswith("using an API key passed in the Authorization header.")


def test_documented_bodies_have_the_documented_keys_in_order() -> None:
    keys = ["success", "model", "response", "usage", "provider", "request_id"]
    assert list(EXAMPLE_RESPONSE) == list(ChatResponse.__struct_fields__) == keys
    assert list(ErrorResponse.__struct_fields__) == ["success", "error"]
    assert list(DOCUMENTED_REQUEST) == ["messages", "strategy", "stream"]
    assert msgspec.convert(EXAMPLE_RESPONSE, ChatResponse).usage.total_tokens == 522
    assert msgspec.convert(DOCUMENTED_REQUEST, ChatRequest).strategy.mode == "auto"


def test_plans_are_the_contracts() -> None:
    limits = {name: (plan.rpm, plan.rpd, plan.tpm, plan.concurrent) for name, plan in PLANS.items()}
    assert limits == {
        "none": (None, None, None, None),
        "free": (10, 100, 20_000, 2),
        "basic": (60, 5_000, 200_000, 10),
        "pro": (300, 50_000, 2_000_000, 50),
        "single": (1, None, None, None),
    }


def test_keys_are_the_contracts() -> None:
    rows = {row.key.removeprefix("sk-test-"): (row.plan, row.balance, row.fate) for row in TEST_KEYS}
    assert rows == {
        "unlimited": ("none", None, "normal"),
        "free": ("free", 100_000, "normal"),
        "basic": ("basic", 5_000_000, "normal"),
        "pro": ("pro", 100_000_000, "normal"),
        "empty": ("pro", 0, "normal"),
        "limited": ("single", 1_000_000, "normal"),
        "revoked": ("none", 0, "revoked"),
        "outage": ("pro", 1_000_000, "outage"),
        "error": ("pro", 1_000_000, "error"),
    }

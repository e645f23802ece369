from __future__ import annotations

import json
import re
from typing import Any

import pytest

from mock_server.config import load_world
from mock_server.contract.accounts import TEST_KEYS
from mock_server.contract.examples import EXAMPLE_REQUESTS, EXAMPLE_RESPONSE
from mock_server.contract.tokens import PER_MESSAGE, PER_REPLY, estimate
from mock_server.core.routing import candidates_of
from mock_server.core.world import World
from tests.mock_server.wire import REQUEST_ID, Mock, assert_refused, chat

OUTCOMES = {
    "sk-test-unlimited": [200, 200],
    "sk-test-free": [200, 200],
    "sk-test-basic": [200, 200],
    "sk-test-pro": [200, 200],
    "sk-test-empty": [402, 402],
    "sk-test-limited": [200, 429],
    "sk-test-revoked": [401, 401],
    "sk-test-outage": [502, 502],
    "sk-test-error": [500, 500],
}
CODES = {
    401: "INVALID_API_KEY",
    402: "INSUFFICIENT_BALANCE",
    429: "RATE_LIMIT_EXCEEDED",
    500: "INTERNAL_ERROR",
    502: "ALL_PROVIDERS_FAILED",
}
MESSAGES = {
    401: "Invalid API key in Authorization header",
    402: "Insufficient token balance for this request",
    429: "Rate limit exceeded for your current plan",
    500: "Unexpected server error",
    502: "All candidate model providers failed",
}


@pytest.fixture(scope="module")
def world() -> World:
    return load_world("instant")


def test_every_built_in_key_is_tried_here() -> None:
    assert [row.key for row in TEST_KEYS] == list(OUTCOMES)


@pytest.mark.parametrize("stream", [False, True])
@pytest.mark.parametrize("key", OUTCOMES)
def test_a_key_alone_gives_its_documented_outcome(mock: Mock, key: str, stream: bool) -> None:
    for status in OUTCOMES[key]:
        answer = mock.call(chat(stream=stream), key=key)
        assert answer.status_code == status
        if status != 200:
            assert assert_refused(answer, status, CODES[status]) == MESSAGES[status]


def test_the_documented_example_is_answered_as_documented(mock: Mock) -> None:
    answer = mock.call(EXAMPLE_REQUESTS["documented"])
    document = answer.json()
    assert answer.status_code == 200
    assert answer.headers["content-type"] == "application/json; charset=utf-8"
    assert list(document) == list(EXAMPLE_RESPONSE)
    assert list(document["usage"]) == list(EXAMPLE_RESPONSE["usage"])
    assert {name: type(value) for name, value in document.items()} == {
        name: type(value) for name, value in EXAMPLE_RESPONSE.items()
    }
    assert document["success"] is True


@pytest.mark.parametrize("name", EXAMPLE_REQUESTS)
def test_every_example_of_the_documentation_is_accepted(mock: Mock, name: str) -> None:
    assert mock.call(EXAMPLE_REQUESTS[name]).status_code == 200


def test_chinese_is_answered_in_chinese_and_in_raw_utf8(mock: Mock) -> None:
    answer = mock.call(chat("写一个产品介绍"))
    response = answer.json()["response"]
    han = re.findall(r"[\u4e00-\u9fff]", response)
    assert len(han) > len(response) / 2
    assert json.dumps(response, ensure_ascii=False).encode() in answer.content


def test_english_is_answered_in_english(mock: Mock) -> None:
    response = mock.call(chat("Write a product introduction")).json()["response"]
    assert re.search(r"[a-z]{3}", response)
    assert not re.search(r"[\u4e00-\u9fff]", response)


@pytest.mark.parametrize("limit", [1, 2, 7, 50, 400])
@pytest.mark.parametrize("text", ["Tell me of the sea", "写一个产品介绍", "Write a Python function that sorts a list"])
def test_usage_counts_what_was_said_within_max_tokens(mock: Mock, text: str, limit: int) -> None:
    document = mock.call(chat(text, max_tokens=limit)).json()
    usage = document["usage"]
    assert usage["completion_tokens"] == estimate(document["response"])
    assert 1 <= usage["completion_tokens"] <= limit
    assert usage["prompt_tokens"] == estimate(text) + PER_MESSAGE + PER_REPLY
    assert usage["total_tokens"] == usage["prompt_tokens"] + usage["completion_tokens"]


def test_an_answer_without_a_limit_is_as_long_as_it_likes(mock: Mock) -> None:
    lengths = {mock.call(chat(f"question {n}")).json()["usage"]["completion_tokens"] for n in range(20)}
    assert len(lengths) > 10
    assert max(lengths) > 100


def test_the_charge_is_the_sum_of_usage(mock: Mock) -> None:
    before = mock.account("sk-test-pro")["balance"]
    spent = sum(mock.call(chat(f"call {n}"), key="sk-test-pro").json()["usage"]["total_tokens"] for n in range(10))
    after = mock.account("sk-test-pro")
    assert (before - after["balance"], after["reserved"]) == (spent, 0)


def test_request_ids_are_unique_and_the_same_in_head_and_body(mock: Mock) -> None:
    seen = set()
    for _ in range(300):
        answer = mock.call(chat(max_tokens=1))
        request_id = answer.headers["x-request-id"]
        assert REQUEST_ID.fullmatch(request_id)
        assert answer.json()["request_id"] == request_id
        seen.add(request_id)
    assert len(seen) == 300


ROLES = [
    {"role": "system", "content": "Be brief."},
    {"role": "developer", "content": "Be kind."},
    {"role": "user", "content": [{"type": "text", "text": "a"}, {"type": "text", "text": "b"}]},
    {"role": "assistant", "content": None},
    {"role": "tool", "content": "42"},
    {"role": "user", "content": "and now?"},
]


@pytest.mark.parametrize(
    "body",
    [
        {"messages": ROLES},
        {"messages": ROLES[2:3] * 1000, "max_tokens": 1},
        chat(max_tokens=131_072),
        chat(strategy={}),
        chat(unknown={"a": [1]}, strategy={"mode": "auto", "colour": "red"}),
        {"messages": [{"role": "user", "content": "hi", "name": "Ann"}]},
    ],
)
def test_what_the_contract_allows_is_answered(mock: Mock, body: dict[str, Any]) -> None:
    answer = mock.call(body)
    assert answer.status_code == 200, answer.text


def test_repeated_keys_count_with_their_last_value(mock: Mock) -> None:
    body = b'{"max_tokens": 300, "messages": [{"role": "user", "content": "hi"}], "max_tokens": 2}'
    assert mock.call(body).json()["usage"]["completion_tokens"] <= 2


@pytest.mark.parametrize("kind", ["application/json", "application/json; charset=utf-8", "Application/JSON;x=y"])
def test_json_is_declared_with_or_without_parameters(mock: Mock, kind: str) -> None:
    assert mock.call(headers={"Content-Type": kind}).status_code == 200


@pytest.mark.parametrize(
    ("mode", "best"),
    [
        ("cost", lambda c: c.settings.price_in + c.settings.price_out),
        ("latency", lambda c: c.settings.ttft.median_s()),
        ("throughput", lambda c: -c.settings.tokens_per_s),
    ],
)
def test_a_mode_chooses_the_best_of_its_kind(mock: Mock, world: World, mode: str, best: Any) -> None:
    chosen = min(candidates_of(world.models), key=best)
    document = mock.call(chat(strategy={"mode": mode})).json()
    assert (document["provider"], document["model"]) == (chosen.provider, chosen.model)


@pytest.mark.parametrize(
    ("strategy", "providers", "models"),
    [
        ({"models": ["qwen/*"]}, {"qwen"}, {"qwen-plus"}),
        ({"models": ["gpt-4.1"]}, {"openai"}, {"gpt-4.1"}),
        ({"providers": {"only": ["groq"]}, "exclude_models": ["*8b"]}, {"groq"}, {"llama-3.3-70b"}),
        ({"providers": {"order": ["mistral", "groq"]}}, {"mistral"}, {"mistral-small"}),
        ({"min_throughput_tps": 400}, {"groq"}, {"llama-3.1-8b"}),
        ({"max_price_per_1m": 0.07}, {"groq"}, {"llama-3.1-8b"}),
        ({"max_latency_ms": 150}, {"groq"}, {"llama-3.1-8b"}),
        ({"max_attempts": 1, "allow_fallbacks": False, "models": ["mistral/*"]}, {"mistral"}, {"mistral-small"}),
    ],
)
def test_constraints_are_kept(mock: Mock, strategy: dict[str, Any], providers: set[str], models: set[str]) -> None:
    document = mock.call(chat(strategy=strategy)).json()
    assert document["provider"] in providers
    assert document["model"] in models


@pytest.mark.parametrize(
    "strategy",
    [
        {"models": ["no-such-model"]},
        {"providers": {"only": ["nobody"]}},
        {"max_price_per_1m": 0},
        {"max_latency_ms": 0},
        {"min_throughput_tps": 1e9},
        {"exclude_models": ["*"]},
    ],
)
def test_constraints_that_nobody_meets_are_refused_and_cost_nothing(mock: Mock, strategy: dict[str, Any]) -> None:
    answer = mock.call(chat(strategy=strategy), key="sk-test-basic")
    message = assert_refused(answer, 400, "MODEL_UNAVAILABLE")
    assert message == "No provider matched your route policy or constraints"
    assert answer.headers["x-ratelimit-remaining"] == "60"
    assert mock.account("sk-test-basic")["balance"] == 5_000_000


def test_what_fits_no_window_is_refused_and_costs_nothing(mock: Mock) -> None:
    answer = mock.call(chat("word " * 150_000, strategy={"models": ["groq/*"]}), key="sk-test-pro")
    assert_refused(answer, 400, "CONTEXT_LENGTH_EXCEEDED")
    assert answer.headers["x-ratelimit-remaining"] == "300"
    assert mock.call(chat("word " * 150_000, max_tokens=5), key="sk-test-pro").status_code == 200


def test_a_world_may_give_unavailable_models_another_status_and_refuse_unknown_fields(
    start_mock: Any, tmp_path: Any
) -> None:
    path = tmp_path / "own.toml"
    path.write_text('extends = "instant"\n[gateway]\nmodel_unavailable_status = 503\nstrict = true\n')
    own: Mock = start_mock("--world", str(path))
    assert_refused(own.call(chat(strategy={"models": ["none"]})), 503, "MODEL_UNAVAILABLE")
    assert_refused(own.call(chat(colour=1)), 400, "INVALID_REQUEST", says="colour")
    assert_refused(own.call(chat(strategy={"tone": 1})), 400, "INVALID_REQUEST", says="strategy.tone")
    assert own.call(chat()).status_code == 200

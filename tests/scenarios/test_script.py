from __future__ import annotations

import json

import pytest

from mock_server.contract.errors import ERRORS
from mock_server.contract.messages import MAX_BODY_BYTES, MODES
from scenarios.command.catalogue import find
from scenarios.model.script import ScriptedCall, scripted_calls

SMOKE = find("smoke").calls


def test_a_question_is_asked_with_the_fields_of_the_api() -> None:
    strategy = {"mode": "cost", "models": ["a"]}
    (call,) = scripted_calls(
        [ScriptedCall("k", ask="ab", repeat=3, stream=True, strategy=strategy, max_tokens=7, expect="NOT_FOUND")],
        mock=True,
    )
    assert json.loads(call.body) == {
        "messages": [{"role": "user", "content": "ababab"}],
        "strategy": strategy,
        "stream": True,
        "max_tokens": 7,
    }
    assert (call.kind, call.stream, call.expected) == ("k", True, "NOT_FOUND")


def test_a_body_is_sent_as_it_stands_with_its_own_head() -> None:
    (call,) = scripted_calls(
        [
            ScriptedCall(
                "k",
                body="{ 写",
                key="sk",
                method="PUT",
                path="/x",
                headers={"Prefer": "code=429"},
                content_type="text/x",
            )
        ],
        mock=False,
    )
    assert call.body == "{ 写".encode()
    assert (call.key, call.method, call.path, call.content_type) == ("sk", "PUT", "/x", "text/x")
    assert call.headers == (("Prefer", "code=429"),)


def test_smoke_provokes_every_error_that_a_default_world_has() -> None:
    provoked = {call.expected for call in scripted_calls(SMOKE, mock=True)} - {None}
    assert provoked == {error.code for error in ERRORS} - {"IDEMPOTENCY_CONFLICT"}
    assert max(len(call.body) for call in scripted_calls(SMOKE, mock=True)) > MAX_BODY_BYTES


def test_smoke_meets_every_mode_both_languages_and_both_shapes() -> None:
    calls = scripted_calls(SMOKE, mock=True)
    kinds = {call.kind for call in calls}
    assert {f"mode-{mode}" for mode in MODES} | {"plain-en", "plain-zh", "stream-en", "stream-zh"} <= kinds
    assert len(kinds) == len(calls)
    modes = {json.loads(call.body)["strategy"]["mode"] for call in calls if call.kind.startswith("mode-")}
    assert modes == set(MODES)


def test_smoke_asks_a_real_gateway_nothing_that_needs_a_test_key() -> None:
    calls = scripted_calls(SMOKE, mock=False)
    assert {call.expected for call in calls} == {None, "INVALID_REQUEST", "INVALID_API_KEY"}
    assert all("Prefer" not in dict(call.headers) for call in calls)


@pytest.mark.parametrize("kind", ["plain-long"])
def test_the_long_question_has_some_thousand_tokens(kind: str) -> None:
    (call,) = (call for call in scripted_calls(SMOKE, mock=False) if call.kind == kind)
    assert 5_000 < len(call.body) < 20_000

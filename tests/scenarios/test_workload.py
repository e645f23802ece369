from __future__ import annotations

import hashlib
import json
import math
import os
import re
import statistics
import subprocess
import sys

import pytest

from mock_server.contract.errors import ERRORS
from mock_server.contract.lengths import LENGTHS
from scenarios.model.catalog import CATALOG, MODES, script_calls
from scenarios.model.workload import (
    LONGEST_PROMPT_TOKENS,
    Language,
    Task,
    mixed_call,
    mixed_kind,
    pick,
    prompt_tokens,
    text,
    uniforms,
)

MIX = CATALOG["steady"].mix
CALLS = [mixed_call(MIX, 0, call_id) for call_id in range(2_000)]


def digest(seed: int) -> str:
    bodies = b"".join(mixed_call(MIX, seed, call_id).body for call_id in (5, 0, 999))
    return hashlib.sha256(bodies).hexdigest()


def test_another_process_asks_the_same_in_another_order() -> None:
    code = (
        "import hashlib; from scenarios.model.catalog import CATALOG; from scenarios.model.workload import mixed_call;"
        "made = {i: mixed_call(CATALOG['steady'].mix, 0, i).body for i in (999, 5, 0)};"
        "print(hashlib.sha256(made[5] + made[0] + made[999]).hexdigest())"
    )
    environment = {**os.environ, "PYTHONHASHSEED": "123"}
    said = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True, env=environment)
    assert said.stdout.strip() == digest(0)
    assert digest(0) != digest(1)


def test_shares_are_those_of_the_mix() -> None:
    assert statistics.mean(call.stream for call in CALLS) == pytest.approx(MIX.streamed, abs=0.04)
    chinese = statistics.mean(call.kind.endswith("-zh") for call in CALLS)
    assert chinese == pytest.approx(MIX.chinese, abs=0.04)
    for task, weight in MIX.tasks.items():
        share = statistics.mean(call.kind.startswith(task) for call in CALLS)
        assert share == pytest.approx(weight / sum(MIX.tasks.values()), abs=0.04)


def test_bodies_keep_the_contract() -> None:
    for call in CALLS[:300]:
        body = json.loads(call.body)
        assert body["messages"][-1]["role"] == "user"
        assert body["messages"][-1]["content"].strip()
        assert body["strategy"]["mode"] in MODES
        assert body["stream"] is call.stream
        assert body["max_tokens"] == MIX.max_tokens


def test_a_kind_is_known_without_making_the_call() -> None:
    for call_id, call in enumerate(CALLS[:300]):
        assert mixed_kind(MIX, 0, call_id) == (call.kind, call.stream)


def test_chinese_prompts_are_chinese_and_english_ones_are_not() -> None:
    for call in CALLS[:300]:
        content = json.loads(call.body)["messages"][-1]["content"]
        assert bool(re.search("[\u4e00-\u9fff]", content)) is call.kind.endswith("-zh")


@pytest.mark.parametrize("task", sorted(MIX.tasks))
def test_lengths_follow_their_lognormal_up_to_the_cap(task: Task) -> None:
    law = LENGTHS[task].prompt
    assert prompt_tokens(task, 0.5) == pytest.approx(math.exp(law.mu), abs=1)
    assert prompt_tokens(task, 0.8413447) == pytest.approx(
        min(math.exp(law.mu + law.sigma), LONGEST_PROMPT_TOKENS), rel=0.01
    )
    assert prompt_tokens(task, 1.0) == LONGEST_PROMPT_TOKENS
    assert prompt_tokens(task, 0.0) >= 1


@pytest.mark.parametrize("start", [0.0, 0.37, 0.999999])
@pytest.mark.parametrize("tokens", [50, 1_000, LONGEST_PROMPT_TOKENS])
@pytest.mark.parametrize("language", ["en", "zh"])
def test_a_text_is_as_long_as_asked_wherever_it_begins(language: Language, tokens: int, start: float) -> None:
    made = text("conversation", language, tokens, start)
    units = len(made.split()) * 1.2 if language == "en" else len(made) * 0.72
    assert units == pytest.approx(tokens, rel=0.15)


def test_picking_covers_every_weight() -> None:
    weights = {"a": 1.0, "b": 3.0}
    assert [pick(weights, u) for u in (0.0, 0.2499, 0.25, 0.999999999)] == ["a", "a", "b", "b"]


def test_uniforms_depend_on_seed_call_and_concern() -> None:
    base = uniforms(0, 1, "x")
    assert len({base, uniforms(1, 1, "x"), uniforms(0, 2, "x"), uniforms(0, 1, "y")}) == 4
    assert all(0 <= u < 1 for u in base)


def test_smoke_provokes_every_error_that_a_default_world_has() -> None:
    provoked = {call.expected for call in script_calls(mock=True)} - {None}
    assert provoked == {error.code for error in ERRORS} - {"IDEMPOTENCY_CONFLICT"}


def test_smoke_meets_every_mode_both_languages_and_both_shapes() -> None:
    kinds = {call.kind for call in script_calls(mock=True)}
    assert {f"mode-{mode}" for mode in MODES} <= kinds
    assert {"plain-en", "plain-zh", "stream-en", "stream-zh"} <= kinds


def test_smoke_asks_a_real_gateway_nothing_that_needs_a_test_key() -> None:
    calls = script_calls(mock=False)
    assert {call.expected for call in calls} == {None, "INVALID_REQUEST", "INVALID_API_KEY"}
    assert all("Prefer" not in dict(call.headers) for call in calls)

from __future__ import annotations

import hashlib
import json
import math
import os
import re
import statistics
import subprocess
import sys
from typing import get_args

import pytest

from mock_server.contract.lengths import LENGTHS
from mock_server.contract.messages import MODES
from mock_server.contract.tokens import PER_MESSAGE, PER_REPLY, estimate
from scenarios.command.catalogue import find
from scenarios.model.text import Language, Task, text
from scenarios.model.workload import (
    LONGEST_PROMPT_TOKENS,
    MOST_PROMPT_TOKENS,
    Lognormal,
    PromptTokens,
    Workload,
    mixed_call,
    mixed_traits,
    pick,
    prompt_tokens,
    uniforms,
)

MIX = find("steady").workload
CALLS = [mixed_call(MIX, 0, call_id) for call_id in range(2_000)]


def digest(seed: int) -> str:
    bodies = b"".join(mixed_call(MIX, seed, call_id).body for call_id in (5, 0, 999))
    return hashlib.sha256(bodies).hexdigest()


def test_another_process_asks_the_same_in_another_order() -> None:
    code = (
        "import hashlib; from scenarios.command.catalogue import find; from scenarios.model.workload import mixed_call;"
        "made = {i: mixed_call(find('steady').workload, 0, i).body for i in (999, 5, 0)};"
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
        traits = mixed_traits(MIX, 0, call_id)
        assert (traits.kind, traits.stream, traits.key) == (call.kind, call.stream, call.key)


def test_chinese_prompts_are_chinese_and_english_ones_are_not() -> None:
    for call in CALLS[:300]:
        content = json.loads(call.body)["messages"][-1]["content"]
        assert bool(re.search("[\u4e00-\u9fff]", content)) is call.kind.endswith("-zh")


@pytest.mark.parametrize("task", sorted(MIX.tasks))
def test_lengths_follow_their_lognormal_up_to_the_cap(task: Task) -> None:
    law = LENGTHS[task].prompt
    assert prompt_tokens(MIX, task, 0.5) == pytest.approx(math.exp(law.mu), abs=1)
    assert prompt_tokens(MIX, task, 0.8413447) == pytest.approx(
        min(math.exp(law.mu + law.sigma), LONGEST_PROMPT_TOKENS), rel=0.01
    )
    assert prompt_tokens(MIX, task, 1.0) == LONGEST_PROMPT_TOKENS
    assert prompt_tokens(MIX, task, 0.0) >= 1


@pytest.mark.parametrize("start", [0.0, 0.37, 0.999999])
@pytest.mark.parametrize("tokens", [50, 1_000, LONGEST_PROMPT_TOKENS])
@pytest.mark.parametrize("language", ["en", "zh"])
def test_a_text_is_as_long_as_asked_wherever_it_begins(language: Language, tokens: int, start: float) -> None:
    made = text("conversation", language, tokens, start)
    assert estimate(made) == pytest.approx(tokens, rel=0.05)


def test_picking_covers_every_weight() -> None:
    weights = {"a": 1.0, "b": 3.0}
    assert [pick(weights, u) for u in (0.0, 0.2499, 0.25, 0.999999999)] == ["a", "a", "b", "b"]


def test_uniforms_depend_on_seed_call_and_concern() -> None:
    base = uniforms(0, 1, "x")
    assert len({base, uniforms(1, 1, "x"), uniforms(0, 2, "x"), uniforms(0, 1, "y")}) == 4
    assert all(0 <= u < 1 for u in base)


@pytest.mark.parametrize("tokens", [20, 200, 100_000])
@pytest.mark.parametrize("chinese", [0.0, 1.0])
def test_a_constant_prompt_is_that_long_with_its_framing(tokens: int, chinese: float) -> None:
    workload = Workload(chinese=chinese, prompt_tokens=PromptTokens(constant=tokens))
    for call_id in range(20):
        messages = json.loads(mixed_call(workload, 0, call_id).body)["messages"]
        length = sum(estimate(message["content"]) + PER_MESSAGE for message in messages) + PER_REPLY
        assert length == pytest.approx(tokens, rel=0.15)


def test_a_law_of_the_scenarios_own_replaces_every_tasks() -> None:
    workload = Workload(prompt_tokens=PromptTokens(lognormal=Lognormal(mu=10.0, sigma=1.0)))
    assert {prompt_tokens(workload, task, 0.5) for task in get_args(Task)} == {round(math.exp(10.0))}
    assert prompt_tokens(workload, "code", 1.0) == MOST_PROMPT_TOKENS


def test_keys_are_asked_with_by_their_weights() -> None:
    workload = Workload(keys={"sk-a": 3, "sk-b": 1})
    calls = [mixed_call(workload, 0, call_id) for call_id in range(2_000)]
    assert statistics.mean(call.key == "sk-a" for call in calls) == pytest.approx(0.75, abs=0.04)
    assert {call.key for call in calls} == {"sk-a", "sk-b"}
    assert {call.key for call in CALLS} == {""}

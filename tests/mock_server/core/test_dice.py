"""Chance: keyed draws that are the same in any process and order."""

from __future__ import annotations

import json
import subprocess
import sys
import time
from collections.abc import Callable
from statistics import mean, pstdev
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from mock_server.contract.messages import ChatRequest
from mock_server.core.dice import Concern, Dice, Occurrences, Roll

PROGRAM = """
import json, sys
import msgspec
from mock_server.contract.messages import ChatRequest
from mock_server.core.dice import Dice
out = []
for seed, test, text, occurrence, attempt in json.loads(sys.argv[1]):
    dice = Dice(seed, test)
    request = msgspec.convert({"messages": [{"role": "user", "content": text}]}, ChatRequest)
    out.append([str(word) for word in dice.roll(dice.fingerprint(request), occurrence, attempt).words])
print(json.dumps(out))
sys.stdout.flush()
"""
CONCERNS: tuple[Any, ...] = (
    Concern.FATE,
    Concern.FAILURE,
    Concern.FIRST_TOKEN,
    Concern.TAIL,
    Concern.PACE,
    Concern.GAPS,
    Concern.LENGTH,
    Concern.TEXT,
)
CALLS = [
    (seed, test, text, occurrence, attempt)
    for seed in (0, 1, -3, 2**70)
    for test in ("", "checkout-1")
    for text in ("Hello", "写一个产品介绍", "Hello " * 90, "写一个产品介绍" * 75)
    for occurrence, attempt in ((0, 0), (5, 2))
]


def words(seed: int, test: str, request: ChatRequest, occurrence: int = 0, attempt: int = 0) -> tuple[int, ...]:
    dice = Dice(seed, test)
    return dice.roll(dice.fingerprint(request), occurrence, attempt).words


def test_another_process_draws_the_same(request_of: Callable[..., ChatRequest]) -> None:
    other = subprocess.run(
        [sys.executable, "-c", PROGRAM, json.dumps(CALLS)], stdout=subprocess.PIPE, check=False, text=True
    )
    here = [
        [str(word) for word in words(seed, test, request_of(text, strategy={}), occurrence, attempt)]
        for seed, test, text, occurrence, attempt in CALLS
    ]
    assert json.loads(other.stdout) == here
    assert len({tuple(draws) for draws in here}) == len(CALLS)


def test_draws_do_not_depend_on_the_order_they_are_made_in() -> None:
    dice = Dice(3, "t")
    places = [(bytes([n]) * 16, occurrence, attempt) for n in range(5) for occurrence in (0, 1) for attempt in (0, 1)]
    forwards = {place: dice.roll(*place).words for place in places}
    backwards = {place: Dice(3, "t").roll(*place).words for place in reversed(places)}
    assert forwards == backwards


def test_seed_zero_is_a_seed_of_its_own(request_of: Callable[..., ChatRequest]) -> None:
    request = request_of()
    assert words(0, "", request) == words(0, "", request)
    assert len({words(seed, "", request) for seed in (0, 1, -1, 2**64)}) == 4


@pytest.mark.parametrize(
    "change",
    [
        {"max_tokens": 10},
        {"max_tokens": 500},
        {"strategy": {"mode": "cost"}},
        {"strategy": {"mode": "quality", "max_attempts": 2}},
        {"strategy": {"mode": "quality", "providers": {"order": ["alpha"]}}},
        {"messages": [{"role": "user", "content": "Hello there!"}]},
        {"messages": [{"role": "system", "content": "x"}, {"role": "user", "content": "Hello there"}]},
    ],
    ids=str,
)
def test_what_is_asked_decides_the_fingerprint(request_of: Callable[..., ChatRequest], change: dict[str, Any]) -> None:
    dice = Dice(7, "")
    assert dice.fingerprint(request_of(**change)) != dice.fingerprint(request_of())


@pytest.mark.parametrize(
    "change",
    [
        {"stream": True},
        {"stream": False},
        {"strategy": {"mode": "quality", "allow_fallbacks": True, "max_attempts": 3, "models": []}},
        {"strategy": {"mode": "quality", "providers": {}}},
        {"strategy": {"mode": "quality", "providers": {"only": [], "order": []}}},
        {"unknown": 1},
    ],
    ids=str,
)
def test_how_it_is_asked_does_not(request_of: Callable[..., ChatRequest], change: dict[str, Any]) -> None:
    dice = Dice(7, "")
    assert dice.fingerprint(request_of(**change)) == dice.fingerprint(request_of())


def test_every_concern_has_a_slot_of_its_own() -> None:
    assert sorted(CONCERNS) == list(range(8))


@given(st.binary(min_size=8, max_size=64), st.integers(0, 2**32))
def test_numbers_stay_within_their_range(raw: bytes, occurrence: int) -> None:
    roll = Dice(1, "t").roll(raw, occurrence, 0)
    for concern in CONCERNS:
        assert 0 <= roll.bits(concern) < 2**64
        assert 0 < roll.uniform(concern) < 1
        assert abs(roll.normal(concern)) < 9


@pytest.mark.parametrize("word", [0, 2**64 - 1])
def test_extreme_bits_are_no_extreme_numbers(word: int) -> None:
    roll = Roll((word,) * 8)
    assert 0 < roll.uniform(Concern.FATE) < 1
    assert abs(roll.normal(Concern.FATE)) < 9


@pytest.mark.parametrize("concern", CONCERNS)
def test_draws_are_uniform(concern: Any) -> None:
    dice, size = Dice(11, ""), 4_000
    draws = [dice.roll(b"key", occurrence, 0).uniform(concern) for occurrence in range(size)]
    counts = [0] * 20
    for draw in draws:
        counts[int(draw * 20)] += 1
    expected = size / 20
    chi_square = sum((count - expected) ** 2 / expected for count in counts)
    assert chi_square < 43.8  # 99.9 % quantile with 19 degrees of freedom
    normals = [dice.roll(b"key", occurrence, 0).normal(concern) for occurrence in range(size)]
    assert mean(normals) == pytest.approx(0, abs=0.06)
    assert pstdev(normals) == pytest.approx(1, abs=0.05)


def test_concerns_and_attempts_are_independent() -> None:
    dice, size = Dice(11, ""), 4_000
    rolls = [(dice.roll(b"key", n, 0), dice.roll(b"key", n, 1)) for n in range(size)]
    pairs = [
        [(first.uniform(Concern.FATE), first.uniform(Concern.FIRST_TOKEN)) for first, _ in rolls],
        [(first.uniform(Concern.FATE), second.uniform(Concern.FATE)) for first, second in rolls],
    ]
    for pair in pairs:
        correlation = 12 * mean((a - 0.5) * (b - 0.5) for a, b in pair)
        assert abs(correlation) < 0.06


def test_occurrences_count_each_call_by_itself() -> None:
    seen = Occurrences()
    assert [seen.count(name) for name in (b"a", b"b", b"a", b"a", b"b")] == [0, 0, 1, 2, 1]


def test_only_the_latest_fingerprints_are_remembered() -> None:
    seen = Occurrences(size=3)
    for name in (b"a", b"b", b"c", b"a", b"d"):  # b is the least recently used and goes
        seen.count(name)
    assert seen.count(b"a") == 2
    assert seen.count(b"b") == 0
    assert seen.count(b"d") == 1


def test_forgetting_takes_no_longer_than_remembering() -> None:
    seen, names = Occurrences(size=20_000), [number.to_bytes(16, "big") for number in range(60_000)]
    took = []
    for start in (0, 20_000, 40_000):
        began = time.process_time()
        for name in names[start : start + 20_000]:
            seen.count(name)
        took.append(time.process_time() - began)
    assert max(took[1:]) < 8 * took[0]  # it was 30 times as long when the oldest was looked for

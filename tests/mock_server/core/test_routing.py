"""Ranking: modes, bands, constraints, globs, ties."""

from __future__ import annotations

from collections.abc import Callable
from itertools import permutations
from typing import Any

import msgspec
import pytest
from hypothesis import given
from hypothesis import strategies as st

from mock_server.contract.messages import MODES, Strategy
from mock_server.core.routing import Candidate, candidates_of, rank
from mock_server.core.world import Task, World

# name: ttft ms, tokens/s, price in and out, quality, by-task quality
TABLE: dict[str, tuple[float, float, float, float, float, dict[str, float]]] = {
    "a/fast": (100, 500, 1.0, 3.0, 0.50, {}),
    "a/best": (900, 60, 3.0, 15.0, 0.95, {}),
    "b/good": (500, 70, 2.0, 8.0, 0.88, {"code": 0.10}),
    "b/mini": (400, 80, 0.4, 1.6, 0.80, {}),
    "c/cheap": (700, 30, 0.1, 0.3, 0.60, {"translation": 0.3}),
}
BEST_FIRST = ["a/best", "b/good", "b/mini", "c/cheap", "a/fast"]


@pytest.fixture(scope="module")
def catalogue(world_of: Callable[..., World]) -> tuple[Candidate, ...]:
    rows = "".join(
        f'[models."{name}"]\nttft = {{ law = "constant", ms = {ms} }}\ntokens_per_s = {pace}\nwindow = 1000\n'
        f"price_in = {cost_in}\nprice_out = {cost_out}\nquality = {quality}\n"
        f"task_quality = {{ {', '.join(f'{k} = {v}' for k, v in tasks.items())} }}\n"
        for name, (ms, pace, cost_in, cost_out, quality, tasks) in TABLE.items()
    )
    return tuple(c for c in candidates_of(world_of(rows).models) if c.name in TABLE)


def order(catalogue: tuple[Candidate, ...], strategy: dict[str, Any], task: Task = "chat") -> list[str]:
    return [candidate.name for candidate in rank(catalogue, msgspec.convert(strategy, Strategy), task)]


@pytest.mark.parametrize(
    ("strategy", "expected"),
    [
        ({"mode": "quality"}, BEST_FIRST),
        ({"mode": "cost"}, ["c/cheap", "b/mini", "a/fast", "b/good", "a/best"]),
        ({"mode": "latency"}, ["a/fast", "b/mini", "b/good", "c/cheap", "a/best"]),
        ({"mode": "throughput"}, ["a/fast", "b/mini", "b/good", "a/best", "c/cheap"]),
        # Within 0.15 of 0.95 the cheapest is b/mini, exactly on the edge; the rest stay in score order.
        ({"mode": "auto"}, ["b/mini", "a/best", "b/good", "c/cheap", "a/fast"]),
        ({}, ["b/mini", "a/best", "b/good", "c/cheap", "a/fast"]),
        ({"mode": "balanced"}, BEST_FIRST),  # nothing else within 0.05
        ({"mode": "balanced", "exclude_models": ["best"]}, ["b/good", "b/mini", "c/cheap", "a/fast"]),
        ({"mode": "auto", "exclude_models": ["best"]}, ["b/mini", "b/good", "c/cheap", "a/fast"]),
        ({"mode": "quality", "models": ["mini"]}, ["b/mini"]),
        ({"mode": "quality", "models": ["b/mini"]}, ["b/mini"]),
        ({"mode": "quality", "models": ["b/*"]}, ["b/good", "b/mini"]),
        ({"mode": "quality", "models": ["*a*"]}, ["a/best", "c/cheap", "a/fast"]),
        ({"mode": "quality", "models": ["[bc]/*", "fast"]}, ["b/good", "b/mini", "c/cheap", "a/fast"]),
        ({"mode": "quality", "models": ["MINI"]}, []),
        ({"mode": "quality", "models": ["b"]}, []),  # a provider's name is no model's
        ({"mode": "quality", "models": ["b/*"], "exclude_models": ["mini"]}, ["b/good"]),
        ({"mode": "quality", "exclude_models": ["*"]}, []),
        ({"mode": "quality", "providers": {"only": ["b", "c"]}}, ["b/good", "b/mini", "c/cheap"]),
        ({"mode": "quality", "providers": {"only": ["nobody"]}}, []),
        ({"mode": "quality", "providers": {"ignore": ["b"]}}, ["a/best", "c/cheap", "a/fast"]),
        ({"mode": "quality", "providers": {"only": ["b"], "ignore": ["b"]}}, []),
        ({"mode": "quality", "providers": {"order": ["c", "b"]}}, ["c/cheap", "b/good", "b/mini", "a/best", "a/fast"]),
        ({"mode": "cost", "providers": {"order": ["a"]}}, ["a/fast", "a/best", "c/cheap", "b/mini", "b/good"]),
        (
            {"mode": "quality", "providers": {"order": ["c", "b", "c", "x"]}},
            ["c/cheap", "b/good", "b/mini", "a/best", "a/fast"],
        ),
        ({"mode": "quality", "max_price_per_1m": 2.0}, ["b/mini", "c/cheap", "a/fast"]),
        ({"mode": "quality", "max_price_per_1m": 1.99}, ["b/mini", "c/cheap"]),
        ({"mode": "quality", "max_price_per_1m": 0}, []),
        ({"mode": "quality", "max_latency_ms": 500}, ["b/good", "b/mini", "a/fast"]),
        ({"mode": "quality", "max_latency_ms": 99.9}, []),
        ({"mode": "quality", "min_throughput_tps": 70}, ["b/good", "b/mini", "a/fast"]),
        ({"mode": "quality", "min_throughput_tps": 501}, []),
        ({"mode": "auto", "max_latency_ms": 500, "min_throughput_tps": 80}, ["b/mini", "a/fast"]),
    ],
    ids=str,
)
def test_strategies_order_the_candidates(
    catalogue: tuple[Candidate, ...], strategy: dict[str, Any], expected: list[str]
) -> None:
    assert order(catalogue, strategy) == expected


@pytest.mark.parametrize(
    ("task", "quality", "auto"),
    [("chat", "a/best", "b/mini"), ("code", "b/good", "b/good"), ("translation", "a/best", "c/cheap")],
)
def test_tasks_adjust_quality(catalogue: tuple[Candidate, ...], task: Task, quality: str, auto: str) -> None:
    assert order(catalogue, {"mode": "quality"}, task)[0] == quality
    assert order(catalogue, {"mode": "auto"}, task)[0] == auto


@pytest.mark.parametrize("mode", MODES)
def test_ranks_do_not_depend_on_the_order_of_the_catalogue(catalogue: tuple[Candidate, ...], mode: str) -> None:
    twins = (*catalogue[:3], msgspec.structs.replace(catalogue[0], name="z/twin", provider="z", model="twin"))
    orders = {tuple(order(shuffled, {"mode": mode})) for shuffled in permutations(twins)}
    assert len(orders) == 1


@pytest.mark.parametrize("mode", MODES)
def test_ties_go_by_name(catalogue: tuple[Candidate, ...], mode: str) -> None:
    names = ("q/b", "p/z", "q/a")
    same = tuple(msgspec.structs.replace(catalogue[0], name=name, provider=name[0], model=name[2]) for name in names)
    assert order(same, {"mode": mode}) == ["p/z", "q/a", "q/b"]


@given(
    mode=st.sampled_from(MODES),
    only=st.lists(st.sampled_from("abcx"), max_size=3),
    ignore=st.lists(st.sampled_from("abcx"), max_size=2),
    price=st.floats(0, 12),
    task=st.sampled_from(["chat", "code", "translation"]),
)
def test_constraints_are_hard_and_complete(
    catalogue: tuple[Candidate, ...], mode: str, only: list[str], ignore: list[str], price: float, task: Task
) -> None:
    strategy = {"mode": mode, "providers": {"only": only, "ignore": ignore}, "max_price_per_1m": price}
    expected = {
        name
        for name, (_, _, cost_in, cost_out, _, _) in TABLE.items()
        if (not only or name[0] in only) and name[0] not in ignore and (cost_in + cost_out) / 2 <= price
    }
    found = order(catalogue, strategy, task)
    assert set(found) == expected
    assert len(found) == len(expected)

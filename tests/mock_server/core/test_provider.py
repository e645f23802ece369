"""Planned attempts: timelines, load, queues, and failures."""

from __future__ import annotations

from collections.abc import Callable
from itertools import pairwise

import pytest
from hypothesis import given
from hypothesis import strategies as st

from mock_server.core.dice import Dice
from mock_server.core.latency import GapTable
from mock_server.core.provider import Attempt, Demand, Planner, SimulatedModel
from mock_server.core.routing import candidates_of
from mock_server.core.text import Corpus
from mock_server.core.world import World

LIMIT = 131_072
CORPUS, GAPS = Corpus(7), GapTable(7)
PREFILL_S = 0.045 / 512

BUSY = """
[models."solo/only"]
ttft = { law = "constant", ms = 100.0 }
prefill_ms_per_token = 0.5
tokens_per_s = 50.0
window = 1_000_000
price_in = 1
price_out = 1
quality = 0.5
"""

Worlds = Callable[..., World]


def bench(world: World, name: str = "solo/only") -> tuple[Planner, SimulatedModel]:
    candidate = next(c for c in candidates_of(world.models) if c.name == name)
    return Planner(world, CORPUS, GAPS), SimulatedModel(candidate, world.incidents, 0.0)


def solo(world_of: Worlds, settings: str = "", before: str = "") -> tuple[Planner, SimulatedModel]:
    return bench(world_of(f"{before}\n{BUSY}{settings}"))


def plan(
    planner: Planner, model: SimulatedModel, now: float = 0.0, prompt: int = 100, limit: int = LIMIT, call: int = 0
) -> Attempt:
    roll = Dice(7, "").roll(b"call", call, 0)
    return planner.plan(model, Demand(prompt, None, "chat", "en"), limit, roll, now)


def tokens(attempt: Attempt) -> int:
    assert attempt.passage is not None
    return attempt.passage.tokens


def gap_factor(attempt: Attempt) -> float:
    return attempt.pace_s * 50.0


def test_the_first_token_takes_the_law_and_the_prefill(world_of: Worlds) -> None:
    attempt = plan(*solo(world_of), now=10.0, prompt=300)
    assert (attempt.started, attempt.queue_s, attempt.failure) == (10.0, 0.0, None)
    assert attempt.first_at == pytest.approx(10.0 + 0.1 + 300 * 0.0005)


def test_tokens_then_come_at_the_models_pace(world_of: Worlds) -> None:
    attempts = [plan(*solo(world_of), call=call) for call in range(30)]
    long = max(attempts, key=tokens)
    assert long.ends_at - long.first_at == pytest.approx((tokens(long) - 1) / 50, rel=0.02)


def test_pieces_are_due_in_order_from_first_to_last(world_of: Worlds) -> None:
    planner, model = solo(world_of)
    attempt = plan(planner, model, call=4)
    assert attempt.passage is not None
    pieces = attempt.passage.pieces()
    dues = [planner.piece_at(attempt, pieces.tokens_to(place)) for place in range(len(pieces.ends))]
    assert dues[0] >= attempt.first_at
    assert all(earlier <= later for earlier, later in pairwise(dues))
    assert dues[-1] == pytest.approx(attempt.ends_at)
    assert planner.piece_at(attempt, 1) == attempt.first_at


@given(st.integers(1, 400), st.integers(0, 50))
def test_answers_keep_their_limit_and_say_when_they_were_cut(world_of: Worlds, limit: int, call: int) -> None:
    planner, model = solo(world_of)
    free, capped = plan(planner, model, call=call), plan(planner, model, limit=limit, call=call)
    assert tokens(capped) == min(tokens(free), limit)
    assert capped.finish_reason == ("length" if tokens(free) > limit else "stop")
    assert free.finish_reason == "stop"


@pytest.mark.parametrize(("fellows", "factor"), [(0, 1.0), (1, 1 + 0.7 / 63), (9, 1.1), (63, 1.7)])
def test_gaps_grow_with_the_requests_in_flight(world_of: Worlds, fellows: int, factor: float) -> None:
    planner, model = solo(world_of, "replicas = 1\n")
    for _ in range(fellows):
        model.occupy(1_000.0)
    assert gap_factor(plan(planner, model)) == pytest.approx(factor)


def test_the_least_loaded_replica_serves(world_of: Worlds) -> None:
    planner, model = solo(world_of, "replicas = 4\n")
    for _ in range(3):
        model.occupy(1_000.0)
    assert gap_factor(plan(planner, model)) == 1.0
    assert gap_factor(plan(planner, model)) == pytest.approx(1 + 0.7 / 63)


def test_load_is_forgotten_when_the_requests_have_ended(world_of: Worlds) -> None:
    planner, model = solo(world_of, "replicas = 1\n")
    for end in (5.0, 6.0, 7.0):
        model.occupy(end)
    factors = [gap_factor(plan(planner, model, now=now, limit=1)) for now in (4.9, 5.5, 8.0)]
    assert factors == pytest.approx([1 + 3 * 0.7 / 63, 1 + 2 * 0.7 / 63, 1.0])


def test_prefill_is_serial_on_each_replica(world_of: Worlds) -> None:
    planner, model = solo(world_of, "replicas = 2\n")
    queues = [plan(planner, model, prompt=5_120).queue_s for _ in range(6)]
    assert queues == pytest.approx([0, 0, 0.45, 0.45, 0.9, 0.9])
    assert plan(planner, model, now=10.0, prompt=5_120).queue_s == 0


def test_beyond_capacity_requests_wait_for_the_first_place(world_of: Worlds) -> None:
    planner, model = solo(world_of, "replicas = 1\nbatch = 2\n")
    model.occupy(3.0)
    model.occupy(8.0)
    third = plan(planner, model, now=1.0)
    assert third.queue_s == pytest.approx(2.0)
    assert third.first_at == pytest.approx(3.0 + 0.1 + 100 * 0.0005)
    fourth = plan(planner, model, now=1.0)
    assert fourth.queue_s == pytest.approx(min(third.ends_at, 8.0) - 1.0)


def test_requests_that_give_up_in_the_queue_free_no_place(world_of: Worlds) -> None:
    planner, model = solo(world_of, "replicas = 2\nbatch = 1\n")
    model.occupy(100.0)
    model.occupy(100.0)
    failures = [plan(planner, model, now=1.0 + n).failure for n in range(4)]
    assert failures == ["timeout"] * 4


def test_attempts_that_take_too_long_time_out(world_of: Worlds) -> None:
    planner, model = solo(world_of, "replicas = 1\nbatch = 1\n", "[gateway]\nattempt_timeout_s = 2.0\n")
    model.occupy(50.0)
    attempt = plan(planner, model, now=1.0)
    assert (attempt.failure, attempt.first_at, attempt.ends_at) == ("timeout", 3.0, 3.0)


def test_first_tokens_are_never_later_than_a_minute(world_of: Worlds) -> None:
    slow = BUSY.replace("ms = 100.0", "ms = 500_000.0")
    assert plan(*bench(world_of(f"[gateway]\nattempt_timeout_s = 100.0\n{slow}"))).first_at == 60.0
    assert plan(*bench(world_of(f"[gateway]\nattempt_timeout_s = 59.0\n{slow}"))).failure == "timeout"


def test_without_latency_everything_is_at_once(world_of: Worlds) -> None:
    planner, model = solo(world_of, "replicas = 1\nbatch = 1\n", "latency_scale = 0.0\n")
    model.occupy(50.0)
    attempt = plan(planner, model, now=1.0)
    assert (attempt.first_at, attempt.ends_at, attempt.queue_s) == (1.0, 1.0, 0.0)
    assert planner.piece_at(attempt, tokens(attempt)) == 1.0
    for kind in ("error", "timeout", "refused", "rate_limited"):
        assert planner.plan_failure(model, kind, 1.0).ends_at == 1.0


@pytest.mark.parametrize(
    ("kind", "after"), [("error", 0.05), ("timeout", 30.0), ("refused", 0.002), ("rate_limited", 0.05)]
)
def test_failures_take_their_time(world_of: Worlds, kind: str, after: float) -> None:
    for scale in (1.0, 0.5):
        planner, model = solo(world_of, before=f"latency_scale = {scale}\n")
        attempt = planner.plan_failure(model, kind, 5.0)  # type: ignore[arg-type]  # a table of literals
        assert attempt.failure == kind
        assert attempt.ends_at == attempt.first_at == pytest.approx(5.0 + after * scale)


def test_a_model_with_a_pace_of_its_own_fails_at_that_pace_in_a_world_without_latency(world_of: Worlds) -> None:
    planner, model = solo(world_of, before="latency_scale = 0.0\n")
    model.own_pace = True
    assert planner.plan_failure(model, "timeout", 5.0).ends_at == 35.0
    assert planner.plan_failure(model, "error", 5.0).ends_at == pytest.approx(5.05)


def test_failure_rates_are_kept(world_of: Worlds) -> None:
    planner, model = solo(world_of, "error_rate = 0.2\nrate_limit_rate = 0.1\n")
    failures = [plan(planner, model, now=1e3 * call, call=call).failure for call in range(3_000)]
    assert failures.count("rate_limited") / 3_000 == pytest.approx(0.1, abs=0.02)
    errors = [kind for kind in failures if kind in ("error", "timeout", "refused")]
    assert len(errors) / 3_000 == pytest.approx(0.2, abs=0.025)
    assert errors.count("error") / len(errors) == pytest.approx(0.8, abs=0.05)


def test_a_world_may_say_how_long_the_answers_to_a_task_are(world_of: Worlds) -> None:
    published = bench(world_of(BUSY))
    told = bench(world_of(f"{BUSY}[answer_tokens.chat]\nmu = 3.0\nsigma = 0.0\n"))
    other = bench(world_of(f"{BUSY}[answer_tokens.code]\nmu = 3.0\nsigma = 0.0\n"))
    assert {tokens(plan(*told, call=call)) for call in range(20)} == {20}
    assert [tokens(plan(*other, call=call)) for call in range(20)] == [
        tokens(plan(*published, call=call)) for call in range(20)
    ]

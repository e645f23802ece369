"""Each check beside the cheapest record that would fool a lesser one, and no alarm about a healthy run."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import numpy as np
import pandas as pd
import pytest

from reports.build import judged
from reports.rules import RULES
from reports.values import Result, Verdict
from tests.reports.conftest import assert_invalid, checks_of

Make = Callable[..., Any]
Spoil = Callable[[Any], object]
MOMENTS = ("sent_s", "first_byte_s", "end_s")


def beat(builder: Any, worker: str, **cells: Any) -> None:
    """Overwrite cells of a worker's health readings of the measure phase."""
    rows = (builder.health["worker"] == worker) & (builder.health["from_s"] >= 5)
    for name, value in cells.items():
        builder.health.loc[rows, name] = value


def busy_but_for_every_nineteenth(builder: Any) -> None:
    rows = builder.health.index[builder.health["worker"] == "w1"]
    builder.health.loc[rows, "cpu_s"] = np.where(np.arange(len(rows)) % 19 == 18, 0.02, 0.25)


def closed(builder: Any, wait_s: float) -> Any:
    builder.manifest["load"] = {"kind": "closed", "users": 20}
    return builder.set(slice(None), planned_s=builder.samples["sent_s"], ready_s=builder.samples["sent_s"] - wait_s)


SPOILT: dict[str, tuple[Spoil, str, str]] = {
    "sent late": (lambda b: b.later(slice(200, 249), 0.06), "dispatch delay", "50 of 900 (5.56 %) above it"),
    "a closed load sent late": (lambda b: closed(b, 0.06), "dispatch delay", "60.0 ms, limit 50.0 ms"),
    "stopped five times": (
        lambda b: b.beats("w0", stops=[(8.0 * n, 1.5) for n in range(1, 6)]),
        "generator stalls",
        "w0: p99 of the lag 1,",
    ),
    "stopped twice, under loose gates": (
        lambda b: b.gates({"metric": "scheduled_p95_ms", "max": 120_000}).beats("w0", stops=[(20, 0.3), (40, 0.3)]),
        "generator stalls",
        "1.32 % of the time in stalls longer than 250 ms, limit 1 %; longest 300 ms",
    ),
    "stopped in its drain": (
        lambda b: (b.manifest.update(ended_s=90.0), b.beats("w0", stops=[(60, 1.5), (70, 1.5)]), b.beats("w1")),
        "generator stalls",
        "w0: ",
    ),
    "busy but for every 19th reading": (busy_but_for_every_nineteenth, "generator CPU", "w1: at most 95"),
    "waiting for a core": (lambda b: b.beats("w0", wait=0.11), "generator waiting", "w0: at most 11 % of 5 s"),
    "a late mock": (
        lambda b: b.set(slice(200, 249), overhead_ms=60.0),
        "mock lateness",
        "p99 of its overhead is 60.0 ms, limit 50.0 ms; 50 of 900 (5.56 %)",
    ),
    "a mock that stood still": (
        lambda b: b.beats("mock", stops=[(20, 0.3), (40, 0.3)]),
        "mock stalls",
        "mock: p99 of the lag 80.0 ms, limit 50.0 ms",
    ),
    "slower than the mock's plan": (
        lambda b: b.set(slice(None), planned_ms=b.samples["planned_ms"] - 55),
        "mock plan",
        "median of service latency - plan 5",
    ),
    "faster than the mock's plan": (
        lambda b: b.set(slice(None), planned_ms=b.samples["planned_ms"] + 80),
        "mock plan",
        "median of service latency - plan -7",
    ),
}


@pytest.mark.parametrize("name", SPOILT)
def test_what_cannot_be_believed_is_invalid_and_says_why(make_run: Make, name: str) -> None:
    assert_invalid(make_run(), *SPOILT[name])


def test_every_rule_has_its_check_in_order_where_a_run_is_healthy(make_run: Make) -> None:
    found = judged(make_run().write())
    assert [seen.name for seen in found.checks] == list(RULES)
    assert {seen.result for seen in found.checks} == {Result.PASS}


def test_one_pause_of_a_short_run_decides_only_if_it_is_a_stall(make_run: Make) -> None:
    for stop, result in ((0.2, Result.PASS), (0.27, Result.INVALID)):
        builder = make_run(8, warmup_s=0.0, name=f"{stop}").gates()
        builder.manifest["ended_s"] = 1.5
        builder.beats("w0", stops=[(0.5, stop)])
        assert checks_of(builder.run())["generator stalls"].result is result


# --- what is not known -------------------------------------------------------------------------------------


def unread(builder: Any) -> Any:
    builder.health = None
    return builder


def mock_unread(builder: Any) -> Any:
    builder.health = builder.health[builder.health["worker"] != "mock"]
    return builder


def test_an_own_mock_that_never_told_how_it_was_cannot_be_believed(make_run: Make) -> None:
    found = checks_of(mock_unread(make_run()).run())["mock stalls"]
    assert (found.result, found.said) == (Result.INVALID, "its loop's lag was not recorded")


UNKNOWN: dict[str, tuple[Spoil, str, Verdict]] = {
    "health deleted": (unread, "generator CPU", Verdict.INCONCLUSIVE),
    "waiting told for a part": (lambda b: beat(b, "w1", wait_s=np.nan), "generator waiting", Verdict.INCONCLUSIVE),
    "waiting not told by the system": (
        lambda b: setattr(b, "health", b.health.assign(wait_s=np.nan)),
        "generator waiting",
        Verdict.PASS,
    ),
    "readiness not told": (
        lambda b: closed(b, 0.0).set(slice(100, 200), ready_s=None),
        "dispatch delay",
        Verdict.INCONCLUSIVE,
    ),
    "lateness told for one answer": (
        lambda b: b.set(slice(101, None), overhead_ms=np.nan).set(100, overhead_ms=80.0),
        "mock lateness",
        Verdict.PASS,
    ),
    "plans told for nine in ten": (lambda b: b.set(slice(910, None), planned_ms=np.nan), "mock plan", Verdict.PASS),
    "a mock elsewhere, not read": (
        lambda b: mock_unread(b).manifest.update(world=None),
        "mock stalls",
        Verdict.PASS,
    ),
}


@pytest.mark.parametrize("name", UNKNOWN)
def test_what_was_not_recorded_is_unknown_and_what_the_generator_owes_keeps_a_run_from_passing(
    make_run: Make, name: str
) -> None:
    spoil, unknown, verdict = UNKNOWN[name]
    builder = make_run()
    spoil(builder)
    assert checks_of(builder.run())[unknown].result is Result.UNKNOWN
    found = judged(builder.write())
    assert found.verdict.verdict is verdict
    assert unknown in found.verdict.why or any(unknown in reason for reason in found.verdict.reasons)


def retried(builder: Any, after_s: float, outcome: str) -> Any:
    """Give call 500 a second try that was sent so long after the first ended."""
    builder.set(500, outcome=outcome)
    again = builder.samples.loc[[500]].copy()
    sent = float(again["end_s"].iloc[0]) + after_s
    took = float(again["end_s"].iloc[0] - again["sent_s"].iloc[0])
    again = again.assign(outcome="ok", planned_s=sent, sent_s=sent, first_byte_s=sent + took, end_s=sent + took)
    again["try"] = 1
    builder.samples = pd.concat([builder.samples, again], ignore_index=True)
    return builder


CONTRADICTIONS: dict[str, tuple[Spoil, str]] = {
    "a try after an ok one": (lambda b: retried(b, 0.5, "ok"), "follow a try that was ok, or had not ended: 1"),
    "two tries at once": (lambda b: retried(b, -0.1, "connection"), "follow a try that was ok, or had not ended: 1"),
    "an impatient client": (
        lambda b: (b.fail(500, "timeout"), b.manifest.update(timeout_s=60.0)),
        "timed out before the 60 s were over: 1",
    ),
    "a stop that stopped nothing": (lambda b: b.manifest.update(stopped_s=30.0), "were begun after the stop at 30 s"),
    "cut off for no reason": (lambda b: b.set(500, outcome="cut_off"), "were cut off before the drain: 1"),
    "refused by a good answer": (lambda b: b.set(500, outcome="refused"), "are refused by a status below 400: 1"),
}


@pytest.mark.parametrize("name", CONTRADICTIONS)
def test_what_no_client_and_no_run_does_is_a_contradiction(make_run: Make, name: str) -> None:
    spoil, said = CONTRADICTIONS[name]
    builder = make_run()
    spoil(builder)
    found = checks_of(builder.run())["moments"]
    assert found.result is Result.INVALID
    assert said in found.said


def test_a_retry_after_a_failure_contradicts_nothing(make_run: Make) -> None:
    assert checks_of(retried(make_run(), 0.5, "connection").run())["moments"].result is Result.PASS


def frozen(builder: Any) -> None:
    """Its own mock stands still from the 20th second on, and nothing comes back any more."""
    builder.health = builder.health[(builder.health["worker"] != "mock") | (builder.health["at_s"] < 20)]


def test_a_mock_of_the_runs_own_that_stops_telling_is_not_the_gateways_failure(make_run: Make) -> None:
    builder = make_run().gates({"metric": "scheduled_p95_ms", "max": 1})
    frozen(builder)
    found = judged(builder.write())
    assert found.verdict.verdict is Verdict.INVALID
    assert "mock stalls: health readings for" in found.verdict.why


def test_a_mock_that_somebody_else_runs_need_not_tell(make_run: Make) -> None:
    builder = make_run()
    builder.manifest["world"] = None
    frozen(builder)
    found = judged(builder.write())
    assert found.verdict.verdict is Verdict.PASS
    assert "nothing was recorded of mock stalls" in found.verdict.why


def test_no_gate_is_so_generous_that_a_generator_may_be_late_for_long(make_run: Make) -> None:
    builder = make_run().gates({"metric": "scheduled_p95_ms", "max": 1e9})
    builder.set(slice(200, None), sent_s=builder.samples["planned_s"] + 0.9, end_s=builder.samples["end_s"] + 0.9)
    assert checks_of(builder.run())["dispatch delay"].result is Result.INVALID


def test_a_failed_gate_fails_without_health_readings_and_says_so(make_run: Make) -> None:
    builder = make_run().gates({"metric": "scheduled_p95_ms", "max": 1})
    builder.health = None
    found = judged(builder.write()).verdict
    assert found.verdict is Verdict.FAIL
    assert found.why.endswith("; whether the generator was healthy is unknown.")
    assert any("health.parquet is missing" in reason for reason in found.reasons)


# --- no false alarms ---------------------------------------------------------------------------------------


def healthy(make_run: Make, seed: int) -> Any:
    """A run as a good machine records it: hiccups of tens of milliseconds, one pause of 0.1 s, uneven load."""
    dice = np.random.default_rng(seed)
    rate, length, warmup_s = float(dice.choice([1, 7, 20, 50])), int(dice.integers(8, 40)), float(dice.choice([0, 2.5]))
    n = round(rate * warmup_s) + round(rate * length)
    builder = make_run(n, name=f"{seed}", rate=rate, warmup_s=warmup_s)
    builder.manifest["duration_s"] = float(length)
    builder.manifest["load"]["arrivals"] = arrivals = str(dice.choice(["poisson", "constant"]))
    parts = []
    for begin, span in ((0.0, warmup_s), (warmup_s, float(length))):
        count = round(rate * span)
        even = np.arange(count) * span / max(count, 1)
        parts.append(begin + (np.sort(dice.uniform(0, span, count)) if arrivals == "poisson" else even))
    planned = np.concatenate(parts)
    builder.later(slice(None), planned - builder.samples["planned_s"], ("planned_s", *MOMENTS))
    builder.set(slice(None), phase=np.where(planned < warmup_s, "warmup", "measure"))
    delay = np.where(dice.random(n) < 0.004, dice.uniform(0.02, 0.08, n), dice.exponential(0.0008, n))
    builder.later(slice(None), delay)
    builder.set(slice(None), overhead_ms=dice.exponential(0.5, n))
    builder.manifest["ended_s"] = float(np.nanmax(builder.samples["end_s"])) + 0.05
    for worker in ("w0", "w1", "mock"):
        pause = (float(dice.uniform(0, length)), 0.1)

        def lag_ms(ticks: int) -> Any:
            return np.where(dice.random(ticks) < 0.002, dice.uniform(5, 40, ticks), dice.exponential(0.6, ticks))

        builder.beats(worker, stops=[pause], lag_ms=lag_ms, cpu=dice.uniform(0.05, 0.8), wait=dice.uniform(0, 0.05))
    return builder


def test_healthy_runs_stay_valid(make_run: Make) -> None:
    alarms: dict[tuple[int, str], str] = {}
    for seed in range(100):
        found = checks_of(healthy(make_run, seed).run())
        alarms |= {(seed, seen.name): seen.said for seen in found.values() if seen.result is not Result.PASS}
    assert alarms == {}

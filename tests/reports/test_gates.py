"""What a gate says of what was measured."""

from collections.abc import Callable
from typing import Any

import numpy as np
import pytest

from reports.build import judged
from reports.gate import Gate
from reports.gates import side
from reports.values import Estimate, Result, Verdict
from reports.verdict import judge_run

Make = Callable[..., Any]


@pytest.mark.parametrize(
    ("low", "high", "kept"),
    [
        (1.0, 2.0, Result.PASS),
        (1.0, 2.1, Result.INCONCLUSIVE),
        (2.1, 3.0, Result.FAIL),
        (1.0, None, Result.INCONCLUSIVE),
        (2.1, None, Result.FAIL),
        (None, 2.0, Result.PASS),
    ],
)
def test_a_gate_is_decided_by_the_whole_interval(low: float | None, high: float | None, kept: Result) -> None:
    seen = Estimate(unit="ms", n=9, value=2.0, low=low, high=high)
    assert side(seen, Gate("", max=2.0)) is kept


# Outcomes that say nothing of the gateway, of one call in how many, a limit, and what a gate on errors says.
UNKNOWN = {
    "kept whatever they were": ("cut_off", 50, 0.10, Result.PASS, "kept"),
    "a longer drain": (
        "cut_off",
        50,
        0.02,
        Result.INCONCLUSIVE,
        "it hangs on 18 cut off: a longer drain would tell; kept",
    ),
    "more workers": (
        "never_sent",
        100,
        0.01,
        Result.INCONCLUSIVE,
        "it hangs on 9 never sent: more workers would tell; kept",
    ),
}


@pytest.mark.parametrize("name", UNKNOWN)
def test_what_is_not_known_decides_nothing_and_the_gate_says_what_would(make_run: Make, name: str) -> None:
    outcome, step, limit, result, said = UNKNOWN[name]
    builder = make_run().gates({"metric": "error_rate", "max": limit}).fail(slice(104, 1000, step), outcome)
    found = judged(builder.write()).gates[0]
    assert (found.result, found.enough) == (result, None)
    assert said in found.said


def test_errors_enough_fail_the_gate_even_with_all_unknown_ones_good(make_run: Make) -> None:
    builder = make_run().gates({"metric": "error_rate", "max": 0.02}).fail(slice(104, 1000, 50), "cut_off")
    builder.fail(slice(106, 1000, 10), "refused", status=502, code="ALL_PROVIDERS_FAILED")
    assert judged(builder.write()).gates[0].result is Result.FAIL


def test_a_tail_that_what_was_cut_off_leaves_open_says_so(make_run: Make) -> None:
    builder = make_run().gates({"metric": "scheduled_p99_ms", "max": 5000}).fail(slice(970, 1000, 2), "cut_off")
    found = judged(builder.write()).gates[0]
    assert found.result is Result.INCONCLUSIVE
    assert "a longer drain would tell" in found.said


def test_nothing_is_undecided_where_all_that_was_seen_is_far_below_the_limit(make_run: Make) -> None:
    builder = make_run().gates({"metric": "scheduled_p99_ms", "max": 60_000})
    rows = slice(500, 520)
    builder.set(rows, end_s=builder.samples["planned_s"] + 8.0)
    found = judged(builder.write()).gates[0]
    assert found.result is Result.PASS
    assert found.estimate.effective is not None


def test_errors_in_one_burst_decide_nothing_about_a_limit_near_them(make_run: Make) -> None:
    builder = make_run().gates({"metric": "error_rate", "max": 0.01})
    builder.fail(slice(500, 529), "refused", status=502, code="ALL_PROVIDERS_FAILED")
    found = judged(builder.write()).gates[0]
    assert found.result is Result.INCONCLUSIVE
    assert "too bursty to judge in 45 s: 30 of them came as in 1 burst" in found.said
    assert found.enough is not None
    assert found.enough > 900


def spoil(builder: Any, kind: str) -> Any:
    """Let every other call of one kind fail."""
    rows = builder.samples.index[builder.samples["kind"] == kind][::2]
    return builder.fail(rows, "refused", status=502, code="ALL_PROVIDERS_FAILED")


def test_a_scope_judges_only_its_own_tries(make_run: Make) -> None:
    limit = {"metric": "error_rate", "max": 0.1}
    builder = spoil(make_run(), "chat-zh").gates(
        {**limit, "scope": {"kind": "chat-en"}},
        {**limit, "scope": {"kind": "chat-zh"}},
        {**limit, "scope": {"provider": "openai", "stream": False}},
        {**limit, "scope": {"kind": "chat-fr"}},
    )
    english, chinese, answered, none = judged(builder.write()).gates
    assert (english.result, chinese.result) == (Result.PASS, Result.FAIL)
    assert [english.estimate.value, chinese.estimate.value] == pytest.approx([0, 0.5], abs=0.01)
    assert english.estimate.n + chinese.estimate.n == 900
    assert chinese.said.startswith("Error rate (kind chat-zh) is 50 %")
    assert answered.label == "Error rate (answered tries of provider openai, stream false)"
    assert (answered.result, answered.estimate.value) == (Result.PASS, 0)
    assert (none.result, none.said) == (
        Result.INCONCLUSIVE,
        "Error rate (kind chat-fr): no try of the measure phase is of this scope",
    )


def test_a_scope_of_the_runs_own_key_is_of_the_rows_that_name_none(make_run: Make) -> None:
    builder = make_run().gates(
        {"metric": "offered_rate_per_s", "min": 1, "scope": {"key": "…ited"}},
        {"metric": "offered_rate_per_s", "min": 1, "scope": {"key": "…pool"}},
    )
    builder.set(slice(100, 399), key="…pool")
    own, pool = judged(builder.write()).gates
    assert (own.estimate.n, pool.estimate.n) == (600, 300)


def test_rates_of_a_scope_are_of_the_whole_window(make_run: Make) -> None:
    builder = make_run().gates({"metric": "achieved_rate_per_s", "min": 1, "scope": {"stream": True}})
    streams = builder.samples[builder.samples["stream"] & builder.samples["end_s"].between(5, 50, inclusive="left")]
    assert judged(builder.write()).gates[0].estimate.value == pytest.approx(len(streams) / 45)


def test_objectives_of_another_scope_do_not_count_for_goodput(make_run: Make) -> None:
    builder = make_run().gates(
        {"metric": "goodput_per_s", "min": 1},
        {"metric": "scheduled_p50_ms", "max": 1, "scope": {"kind": "chat-en"}},
    )
    assert judged(builder.write()).gates[0].estimate.value == pytest.approx(20, abs=0.1)


@pytest.mark.parametrize("expected", [True, False])
def test_a_run_without_an_ok_answer_passes_only_if_all_errors_were_provoked(make_run: Make, expected: bool) -> None:
    builder = make_run().gates({"metric": "count_500", "max": 0})
    builder.fail(slice(None), "refused", status=401, code="INVALID_API_KEY")
    builder.set(slice(None), overhead_ms=np.where(np.arange(1000) % 2, 0.1, 0.2))
    if expected:
        builder.set(slice(None), expected="INVALID_API_KEY")
    summary = judged(builder.write())
    assert [gate.result for gate in summary.gates] == [Result.PASS]
    unfit = [check for check in summary.checks if check.result is Result.INVALID]
    verdict = judge_run((), summary.gates, answered=expected)
    assert not unfit
    assert summary.verdict.verdict is verdict.verdict is (Verdict.PASS if expected else Verdict.INCONCLUSIVE)
    if not expected:
        assert "Not one answer was ok" in summary.verdict.why


def test_advice_on_samples_is_never_the_number_there_is(make_run: Make) -> None:
    gates = [
        {"metric": f"scheduled_{word}_ms", "max": limit} for word in ("p50", "p95") for limit in range(600, 1700, 9)
    ]
    for found in judged(make_run().gates(*gates).write()).gates:
        if found.result is Result.INCONCLUSIVE:
            assert found.enough is None or found.enough > found.estimate.n
        else:
            assert found.enough is None

"""Every way a run can end, by exit code and by what is said."""

import json
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from reports.__main__ import main
from reports.build import judged
from reports.sample import POOL_FULL, REPORT_HTML, SUMMARY_JSON
from reports.values import Result, Verdict
from tests.reports.conftest import checks_of

Make = Callable[..., Any]
Spoil = Callable[[Any], object]


def test_a_healthy_run_passes_and_says_where_the_report_is(make_run: Make, capsys: pytest.CaptureFixture[str]) -> None:
    run = make_run().write()
    assert main(["build", str(run)]) == 0
    said = capsys.readouterr().out
    assert said.startswith("PASS  All 3 gates were kept")
    assert said.rstrip().endswith(str(run / REPORT_HTML))
    assert json.loads((run / SUMMARY_JSON).read_text())["verdict"]["exit_code"] == 0


def hot(builder: Any) -> None:
    builder.health.loc[(builder.health["worker"] == "w1") & builder.health["at_s"].between(20, 25), "cpu_s"] = 0.2425


def forget(builder: Any) -> None:
    builder.samples = builder.samples.drop(index=[500, 501])


def repeat(builder: Any) -> None:
    builder.samples.loc[500, "call_id"] = 499


def skip_a_try(builder: Any) -> None:
    builder.samples.loc[500, "try"] = 1


INVALID: dict[str, tuple[Spoil, str]] = {
    "a row missing": (forget, "ledger: 1,000 calls were planned, 998 are recorded"),
    "a row twice": (repeat, "ledger: 1,000 calls were planned, 999 are recorded; rows that repeat"),
    "a try missing": (skip_a_try, "ledger: calls with tries missing: 1"),
    "a row lost": (lambda b: b.fail(700, "lost"), "lost requests: 1 in all"),
    "a worker dead": (lambda b: b.manifest["workers"][1].update(lost=True), "workers that died: w1"),
    "nothing sent": (lambda b: b.fail(slice(None), "never_sent"), "requests sent: 0 in the measure phase"),
    "interrupted": (lambda b: b.manifest.update(interrupted=True), "run completed: it ran for 53 s, then was"),
    "its mock dead": (lambda b: b.manifest.update(mock_died=True), "mock alive: the run's own mock died"),
    "times out of order": (
        lambda b: b.set(700, end_s=1.0),
        "moments: tries that ended before they were sent: 1 (the first is call 700, try 0)",
    ),
    "sent late": (
        lambda b: b.set(slice(200, None), sent_s=b.samples["planned_s"] + 0.15, end_s=b.samples["end_s"] + 0.15),
        "dispatch delay: p99 of the delay is 150.0 ms, limit 50.0 ms; 800 of 900 (88.9 %) above it",
    ),
    "hot generator": (hot, "generator CPU: w1: at most 97 % of a core over 5 s, limit 90 %"),
    "lagging generator": (
        lambda b: b.health.update({"lag_ms": b.health["lag_ms"] + 60}),
        "generator stalls: w1: p99 of the lag 64.0 ms, limit 50.0 ms; 0 % of the time in stalls longer than 250 ms",
    ),
    "late mock": (
        lambda b: b.set(slice(200, None), overhead_ms=80.0),
        "mock lateness: p99 of its overhead is 80.0 ms, limit 50.0 ms; 800 of 900",
    ),
}


@pytest.mark.parametrize("name", INVALID)
def test_a_measurement_that_cannot_be_believed_is_invalid(make_run: Make, name: str) -> None:
    spoil, reason = INVALID[name]
    builder = make_run()
    spoil(builder)
    found = judged(builder.write())
    assert (found.verdict.verdict, found.verdict.exit_code) == (Verdict.INVALID, 3)
    assert any(reason in said for said in found.verdict.reasons)
    assert {gate.result for gate in found.gates} == {Result.NOT_JUDGED}


def test_one_pause_of_the_machine_does_not_spoil_a_demo_run(make_run: Make) -> None:
    builder = make_run(600, warmup_s=0.0)
    paused = slice(200, 207)  # 0.4 s at 20 requests a second
    builder.set(paused, overhead_ms=300.0)
    for moment in ("sent_s", "first_byte_s", "end_s"):
        builder.set(paused, **{moment: builder.samples[moment] + 0.4})
    assert judged(builder.write()).verdict.verdict is Verdict.PASS


def test_an_invalid_run_lists_every_reason_and_comes_before_a_failed_gate(make_run: Make) -> None:
    builder = make_run().gates({"metric": "scheduled_p95_ms", "max": 1})
    hot(builder)
    builder.fail(700, "lost")
    found = judged(builder.write()).verdict
    assert (found.exit_code, len(found.reasons)) == (3, 2)


# What a gate comes to on the healthy run of 1,000 calls, 900 of them measured.
GATES: dict[str, tuple[dict[str, Any], Spoil, int, str]] = {
    "percentile kept": ({"metric": "scheduled_p99_ms", "max": 3000}, lambda b: b, 0, "kept"),
    "percentile broken": ({"metric": "scheduled_p95_ms", "max": 900}, lambda b: b, 1, "broken"),
    "percentile open": ({"metric": "scheduled_p95_ms", "max": 1480}, lambda b: b, 4, "samples would do"),
    "too few samples": ({"metric": "service_p999_ms", "max": 9000}, lambda b: b, 4, "n/a (n=900 < 3,688)"),
    "rate kept": ({"metric": "error_rate", "max": 0.02}, lambda b: b, 0, "kept"),
    "rate broken": (
        {"metric": "error_rate", "max": 0.01},
        lambda b: b.fail(slice(100, 1000, 9), "refused", status=502, code="ALL_PROVIDERS_FAILED"),
        1,
        "broken",
    ),
    "rate open": (
        {"metric": "error_rate", "max": 0.02},
        lambda b: b.fail(slice(100, 1000, 75), "refused", status=502, code="ALL_PROVIDERS_FAILED"),
        4,
        "samples would do (n=900)",
    ),
    "count kept": ({"metric": "malformed_count", "max": 0}, lambda b: b, 0, "is 0, limit ≤ 0: kept"),
    "count broken": ({"metric": "malformed_count", "max": 0}, lambda b: b.fail(300, "malformed"), 1, "is 1"),
    "status counted": (
        {"metric": "count_500", "max": 0},
        lambda b: b.fail(300, "refused", status=500, code="INTERNAL_ERROR"),
        1,
        "is 1, limit ≤ 0: broken",
    ),
    "warm-up not counted": ({"metric": "timeout_count", "max": 0}, lambda b: b.fail(50, "timeout"), 0, "kept"),
    "rate per second": ({"metric": "achieved_rate_per_s", "min": 19.5}, lambda b: b, 0, "is 20.04/s"),
    "achieved too little": ({"metric": "achieved_rate_per_s", "min": 20.5}, lambda b: b, 1, "broken"),
    "goodput": ({"metric": "goodput_per_s", "min": 19}, lambda b: b, 0, "kept"),
    "goodput open": (
        {"metric": "goodput_per_s", "min": 19.8},
        lambda b: b.fail(slice(100, 1000, 128), "refused", status=502, code="ALL_PROVIDERS_FAILED"),
        4,
        "samples would do",
    ),
    "goodput of a script": (
        {"metric": "goodput_per_s", "min": 19},
        lambda b: b.manifest.update(load={"kind": "script", "calls": 1000}),
        4,
        "Goodput is n/a: a script has no rate",
    ),
    "just at the limit": (
        {"metric": "error_rate", "max": 0.02},
        lambda b: b.fail(slice(100, 1000, 50), "refused", status=502, code="ALL_PROVIDERS_FAILED"),
        4,
        "more samples alike would not decide it",
    ),
    "residual": ({"metric": "residual_p99_ms", "max": 10}, lambda b: b, 0, "kept"),
    "hanging": (
        {"metric": "service_p95_ms", "max": 5000},
        lambda b: (
            b.set(slice(100, 1000, 9), end_s=b.samples["sent_s"] + 30).fail(slice(100, 1000, 9), "timeout").ending(82.0)
        ),
        1,
        "> 30.0 s, limit ≤ 5.00 s: broken",
    ),
    "no data": (
        {"metric": "ttft_p50_ms", "max": 5000},
        lambda b: b.set(slice(None), stream=False),
        4,
        "there was nothing to measure",
    ),
}


@pytest.mark.parametrize("name", GATES)
def test_a_gate_passes_or_fails_only_by_its_whole_interval(make_run: Make, name: str) -> None:
    gate, change, code, said = GATES[name]
    builder = make_run().gates(gate)
    change(builder)
    found = judged(builder.write())
    assert found.verdict.exit_code == code
    assert said in found.gates[0].said


def test_inconclusive_can_be_let_pass_but_nothing_else(make_run: Make) -> None:
    run = make_run().gates({"metric": "scheduled_p95_ms", "max": 1480}).write()
    assert main(["build", str(run), "--inconclusive-ok"]) == 0
    assert (run / SUMMARY_JSON).exists()
    failing = make_run(name="failing").gates({"metric": "scheduled_p95_ms", "max": 1}).write()
    assert main(["build", str(failing), "--inconclusive-ok"]) == 1


def test_a_failed_gate_comes_before_an_undecided_one(make_run: Make) -> None:
    run = (
        make_run().gates({"metric": "scheduled_p95_ms", "max": 1480}, {"metric": "scheduled_p50_ms", "max": 1}).write()
    )
    assert judged(run).verdict.exit_code == 1


@pytest.mark.parametrize(("limits", "said"), [((1480, 5000), "1 of 2 gates is"), ((1480, 1490), "2 of 2 gates are")])
def test_undecided_gates_are_counted(make_run: Make, limits: tuple[int, int], said: str) -> None:
    run = make_run().gates(*({"metric": "scheduled_p95_ms", "max": limit} for limit in limits)).write()
    assert judged(run).verdict.why.startswith(f"{said} undecided: ")


def test_without_gates_nothing_is_decided(make_run: Make) -> None:
    run = make_run().gates().write()
    found = judged(run).verdict
    assert found.exit_code == 4
    assert "--gates" in found.why


def test_a_gate_on_the_mocks_plan_does_not_apply_to_a_real_gateway(make_run: Make) -> None:
    builder = make_run().gates({"metric": "residual_p99_ms", "max": 10}, {"metric": "error_rate", "max": 0.05})
    builder.manifest["target_kind"] = "external"
    builder.set(slice(None), planned_ms=np.nan, planned_first_ms=np.nan, overhead_ms=np.nan)
    found = judged(builder.write())
    assert found.verdict.exit_code == 0
    assert [gate.result for gate in found.gates] == [Result.NOT_APPLICABLE, Result.PASS]


def test_a_gates_file_replaces_the_runs_own_gates(make_run: Make, tmp_path: Path) -> None:
    run = make_run().write()
    gates = tmp_path / "gates.toml"
    gates.write_text('[[gate]]\nmetric = "scheduled_p50_ms"\nmax = 1\nwhy = "to see it fail"\n')
    assert main(["build", str(run), "--gates", str(gates)]) == 1
    gates_judged = json.loads((run / SUMMARY_JSON).read_text())["gates"]
    assert [gate["gate"]["metric"] for gate in gates_judged] == ["scheduled_p50_ms"]


def no_health(builder: Any) -> Any:
    builder.health = None
    return builder


# --- whose fault it is that not all was sent ---------------------------------------------------------------

HUNG = {"metric": "error_rate", "max": 0.05}


def saturated(builder: Any, unsent: int = 340, reason: str | None = POOL_FULL) -> Any:
    """38 % never sent, the rest 47 ms late behind a gateway of a second: its own service median hides that."""
    builder.later(slice(None), 0.047)
    return builder.fail(slice(560, 560 + unsent - 1), "never_sent", code=reason)


def hanging(builder: Any, every: int = 2, reason: str | None = POOL_FULL, most: int = 1) -> Any:
    """One call in so many times out, and a pool full of them sends one in nine no more."""
    builder.manifest["max_in_flight"] = most
    builder.fail(slice(100, 1000, every), "timeout")
    return builder.fail(slice(101, 1000, 9), "never_sent", code=reason)


OFFERED: dict[str, tuple[Spoil, Verdict, str]] = {
    "a saturated generator": (lambda b: saturated(b.gates(HUNG)), Verdict.INVALID, "See dispatch delay"),
    "nothing to speak of": (lambda b: b.fail(slice(800, 808), "never_sent"), Verdict.PASS, "9 of 900 tries (1 %)"),
    "a hanging gateway": (hanging, Verdict.FAIL, "Error rate fails even had all of them been good"),
    "a gateway that might be good": (
        lambda b: hanging(b, every=90),
        Verdict.INVALID,
        "100 of 900 tries (11.1 %) were never sent, limit 1 %; had they been good, no gate would fail",
    ),
    "with room in its pools": (lambda b: hanging(b, most=90), Verdict.INVALID, "the pools were not full of calls"),
    "for another reason": (lambda b: hanging(b, reason=None), Verdict.INVALID, "not all of them because the gateway"),
    "one of them for another reason": (
        lambda b: hanging(b).set([110], error_code=None),
        Verdict.INVALID,
        "not all of them because the gateway",
    ),
    "without health": (lambda b: no_health(hanging(b)), Verdict.INVALID, "See workers, generator stalls"),
    "of a busy generator": (lambda b: (hanging(b), b.beats("w1", cpu=0.95)), Verdict.INVALID, "See generator CPU"),
    "a gate on what was not sent": (
        lambda b: hanging(b.gates({"metric": "never_sent_count", "max": 0}), every=90),
        Verdict.INVALID,
        "no gate would fail",
    ),
    "a slow gateway": (
        lambda b: hanging(b.gates({"metric": "scheduled_p50_ms", "max": 500}), every=900),
        Verdict.FAIL,
        "Scheduled latency p50 fails even",
    ),
}


@pytest.mark.parametrize("name", OFFERED)
def test_the_gateway_is_blamed_for_what_was_not_sent_only_if_nobody_else_can_be(make_run: Make, name: str) -> None:
    spoil, verdict, said = OFFERED[name]
    builder = make_run().gates({"metric": "error_rate", "max": 0.1})
    spoil(builder)
    assert said in checks_of(builder.run())["offered load"].said
    assert judged(builder.write()).verdict.verdict is verdict

"""Numbers of a summary against what was put into the run."""

from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from reports.curves import InFlight
from reports.frame import load_run
from reports.gate import METRIC_NAMES, SHARES, Gate
from reports.metrics import METRICS
from reports.stats import rank
from reports.summary import summarise
from reports.values import Summary

Make = Callable[..., Any]


def of(run: Path, *gates: Gate) -> Summary:
    return summarise(load_run(run), gates)


def test_latencies_are_of_ok_requests_in_the_measure_phase(make_run: Make) -> None:
    builder = make_run()
    builder.fail(slice(300, 599), "refused", status=429, code="RATE_LIMIT_EXCEEDED")
    builder.set(slice(300, 599), end_s=builder.samples["sent_s"] + 0.001)
    # Refused at once, they leave the curve where it was.
    rows = builder.samples[(builder.samples["outcome"] == "ok") & (builder.samples["phase"] == "measure")]
    summary = of(builder.write())
    for name, begin in (("scheduled", "planned_s"), ("service", "sent_s")):
        times = np.sort((rows["end_s"] - rows[begin]).to_numpy() * 1e3)
        for p, word in ((0.5, "p50"), (0.95, "p95"), (0.99, "p99")):
            seen = summary.metrics[f"{name}_{word}_ms"]
            assert (seen.n, seen.censored) == (900, 300)
            assert seen.value == pytest.approx(times[rank(600, p) - 1])
    assert summary.errors[0].count == 300
    assert summary.errors[0].p50_ms == pytest.approx(1.0)


def test_streams_have_their_own_times(make_run: Make) -> None:
    builder = make_run()
    rows = builder.samples[builder.samples["stream"] & (builder.samples["phase"] == "measure")]
    summary = of(builder.write())
    first = np.sort((rows["first_byte_s"] - rows["sent_s"]).to_numpy() * 1e3)
    gaps = (rows["end_s"] - rows["first_byte_s"]) / (rows["completion_tokens"] - 1)
    pace = np.sort(gaps.to_numpy(dtype=float) * 1e3)
    assert summary.metrics["ttft_p95_ms"].value == pytest.approx(first[rank(len(rows), 0.95) - 1])
    assert summary.metrics["tpot_p50_ms"].value == pytest.approx(pace[rank(len(rows), 0.5) - 1])
    assert {row.name: row.tries for row in summary.ways} == {"streamed": len(rows), "plain": 900 - len(rows)}


def test_hanging_requests_stand_beside_the_plain_percentiles(make_run: Make) -> None:
    builder = make_run()
    builder.fail(slice(300, 389), "cut_off").fail(slice(390, 399), "never_sent")
    summary = of(builder.write())
    scheduled = next(row for row in summary.latency if row.name == "scheduled")
    assert scheduled.plain is not None
    assert (scheduled.n, scheduled.plain.n, scheduled.p50.censored) == (900, 800, 100)
    assert scheduled.plain.p95.value is not None
    assert scheduled.p95.value is None
    # 53 s is the run's end; the first of those never to end was planned at 15 s.
    assert scheduled.p95.above == pytest.approx((53 - 300 / 20) * 1e3)
    service = next(row for row in summary.latency if row.name == "service")
    assert service.n == 890


def test_provoked_errors_are_expected_only_with_the_very_code(make_run: Make) -> None:
    builder = make_run()
    builder.fail(slice(300, 309), "refused", status=401, code="INVALID_API_KEY").set(
        slice(300, 309), expected="INVALID_API_KEY"
    )
    builder.fail(310, "refused", status=429, code="RATE_LIMIT_EXCEEDED").set(310, expected="INVALID_API_KEY")
    builder.set(311, expected="INVALID_API_KEY")
    metrics = of(builder.write()).metrics
    assert metrics["error_rate"].value == 11 / 900
    assert metrics["unexpected_rate"].value == 2 / 900
    assert metrics["unexpected_count"].value == 2


def test_errors_are_grouped_by_outcome_status_and_code(make_run: Make) -> None:
    builder = make_run()
    builder.fail([300, 301, 302], "refused", status=502, code="ALL_PROVIDERS_FAILED")
    builder.fail([303], "refused", status=500, code="INTERNAL_ERROR").fail([304, 305], "connection", code="reset")
    rows = [(row.outcome, row.status, row.error_code, row.count) for row in of(builder.write()).errors]
    assert rows == [
        ("refused", 502, "ALL_PROVIDERS_FAILED", 3),
        ("connection", None, "reset", 2),
        ("refused", 500, "INTERNAL_ERROR", 1),
    ]


def test_goodput_wants_every_objective_met(make_run: Make) -> None:
    builder = make_run()
    rows = builder.samples[builder.samples["end_s"].between(5, 50, inclusive="left")]
    slow = ((rows["end_s"] - rows["planned_s"]) > 1.2) | (
        rows["stream"] & ((rows["first_byte_s"] - rows["sent_s"]) > 0.5)
    )
    gates = (
        Gate("scheduled_p50_ms", max=700),
        Gate("scheduled_p95_ms", max=1200),
        Gate("ttft_p50_ms", max=500),
        Gate("achieved_rate_per_s", min=1),
    )
    seen = of(builder.write(), *gates).metrics["goodput_per_s"]
    assert seen.value == pytest.approx((len(rows) - slow.sum()) / 45)


def test_routes_name_provider_and_model_and_leave_out_who_did_not_answer(make_run: Make) -> None:
    builder = make_run()
    builder.fail(slice(300, 399), "connection", code="ConnectError")
    summary = of(builder.write())
    measured = builder.samples[(builder.samples["phase"] == "measure") & builder.samples["provider"].notna()]
    names = measured["provider"].astype(str) + "/" + measured["model"].astype(str)
    assert {row.name: row.tries for row in summary.routes} == names.value_counts().to_dict()


def test_residuals_are_measured_minus_planned(make_run: Make) -> None:
    summary = of(make_run().write())
    whole = summary.residuals[0]
    assert whole.n == 900
    assert whole.p50.value == pytest.approx(1.75, abs=0.3)
    assert whole.max is not None
    assert whole.max <= 3.0001


def test_a_script_has_no_rate(make_run: Make) -> None:
    builder = make_run(60, warmup_s=0)
    builder.manifest |= {"load": {"kind": "script", "calls": 60}, "duration_s": 0.0}
    summary = of(builder.write())
    assert summary.metrics["achieved_rate_per_s"].value is None
    assert summary.metrics["achieved_rate_per_s"].note == "a script has no rate"
    assert summary.window_s == (0.0, builder.manifest["ended_s"])


def test_what_belongs_to_the_numbers_is_noted(make_run: Make) -> None:
    builder = make_run()
    builder.manifest |= {"load": {"kind": "closed", "users": 4}, "time_scale": 0.01}
    builder.fail(300, "refused", code="INVALID_API_KEY").set(300, expected="INVALID_API_KEY")
    notes = " ".join(of(builder.write()).notes)
    for part in ("Closed load", "time scale 0.01", "1 tries provoked an error"):
        assert part in notes


spans = st.lists(st.tuples(st.floats(0, 50), st.floats(0, 20)), min_size=1, max_size=30)


@given(spans)
def test_in_flight_is_weighted_by_time(found: list[tuple[float, float]]) -> None:
    begin = np.sort(np.array([at for at, _ in found]))
    end = np.sort(np.array([at + span for at, span in found]))
    flight = InFlight(begin, end)
    assert flight.mean(0, 100) == pytest.approx(sum((at + span) - at for at, span in found) / 100, abs=1e-9)
    moments = [at for at, _ in found]
    brute = max(sum(at <= moment < at + span for at, span in found) for moment in moments)
    assert flight.highest(0, 100) == brute


def test_every_metric_has_a_value_or_says_why_not(make_run: Make) -> None:
    metrics = of(make_run(5000).write()).metrics
    assert tuple(metrics) == tuple(METRICS) == METRIC_NAMES
    assert {name for name, metric in METRICS.items() if metric.unit == "share"} == SHARES
    unknown = {name for name, seen in metrics.items() if not seen.known}
    assert unknown == {"ttft_p999_ms", "tpot_p999_ms"}
    assert all(metrics[name].needed == 3688 for name in unknown)


def test_the_same_run_gives_the_same_summary(make_run: Make) -> None:
    run = make_run().write()
    assert of(run) == of(run)

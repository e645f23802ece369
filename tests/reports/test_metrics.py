"""What is not known, what happened inside the window, and what goodput wants."""

from collections.abc import Callable
from typing import Any

import numpy as np
import pytest

from reports.frame import load_run
from reports.gate import Gate
from reports.measured import Measured
from reports.metrics import METRICS
from reports.rates import wilson
from reports.values import Estimate

Make = Callable[..., Any]


def seen(builder: Any, metric: str, *gates: Gate) -> Estimate:
    return METRICS[metric].estimate(Measured.of(load_run(builder.write())), gates)


@pytest.mark.parametrize("outcome", ["never_sent", "cut_off", "lost"])
def test_what_is_not_known_is_not_good_and_not_bad(make_run: Make, outcome: str) -> None:
    rows = slice(104, 1000, 50)
    found = seen(make_run().fail(rows, outcome), "error_rate")
    assert (found.value, found.n, found.unknown) == (0.0, 900, 18)
    assert (found.low, found.high) == (0.0, wilson(0.02, 900)[1])
    calls = seen(make_run(name="calls").fail(rows, outcome), "call_failure_rate")
    assert (calls.value, calls.unknown, calls.high) == (0.0, 18, found.high)


@pytest.mark.parametrize("metric", ["count_500", "unexpected_count", "malformed_count", "timeout_count"])
def test_a_count_holds_all_that_may_have_been_hit(make_run: Make, metric: str) -> None:
    found = seen(make_run().fail([300, 500, 700], "cut_off"), metric)
    assert (found.value, found.low, found.high, found.exact) == (0, 0, 3, False)


@pytest.mark.parametrize("outcome", ["never_sent", "cut_off"])
def test_what_the_generator_did_to_tries_is_counted_exactly(make_run: Make, outcome: str) -> None:
    builder = make_run().fail([300, 500, 700], "never_sent").fail([310, 510], "cut_off")
    found = seen(builder, f"{outcome}_count")
    assert (found.value, found.high, found.exact) == ({"never_sent": 3, "cut_off": 2}[outcome],) * 2 + (True,)


def slow(builder: Any, seconds: float) -> Any:
    """Make every answer take so many seconds."""
    return builder.set(slice(None), end_s=builder.samples["sent_s"] + seconds)


def test_answers_that_end_after_the_window_are_not_achieved_in_it(make_run: Make) -> None:
    found = seen(slow(make_run(1200, warmup_s=0.0), 55.0), "achieved_rate_per_s")
    assert found.value == pytest.approx(100 / 60, rel=0.02)
    assert (found.high or 99) < 3


def test_answers_to_the_warm_up_count_where_they_end(make_run: Make) -> None:
    found = seen(slow(make_run(), 2.5), "achieved_rate_per_s")
    assert found.value == pytest.approx(20.0, abs=0.05)
    assert (found.low or 0) < 19.7
    assert (found.high or 0) > 20.3


def test_refusals_are_not_achieved(make_run: Make) -> None:
    builder = slow(make_run(), 0.01).fail(slice(100, 1000, 2), "refused", status=429, code="RATE_LIMIT_EXCEEDED")
    assert seen(builder, "achieved_rate_per_s").value == pytest.approx(10.0, abs=0.05)


def test_one_timeout_in_600_does_not_miss_what_was_asked_for(make_run: Make) -> None:
    builder = slow(make_run(600, warmup_s=0.0), 0.01).fail(300, "timeout")
    for metric in ("achieved_rate_per_s", "goodput_per_s"):
        found = seen(builder, metric)
        assert found.value == pytest.approx(599 / 30)
        assert (found.low or 99) < 20.0 <= (found.high or 0)
    many = slow(make_run(600, name="many", warmup_s=0.0), 0.01).fail(slice(0, 600, 20), "timeout")
    assert (seen(many, "achieved_rate_per_s").high or 99) < 20.0


def test_what_was_never_sent_may_have_been_answered(make_run: Make) -> None:
    found = seen(slow(make_run(600, warmup_s=0.0), 0.01).fail(slice(0, 600, 100), "never_sent"), "achieved_rate_per_s")
    assert found.value == pytest.approx(594 / 30)
    assert found.unknown == 6
    assert (found.high or 0) >= 20.0
    cut = seen(slow(make_run(600, name="cut"), 0.01).fail(slice(100, 600, 100), "cut_off"), "achieved_rate_per_s")
    assert cut.unknown == 0


@pytest.mark.parametrize("stopped_s", [None, 25.0])
def test_a_run_that_was_stopped_is_measured_by_what_was_asked_until_then(
    make_run: Make, stopped_s: float | None
) -> None:
    builder = slow(make_run(), 0.01)
    builder.fail(builder.samples["planned_s"] >= 25.0, "never_sent")
    builder.manifest |= {"interrupted": True, "ended_s": 25.0 if stopped_s is None else 27.0, "stopped_s": stopped_s}
    assert seen(builder, "achieved_rate_per_s").value == pytest.approx(20.0, abs=0.06)
    if stopped_s is not None:
        assert seen(builder, "error_rate").unknown == seen(builder, "call_failure_rate").unknown == 0
        assert seen(builder, "offered_rate_per_s").value == pytest.approx(20.0)


def test_a_closed_load_has_no_plan_to_be_sure_of(make_run: Make) -> None:
    builder = slow(make_run(), 0.01)
    planned = seen(builder, "achieved_rate_per_s")
    builder.manifest["load"] = {"kind": "closed", "users": 4}
    closed = seen(builder, "achieved_rate_per_s")
    assert closed.value == planned.value
    assert closed.low == pytest.approx((900 - 1.96 * 30) / 45, abs=0.01)


def test_a_stream_whose_first_token_never_came_meets_no_objective_about_it(make_run: Make) -> None:
    builder = slow(make_run(), 0.3).set(slice(None), stream=True)
    builder.set(slice(None), first_byte_s=builder.samples["sent_s"] + 0.1)
    builder.set(slice(100, 1000, 4), first_byte_s=np.nan)
    gate = Gate("ttft_p95_ms", max=500.0)
    assert seen(builder, "goodput_per_s").value == pytest.approx(20.0, abs=0.05)
    assert seen(builder, "goodput_per_s", gate).value == pytest.approx(15.0, abs=0.05)


@pytest.mark.parametrize("outcome", ["timeout", "connection", "stream_broken", "malformed", "refused"])
def test_hanging_reads_alike_however_it_ends(make_run: Make, outcome: str) -> None:
    rows = slice(104, 1000, 50)
    builder = make_run()
    ok = np.sort((builder.samples["end_s"] - builder.samples["planned_s"])[100:].drop(builder.samples.loc[rows].index))
    builder.set(rows, end_s=builder.samples["sent_s"] + 60).fail(rows, outcome)
    found = seen(builder, "scheduled_p95_ms")
    assert found.value == pytest.approx(ok[int(np.ceil(0.95 * 900)) - 1] * 1e3)
    assert (found.censored, found.n) == (18, 900)
    assert seen(builder, "service_p99_ms").above == pytest.approx(60_000)


@pytest.mark.parametrize(
    ("outcome", "began", "censored"),
    [("timeout", True, 0), ("timeout", False, 18), ("refused", True, 18), ("connection", False, 18)],
)
def test_ttft_waits_until_the_first_piece_or_the_end(make_run: Make, outcome: str, began: bool, censored: int) -> None:
    rows = slice(104, 1000, 50)
    builder = make_run().set(slice(None), stream=True).set(rows, end_s=make_run().samples["sent_s"] + 60)
    builder.set(slice(None), first_byte_s=builder.samples["sent_s"] + 0.1).fail(rows, outcome)
    if not began:
        builder.set(rows, first_byte_s=None)
    found = seen(builder, "ttft_p95_ms")
    assert found.value == pytest.approx(100.0)
    assert found.censored == censored

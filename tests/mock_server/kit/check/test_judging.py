"""What is attested of a run, and what a run is blamed for."""

from __future__ import annotations

import pytest
from msgspec.structs import replace

from mock_server.edge.journal import Entry
from mock_server.exits import Exit
from mock_server.kit.check.judging import Judging, judge_cell, not_run, outcomes, unfit
from mock_server.kit.check.plan import PlanCell
from mock_server.kit.check.report import report_on
from mock_server.kit.check.running import SHOWN_BYTES, Ran, masked

HOW = Judging({}, (), says_it_retries=False, exit_code_tells=True)
FINE = Ran(0, killed=False, took_s=1.0, output="")
FAILED = Ran(1, killed=False, took_s=1.0, output="it failed")
STOPPED = Ran(137, killed=True, took_s=30.0, output="")
CUT = PlanCell("cut", fault="truncated_json", times=1)


def entry(request_id: str, at_s: float, status: int = 200, fault: str = "", **more: object) -> Entry:
    made = Entry(
        request_id, at_s, "t", "…ited", status, "" if status == 200 else "INTERNAL_ERROR", False, "openai", "m", 1, 1,
        0, 1.0, 1.0, 1.0, 1.0, "fault" if fault else "complete", fault, bool(fault), (), False,
    )  # fmt: skip
    return replace(made, arrived_unix_s=1e9 + at_s, path="/v1/llm/auto", key_place="authorization", **more)


CUT_ENTRY = entry("req_1", 0, fault="truncated_json;stage=before_headers")


def test_the_exit_code_is_about_the_last_answer_only() -> None:
    assert outcomes([CUT_ENTRY], (), FINE, tells=True) == {"req_1": "ok"}
    assert outcomes([CUT_ENTRY], (), FAILED, tells=True) == {"req_1": "error"}
    assert outcomes([entry("req_2", 1), CUT_ENTRY], (), FINE, tells=True) == {}
    assert outcomes([CUT_ENTRY], (), FINE, tells=False) == {}


def test_what_the_application_says_itself_stands() -> None:
    assert outcomes([replace(CUT_ENTRY, attested="error")], (), FINE, tells=True) == {}


def test_only_what_was_under_way_when_the_command_was_stopped_was_killed() -> None:
    entries = [entry("req_2", 1, fault="stall;stage=before_headers"), entry("req_1", 0, 500, "code=500")]
    assert outcomes(entries, {"req_2"}, STOPPED, tells=True) == {"req_2": "killed"}


def test_a_client_that_was_stopped_while_it_waited_is_not_blamed() -> None:
    cell = PlanCell("long", code=429, headers={"Retry-After": "60"}, times=1)
    waiting = entry("req_1", 0, 500, "code=500", retry_after_s=60.0)
    assert judge_cell(cell, [waiting], STOPPED, {}, HOW).broken == ()


def test_what_the_healthy_run_shows_too_is_not_the_faults_doing() -> None:
    entries = [replace(CUT_ENTRY, attested="error", key_place="query")]
    blamed = {rule.rule for rule in judge_cell(CUT, entries, FAILED, {}, HOW).broken}
    assert blamed == {"key_outside_header"}
    baseline = dict.fromkeys(blamed, "FAIL")
    report = judge_cell(CUT, entries, FAILED, baseline, HOW)  # type: ignore[arg-type]
    assert (report.result, report.broken) == ("PASS", ())


def test_a_fault_that_did_not_strike_shows_nothing() -> None:
    report = judge_cell(CUT, [entry("req_1", 0)], FINE, {}, HOW)
    assert (report.result, report.rules) == ("NOT_EXERCISED", ())
    assert judge_cell(CUT, [], FINE, {}, HOW).why == "the command sent no request"


@pytest.mark.parametrize(
    ("fault", "stream", "fits"), [("eof", False, False), ("eof", True, True), ("reset", False, True)]
)
def test_a_cell_fits_the_calls_that_its_fault_can_strike(fault: str, *, stream: bool, fits: bool) -> None:
    assert (unfit(PlanCell("a", fault=fault), {stream}) == "") is fits


def test_output_is_bounded_and_masked() -> None:
    environment = {"API_KEY": "abcdefghijkl", "USER": "somebody-long"}
    shown = masked("x" * 9_000 + " abcdefghijkl Bearer qwertyuiop12 somebody-long", environment)
    assert shown.endswith("x …ijkl Bearer …op12 somebody-long")
    assert len(shown) == SHOWN_BYTES + 1


@pytest.mark.parametrize("fault", ["code=502", "reset;stage=before_headers"])
def test_exit_code_0_after_an_error_is_a_failure(fault: str) -> None:
    cell = PlanCell("error", fault="reset", times=1)
    met = entry("req_1", 0, 502 if fault.startswith("code") else 0, fault)
    for ran, word, result in ((FINE, "ok", "FAIL"), (FAILED, "error", "PASS")):
        assert outcomes([met], (), ran, tells=True) == {"req_1": word}
        report = judge_cell(cell, [replace(met, attested=word)], ran, {}, HOW)
        assert {rule.rule: rule.result for rule in report.rules}["error_taken_as_success"] == result
    tried_again = [met, entry("req_2", 1)]
    assert "error_taken_as_success" not in {rule.rule for rule in judge_cell(cell, tried_again, FINE, {}, HOW).rules}


def test_a_habit_that_only_warns_does_not_stand_for_a_cell_that_showed_nothing() -> None:
    habit = [entry(f"req_{n}", n, connection=n + 1, on_connection=1, connected_ms=0.5) for n in range(20)]
    report = report_on([not_run(CUT, "it does not fit")], habit, None, HOW)
    assert report.verdict.result == "WARN"
    assert (report.result, report.exit_code(inconclusive_ok=False)) == ("NOT_EXERCISED", Exit.UNDECIDED)
    wrong = [replace(each, key_place="query") for each in habit]
    assert report_on([not_run(CUT, "it does not fit")], wrong, None, HOW).result == "FAIL"

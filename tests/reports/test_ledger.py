from collections.abc import Callable
from typing import Any

from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from reports.frame import load_run
from reports.ledger import balance
from reports.sample import Outcome
from reports.summary import summarise

Make = Callable[..., Any]
outcomes = st.lists(st.sampled_from([outcome for outcome in Outcome if outcome is not Outcome.OK]), max_size=40)


@settings(max_examples=25, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(outcomes)
def test_the_outcomes_sum_to_what_was_planned(make_run: Make, found: list[Outcome]) -> None:
    builder = make_run(150)
    for at, outcome in enumerate(found):
        builder.fail(90 + at, str(outcome))
    ledger = balance(load_run(builder.write()))
    assert ledger.problems == ()
    assert (ledger.warmup, ledger.measure, ledger.total) == (100, 50, 150)
    assert sum(row.total for row in ledger.rows) == ledger.total == ledger.planned_calls
    assert sum(row.calls for row in ledger.rows) == ledger.calls
    assert {row.outcome: row.total for row in ledger.rows if row.total} == {
        outcome: (150 - len(found) if outcome is Outcome.OK else found.count(outcome))
        for outcome in (Outcome.OK, *found)
    }


def test_a_retry_is_a_try_of_its_own_and_the_call_counts_by_its_last_try(make_run: Make) -> None:
    builder = make_run()
    builder.fail([300, 500], "refused", status=502, code="ALL_PROVIDERS_FAILED")
    builder.set([301, 501], **{"try": 1})
    builder.samples.loc[[301, 501], "call_id"] = [300, 500]
    builder.fail(501, "timeout")
    builder.manifest["planned_calls"] = 998
    summary = summarise(load_run(builder.write()), ())
    assert summary.ledger.problems == ()
    assert (summary.ledger.total, summary.ledger.calls, summary.ledger.retried_calls) == (1000, 998, 2)
    assert {row.outcome: row.calls for row in summary.ledger.rows if row.calls} == {"ok": 997, "timeout": 1}
    assert summary.metrics["error_rate"].value == 3 / 900
    assert summary.metrics["call_failure_rate"].value == 1 / 898

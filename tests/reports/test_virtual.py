"""Runs in virtual time: what is asked of them, and what no run can get out of by calling itself one."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import pytest

from reports.values import Result
from tests.reports.conftest import assert_invalid, checks_of

Make = Callable[..., Any]


def virtual(builder: Any) -> Any:
    """The same run, played in virtual time: nobody is late, no connection is opened, no machine is read."""
    late = builder.samples["sent_s"] - builder.samples["planned_s"]
    builder.later(slice(None), -late).set(slice(None), connect_ms=None)
    builder.health = None
    builder.manifest.update(virtual=True, world="calm", target_kind="mock")
    return builder


def test_what_only_a_machine_can_break_does_not_apply(make_run: Make) -> None:
    found = checks_of(virtual(make_run()).run())
    machines = {"generator stalls", "generator CPU", "generator waiting", "mock stalls"}
    assert {name for name, check in found.items() if check.result is Result.NOT_APPLICABLE} == machines
    assert {check.result for name, check in found.items() if name not in machines} == {Result.PASS}


@pytest.mark.parametrize(
    ("spoil", "said"),
    [
        (lambda b: b.later([700], 0.2), "tries that left late, though nobody is late in virtual time: 1"),
        (lambda b: b.set([700], connect_ms=1.0), "connections, though virtual time has no network: 1"),
        (lambda b: b.ending(b.manifest["ended_s"]), "health readings, though virtual time has no machine"),
        (lambda b: b.manifest.update(target_kind="external"), "only a mock of the run's own can be asked"),
        (lambda b: b.manifest.update(world=None), "only a mock of the run's own can be asked"),
    ],
)
def test_a_real_run_that_calls_itself_virtual_is_found_out(
    make_run: Make, spoil: Callable[[Any], object], said: str
) -> None:
    assert_invalid(virtual(make_run()), spoil, "workers", said)


def test_a_try_that_took_longer_than_its_plan_is_no_less_suspect(make_run: Make) -> None:
    moments = ("first_byte_s", "end_s")
    assert_invalid(virtual(make_run()), lambda b: b.later(slice(None), 0.4, moments), "mock plan", "limit")

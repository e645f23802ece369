"""The circuit breaker: five failures in a row, 30 seconds, one probe."""

from __future__ import annotations

from math import inf
from typing import NamedTuple

import pytest
from hypothesis import given
from hypothesis import strategies as st

from mock_server.core.breaker import Breaker, BreakerSettings


class Planned(NamedTuple):
    """A probe that will have been settled at a moment, as a failure or not."""

    at: float
    fails: bool

    def verdict(self) -> tuple[float, bool]:
        return self


PROBE = Planned(40.0, False)


def fresh(failures: int = 5, cooldown_s: float = 30.0) -> Breaker:
    return Breaker(BreakerSettings(failures, cooldown_s))


def opened(now: float = 0.0) -> Breaker:
    breaker = fresh()
    for _ in range(5):
        breaker.failure(now, probe=breaker.begin(now, PROBE))
    return breaker


def test_defaults_are_the_contracts() -> None:
    assert (BreakerSettings().failures, BreakerSettings().cooldown_s) == (5, 30.0)


@pytest.mark.parametrize(
    ("events", "state"),
    [
        ("", "closed"),
        ("ffff", "closed"),
        ("fffff", "open"),
        ("ffffsffff", "closed"),
        ("ffffsfffff", "open"),
        ("ffffuf", "open"),  # undecided neither counts nor interrupts
        ("uuuuuuuu", "closed"),
        ("fffffs", "open"),  # a late success of before the opening
        ("ffffffff", "open"),
    ],
)
def test_failures_in_a_row_open_it(events: str, state: str) -> None:
    breaker = fresh()
    for event in events:
        if event == "f":
            breaker.failure(0.0, probe=False)
        elif event == "s":
            breaker.success(probe=False)
        else:
            breaker.undecided(probe=False)
    assert breaker.state(0.0) == state
    assert breaker.allows(0.0) == (state == "closed")


def test_the_cooldown_is_exact() -> None:
    breaker = opened(100.0)
    assert breaker.wait(100.0) == 30.0
    assert breaker.wait(125.0) == breaker.cooldown(125.0) == 5.0
    assert not breaker.allows(129.999)
    assert not breaker.begin(129.999, PROBE)
    assert breaker.state(129.999) == "open"
    assert breaker.state(130.0) == "half_open"
    assert breaker.allows(130.0)
    assert breaker.wait(131.0) == 0


def test_late_failures_do_not_prolong_the_cooldown() -> None:
    breaker = opened(0.0)
    breaker.failure(20.0, probe=False)
    assert breaker.allows(30.0)


def test_half_open_lets_one_probe_through() -> None:
    breaker = opened(0.0)
    assert breaker.begin(30.0, PROBE)
    assert not breaker.allows(30.0)
    assert not breaker.allows(1_000.0)
    assert not breaker.begin(1_000.0, PROBE)


@pytest.mark.parametrize(("probe", "wait"), [(PROBE, 9.0), (Planned(40.0, True), 39.0), (Planned(inf, False), inf)])
def test_while_a_probe_is_out_it_waits_for_what_that_will_come_to(probe: Planned, wait: float) -> None:
    breaker = opened(0.0)
    assert breaker.begin(30.0, probe)
    assert (breaker.wait(31.0), breaker.cooldown(31.0)) == (wait, 0.0)
    breaker.undecided(probe=True)
    assert breaker.wait(31.0) == 0.0


def test_a_good_probe_closes_it_and_the_count_starts_anew() -> None:
    breaker = opened(0.0)
    breaker.success(probe=breaker.begin(30.0, PROBE))
    assert breaker.state(30.0) == "closed"
    for _ in range(4):
        breaker.failure(31.0, probe=False)
    assert breaker.allows(31.0)
    breaker.failure(31.0, probe=False)
    assert not breaker.allows(31.0)


def test_a_failed_probe_opens_it_again_for_a_whole_cooldown() -> None:
    breaker = opened(0.0)
    breaker.failure(40.0, probe=breaker.begin(35.0, PROBE))
    assert breaker.state(69.9) == "open"
    assert breaker.allows(70.0)


def test_an_undecided_probe_lets_another_one_try() -> None:
    breaker = opened(0.0)
    breaker.undecided(probe=breaker.begin(30.0, PROBE))
    assert breaker.state(31.0) == "half_open"
    assert breaker.begin(31.0, PROBE)


def test_late_results_of_others_do_not_decide_for_the_probe() -> None:
    breaker = opened(0.0)
    assert breaker.begin(30.0, PROBE)
    breaker.success(probe=False)
    assert not breaker.allows(31.0)
    breaker.failure(31.0, probe=False)
    breaker.undecided(probe=False)
    assert not breaker.allows(31.0)
    breaker.success(probe=True)
    assert breaker.allows(31.0)


def test_a_closed_breaker_sends_no_probes() -> None:
    assert not fresh().begin(0.0, PROBE)


@given(st.integers(1, 8), st.floats(0, 100), st.lists(st.sampled_from("fsu"), max_size=40))
def test_it_is_open_exactly_after_enough_failures_in_a_row(failures: int, cooldown_s: float, events: list[str]) -> None:
    breaker, row, is_open = fresh(failures, cooldown_s), 0, False
    for event in events:
        if event == "f":
            breaker.failure(0.0, probe=False)
            row += 1
        elif event == "s":
            breaker.success(probe=False)
            row = 0
        else:
            breaker.undecided(probe=False)
        is_open = is_open or row >= failures
        assert (breaker.state(0.0) != "closed") == is_open
        assert breaker.wait(0.0) == (cooldown_s if is_open else 0)

"""Token buckets never give more than their rate, and say exactly how long to wait."""

from __future__ import annotations

from math import inf
from typing import NamedTuple

import pytest
from hypothesis import given
from hypothesis import strategies as st

from mock_server.contract.accounts import PLANS, Plan
from mock_server.core.limits import DAY_S, MINUTE_S, Bucket, Limits, Outlook

RATE_ERROR = 1e-6  # relative; floating point and the bucket's own slack of a microsecond

capacities = st.one_of(st.integers(1, 100), st.sampled_from([300, 5_000, 20_000, 2_000_000]))
windows = st.sampled_from([1.0, MINUTE_S, DAY_S])
starts = st.one_of(st.just(0.0), st.floats(0, 1e6))
gaps = st.one_of(st.just(0.0), st.floats(0, 1), st.floats(0, 200))
fractions = st.floats(0, 1)


@given(capacities, windows, starts, st.lists(st.tuples(gaps, fractions), min_size=1, max_size=40))
def test_no_window_gives_more_than_capacity_and_rate(
    capacity: int, window_s: float, now: float, asks: list[tuple[float, float]]
) -> None:
    bucket = Bucket(capacity, window_s, now)
    taken: list[tuple[float, float]] = []
    for gap, fraction in asks:
        now += gap
        if bucket.wait(capacity * fraction, now) == 0:
            bucket.take(capacity * fraction, now)
            taken.append((now, capacity * fraction))
    for first in range(len(taken)):
        total = 0.0
        for at, amount in taken[first:]:
            total += amount
            allowed = capacity + (at - taken[first][0]) * capacity / window_s
            assert total <= allowed * (1 + RATE_ERROR) + capacity / window_s * 1e-5


@given(capacities, windows, starts, st.lists(st.tuples(gaps, fractions), max_size=10), fractions)
def test_waits_are_exact(
    capacity: int, window_s: float, now: float, takes: list[tuple[float, float]], fraction: float
) -> None:
    bucket = Bucket(capacity, window_s, now)
    for gap, part in takes:
        now += gap
        bucket.take(capacity * part, now)
    amount = capacity * fraction
    wait = bucket.wait(amount, now)
    assert wait >= 0
    if wait > 1e-3:
        assert bucket.wait(amount, now + wait * 0.999) > 0
    assert bucket.wait(amount, now + wait) == 0


@given(capacities, windows, st.lists(st.tuples(gaps, st.floats(-1, 2)), max_size=20))
def test_levels_never_pass_the_capacity(capacity: int, window_s: float, moves: list[tuple[float, float]]) -> None:
    bucket, now = Bucket(capacity, window_s, 0.0), 0.0
    for gap, part in moves:
        now += gap
        bucket.take(capacity * part, now)
        assert bucket.level(now) <= capacity
        assert bucket.full_in(now) >= 0
    assert bucket.level(now + bucket.full_in(now) + 1e-6) == pytest.approx(capacity)


@given(capacities, st.floats(0.1, 1e4), fractions)
def test_a_clock_that_steps_back_refills_nothing(capacity: int, back_s: float, fraction: float) -> None:
    bucket = Bucket(capacity, MINUTE_S, 1e5)
    bucket.take(capacity * fraction, 1e5)
    level = bucket.level(1e5)
    assert bucket.level(1e5 - back_s) == level
    assert bucket.level(1e5) == level  # what passed twice counts once


def test_waits_count_from_the_moment_of_asking_when_the_clock_stepped_back() -> None:
    bucket = Bucket(60, MINUTE_S, 100.0)
    bucket.take(60, 100.0)
    assert bucket.wait(1, 90.0) == pytest.approx(11.0)


def test_corrections_may_leave_debts_that_are_refilled_first() -> None:
    bucket = Bucket(60, MINUTE_S, 0.0)
    bucket.take(60, 0.0)
    bucket.take(30, 0.0)
    assert bucket.level(0.0) == -30
    assert bucket.wait(1, 0.0) == pytest.approx(31)
    bucket.take(-45, 0.0)
    assert bucket.wait(15, 0.0) == 0
    assert bucket.wait(16, 0.0) == pytest.approx(1)


@pytest.mark.parametrize(
    ("plan", "allowed", "wait"),
    [
        (Plan(rpm=10), 10, 6.0),
        (Plan(rpm=1), 1, 60.0),
        (Plan(rpd=100), 100, 864.0),
        (Plan(rpm=10, rpd=3), 3, 28_800.0),  # the longest wait counts
        (Plan(tpm=6_000), 6, 10.0),  # 1,000 tokens each
        (Plan(tpm=500), 1, 60.0),  # an estimate is at most the bucket
        (PLANS["single"], 1, 60.0),
    ],
)
def test_plans_allow_a_burst_and_then_say_how_long_to_wait(plan: Plan, allowed: int, wait: float) -> None:
    limits = Limits(plan, 0.0)
    for _ in range(allowed):
        assert limits.wait(1_000, (), 0.0) == 0
        limits.take_request(0.0)
        limits.take_tokens(1_000, 0.0)
    assert limits.wait(1_000, (), 0.0) == pytest.approx(wait)
    assert limits.wait(1_000, (), wait) == 0


class Ends(NamedTuple):
    """A request in flight, which will have used so many tokens more than were taken for it."""

    at: float
    tokens: int = 0

    def outlook(self) -> Outlook:
        return Outlook(self.at, self.at, self.tokens)


@pytest.mark.parametrize(
    ("ends", "wait"),
    [
        ((9.0,), 0),
        ((9.0, 7.5), 2.5),
        ((9.0, 7.5, inf, 8.0), 4.0),  # of four in a house for two, three must have left
        ((inf, 6.0), 1.0),
        ((inf, inf), DAY_S),
    ],
)
def test_a_full_house_waits_for_as_many_ends_as_it_takes(ends: tuple[float, ...], wait: float) -> None:
    assert Limits(Plan(concurrent=2), 0.0).wait(1, tuple(map(Ends, ends)), 5.0) == wait


@pytest.mark.parametrize(
    ("calls", "wait"),
    [
        ((), 30.0),  # 500 tokens are left of 1,000, of which 500 are missing for half a minute
        ((Ends(20.0, 1_000),), 90.0),  # a long answer is to come before, which costs another minute
        ((Ends(50.0, -500),), 30.0),  # what is given back later does not help
        ((Ends(20.0, -500),), 20.0),
        ((Ends(20.0, -500), Ends(25.0, 500)), 30.0 + 25.0),
        ((Ends(inf, 0),), 30.0),
    ],
)
def test_tokens_are_there_for_good_when_all_in_flight_have_used_what_they_will(
    calls: tuple[Ends, ...], wait: float
) -> None:
    limits = Limits(Plan(tpm=1_000), 0.0)
    limits.take_tokens(500, 0.0)
    assert limits.wait(1_000, calls, 0.0) == pytest.approx(wait)


def test_what_calls_in_flight_will_use_refuses_nothing_before() -> None:
    limits = Limits(Plan(tpm=1_000, rpm=1), 0.0)
    assert limits.wait(1_000, (Ends(20.0, 10_000),), 0.0) == 0
    limits.take_request(0.0)
    assert limits.wait(1_000, (Ends(20.0, 10_000),), 0.0) == pytest.approx(20 + 600)  # but then it is not earlier


@given(
    st.integers(0, 60), st.integers(1, 60), st.lists(st.tuples(st.integers(0, 90), st.integers(-60, 90)), max_size=5)
)
def test_from_that_moment_on_tokens_can_be_taken_and_just_before_not_for_good(
    spent: int, amount: int, takes: list[tuple[int, int]]
) -> None:
    bucket = Bucket(60, 60.0, 0.0)
    bucket.take(spent, 0.0)
    wait = bucket.wait_for_good(amount, takes, 0.0)
    assert wait >= bucket.wait(amount, 0.0) or takes
    left, short = sorted(takes), []
    for moment in sorted({float(at) for at, _ in takes} | {wait - 1e-3, wait, 1_000.0} - {-1e-3}):
        while left and left[0][0] <= moment:
            at, taken = left.pop(0)
            bucket.take(taken, at)
        short.append((moment, bucket.wait(amount, moment) > 0))
    assert not any(is_short for moment, is_short in short if moment >= wait)
    assert wait == 0 or any(is_short for moment, is_short in short if moment >= wait - 1e-3 and moment < wait)


def test_a_request_that_is_late_is_still_there() -> None:
    assert Limits(Plan(concurrent=1), 0.0).wait(1, (Ends(4.0),), 5.0) > 0


def test_token_estimates_are_corrected() -> None:
    limits = Limits(Plan(tpm=1_000), 0.0)
    taken = limits.take_tokens(800, 0.0)
    assert limits.wait(300, (), 0.0) == pytest.approx(6)
    limits.correct_tokens(taken, 100, 0.0)
    assert limits.wait(900, (), 0.0) == 0
    limits.correct_tokens(limits.take_tokens(900, 0.0), 1_500, 0.0)
    assert limits.wait(1, (), 0.0) == pytest.approx(601 * 60 / 1_000)


def test_requests_can_be_given_back() -> None:
    limits = Limits(Plan(rpm=1, rpd=1), 0.0)
    limits.take_request(0.0)
    limits.give_back_request(0.0)
    assert limits.wait(1, (), 0.0) == 0


def test_quotas_announce_whole_requests_and_the_time_until_all_are_back() -> None:
    limits = Limits(Plan(rpm=60), 0.0)
    for _ in range(3):
        limits.take_request(0.0)
    assert limits.quota(0.0) == (60, 57, 3.0)
    assert limits.quota(1.5) == pytest.approx((60, 58, 1.5))
    assert Limits(Plan(tpm=5), 0.0).quota(0.0) is None

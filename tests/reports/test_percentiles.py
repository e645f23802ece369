import math

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from reports.dependence import Timeline
from reports.percentiles import enough_samples, percentile, share_within
from reports.stats import Observed, binomial_ranks, observe


def spread_out(values: np.ndarray, ok: np.ndarray | None = None, seconds: float = 300.0) -> Observed:
    """Values in the order they were planned, evenly over so many seconds."""
    at = np.linspace(0, seconds, len(values), endpoint=False, dtype=np.float64)
    return observe(values, ok, Timeline(0.0, seconds).block(at), seconds)


@given(st.lists(st.floats(0.125, 1e5, width=32), min_size=72, max_size=200))
def test_an_interval_of_independent_samples_runs_between_two_of_them(values: list[float]) -> None:
    ranks = binomial_ranks(len(values), 0.95)
    seen, time = percentile(observe(np.array(values)), 0.95, "ms"), sorted(values)
    assert (seen.low, seen.high) == (time[ranks[0] - 1], time[ranks[1] - 1])


def test_too_few_samples_give_no_value_but_say_how_many_would_do() -> None:
    seen = percentile(observe(np.arange(212.0)), 0.99, "ms")
    assert (seen.value, seen.low, seen.high, seen.n, seen.needed) == (None, None, None, 212, 368)
    assert percentile(observe(np.empty(0)), 0.5, "ms").n == 0


def test_refusals_are_no_samples_of_latency() -> None:
    values = np.concatenate([np.full(300, 0.005), np.arange(1.0, 301.0)])
    seen = percentile(observe(values, values >= 1), 0.99, "ms")
    assert (seen.value, seen.n, seen.needed) == (None, 600, 736)  # as 368 of which half are refused


def test_fast_refusals_leave_curve_and_interval_where_they_were() -> None:
    dice = np.random.default_rng(3)
    values = dice.lognormal(size=4000)
    refused = dice.random(4000) < 0.03
    without = percentile(observe(values[~refused]), 0.99, "ms")
    among = percentile(observe(np.where(refused, 0.001, values), ~refused), 0.99, "ms")
    assert (among.value, among.censored) == (without.value, int(refused.sum()))
    assert among.low is not None
    assert among.high is not None
    assert [among.low, among.high] == pytest.approx([without.low, without.high], rel=0.03)


def test_a_gateway_that_hangs_and_resets_reads_like_one_that_hangs_until_the_client_gives_up() -> None:
    values = np.random.default_rng(4).lognormal(size=2000)
    values[::50] = 60.0
    seen = percentile(spread_out(values, values < 60), 0.95, "ms")
    ok = np.sort(values[values < 60])
    # 4 % hang, so that the 95th of all is the 98.96th of those that ended.
    assert seen.value == ok[math.ceil(0.95 * 2000) - 1]
    assert percentile(spread_out(values, values < 60), 0.99, "ms").above == 60.0


def test_where_all_hang_the_percentile_lies_beyond_for_sure() -> None:
    seen = percentile(observe(np.full(600, 60.0), np.zeros(600, dtype=bool)), 0.5, "ms")
    assert (seen.value, seen.above, seen.low, seen.high, seen.censored) == (None, 60.0, 60.0, None, 600)


def test_where_kaplan_meier_ends_too_high_only_a_bound_is_given() -> None:
    time = np.array([1.0] * 40 + [30.0] * 60)
    seen = percentile(observe(time, time < 30), 0.5, "ms")
    assert (seen.value, seen.above, seen.high, seen.censored) == (None, 30.0, None, 60)
    assert seen.low == 1.0  # the 40th of 100, as among 100 that all ended


def test_requests_that_resemble_their_neighbours_widen_the_interval() -> None:
    dice = np.random.default_rng(5)
    slow_spells = np.repeat(dice.lognormal(5, 1, 40), 100) + dice.random(4000)
    alone, together = percentile(observe(slow_spells), 0.5, "ms"), percentile(spread_out(slow_spells), 0.5, "ms")
    assert together.value == alone.value
    assert (together.low or 0) < (alone.low or 0)
    assert (together.high or math.inf) > (alone.high or 0)
    assert together.effective is not None
    assert together.effective < 100


def test_equal_times_do_not_look_like_waves() -> None:
    assert percentile(spread_out(np.repeat(7.0, 2000)), 0.95, "ms").effective is None
    seen = percentile(spread_out(np.tile([7.0, 7.0, 7.0, 8.0], 500)), 0.5, "ms")
    assert (seen.value, seen.low, seen.high, seen.effective) == (7.0, 7.0, 7.0, None)


def incident(worst: float) -> np.ndarray:
    """6,000 requests in 300 s of which the tail lies within 6 s."""
    values = np.random.default_rng(6).uniform(1, 2, 6000)
    values[3000:3120] = np.random.default_rng(7).uniform(3, worst, 120)
    return values


def test_an_end_that_is_open_since_one_incident_holds_the_tail_is_closed_by_what_was_seen() -> None:
    values = incident(5.0)
    seen = percentile(spread_out(values), 0.99, "ms")
    assert seen.high is not None
    assert values.max() <= seen.high <= 2 * values.max()
    assert "too bursty to judge in 300 s" in seen.note


def test_an_end_stays_open_where_something_still_ran_out_there() -> None:
    values = incident(5.0)
    ok = np.ones(6000, dtype=bool)
    ok[3100:3120] = False
    assert percentile(spread_out(values, ok), 0.99, "ms").high is None


def test_a_run_too_short_for_its_own_waves_says_so_and_gives_no_tight_interval() -> None:
    values = np.concatenate([np.full(300, 1.0), np.full(300, 3.0)]) + np.random.default_rng(8).random(600)
    seen = percentile(spread_out(values, seconds=30.0), 0.5, "ms")
    assert "too bursty to judge in 30 s: these 600 tell as much as" in seen.note
    assert (seen.low, seen.high) == (values.min() / 2, values.max() * 2)


@given(st.lists(st.floats(0.125, 1e5, width=32), min_size=1, max_size=200), st.floats(0, 1e5))
def test_the_share_within_a_limit_counts_those_not_above_it(values: list[float], limit: float) -> None:
    share = share_within(observe(np.array(values)), limit)
    assert share == pytest.approx(sum(v <= limit for v in values) / len(values), abs=1e-9)


def test_the_samples_said_to_be_enough_are_enough_and_more_than_there_are() -> None:
    found = observe(np.random.default_rng(9).random(400))
    limit = 0.975
    more = enough_samples(found, 0.95, limit)
    assert more is not None
    assert more > 400
    ranks = binomial_ranks(more, 0.95)
    share = share_within(found, limit)
    assert ranks[1] <= share * more or ranks[0] - 1 > share * more
    assert enough_samples(found, 0.95, float(found.time[379])) is None  # the limit is the percentile itself


def test_where_requests_come_in_waves_more_samples_are_needed() -> None:
    waves = spread_out(np.repeat(np.random.default_rng(10).random(60), 100))
    limit = float(waves.time[3600])
    alone, together = (enough_samples(found, 0.5, limit) for found in (observe(waves.time), waves))
    assert alone is not None
    assert together is not None
    assert together > 1.5 * alone

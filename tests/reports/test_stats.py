import math

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from scipy import stats as reference

from reports import stats
from reports.values import Tail

times = st.lists(st.floats(0.125, 1e5, width=32), min_size=1, max_size=200)
shares = st.sampled_from([0.5, 0.95, 0.99, 0.999])


@given(times, shares)
def test_a_percentile_is_the_smallest_value_that_enough_values_do_not_exceed(values: list[float], p: float) -> None:
    found = stats.observe(np.array(values))
    index = stats.percentile_index(found, p)
    assert index is not None
    brute = next(v for v in sorted(values) if sum(w <= v for w in values) >= p * len(values) - 1e-9)
    assert found.time[index] == brute


@pytest.mark.parametrize(
    ("n", "p", "expected"), [(100, 0.99, 99), (100, 0.07, 7), (1000, 0.999, 999), (1, 0.5, 1), (101, 0.5, 51)]
)
def test_the_rank_is_not_fooled_by_binary_fractions(n: int, p: float, expected: int) -> None:
    assert stats.rank(n, p) == expected


@pytest.mark.parametrize(("p", "least"), [(0.5, 6), (0.95, 72), (0.99, 368), (0.999, 3688)])
def test_an_interval_needs_as_many_samples_as_published(p: float, least: int) -> None:
    assert stats.least_samples(p) == least
    assert stats.interval_ranks(least - 1, p) is None
    assert stats.interval_ranks(least, p) is not None


@given(st.integers(1, 20_000), shares)
def test_interval_ranks_are_the_tightest_with_at_most_half_the_error_in_each_tail(n: int, p: float) -> None:
    ranks = stats.interval_ranks(n, p)
    if ranks is None:
        assert n < stats.least_samples(p)
        return
    low, high = ranks
    below = reference.binom(n, p).cdf
    assert 1 <= low <= stats.rank(n, p) <= high <= n
    assert below(low - 1) <= 0.025 < below(low)
    assert below(high - 1) >= 0.975 > below(high - 2)


def test_intervals_cover_the_true_percentile_about_as_often_as_they_claim() -> None:
    dice = np.random.default_rng(1)
    truth = -math.log(0.05)
    kept = 0
    for _ in range(400):
        seen = stats.percentile(stats.observe(dice.exponential(size=400)), 0.95, "ms")
        assert seen.low is not None
        assert seen.high is not None
        kept += seen.low <= truth <= seen.high
    assert 0.92 <= kept / 400 <= 0.99


@given(times, shares)
def test_kaplan_meier_without_censoring_is_the_plain_percentile(values: list[float], p: float) -> None:
    found = stats.observe(np.array(values))
    reached = found.surviving <= 1 - p + 1e-9
    assert int(np.argmax(reached)) == stats.percentile_index(found, p)


@given(st.lists(st.tuples(st.integers(1, 50), st.booleans()), min_size=1, max_size=80))
def test_kaplan_meier_agrees_with_scipy(rows: list[tuple[int, bool]]) -> None:
    time = np.array([float(at) for at, _ in rows])
    event = np.array([happened for _, happened in rows])
    found = stats.observe(time, event)
    curve = reference.ecdf(reference.CensoredData(uncensored=time[event], right=time[~event])).sf
    for at, expected in zip(curve.quantiles, curve.probabilities, strict=True):
        last = int(np.searchsorted(found.time, at, side="right")) - 1
        assert found.surviving[last] == pytest.approx(expected, abs=1e-12)


@given(times, st.data())
def test_hanging_never_makes_a_percentile_or_its_interval_smaller(values: list[float], data: st.DataObject) -> None:
    time = np.array(values)
    hung = np.array(data.draw(st.lists(st.booleans(), min_size=len(values), max_size=len(values))))
    plain = stats.percentile(stats.observe(time), 0.5, "ms")
    felt = stats.percentile(stats.observe(time, ~hung), 0.5, "ms")
    if plain.value is None or plain.high is None:
        assert felt.value is None
        return
    assert felt.low == plain.low
    assert (felt.value or felt.above or 0) >= plain.value
    assert felt.high is None or felt.high >= plain.high


def test_where_kaplan_meier_ends_too_high_only_a_bound_is_given() -> None:
    time = np.array([1.0] * 40 + [30.0] * 60)
    seen = stats.percentile(stats.observe(time, time < 30), 0.5, "ms")
    assert (seen.value, seen.above, seen.high, seen.censored) == (None, 30.0, None, 60)
    assert seen.low == 1.0  # the 40th of 100: as if all had finished when last seen


def test_too_few_samples_give_no_value_but_say_how_many_would_do() -> None:
    seen = stats.percentile(stats.observe(np.arange(212.0)), 0.99, "ms")
    assert (seen.value, seen.low, seen.high, seen.n, seen.needed) == (None, None, None, 212, 368)


def test_requests_that_resemble_their_neighbours_widen_the_interval() -> None:
    dice = np.random.default_rng(5)
    block = np.repeat(np.arange(40), 100)
    slow_blocks = dice.lognormal(5, 1, 40)[block] + dice.random(4000)
    alone = stats.percentile(stats.observe(slow_blocks), 0.95, "ms")
    together = stats.percentile(stats.observe(slow_blocks, block=block), 0.95, "ms")
    assert together.value == alone.value
    assert (together.low or 0) < (alone.low or 0)
    assert (together.high or math.inf) > (alone.high or 0)


def test_independent_requests_are_hardly_widened_and_the_dice_are_fixed() -> None:
    dice = np.random.default_rng(6)
    values, block = dice.random(4000), np.repeat(np.arange(40), 100)
    first, second = (stats.percentile(stats.observe(values, block=block), 0.95, "ms") for _ in range(2))
    assert first == second
    assert first.low is not None
    assert first.high is not None
    assert 0.93 < first.low < first.high < 0.97


@given(st.integers(1, 5000), st.data())
def test_a_wilson_interval_holds_the_rate_and_stays_within_0_and_1(n: int, data: st.DataObject) -> None:
    hits = data.draw(st.integers(0, n))
    low, high = stats.wilson(hits, n)
    assert 0 <= low <= hits / n <= high <= 1
    theirs = reference.binomtest(hits, n).proportion_ci(method="wilson")
    assert (low, high) == pytest.approx((theirs.low, theirs.high), abs=1e-9)


def test_the_samples_said_to_be_enough_are_enough() -> None:
    enough = stats.samples_for_rate(0.02, 0.03, 100)
    assert enough is not None
    assert enough > 100
    assert stats.wilson(round(0.02 * enough), enough)[1] <= 0.03
    assert stats.samples_for_rate(0.03, 0.03, 100) is None
    more = stats.samples_for_percentile(0.95, 0.97, 100)
    assert more is not None
    ranks = stats.interval_ranks(more, 0.95)
    assert ranks is not None
    assert ranks[1] <= 0.97 * more


def test_unknown_times_are_left_out() -> None:
    assert stats.observe(np.array([3.0, np.nan, 1.0])).time.tolist() == [1.0, 3.0]


@given(times, st.floats(0, 1e5))
def test_the_share_within_a_limit_counts_those_not_above_it(values: list[float], limit: float) -> None:
    share = stats.share_within(stats.observe(np.array(values)), limit)
    assert share == pytest.approx(sum(v <= limit for v in values) / len(values), abs=1e-9)


@pytest.mark.parametrize(
    ("n", "percentile", "value", "low"),
    [(368, "p99", 365, 360), (367, "p95", 349, 340), (72, "p95", 69, 64), (71, "median", 36, 27), (5, "median", 3, 3)],
)
def test_a_tail_is_the_furthest_percentile_that_has_an_interval(
    n: int, percentile: str, value: float, low: float
) -> None:
    values = np.append(np.arange(n, 0, -1, dtype=float), np.nan)
    assert stats.tail(values) == Tail(percentile=percentile, n=n, value=value, low=low)


def test_nothing_has_no_tail() -> None:
    assert stats.tail(np.array([np.nan])) is None

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from scipy import stats as reference

from reports import stats

times = st.lists(st.floats(0.125, 1e5, width=32), min_size=1, max_size=200)
shares = st.sampled_from([0.5, 0.95, 0.99, 0.999])


@given(times, shares)
def test_a_percentile_is_the_smallest_value_that_enough_values_do_not_exceed(values: list[float], p: float) -> None:
    found = stats.observe(np.array(values))
    index = found.index(p)
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
    for n, enclosed in ((least - 1, False), (least, True)):
        low, high = stats.binomial_ranks(n, p)
        assert (low >= 1 and high <= n) is enclosed


@given(st.integers(1, 20_000), shares)
def test_binomial_ranks_are_the_tightest_with_at_most_half_the_error_in_each_tail(n: int, p: float) -> None:
    low, high = stats.binomial_ranks(n, p)
    below = reference.binom(n, p).cdf
    if n < stats.least_samples(p):
        assert low == 0 or high == n + 1
        return
    assert 1 <= low <= stats.rank(n, p) <= high <= n
    assert below(low - 1) <= 0.025 < below(low)
    assert below(high - 1) >= 0.975 > below(high - 2)


@given(times, shares)
def test_kaplan_meier_without_censoring_is_the_plain_percentile(values: list[float], p: float) -> None:
    found = stats.observe(np.array(values))
    reached = found.surviving <= 1 - p + 1e-9
    assert int(np.argmax(reached)) == found.index(p)


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
def test_hanging_never_makes_a_percentile_smaller(values: list[float], data: st.DataObject) -> None:
    time = np.array(values)
    hung = np.array(data.draw(st.lists(st.booleans(), min_size=len(values), max_size=len(values))))
    plain, felt = stats.observe(time), stats.observe(time, ~hung)
    at = felt.index(0.5)
    assert at is None or felt.time[at] >= plain.time[plain.index(0.5) or 0]


@given(st.lists(st.tuples(st.integers(1, 50), st.booleans()), min_size=2, max_size=80), shares)
def test_the_curve_first_reaches_a_share_where_a_search_from_the_left_finds_it(
    rows: list[tuple[int, bool]], p: float
) -> None:
    found = stats.observe(np.array([float(at) for at, _ in rows]), np.array([ended for _, ended in rows]))
    reached = np.flatnonzero(found.surviving <= 1 - p + 1e-9)
    assert found.index(p) == (int(reached[0]) if len(reached) else None)


def test_unknown_times_are_left_out() -> None:
    assert stats.observe(np.array([3.0, np.nan, 1.0])).time.tolist() == [1.0, 3.0]

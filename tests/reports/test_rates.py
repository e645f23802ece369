import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from scipy import stats as reference

from reports.dependence import BLOCKS, Floats, per_block
from reports.rates import enough_tries, share, steadiness, wilson


def tries(hit: np.ndarray) -> tuple[Floats, Floats]:
    """How many were hit and how many there are per block, evenly planned."""
    block = np.arange(len(hit)) * BLOCKS // len(hit)
    return per_block(block[hit]), per_block(block)


def every(nth: int, n: int) -> np.ndarray:
    hit: np.ndarray = np.arange(n) % nth == nth // 2
    return hit


@given(st.integers(1, 5000), st.data())
def test_a_wilson_interval_holds_the_rate_and_stays_within_0_and_1(n: int, data: st.DataObject) -> None:
    hits = data.draw(st.integers(0, n))
    low, high = wilson(hits / n, n)
    assert 0 <= low <= hits / n <= high <= 1
    theirs = reference.binomtest(hits, n).proportion_ci(method="wilson")
    assert (low, high) == pytest.approx((theirs.low, theirs.high), abs=1e-9)


def test_failures_by_chance_have_a_plain_wilson_interval() -> None:
    hit = np.random.default_rng(0).random(6000) < 0.02
    seen = share(*tries(hit), 300.0)
    assert (seen.low, seen.high) == wilson(hit.mean(), 6000)
    assert (seen.value, seen.n, seen.effective, seen.note) == (hit.mean(), 6000, None, "")


def test_failures_in_bursts_tell_less_than_as_many_by_chance() -> None:
    hit = np.repeat(np.random.default_rng(1).random(300) < 0.04, 20)
    seen = share(*tries(hit), 300.0)
    assert seen.effective is not None
    assert seen.effective < 6000 / 15
    low, high = wilson(hit.mean(), 6000)
    assert (seen.low or 0) < low - 0.01
    assert (seen.high or 0) > high + 0.01


def test_one_burst_is_too_bursty_to_judge_by_and_says_so() -> None:
    hit = np.zeros(600, dtype=bool)
    hit[300:312] = True
    seen = share(*tries(hit), 30.0)
    assert seen.note == "too bursty to judge in 30 s: 12 of them came as in 1 burst"
    assert (seen.low or 0) < 0.004
    assert (seen.high or 0) > 0.2
    # The same of a share that is near 1.
    mirror = share(*tries(~hit), 30.0)
    assert (mirror.low, mirror.high) == pytest.approx((1 - (seen.high or 0), 1 - (seen.low or 0)))


def test_what_is_not_known_is_taken_once_as_good_and_once_as_bad() -> None:
    hits, all_tries = tries(every(50, 1000))
    seen = share(hits, all_tries, 50.0, unknown=100)
    assert seen.value == 20 / 900
    assert (seen.low, seen.high) == (wilson(0.02, 1000)[0], wilson(0.12, 1000)[1])
    assert share(hits * 0, all_tries, 50.0, unknown=1000).value is None
    assert share(hits * 0, all_tries * 0, 50.0).note == "no requests of this sort"


def test_the_tries_said_to_be_enough_are_enough() -> None:
    hits, all_tries = tries(every(50, 1000))
    enough = enough_tries(hits, all_tries, 50.0, 0.03)
    assert enough is not None
    assert enough > 1000
    assert wilson(0.02, enough)[1] <= 0.03
    assert enough_tries(hits, all_tries, 50.0, 0.02) is None
    assert enough_tries(hits, all_tries, 50.0, 0.05, unknown=100) is None
    burst = np.zeros(1000, dtype=bool)
    burst[400:420] = True
    assert (enough_tries(*tries(burst), 50.0, 0.03) or 0) > 10 * enough


def test_a_closed_load_that_goes_by_fits_and_starts_is_less_sure() -> None:
    steady = np.full(BLOCKS, 40.0)
    assert steadiness(steady, 300.0) == pytest.approx(1.96 * np.sqrt(steady.sum()), rel=1e-3)
    fits = np.repeat([80.0, 0.0] * 8, BLOCKS // 16)
    assert steadiness(fits, 300.0) > 3 * steadiness(steady, 300.0)

from __future__ import annotations

import subprocess
import sys

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from scenarios.model.arrivals import ARRIVALS, Kind, constant, gamma, generator, planned_times

KINDS = st.sampled_from(sorted(ARRIVALS))


@given(KINDS, st.integers(0, 500), st.floats(0.01, 1000), st.integers(0, 2**40))
def test_every_kind_gives_the_exact_count_in_order_within_the_window(
    kind: Kind, count: int, duration: float, seed: int
) -> None:
    times = ARRIVALS[kind](count, duration, 0.5, generator(seed, 0))
    assert len(times) == count
    assert np.all(np.diff(times) >= 0)
    assert np.all((times >= 0) & (times < duration))


@given(KINDS, st.floats(0.5, 40), st.floats(0, 20), st.floats(1, 20))
@settings(max_examples=50)
def test_warm_up_and_window_have_their_own_exact_counts(
    kind: Kind, rate: float, warmup: float, duration: float
) -> None:
    times = planned_times(kind, rate, warmup, duration, burstiness=0.3, seed=7)
    assert np.count_nonzero(times < warmup) == round(rate * warmup)
    assert np.count_nonzero(times >= warmup) == round(rate * duration)
    assert np.all(np.diff(times) >= 0)


@pytest.mark.parametrize(("shape", "cv"), [(1.0, 1.0), (0.25, 2.0), (4.0, 0.5)])
def test_gamma_gaps_vary_as_their_shape_says(shape: float, cv: float) -> None:
    gaps = np.diff(gamma(40_000, 1000.0, shape, generator(3, 0)))
    assert np.std(gaps) / np.mean(gaps) == pytest.approx(cv, rel=0.05)


def test_a_poisson_second_has_a_variance_like_its_mean() -> None:
    times = planned_times("poisson", 20, 0, 2_000, burstiness=1, seed=0)
    per_second = np.bincount(times.astype(int), minlength=2_000)
    assert np.mean(per_second) == pytest.approx(20)
    assert np.var(per_second) == pytest.approx(20, rel=0.1)


def test_constant_arrivals_are_evenly_spaced_from_zero() -> None:
    assert constant(4, 2.0).tolist() == [0.0, 0.5, 1.0, 1.5]


def test_what_makes_no_sense_is_refused() -> None:
    with pytest.raises(ValueError, match="shape"):
        gamma(10, 1.0, 0.0, generator(1, 0))


def test_gaps_that_all_round_to_nothing_still_fill_the_window() -> None:
    assert gamma(4, 2.0, 1e-300, generator(0, 0)).tolist() == [0.0, 0.5, 1.0, 1.5]


def test_seeds_differ_and_zero_is_one() -> None:
    zero, one = (planned_times("poisson", 5, 1, 5, burstiness=1, seed=seed) for seed in (0, 1))
    assert zero.tolist() != one.tolist()
    assert zero.tolist() == planned_times("poisson", 5, 1, 5, burstiness=1, seed=0).tolist()


def test_another_process_plans_the_same_times() -> None:
    code = (
        "from scenarios.model.arrivals import planned_times;"
        "print(planned_times('gamma', 5, 1, 5, burstiness=0.5, seed=0).tolist())"
    )
    said = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True).stdout
    assert said.strip() == str(planned_times("gamma", 5, 1, 5, burstiness=0.5, seed=0).tolist())

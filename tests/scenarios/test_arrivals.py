from __future__ import annotations

import math
import subprocess
import sys

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from scenarios.model.arrivals import LAWS, constant, gamma, generator, planned_times, segment_times
from scenarios.model.load import Arrivals, Open, Segment, Stage, Stages

KINDS = st.sampled_from(sorted(LAWS))
RATES = st.floats(0, 200) | st.just(0.0)
SPANS = st.floats(0.05, 100)


@st.composite
def segments(draw: st.DrawFn) -> Segment:
    return Segment(draw(SPANS), draw(RATES), draw(RATES), draw(KINDS), draw(st.floats(0.05, 20)))


@given(KINDS, st.integers(0, 500), st.floats(0.01, 1000), st.integers(0, 2**40))
def test_every_law_gives_the_exact_count_in_order_within_the_span(
    kind: Arrivals, count: int, span: float, seed: int
) -> None:
    times = LAWS[kind](count, span, 0.5, generator(seed, 0))
    assert len(times) == count
    assert np.all(np.diff(times) >= 0)
    assert np.all((times >= 0) & (times < span))


@given(segments(), st.integers(0, 2**40))
@settings(max_examples=60)
def test_a_segment_has_its_exact_count_in_order_before_its_end(segment: Segment, seed: int) -> None:
    times = segment_times(segment, generator(seed, 0))
    assert len(times) == round((segment.rate_per_s + segment.to_rate_per_s) / 2 * segment.for_s)
    assert np.all(np.isfinite(times))
    assert np.all(np.diff(times) >= 0)
    assert np.all((times >= 0) & (times < segment.for_s))


@given(st.integers(0, 50), st.integers(0, 50), st.integers(1, 20))
def test_the_arrivals_of_an_even_ramp_are_those_of_the_formula(start: int, end: int, half_span: int) -> None:
    span = 2 * half_span  # so that whole calls are expected, and nothing is rescaled
    times = segment_times(Segment(span, start, end, "constant", 1.0), generator(0, 0))
    slope = (end - start) / span
    formula = [(math.sqrt(start**2 + 2 * slope * n) - start) / slope if slope else n / start for n in range(len(times))]
    assert times == pytest.approx(formula, rel=1e-9, abs=1e-9)


@given(st.floats(0.5, 50), st.floats(0.5, 50), SPANS, KINDS, st.integers(0, 2**40))
def test_a_ramp_run_backwards_has_as_many_calls(
    start: float, end: float, span: float, kind: Arrivals, seed: int
) -> None:
    there, back = (Segment(span, *rates, kind, 1.0) for rates in ((start, end), (end, start)))
    assert len(segment_times(there, generator(seed, 0))) == len(segment_times(back, generator(seed, 0)))


@given(segments().filter(lambda segment: segment.expected > 1), st.floats(1.5, 100))
@settings(max_examples=60)
def test_a_ramp_twice_as_slow_is_the_same_ramp_stretched(segment: Segment, factor: float) -> None:
    slow = Segment(segment.for_s * factor, segment.rate_per_s / factor, segment.to_rate_per_s / factor, "constant", 1.0)
    fast = Segment(segment.for_s, segment.rate_per_s, segment.to_rate_per_s, "constant", 1.0)
    if slow.calls == fast.calls:  # rounding may go the other way
        stretched = segment_times(fast, generator(0, 0)) * factor
        assert segment_times(slow, generator(0, 0)) == pytest.approx(stretched, rel=1e-6, abs=1e-9)


@pytest.mark.parametrize("kind", sorted(LAWS))
def test_random_arrivals_on_a_ramp_come_at_the_ramps_rate(kind: Arrivals) -> None:
    times = segment_times(Segment(1_000, 10, 90, kind, 2.0), generator(4, 0))
    for start in range(0, 1_000, 100):
        expected = 100 * (10 + 80 * (start + 50) / 1_000)
        assert np.count_nonzero((times >= start) & (times < start + 100)) == pytest.approx(
            expected, abs=5 * math.sqrt(expected)
        )


@given(KINDS, st.floats(0.5, 40), st.floats(0, 20), st.floats(1, 20))
@settings(max_examples=50)
def test_warm_up_and_window_have_their_own_exact_counts(
    kind: Arrivals, rate: float, warmup: float, duration: float
) -> None:
    load = Open(rate_per_s=rate, arrivals=kind)
    times = planned_times(load.segments(warmup, duration), 7)
    assert np.count_nonzero(times < warmup) == round(rate * warmup)
    assert np.count_nonzero(times >= warmup) == round(rate * duration) == load.calls(duration)
    assert np.all(np.diff(times) >= 0)


@given(st.lists(segments(), min_size=1, max_size=5), st.floats(0, 20))
@settings(max_examples=50)
def test_stages_are_laid_end_to_end_after_a_warm_up_at_the_first_rate(parts: list[Segment], warmup: float) -> None:
    load = Stages(
        stages=tuple(
            Stage(for_s=part.for_s, rate_per_s=part.rate_per_s, to_rate_per_s=part.to_rate_per_s, arrivals="constant")
            for part in parts
        )
    )
    times = planned_times(load.segments(warmup, load.for_s), 0)
    assert np.all(np.diff(times) >= 0)
    edges = np.cumsum([0.0, warmup, *(part.for_s for part in parts)])
    counts = [round(parts[0].rate_per_s * warmup), *(part.calls for part in parts)]
    assert len(times) == sum(counts)
    for start, end, piece in zip(edges[:-1], edges[1:], np.split(times, np.cumsum(counts)[:-1]), strict=True):
        assert np.all((piece >= start - 1e-9) & (piece <= end + 1e-9))


@pytest.mark.parametrize(("shape", "cv"), [(1.0, 1.0), (0.25, 2.0), (4.0, 0.5)])
def test_gamma_gaps_vary_as_their_shape_says(shape: float, cv: float) -> None:
    gaps = np.diff(gamma(40_000, 1000.0, shape, generator(3, 0)))
    assert np.std(gaps) / np.mean(gaps) == pytest.approx(cv, rel=0.05)


def test_a_poisson_second_has_a_variance_like_its_mean() -> None:
    times = planned_times(Open(rate_per_s=20).segments(0, 2_000), 0)
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


BURSTY = Open(rate_per_s=5, to_rate_per_s=8, arrivals="gamma", burstiness=0.5).segments(1, 5)


def test_seeds_differ_and_zero_is_one() -> None:
    zero, one = (planned_times(BURSTY, seed).tolist() for seed in (0, 1))
    assert zero != one
    assert zero == planned_times(BURSTY, 0).tolist()


def test_another_process_plans_the_same_times() -> None:
    code = (
        "from scenarios.model.arrivals import planned_times; from scenarios.model.load import Open;"
        "load = Open(rate_per_s=5, to_rate_per_s=8, arrivals='gamma', burstiness=0.5);"
        "print(planned_times(load.segments(1, 5), 0).tolist())"
    )
    said = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True).stdout
    assert said.strip() == str(planned_times(BURSTY, 0).tolist())

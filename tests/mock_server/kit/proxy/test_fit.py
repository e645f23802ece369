"""Samples of a known law give back its parameters, and what is no such law is kept as it is."""

from __future__ import annotations

from math import exp, log
from random import Random

import pytest
from hypothesis import given
from hypothesis import strategies as st

from mock_server.core.dice import Dice, Roll
from mock_server.core.latency import Constant, Empirical, HeavyTail, Law, LognormalLatency
from mock_server.kit.proxy.fit import (
    LEAST,
    LEAST_QUANTILES,
    fit_latency,
    fit_lengths,
    fit_pace,
    fit_prefill,
    quantile,
    share,
)

LAWS: list[Law] = [
    LognormalLatency(400.0, 900.0),
    LognormalLatency(250.0, 300.0),
    HeavyTail(500.0, 0.56),
    HeavyTail(412.0, 1.21),
    Empirical((100.0, 110.0, 120.0, 900.0, 1000.0)),
]


def rolls(count: int, seed: int = 0) -> list[Roll]:
    dice = Dice(seed, "")
    return [dice.roll(b"fit", number, 0) for number in range(count)]


def drawn(law: Law, count: int, seed: int = 0) -> list[float]:
    return [law.draw_s(roll) * 1e3 for roll in rolls(count, seed)]


@pytest.mark.parametrize("law", LAWS)
def test_a_fitted_law_agrees_with_the_one_the_samples_are_from_at_every_quantile(law: Law) -> None:
    fitted = fit_latency(drawn(law, 4_000)).law
    assert isinstance(fitted, type(law))
    true, learned = (sorted(drawn(one, 20_000, seed=1)) for one in (law, fitted))
    for at in (0.05, 0.25, 0.5, 0.75, 0.9, 0.95, 0.99):
        assert quantile(learned, at) == pytest.approx(quantile(true, at), rel=0.08), at


@pytest.mark.parametrize("count", [1, LEAST - 1])
def test_too_few_samples_give_their_median_and_say_so(count: int) -> None:
    law, said = fit_latency([100.0] * count)
    assert law == Constant(100.0)
    assert "too few" in said


def test_samples_that_do_not_agree_are_said_not_to_until_there_are_enough_to_be_kept() -> None:
    two_humps = [100.0, 1000.0] * (LEAST_QUANTILES // 2)
    assert "does not agree well" in fit_latency(two_humps[:-2]).said
    kept = fit_latency(two_humps).law
    assert isinstance(kept, Empirical)
    assert (kept.quantiles_ms[0], kept.quantiles_ms[-1]) == (100.0, 1000.0)


@given(st.lists(st.floats(0, 1e7), min_size=1, max_size=200))
def test_any_times_give_a_law_that_a_world_may_have(values: list[float]) -> None:
    match fit_latency(values).law:
        case Constant(ms=ms):
            assert 0 <= ms <= 1e7
        case LognormalLatency(median_ms=median, p95_ms=high):
            assert 0 < median <= high
        case HeavyTail(p_ms=median, sigma=sigma):
            assert median > 0
            assert 0 <= sigma <= 5
        case Empirical(quantiles_ms=quantiles):
            assert list(quantiles) == sorted(quantiles)


def test_paces_give_median_and_spread_and_without_enough_of_them_no_spread() -> None:
    draw = Random(1)  # noqa: S311 - a test's own, seeded
    rates = [75 * exp(draw.gauss(0, 0.2)) for _ in range(4_000)]
    pace = fit_pace(rates)
    assert pace.per_s == pytest.approx(75, rel=0.03)
    assert pace.log_sd == pytest.approx(0.2, rel=0.08)
    assert fit_pace(rates[: LEAST - 1]).log_sd == 0.0


@pytest.mark.parametrize(("per_token", "least", "most"), [(0.0, 0.0, 0.0), (0.2, 0.16, 0.24)])
def test_prefill_is_told_only_where_longer_prompts_are_plainly_slower(
    per_token: float, least: float, most: float
) -> None:
    draw = Random(2)  # noqa: S311 - a test's own, seeded
    prompts = [draw.randrange(10, 4_000) for _ in range(600)]
    samples = [(300 * exp(draw.gauss(0, 0.4)) + per_token * tokens, tokens) for tokens in prompts]
    assert least <= fit_prefill(samples) <= most
    assert fit_prefill([(ms, 20) for ms, _ in samples]) == 0.0


@pytest.mark.parametrize("cap", [10_000, 160])
def test_answers_that_were_cut_do_not_make_the_law_of_lengths_shorter(cap: int) -> None:
    draw = Random(3)  # noqa: S311 - a test's own, seeded
    lengths = [max(1, round(exp(5.02 + 0.86 * draw.gauss(0, 1)))) for _ in range(4_000)]
    whole = [length for length in lengths if length <= cap]
    fit = fit_lengths(whole, [cap] * (len(lengths) - len(whole)))
    assert fit is not None
    assert fit.mu == pytest.approx(5.02, abs=0.05)
    assert fit.sigma == pytest.approx(0.86, abs=0.06)


def test_lengths_are_not_told_from_few_answers_or_from_more_that_were_cut() -> None:
    assert fit_lengths([100] * (LEAST - 1), []) is None
    assert fit_lengths([50] * LEAST, [60] * (LEAST + 1)) is None
    assert fit_lengths([100] * LEAST, []) == (round(log(100), 4), 0.0)


def test_a_share_is_told_with_how_far_it_may_be_off() -> None:
    assert share(0, 0) == "n/a"
    assert share(0, 100) == "0 of 100, 0 to 3.7 %"
    assert share(5, 100) == "5 of 100, 2.2 to 11 %"

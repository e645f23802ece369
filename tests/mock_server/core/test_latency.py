"""Latency laws against theory, and the table of gaps."""

from __future__ import annotations

from itertools import pairwise
from math import exp
from statistics import median, pstdev, quantiles

import pytest
from hypothesis import given
from hypothesis import strategies as st

from mock_server.core.dice import Concern, Dice, Roll
from mock_server.core.latency import TAIL_SHARE, Constant, Empirical, GapTable, HeavyTail, Law, LognormalLatency

DRAWS = 20_000
P95 = 1.6448536269514722  # standard normal quantile
DICE = Dice(5, "latency")
ROLLS = [DICE.roll(b"call", occurrence, 0) for occurrence in range(DRAWS)]


def roll_with(first_token: float, tail: float) -> Roll:
    """A roll whose draws for the first token and the tail are near the given uniform numbers."""
    words = [2**63] * 8
    words[Concern.FIRST_TOKEN] = int(first_token * 2**64)
    words[Concern.TAIL] = int(tail * 2**64)
    return Roll(tuple(words))


def p95(draws: list[float]) -> float:
    return quantiles(draws, n=20)[-1]


@pytest.mark.parametrize(
    ("law", "middle", "high"),
    [
        (Constant(250), 0.25, 0.25),
        (LognormalLatency(400, 1_200), 0.4, 1.2),
        (LognormalLatency(100, 100), 0.1, 0.1),
        (HeavyTail(500, 0.56), 0.5, 0.25 + 0.25 * exp(0.56 * P95)),
        (HeavyTail(412, 1.21), 0.412, 0.206 + 0.206 * exp(1.21 * P95)),
        (Empirical((100, 200, 300)), 0.2, 0.29),
        (Empirical((0, 100, 1_000)), 0.1, 0.91),
    ],
    ids=str,
)
def test_medians_and_high_percentiles_follow_the_law(law: Law, middle: float, high: float) -> None:
    draws = [law.draw_s(roll) for roll in ROLLS]
    assert law.median_s() == pytest.approx(middle)
    # One per cent of heavy tails lifts the percentiles of the body a little.
    assert median(draws) == pytest.approx(middle, rel=0.04)
    assert p95(draws) == pytest.approx(high, rel=0.09)
    assert min(draws) >= 0


def test_the_heavy_tail_is_one_in_a_hundred_and_at_least_five_times_as_long() -> None:
    law = HeavyTail(500, 0.0)  # without spread, everything above the body is tail
    draws = [law.draw_s(roll) for roll in ROLLS]
    body = [draw for draw in draws if draw == pytest.approx(0.5)]
    tail = [draw for draw in draws if draw > 0.5 + 1e-6]
    assert len(body) + len(tail) == DRAWS
    assert len(tail) / DRAWS == pytest.approx(TAIL_SHARE, rel=0.25)
    assert min(tail) >= 0.25 + 5 * 0.25
    # Pareto with shape 1.5: half of it lies beyond 2 ** (1 / 1.5) times the minimum.
    assert median(tail) == pytest.approx(0.25 + 0.25 * 5 * 2 ** (1 / 1.5), rel=0.2)


@pytest.mark.parametrize("quarter", [0.25, 0.5, 0.75])
def test_tails_follow_the_pareto_quantiles(quarter: float) -> None:
    law = HeavyTail(1_000, 0.0)
    survivors = quarter * TAIL_SHARE
    assert law.draw_s(roll_with(0.5, survivors)) == pytest.approx(0.5 + 0.5 * 5 * quarter ** (-1 / 1.5), rel=1e-6)
    assert law.draw_s(roll_with(0.5, TAIL_SHARE * 1.01)) == pytest.approx(1.0)


@given(st.lists(st.floats(0, 1e5), min_size=2, max_size=20).map(sorted), st.floats(0, 0.999), st.floats(0, 0.999))
def test_measured_quantiles_are_interpolated_in_order(measured: list[float], one: float, other: float) -> None:
    law = Empirical(tuple(measured))
    low, high = (law.draw_s(roll_with(draw, 0.5)) for draw in sorted((one, other)))
    assert measured[0] / 1000 - 1e-9 <= low <= high + 1e-9
    assert high <= measured[-1] / 1000 + 1e-9


def test_gaps_average_one_and_vary_by_a_tenth() -> None:
    table = GapTable(3)
    size = 4_096
    gaps = [table.span(start, 1) for start in range(size)]
    assert sum(gaps) / size == pytest.approx(1, abs=0.01)
    assert pstdev(gaps) == pytest.approx(0.1, abs=0.01)
    assert min(gaps) > 0


@given(st.integers(0, 2**64 - 1), st.integers(0, 10_000), st.integers(0, 10_000))
def test_spans_add_up_round_the_table(draw: int, first: int, second: int) -> None:
    table = GapTable(3, size=64)
    whole = table.span(draw, first + second)
    assert whole == pytest.approx(table.span(draw, first) + table.span(draw + first, second))
    assert table.span(draw, 0) == 0
    assert whole >= table.span(draw, first)


def test_seeds_make_different_tables() -> None:
    spans = [[table.span(start, 1) for start in range(20)] for table in map(GapTable, (0, 1, 0))]
    assert spans[0] == spans[2]
    assert spans[0] != spans[1]
    table = GapTable(0)
    assert all(later > earlier for earlier, later in pairwise(table.span(9, n) for n in range(100)))

import math

import numpy as np
import pytest

from reports.dependence import BLOCKS, NORMAL, Dependence, Floats, Timeline, dependence, per_block


def sums(hit: Floats, block: np.ndarray) -> tuple[Floats, float, float]:
    """What the tries of each block add to the share that was hit, their variance, and the rarer kind's number."""
    share = hit.mean()
    return (
        per_block(block, hit) - share * per_block(block),
        len(hit) * share * (1 - share),
        min(hit.sum(), len(hit) - hit.sum()),
    )


def test_groups_of_tries_that_share_their_fate_count_as_one_each() -> None:
    dice = np.random.default_rng(0)
    effects = []
    for _ in range(50):
        hit = np.repeat(dice.random(600) < 0.3, 10).astype(float)  # 6,000 tries in 600 groups of ten
        effects.append(dependence(*sums(hit, np.arange(6000) * BLOCKS // 6000), 300.0).effect)
    assert 9 < np.mean(effects) < 15  # the larger of two estimates of 10


def test_independent_tries_are_mostly_taken_as_such() -> None:
    dice = np.random.default_rng(1)
    block = np.arange(6000) * BLOCKS // 6000
    found = [dependence(*sums((dice.random(6000) < 0.05).astype(float), block), 300.0) for _ in range(200)]
    assert sum(not one.evident for one in found) > 170
    assert {one.effect for one in found if not one.evident} == {1.0}


@pytest.mark.parametrize(("seconds", "freedom"), [(1, 4), (30, 4), (300, 8), (1800, 26), (86400, 64)])
def test_a_longer_run_knows_better_how_much_its_tries_depend(seconds: float, freedom: float) -> None:
    hit = np.zeros(2560)
    hit[:300] = 1
    assert dependence(*sums(hit, np.arange(2560) // 10), seconds).freedom == freedom


def test_nothing_to_tell_is_no_dependence() -> None:
    assert not dependence(np.zeros(BLOCKS), 0.0, 0.0, 300.0).evident


def test_towards_more_failures_the_bursts_seen_bound_what_is_known_of_bursts() -> None:
    one_burst = Dependence(effect=40.0, freedom=8.0, clusters=1.0)
    assert one_burst.spread() == pytest.approx(2.306, abs=1e-3)
    assert one_burst.spread(rarer=False) == pytest.approx(4.303, abs=1e-3)
    assert one_burst.spread(rarer=False, longer=4) == one_burst.spread()
    assert Dependence(1.0, math.inf, 0.0).spread() == NORMAL
    assert Dependence(1.0, math.inf, 0.0).effective(100) == 100


def test_blocks_share_the_time_and_what_lies_outside_goes_to_the_ends() -> None:
    timeline = Timeline(5.0, 128.0)
    assert timeline.block(np.array([0.0, 5.0, 5.6, 132.9, 140.0, np.nan])).tolist() == [0, 0, 1, 255, 255, 0]
    assert Timeline(5.0, 0.0).block(np.array([1.0, 9.0])).tolist() == [0, 0]

from __future__ import annotations

from math import inf

import pytest
from hypothesis import given
from hypothesis import strategies as st

from mock_server.clock import SimClock

SCALES = st.sampled_from([0.001, 0.01, 0.5, 1.0, 2.0])
STEPS = st.lists(st.tuples(st.sampled_from(["wait", "freeze", "resume", "advance", "auto"]), st.floats(0, 1e4)))


class Wall:
    """A monotonic clock that goes when told to."""

    def __init__(self) -> None:
        self.seconds = 1_000.0

    def __call__(self) -> float:
        return self.seconds


class Nudged:
    """Something that waits and counts how often it was told to look at the clock again."""

    def __init__(self) -> None:
        self.times = 0

    def nudge(self) -> None:
        self.times += 1


def clock_of(scale: float = 1.0) -> tuple[SimClock, Wall]:
    wall = Wall()
    return SimClock(scale, wall), wall


def close(seconds: float) -> object:
    return pytest.approx(seconds, rel=1e-9, abs=1e-6)


def act(clock: SimClock, wall: Wall, what: str, seconds: float) -> None:
    if what == "wait":
        wall.seconds += clock.wall(seconds)
    elif what == "advance":
        clock.advance(seconds)
    elif what == "auto":
        clock.jump_by_itself()
    elif what == "freeze":
        clock.freeze()
    else:
        clock.resume()


@given(SCALES, STEPS)
def test_time_is_what_was_waited_while_it_ran_and_all_it_was_advanced_by(
    scale: float, steps: list[tuple[str, float]]
) -> None:
    clock, wall = clock_of(scale)
    expected, running, auto = 0.0, True, False
    for what, seconds in steps:
        act(clock, wall, what, seconds)
        expected += seconds if what == "advance" or (what == "wait" and running) else 0.0
        running = {"freeze": False, "auto": False, "resume": True}.get(what, running)
        auto = {"freeze": False, "auto": True, "resume": False}.get(what, auto)
        assert clock.now() == close(expected)
        assert (clock.frozen, clock.auto) == (not running, auto)


@given(SCALES, STEPS)
def test_a_fork_shows_the_same_time_runs_on_alike_and_is_then_apart(
    scale: float, steps: list[tuple[str, float]]
) -> None:
    clock, wall = clock_of(scale)
    for what, seconds in steps:
        act(clock, wall, what, seconds)
    fork = clock.fork()
    assert (fork.now(), fork.frozen, fork.auto, fork.scale) == (clock.now(), clock.frozen, clock.auto, scale)
    wall.seconds += 5.0
    assert fork.now() == clock.now()
    before = clock.now()
    fork.advance(60.0)
    fork.freeze()
    assert clock.now() == before
    assert fork.now() == close(before + 60.0)


def test_a_fork_has_none_of_the_others_sleepers_and_calls() -> None:
    clock, _ = clock_of()
    sleeper = Nudged()
    clock.in_flight = 1
    clock.fall_asleep(sleeper, 10.0)
    clock.jump_by_itself()
    fork = clock.fork()
    nudged = sleeper.times
    fork.jump()
    fork.advance(1.0)
    assert (fork.now(), fork.in_flight, sleeper.times) == (1.0, 0, nudged)


@given(SCALES, st.floats(0, 1e6))
def test_wall_and_simulated_durations_convert_both_ways(scale: float, seconds: float) -> None:
    clock, _ = clock_of(scale)
    assert clock.wall(seconds / clock.scale) == close(seconds)
    assert clock.wall(seconds) == close(seconds * scale)


@given(SCALES, st.floats(0, 1e4), st.floats(0, 1e4))
def test_what_is_left_is_wall_time_and_never_ends_while_time_stands_still(
    scale: float, waited: float, at: float
) -> None:
    clock, wall = clock_of(scale)
    wall.seconds += clock.wall(waited)
    assert clock.left(at) == close((at - waited) * scale)
    clock.freeze()
    now = clock.now()
    assert clock.left(now) == 0
    assert clock.left(now + 1) == inf
    assert clock.left(now - 1) == close(-scale)


def test_a_reading_of_the_monotonic_clock_has_its_simulated_moment() -> None:
    clock, wall = clock_of(0.1)
    wall.seconds += 2.0
    assert clock.at(wall.seconds - 1.0) == close(10.0)
    clock.freeze()
    assert clock.at(wall.seconds - 1.0) == clock.now() == close(20.0)


@pytest.mark.parametrize("what", ["freeze", "resume", "advance", "auto"])
def test_whatever_changes_time_wakes_what_waits_and_nothing_else(what: str) -> None:
    clock, wall = clock_of()
    asleep, awake = Nudged(), Nudged()
    clock.fall_asleep(asleep, 5.0)
    clock.fall_asleep(awake, 5.0)
    clock.wake_up(awake)
    clock.wake_up(awake)
    act(clock, wall, what, 1.0)
    assert (asleep.times, awake.times) == (1, 0)


def test_a_jump_wakes_first_who_waits_for_the_earlier_moment() -> None:
    clock, _ = clock_of()
    woken: list[float] = []

    class Waiting(Nudged):
        def nudge(self) -> None:
            woken.append(moments[self])

    moments = {Waiting(): at for at in (30.0, 10.0, inf, 20.0)}
    for sleeper, at in moments.items():
        clock.fall_asleep(sleeper, at)
    clock.advance(100.0)
    assert woken == [10.0, 20.0, 30.0, inf]


def test_what_is_handed_over_to_a_fork_is_woken_and_counted_there() -> None:
    clock, _ = clock_of()
    stays, goes = Nudged(), Nudged()
    clock.in_flight = 2
    clock.fall_asleep(stays, 10.0)
    clock.fall_asleep(goes, 10.0)
    fork = clock.fork()
    clock.hand_over(goes, fork)
    fork.jump_by_itself()
    assert (fork.may_jump, stays.times, goes.times) == (True, 0, 1)
    fork.jump()
    assert (fork.now(), clock.in_flight) == (10.0, 1)
    clock.freeze()
    assert (stays.times, goes.times) == (1, 2)


def test_it_jumps_to_the_next_awaited_moment_only_when_everything_in_flight_waits() -> None:
    clock, wall = clock_of()
    first, second = Nudged(), Nudged()
    clock.jump_by_itself()
    assert (clock.may_jump, clock.now()) == (False, 0.0)
    clock.in_flight = 2
    clock.fall_asleep(second, 30.0)
    clock.jump()
    assert (clock.may_jump, clock.now()) == (False, 0.0)
    clock.fall_asleep(first, 10.0)
    assert (clock.may_jump, clock.now()) == (True, 0.0)
    clock.jump()
    assert (clock.now(), first.times, second.times) == (10.0, 1, 1)
    clock.wake_up(first)
    clock.in_flight = 1
    clock.jump()
    assert clock.now() == 30.0
    wall.seconds += 100.0
    assert clock.now() == 30.0


def test_it_never_jumps_back() -> None:
    clock, _ = clock_of()
    clock.advance(50.0)
    clock.jump_by_itself()
    clock.in_flight = 1
    clock.fall_asleep(Nudged(), 10.0)
    clock.jump()
    assert clock.now() == 50.0


@pytest.mark.parametrize("what", ["freeze", "resume"])
def test_frozen_or_running_it_does_not_jump(what: str) -> None:
    clock, wall = clock_of()
    clock.jump_by_itself()
    act(clock, wall, what, 0.0)
    clock.in_flight = 1
    clock.fall_asleep(Nudged(), 10.0)
    clock.jump()
    assert (clock.may_jump, clock.now()) == (False, 0.0)

"""That the mock runs, its clock, its load, and a new beginning."""

from __future__ import annotations

from typing import Annotated

from msgspec import UNSET, Meta, Struct, UnsetType

from mock_server.http.context import Context
from mock_server.http.control.asked import Asked, mistake
from mock_server.http.meter import Spread
from mock_server.http.pulse import Beat

MAX_ADVANCE_S = 366 * 86_400


class Health(Struct, frozen=True):
    """That the mock runs, and what it simulates."""

    status: str
    version: str
    world: str
    seed: int
    time_scale: float
    uptime_s: float
    in_flight: int


class ClockChange(Struct, frozen=True, forbid_unknown_fields=True):
    """Exactly one action."""

    freeze: Annotated[bool | UnsetType, Meta(description="time stands still")] = UNSET
    advance: Annotated[
        Annotated[float, Meta(ge=0, le=MAX_ADVANCE_S)] | UnsetType, Meta(description="jump ahead, simulated seconds")
    ] = UNSET
    resume: Annotated[bool | UnsetType, Meta(description="time runs on from where it stands")] = UNSET
    auto: Annotated[
        bool | UnsetType,
        Meta(description="time stands still, but jumps ahead whenever every call in flight only waits"),
    ] = UNSET


class ClockView(Struct, frozen=True):
    """The clock a test goes by, in simulated seconds; ``own`` tells whether it is the test's alone."""

    now: float
    frozen: bool
    auto: bool
    own: bool


class ResetView(Struct, frozen=True):
    """What was forgotten: "everything", or the test id."""

    reset: str


class LoadQuery(Struct, frozen=True, forbid_unknown_fields=True):
    """Which beats to give."""

    after: Annotated[
        int | None, Meta(description="give the beats of the last minute with a number above this; 0 gives all of them")
    ] = None


class Load(Struct, frozen=True):
    """How well the mock itself keeps up; milliseconds over the last minute.

    ``saturated``: over the last five seconds, the p99 of the loop's lag was above 50 ms or that of the lateness of
    planned moments above 10 ms; ``saturated_since_s`` says when that began and ``saturated_total_s`` for how long it
    was so in all. Lateness is not measured on calls whose clock was steered. ``beats`` is empty unless asked for.
    """

    in_flight: int
    loop_lag: Spread
    lateness: Spread
    dropped_journal_entries: int
    saturated: bool
    saturated_since_s: float | None
    saturated_total_s: float
    uptime_s: float
    beats: list[Beat]


def show_health(context: Context, _asked: Asked) -> Health:
    """That the mock runs: its world, seed, version."""
    return Health(
        "ok",
        context.version,
        context.world_name,
        context.engine.seed,
        context.clock.scale,
        context.clock.wall(context.clock.now()),
        context.journal.in_flight,
    )


def show_load(context: Context, asked: Asked) -> Load:
    """Whether the mock itself keeps up: in flight, lag, lateness, dropped journal entries, and its pulse."""
    meter, after = context.meter, asked.query.after
    return Load(
        context.journal.in_flight,
        meter.lag(),
        meter.lateness(),
        context.journal.dropped(),
        meter.saturated_since is not None,
        meter.saturated_since,
        meter.saturated_s,
        meter.uptime_s,
        [] if after is None else meter.beats(after),
    )


def show_clock(context: Context, asked: Asked) -> ClockView:
    """The clock the test goes by."""
    clock = context.clock_of(asked.test or "")
    return ClockView(clock.now(), clock.frozen, clock.auto, clock is not context.clock)


def steer_clock(context: Context, asked: Asked) -> ClockView:
    """Freeze, advance, resume, or let time jump by itself; with a test id, a clock of the test's own."""
    change: ClockChange = asked.body
    actions = [name for name in change.__struct_fields__ if getattr(change, name) is not UNSET]
    if len(actions) != 1:
        mistake(f"give exactly one of {', '.join(change.__struct_fields__)}, not {' and '.join(actions) or 'none'}")
    if getattr(change, actions[0]) is False:
        mistake(f"{actions[0]}: must be true")
    clock = context.own_clock(asked.test or "")
    if change.freeze is True:
        clock.freeze()
    elif change.resume is True:
        clock.resume()
    elif change.auto is True:
        clock.jump_by_itself()
    elif change.advance is not UNSET:
        clock.advance(change.advance)
    return show_clock(context, asked)


def reset(context: Context, asked: Asked) -> ResetView:
    """Forget state, clock, faults, answers, incidents, changes and journal: of everybody, or of the test."""
    context.engine.reset(asked.test, context.clock.now())
    context.drop_clock(asked.test)
    context.journal.clear(asked.test)
    return ResetView("everything" if asked.test is None else asked.test)

"""The plan of a run: what ``load-test run`` decided, and every worker and the merge read."""

from __future__ import annotations

from pathlib import Path
from typing import Final

import msgspec

from scenarios.model.arrivals import Times, planned_times
from scenarios.model.load import Load
from scenarios.model.scenario import Scenario
from scenarios.model.script import scripted_calls
from scenarios.model.workload import Call, masked, mixed_call, mixed_traits
from scenarios.record.notes import Begun

PLAN: Final = "plan.json"
ORIGIN: Final = "origin.json"


class Trouble(msgspec.Struct, frozen=True):
    """An incident of the world; wall seconds from the zero of the mock's world.

    ``lasts_s`` of ``None`` means for ever, ``every_s`` of ``None`` once.
    """

    kind: str
    what: str
    at_s: float
    lasts_s: float | None
    every_s: float | None


class Plan(msgspec.Struct, frozen=True):
    """One run. ``scenario`` is whole, with what the options change, so that nobody looks it up again.

    ``world`` is the run's own mock's; ``None`` with a target. ``owner_pid`` is the process that waits for the workers.
    ``virtual``: it is played in virtual time, by that process itself.
    """

    run_id: str
    scenario: Scenario
    world: str | None
    seed: int
    target: str
    target_kind: str
    api_key: str
    processes: int
    time_scale: float
    max_in_flight: int
    mock_calls: bool
    labels: dict[str, str]
    argv: tuple[str, ...]
    owner_pid: int
    troubles: tuple[Trouble, ...] = ()
    virtual: bool = False

    @property
    def load(self) -> Load:
        """How load is driven."""
        return self.scenario.load

    @property
    def warmup_s(self) -> float:
        """Load before the window."""
        return self.scenario.warmup_s

    @property
    def duration_s(self) -> float | None:
        """The window; ``None`` means until stopped."""
        return self.scenario.duration_s

    @property
    def drain_s(self) -> float:
        """The longest wait for the last answers."""
        return self.scenario.longest_drain_s

    @property
    def timeout_s(self) -> float:
        """A client's patience for one request."""
        return self.scenario.timeout_s


class Origin(msgspec.Struct, frozen=True):
    """The run's zero: on this machine's monotonic clock, and as Unix time.

    ``world_s`` is the zero of the own mock's world on the run's clock.
    """

    monotonic_s: float
    unix_s: float
    world_s: float = 0.0


# In virtual time a run and its world begin with the calendar, so that nothing of the real one gets into the record.
VIRTUAL_ORIGIN: Final = Origin(0.0, 0.0)


def save(folder: Path, name: str, value: msgspec.Struct) -> None:
    """Write ``value`` so that readers see all of it or nothing; a scenario may hold keys, which are its owner's."""
    temporary = folder / f"{name}.tmp"
    temporary.touch(0o600)
    temporary.write_bytes(msgspec.json.encode(value))
    temporary.replace(folder / name)


def load_plan(folder: Path) -> Plan:
    """The plan in a folder of parts; raises ``OSError`` or ``msgspec.MsgspecError``."""
    return msgspec.json.decode((folder / PLAN).read_bytes(), type=Plan)


def load_origin(folder: Path) -> Origin | None:
    """The run's zero, ``None`` while it is not known yet."""
    try:
        return msgspec.json.decode((folder / ORIGIN).read_bytes(), type=Origin)
    except FileNotFoundError:
        return None


def times_of(plan: Plan) -> Times:
    """Planned moments of an open load; empty for the others, which have none."""
    return planned_times(plan.load.segments(plan.warmup_s, plan.duration_s or 0.0), plan.seed)


def script_of(plan: Plan) -> tuple[Call, ...]:
    """The calls of a script; empty for the other loads."""
    return scripted_calls(plan.scenario.calls, mock=plan.mock_calls)


def call_of(plan: Plan, call_id: int) -> Call:
    """Call number ``call_id`` of an open or a closed load."""
    return mixed_call(plan.scenario.workload, plan.seed, call_id)


def begun_by_plan(plan: Plan, call_id: int, planned_s: float) -> Begun:
    """What is known of planned call ``call_id`` without making it."""
    traits = mixed_traits(plan.scenario.workload, plan.seed, call_id)
    key = masked(traits.key) if traits.key else None
    return Begun(call_id, 0, traits.kind, planned_s, traits.stream, key, None)


def window_s(plan: Plan) -> float:
    """When the last request may leave, on the run's clock; infinite for a run until stopped."""
    return float("inf") if plan.duration_s is None else plan.warmup_s + plan.duration_s

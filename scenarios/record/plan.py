"""The plan of a run: what ``load-test run`` decided, and every worker and the merge read. No secrets in it."""

from __future__ import annotations

from pathlib import Path
from typing import Final

import msgspec

from scenarios.model.arrivals import Times, planned_times
from scenarios.model.catalog import CATALOG, Gate, Load, Scenario, script_calls
from scenarios.model.workload import Call, mixed_call, mixed_kind
from scenarios.record.spool import Begun

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
    """One run. Times are seconds; ``duration_s`` of ``None`` means until stopped (a closed load only).

    ``mock_pid`` is the process of the run's own mock; ``owner_pid`` is the process that waits for the workers.
    """

    run_id: str
    scenario: str
    world: str | None
    seed: int
    target: str
    target_kind: str
    api_key: str
    load: Load
    warmup_s: float
    duration_s: float | None
    drain_s: float
    timeout_s: float
    processes: int
    time_scale: float
    max_in_flight: int
    mock_calls: bool
    labels: dict[str, str]
    gates: tuple[Gate, ...]
    argv: tuple[str, ...]
    owner_pid: int
    mock_pid: int | None = None
    troubles: tuple[Trouble, ...] = ()


class Origin(msgspec.Struct, frozen=True):
    """The run's zero: on this machine's monotonic clock, and as Unix time.

    ``world_s`` is the zero of the own mock's world on the run's clock.
    """

    monotonic_s: float
    unix_s: float
    world_s: float = 0.0


def save(folder: Path, name: str, value: msgspec.Struct) -> None:
    """Write ``value`` so that readers see all of it or nothing."""
    temporary = folder / f"{name}.tmp"
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


def scenario_of(plan: Plan) -> Scenario:
    """The catalogue's entry for the plan's scenario."""
    return CATALOG[plan.scenario]


def times_of(plan: Plan) -> Times:
    """Planned moments of an open load; empty for the others, which have none."""
    load = plan.load
    if load.kind != "open":
        return planned_times("constant", 0, 0, 0, burstiness=1, seed=plan.seed)
    return planned_times(
        load.arrivals,
        load.rate_per_s,
        plan.warmup_s,
        plan.duration_s or 0.0,
        burstiness=load.burstiness,
        seed=plan.seed,
    )


def script_of(plan: Plan) -> tuple[Call, ...]:
    """The calls of a scripted scenario; empty for the others."""
    return script_calls(mock=plan.mock_calls) if plan.load.kind == "script" else ()


def call_of(plan: Plan, call_id: int) -> Call:
    """Call number ``call_id`` of a mixed scenario."""
    return mixed_call(scenario_of(plan).mix, plan.seed, call_id)


def begun_by_plan(plan: Plan, call_id: int, planned_s: float) -> Begun:
    """What is known of planned call ``call_id`` without making it."""
    kind, stream = mixed_kind(scenario_of(plan).mix, plan.seed, call_id)
    return Begun(call_id, 0, kind, planned_s, stream, None)


def window_s(plan: Plan) -> float:
    """When the last request may leave, on the run's clock; infinite for a run until stopped."""
    return float("inf") if plan.duration_s is None else plan.warmup_s + plan.duration_s

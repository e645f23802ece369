"""From the options of a plain Locust to a plan."""

from __future__ import annotations

import argparse
import os
from collections.abc import Callable
from pathlib import Path
from typing import Any, TypeVar

import msgspec

from scenarios.command.catalogue import find
from scenarios.command.options import (
    DEFAULT_IN_FLIGHT,
    UsageError,
    positive,
    seconds,
    seed,
    span,
    target_url,
)
from scenarios.command.prepare import now_utc, run_id
from scenarios.model.load import Closed, Load, Open, Script
from scenarios.model.scenario import impossible
from scenarios.model.workload import masked
from scenarios.record.plan import Plan

_T = TypeVar("_T")


def _option(options: Any, name: str, read: Callable[[str], _T], default: _T) -> _T:
    """An option's value; the web UI gives text where a terminal gives the value itself."""
    value = getattr(options, name)
    if value is None or value == "":
        return default
    try:
        return read(str(value))
    except argparse.ArgumentTypeError as error:
        raise UsageError(f"--{name}: {error}") from None


def plan_from_options(options: Any, host: str | None, users: int | None, processes: int) -> Plan:
    """The plan that Locust's parsed options describe, with the host and users it has now; raises `UsageError`."""
    scenario = find(options.scenario)
    rate = _option(options, "rate", positive, 0.0)
    load: Load = scenario.load
    if not isinstance(load, Script):
        think_s = load.think_s if isinstance(load, Open | Closed) else 0.0
        closed = Closed(users=users or options.num_users or 1, think_s=think_s)
        load = Open(rate_per_s=rate) if rate else closed
    endless = None if isinstance(load, Closed) else scenario.duration_s
    scenario = msgspec.structs.replace(
        scenario,
        load=load,
        warmup_s=_option(options, "warmup", seconds, scenario.warmup_s if load.planned else 0.0),
        duration_s=_option(options, "duration", span, endless),
        timeout_s=_option(options, "timeout", span, scenario.timeout_s),
        drain_s=_option(options, "drain", seconds, scenario.drain_s),
    )
    if scenario.duration_s is not None and (fault := next(impossible(scenario), None)):
        raise UsageError(f"{options.scenario} with these options: {fault}")
    try:
        target = target_url(host or "")
    except argparse.ArgumentTypeError as error:
        raise UsageError(f"--host: {error}") from None
    return Plan(
        run_id=run_id(scenario.name, now_utc()),
        scenario=scenario,
        world=None,
        seed=_option(options, "seed", seed, 1),
        target=target,
        target_kind="external",
        api_key=masked(options.api_key),
        processes=processes,
        time_scale=1.0,
        max_in_flight=DEFAULT_IN_FLIGHT,
        mock_calls=False,
        labels={"driver": "locust"},
        argv=(),
        owner_pid=os.getpid(),
    )


def run_dir_of(options: Any, plan: Plan) -> Path:
    """Where the run is to be recorded."""
    return Path(options.out) if options.out else Path("runs") / plan.run_id

"""From the options of a plain Locust to a plan."""

from __future__ import annotations

import argparse
import os
from collections.abc import Callable
from pathlib import Path
from typing import Any, TypeVar

from scenarios.command.options import (
    DEFAULT_DRAIN_S,
    DEFAULT_IN_FLIGHT,
    DEFAULT_TIMEOUT_S,
    UsageError,
    positive,
    seconds,
    seed,
    span,
    target_url,
)
from scenarios.command.prepare import masked, now_utc, run_id
from scenarios.model.catalog import CATALOG, Load
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
    scenario = CATALOG[options.scenario]
    load = scenario.load
    rate = _option(options, "rate", positive, 0.0)
    if load.kind == "open":
        load = Load("open", rate_per_s=rate) if rate else Load("closed", users=users or options.num_users or 1)
    endless = None if load.kind == "closed" else scenario.duration_s
    try:
        target = target_url(host or "")
    except argparse.ArgumentTypeError as error:
        raise UsageError(f"--host: {error}") from None
    return Plan(
        run_id=run_id(scenario.name, now_utc()),
        scenario=scenario.name,
        world=None,
        seed=_option(options, "seed", seed, 1),
        target=target,
        target_kind="external",
        api_key=masked(options.api_key),
        load=load,
        warmup_s=_option(options, "warmup", seconds, scenario.warmup_s if load.kind == "open" else 0.0),
        duration_s=_option(options, "duration", span, endless),
        drain_s=_option(options, "drain", seconds, DEFAULT_DRAIN_S),
        timeout_s=_option(options, "timeout", span, DEFAULT_TIMEOUT_S),
        processes=processes,
        time_scale=1.0,
        max_in_flight=DEFAULT_IN_FLIGHT,
        mock_calls=False,
        labels={"driver": "locust"},
        gates=scenario.gates,
        argv=(),
        owner_pid=os.getpid(),
    )


def run_dir_of(options: Any, plan: Plan) -> Path:
    """Where the run is to be recorded."""
    return Path(options.out) if options.out else Path("runs") / plan.run_id

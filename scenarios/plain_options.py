"""Plain Locust's options of ours, and the plan they make."""

from __future__ import annotations

import argparse
import os
from collections.abc import Callable
from pathlib import Path
from typing import Any, TypeVar

from locust.argument_parser import LocustArgumentParser
from locust.env import Environment

from mock_server.contract.accounts import LOAD_TEST_KEY
from scenarios.catalog import CATALOG, Load
from scenarios.hooks import runner_of
from scenarios.options import (
    API_KEY_VARIABLE,
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
from scenarios.plan import Plan
from scenarios.prepare import masked, now_utc, run_id


def add_options(parser: LocustArgumentParser) -> None:
    """Our options beside Locust's own; its groups know nothing of secrets, so they have none."""
    parser.add_argument("--scenario", choices=list(CATALOG), default="steady", help="what the users do")
    parser.add_argument("--rate", default=None, help="open load, requests per second; without it --users count")
    parser.add_argument(
        "--api-key", env_var=API_KEY_VARIABLE, default=LOAD_TEST_KEY, is_secret=True, help="the gateway's API key"
    )
    parser.add_argument("--warmup", default=None, help="load that is not measured (open: the scenario's; else 0)")
    parser.add_argument("--duration", default=None, help="measured window (open: the scenario's; else until stopped)")
    parser.add_argument("--drain", default="60s", help="longest wait for the last answers")
    parser.add_argument("--timeout", default="120s", help="a client's patience per request")
    parser.add_argument("--seed", default="1", help="of arrivals and prompts")
    parser.add_argument("--out", default="", help="the run directory (runs/TIME-SCENARIO)")


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


def plan_from_options(environment: Environment, processes: int) -> Plan:
    """The plan that Locust's options describe; raises `UsageError`."""
    options: Any = environment.parsed_options
    scenario = CATALOG[options.scenario]
    load = scenario.load
    rate = _option(options, "rate", positive, 0.0)
    if load.kind == "open":
        users = runner_of(environment).target_user_count or options.num_users or 1
        load = Load("open", rate_per_s=rate) if rate else Load("closed", users=users)
    endless = None if load.kind == "closed" else scenario.duration_s
    try:
        target = target_url(environment.host or "")
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


def run_dir_of(environment: Environment, plan: Plan) -> Path:
    """Where the run is to be recorded."""
    options: Any = environment.parsed_options
    return Path(options.out) if options.out else Path("runs") / plan.run_id

"""Plain Locust: ``locust -f scenarios/locustfile.py`` with its web UI, ``--headless``, workers and a master."""

from __future__ import annotations

import sys
from typing import Any

from locust.argument_parser import LocustArgumentParser
from locust.env import Environment
from locust.runners import MasterRunner, WorkerRunner

from mock_server.contract.accounts import LOAD_TEST_KEY
from mock_server.exits import Exit, complain
from scenarios.command.catalogue import names
from scenarios.command.options import API_KEY_VARIABLE, UsageError
from scenarios.command.plain_options import plan_from_options, run_dir_of
from scenarios.command.plain_planner import Alone, Master
from scenarios.command.plain_worker import Worker
from scenarios.command.prepare import check_out


def add_options(parser: LocustArgumentParser) -> None:
    """Our options beside Locust's own; its groups know nothing of secrets, so they have none."""
    parser.add_argument("--scenario", choices=names(), default="steady", help="what the users do")
    parser.add_argument("--rate", default=None, help="open load, requests per second; without it --users count")
    parser.add_argument(
        "--api-key", env_var=API_KEY_VARIABLE, default=LOAD_TEST_KEY, is_secret=True, help="the gateway's API key"
    )
    parser.add_argument("--warmup", default=None, help="load that is not measured (open: the scenario's; else 0)")
    parser.add_argument("--duration", default=None, help="measured window (open: the scenario's; else until stopped)")
    parser.add_argument("--drain", default=None, help="longest wait for the last answers (the timeout)")
    parser.add_argument("--timeout", default=None, help="a client's patience per request (the scenario's)")
    parser.add_argument("--seed", default="1", help="of arrivals and prompts")
    parser.add_argument("--out", default="", help="the run directory (runs/TIME-SCENARIO)")


def attach(environment: Environment) -> None:
    """Join Locust's start and stop to our record, whatever this process is to Locust."""
    runner = environment.runner
    if isinstance(runner, WorkerRunner):
        Worker(environment, runner)
        return
    if runner is None:
        return
    options: Any = environment.parsed_options
    if options.headless:
        _refuse_mistakes(environment)
    if isinstance(runner, MasterRunner):
        Master(environment, runner)
    else:
        Alone(environment, runner)


def _refuse_mistakes(environment: Environment) -> None:
    """End with one line and code 2, before Locust starts users and has tables to print below it."""
    options: Any = environment.parsed_options
    try:
        check_out(run_dir_of(options, plan_from_options(options, environment.host, None, 1)))
    except UsageError as error:
        complain("load-test", error)
        sys.exit(Exit.UNUSABLE)

"""Plain Locust: ``locust -f scenarios/locustfile.py`` with its web UI, ``--headless``, workers and a master.

One process plans: a Locust without workers, or the master, which sends each worker the plan and its rank. When
all parts have ended, that process merges them into a run directory.
"""

from __future__ import annotations

import os
import socket
import sys
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any, Final

import gevent
import msgspec
from locust.argument_parser import LocustArgumentParser
from locust.env import Environment
from locust.runners import MasterRunner, Runner, WorkerRunner

from mock_server.contract.accounts import LOAD_TEST_KEY
from scenarios.command.catalogue import names
from scenarios.command.options import API_KEY_VARIABLE, UsageError
from scenarios.command.plain_options import plan_from_options, run_dir_of
from scenarios.command.prepare import check_out, claim
from scenarios.players.locust.hooks import on
from scenarios.players.locust.users import GatewayUser, Session
from scenarios.record.merge import merge
from scenarios.record.plan import ORIGIN, PLAN, Origin, Plan, save
from scenarios.record.spool import PARTS, Ended, read_notes

_PLAN_MESSAGE: Final = "load-test-plan"
_STOP_MESSAGE: Final = "load-test-stop"
_DONE_MESSAGE: Final = "load-test-done"
_LEAD_S: Final = 0.5
_PARTS_S: Final = 10.0
_POLL_S: Final = 0.05


class Order(msgspec.Struct, frozen=True):
    """What a master tells one worker: the plan, which share is its own, where to record, and the run's zero."""

    plan: Plan
    rank: int
    folder: str
    host: str
    origin: Origin


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
        _Worker(environment, runner)
    elif runner is not None:
        options: Any = environment.parsed_options
        if options.headless:
            _refuse_mistakes(environment)
        _Planner(environment, runner)


def _refuse_mistakes(environment: Environment) -> None:
    """End with one line and code 2, before Locust starts users and has tables to print below it."""
    options: Any = environment.parsed_options
    try:
        check_out(run_dir_of(options, plan_from_options(options, environment.host, None, 1)))
    except UsageError as error:
        print(f"load-test: {error}", file=sys.stderr)
        sys.exit(2)


class _Planner:
    """Plans and merges; without workers it also plays."""

    def __init__(self, environment: Environment, runner: Runner) -> None:
        self._environment = environment
        self._runner = runner
        self._master = isinstance(runner, MasterRunner)
        self._session: Session | None = None
        self._run_dir: Path | None = None
        self._plan: Plan | None = None
        self._done: set[str] = set()
        self._remote = False
        if self._master:
            runner.register_message(_DONE_MESSAGE, self._worker_done)
        on(environment.events.test_start, self._started)
        on(environment.events.test_stop, self._stopped)

    def _started(self, **_: object) -> None:
        try:
            self._begin()
        except UsageError as error:
            print(f"load-test: {error}", file=sys.stderr)
            self._environment.process_exit_code = 2
            gevent.spawn(self._end)

    def _begin(self) -> None:
        processes = len(self._runner.clients.ready) if isinstance(self._runner, MasterRunner) else 1
        options: Any = self._environment.parsed_options
        users = self._runner.target_user_count
        plan = self._plan = plan_from_options(options, self._environment.host, users, max(processes, 1))
        run_dir = run_dir_of(options, plan)
        check_out(run_dir)
        claim(run_dir)
        self._run_dir = run_dir.absolute()
        folder = self._run_dir / PARTS
        folder.mkdir()
        origin = Origin(time.monotonic() + _LEAD_S, time.time() + _LEAD_S)
        save(folder, PLAN, plan)
        save(folder, ORIGIN, origin)
        self._done.clear()
        if isinstance(self._runner, MasterRunner):
            self._order_workers(self._runner, plan, folder, origin)
            return
        self._session = _session(self._environment, plan, folder, 0, lambda _session: self._end())
        self._session.start(origin)
        GatewayUser.session = self._session

    def _order_workers(self, runner: MasterRunner, plan: Plan, folder: Path, origin: Origin) -> None:
        host = socket.gethostname()
        for rank, client in enumerate(runner.clients.ready):
            self._remote |= not client.id.startswith(f"{host}_")
            order = Order(plan, rank, str(folder), host, origin)
            runner.send_message(_PLAN_MESSAGE, msgspec.to_builtins(order), client.id)

    def _worker_done(self, msg: Any, **_: object) -> None:
        self._done.add(msg.node_id)
        if self._plan is not None and len(self._done) >= self._plan.processes:
            gevent.spawn(self._end)

    def _end(self) -> None:
        """All parts have ended by themselves: end the test, and Locust where nobody watches its UI."""
        options: Any = self._environment.parsed_options
        if options.headless:
            self._runner.quit()
        else:
            self._runner.stop()

    def _stopped(self, **_: object) -> None:
        run_dir, plan = self._run_dir, self._plan
        if run_dir is None or plan is None:
            return
        self._run_dir = None
        interrupted = plan.duration_s is not None
        if self._session is not None:
            self._session.finish()
            interrupted = interrupted and not self._session.complete
        else:
            interrupted = interrupted and len(self._done) < plan.processes
            self._runner.send_message(_STOP_MESSAGE)
            _wait_for_parts(run_dir / PARTS, plan.processes)
        if self._remote:
            print(
                f"Copy {run_dir / PARTS}/worker-*.jsonl from the other machines here, "
                f"then `load-test recover {run_dir}`"
            )
            return
        merge(run_dir, interrupted=interrupted)
        print(f"Samples are in {run_dir}; `perf-report build {run_dir}` judges them", flush=True)


def _wait_for_parts(folder: Path, processes: int) -> None:
    """Until every worker of this machine has closed its part, for a while at most."""
    deadline = time.monotonic() + _PARTS_S
    while time.monotonic() < deadline:
        parts = folder.glob("worker-*.jsonl")
        if sum(any(isinstance(note, Ended) for note in read_notes(part)) for part in parts) >= processes:
            return
        gevent.sleep(_POLL_S)


class _Worker:
    """Plays the share a master orders."""

    def __init__(self, environment: Environment, runner: WorkerRunner) -> None:
        self._environment = environment
        self._runner = runner
        self._order: Order | None = None
        self._session: Session | None = None
        runner.register_message(_PLAN_MESSAGE, self._ordered)
        runner.register_message(_STOP_MESSAGE, self._stopped)
        on(environment.events.test_start, self._started)
        on(environment.events.test_stop, self._stopped)

    def _ordered(self, msg: Any, **_: object) -> None:
        self._order = msgspec.convert(msg.data, Order)

    def _started(self, **_: object) -> None:
        order = self._order
        if order is None:
            return
        folder = Path(order.folder)
        folder.mkdir(parents=True, exist_ok=True)
        self._session = _session(self._environment, order.plan, folder, order.rank, self._finished)
        self._session.start(_local_origin(order))
        GatewayUser.session = self._session

    def _finished(self, session: Session) -> None:
        session.finish()
        self._runner.send_message(_DONE_MESSAGE)

    def _stopped(self, **_: object) -> None:
        if self._session is not None:
            self._session.finish()


def _local_origin(order: Order) -> Origin:
    """The run's zero on this machine: the same clock as the master's, or worked out from the wall clocks."""
    if order.host == socket.gethostname():
        return order.origin
    return Origin(time.monotonic() + order.origin.unix_s - time.time(), order.origin.unix_s)


def _session(
    environment: Environment, plan: Plan, folder: Path, rank: int, on_done: Callable[[Session], None]
) -> Session:
    options: Any = environment.parsed_options
    return Session(
        plan,
        folder,
        rank,
        os.getpid(),
        options.api_key,
        fire=environment.events.request.fire,
        on_done=on_done,
    )

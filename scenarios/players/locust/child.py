"""A worker of ``load-test run``: a headless Locust of its own that plays its share of a plan."""

from __future__ import annotations

import os
from pathlib import Path
from typing import Final

import gevent
from locust.env import Environment

from scenarios.players.locust.hooks import on, runner_of
from scenarios.players.locust.player import LocustPlayer
from scenarios.players.locust.users import GatewayUser, without_collector
from scenarios.record.plan import Origin, Plan, load_origin, load_plan
from scenarios.record.spool import WRONG_KEY_EXIT, ready_path

_POLL_S: Final = 0.01
_OWNER_POLL_S: Final = 0.5


def attach(environment: Environment, folder: Path, worker: int) -> None:
    """Join the plan in ``folder`` to Locust's start and stop."""
    plan = load_plan(folder)

    def done(player: LocustPlayer) -> None:
        environment.process_exit_code = WRONG_KEY_EXIT if player.wrong_key else 0
        runner_of(environment).quit()

    player = LocustPlayer(
        plan,
        folder,
        worker,
        os.getpid(),
        os.environ.get("LOAD_TEST_API_KEY", ""),
        # Nobody watches this Locust's own table.
        on_try=None,
        on_done=done,
    )

    def started(**_: object) -> None:
        ready_path(folder, worker).touch()
        origin = _wait_for_origin(folder)
        without_collector()
        player.start(origin)
        GatewayUser.player = player

    def stopped(**_: object) -> None:
        player.finish()

    on(environment.events.test_start, started)
    on(environment.events.test_stop, stopped)
    gevent.spawn(_watch_owner, plan, environment)


def _wait_for_origin(folder: Path) -> Origin:
    while (origin := load_origin(folder)) is None:
        gevent.sleep(_POLL_S)
    return origin


def _watch_owner(plan: Plan, environment: Environment) -> None:
    """End when `run` has died: nobody would stop this worker."""
    while os.getppid() == plan.owner_pid:
        gevent.sleep(_OWNER_POLL_S)
    runner_of(environment).quit()

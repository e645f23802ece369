"""A worker of a plain Locust master: plays the share that the master orders."""

from __future__ import annotations

import os
import socket
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any, Final

import msgspec
from locust.env import Environment
from locust.runners import WorkerRunner

from scenarios.players.locust.hooks import on
from scenarios.players.locust.interrupt import Interrupts
from scenarios.players.locust.player import LocustPlayer
from scenarios.players.locust.users import GatewayUser, telling, without_collector
from scenarios.record.plan import Origin, Plan

# From the master: the share; begin no further call; end at once. To the master: all has ended.
PLAN_MESSAGE: Final = "load-test-plan"
STOP_MESSAGE: Final = "load-test-stop"
FINISH_MESSAGE: Final = "load-test-finish"
DONE_MESSAGE: Final = "load-test-done"
# How long a worker that is told to end waits for its master to end first.
_MASTER_S: Final = 3.0


class Order(msgspec.Struct, frozen=True):
    """What a master tells one worker: the plan, which share is its own, where to record, and the run's zero."""

    plan: Plan
    rank: int
    folder: str
    host: str
    origin: Origin


class Worker:
    """Plays what it is ordered, and lets it drain when it or the master is asked to end."""

    def __init__(self, environment: Environment, runner: WorkerRunner) -> None:
        self._environment = environment
        self._runner = runner
        self._order: Order | None = None
        self._player: LocustPlayer | None = None
        self._interrupts = Interrupts(self._finish)
        runner.register_message(PLAN_MESSAGE, self._ordered)
        runner.register_message(STOP_MESSAGE, self._stop)
        runner.register_message(FINISH_MESSAGE, self._finish, concurrent=True)
        on(environment.events.test_start, self._started)
        on(environment.events.test_stopping, self._drain)
        # Ours comes before Locust's own, which takes leave of the master.
        on(environment.events.quitting, self._leave)

    def _ordered(self, msg: Any, **_: object) -> None:
        self._order = msgspec.convert(msg.data, Order)

    def _started(self, **_: object) -> None:
        order, self._order = self._order, None
        if order is None:
            return
        folder = Path(order.folder)
        folder.mkdir(parents=True, exist_ok=True)
        self._player = player_for(self._environment, order.plan, folder, order.rank, self._played)
        without_collector()
        self._player.start(_local_origin(order))
        GatewayUser.player = self._player

    def _played(self, player: LocustPlayer) -> None:
        player.finish()
        self._runner.send_message(DONE_MESSAGE)

    def _stop(self, **_: object) -> None:
        if self._player is not None:
            self._player.stop()

    def _finish(self, **_: object) -> None:
        if self._player is not None:
            self._played(self._player)

    def _drain(self, **_: object) -> None:
        if self._player is not None:
            self._player.stop()
            self._player.over.wait()

    def _leave(self, **_: object) -> None:
        """A signal ends this process. A master that the same Ctrl-C ends would deal the work anew if it saw us go."""
        if self._player is not None and not self._player.over.is_set():
            self._drain()
            self._runner.greenlet.join(_MASTER_S)


def _local_origin(order: Order) -> Origin:
    """The run's zero on this machine: the same clock as the master's, or worked out from the wall clocks."""
    if order.host == socket.gethostname():
        return order.origin
    return Origin(time.monotonic() + order.origin.unix_s - time.time(), order.origin.unix_s)


def player_for(
    environment: Environment, plan: Plan, folder: Path, rank: int, on_done: Callable[[LocustPlayer], None]
) -> LocustPlayer:
    """The player of a share, which tells Locust of each request."""
    options: Any = environment.parsed_options
    return LocustPlayer(
        plan,
        folder,
        rank,
        os.getpid(),
        options.api_key,
        on_try=telling(environment.events.request),
        on_done=on_done,
    )

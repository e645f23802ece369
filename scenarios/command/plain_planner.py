"""The one Locust process that plans: it has no workers, or is their master. It merges what all recorded.

However a run ends that was not over by itself, it drains: no further call is begun, and those in flight may end until
the drain is over. Who asks once more (Ctrl-C, SIGTERM, the Stop button) ends it at once.
"""

from __future__ import annotations

import socket
import time
from abc import ABC, abstractmethod
from pathlib import Path
from typing import Any, Final

import gevent
import msgspec
from locust.env import Environment
from locust.runners import MasterRunner, Runner

from mock_server.exits import Exit, complain
from scenarios.command.options import UsageError
from scenarios.command.plain_options import plan_from_options, run_dir_of
from scenarios.command.plain_worker import DONE_MESSAGE, FINISH_MESSAGE, PLAN_MESSAGE, STOP_MESSAGE, Order, player_for
from scenarios.command.prepare import check_out, claim
from scenarios.players.locust.hooks import on
from scenarios.players.locust.interrupt import Interrupts
from scenarios.players.locust.player import LocustPlayer
from scenarios.players.locust.users import GatewayUser, rare_collector, without_collector
from scenarios.record.merge import ENDING, Ending, merge
from scenarios.record.notes import PartEnd
from scenarios.record.plan import ORIGIN, PLAN, Origin, Plan, save
from scenarios.record.spool import PARTS, read_notes

_LEAD_S: Final = 0.5
_PARTS_S: Final = 10.0
_POLL_S: Final = 0.05
# After the drain, how long workers get to write down what they cut off.
_GRACE_S: Final = 15.0


class Running:
    """A run that was begun. Mutable: how it ends.

    ``ending`` once somebody has asked for its end, ``hastened`` once that was asked for again, ``interrupted`` if it
    was a signal that asked.
    """

    def __init__(self, run_dir: Path, plan: Plan) -> None:
        self.run_dir = run_dir
        self.plan = plan
        self.ending = self.hastened = self.interrupted = False

    @property
    def folder(self) -> Path:
        """Where the plan and the workers' records are."""
        return self.run_dir / PARTS


class Planner(ABC):
    """What Locust alone and a master have in common."""

    def __init__(self, environment: Environment, runner: Runner) -> None:
        self.environment = environment
        self._runner = runner
        self._running: Running | None = None
        self._conclusion: gevent.Greenlet | None = None
        self._interrupts = Interrupts(self._hasten)
        on(environment.events.test_start, self._started)
        on(environment.events.test_stopping, self._drain)
        on(environment.events.test_stop, self._stopped)
        # Locust fires it when a signal ends it, before it stops the test.
        on(environment.events.quitting, self._quitting)

    # --- what the two do differently -----------------------------------------------------------------------

    @abstractmethod
    def _begin(self, running: Running, origin: Origin) -> None:
        """Let the load begin at ``origin``."""

    @abstractmethod
    def _stop(self) -> None:
        """Let nobody begin a further call."""

    @abstractmethod
    def _finish(self) -> None:
        """Let everybody end at once."""

    @abstractmethod
    def _over(self) -> bool:
        """Whether everybody has ended."""

    @abstractmethod
    def _processes(self) -> int:
        """How many processes share the load."""

    @abstractmethod
    def _recorded_elsewhere(self, running: Running) -> bool:
        """Whether parts of the record are on other machines; those on this one are complete."""

    # --- Locust's events -----------------------------------------------------------------------------------

    def _started(self, **_: object) -> None:
        try:
            self._plan()
        except UsageError as error:
            complain("load-test", error)
            self.environment.process_exit_code = Exit.UNUSABLE
            gevent.spawn(self._end)

    def _plan(self) -> None:
        self._stopped()
        options: Any = self.environment.parsed_options
        users = self._runner.target_user_count
        plan = plan_from_options(options, self.environment.host, users, self._processes())
        run_dir = run_dir_of(options, plan)
        check_out(run_dir)
        claim(run_dir)
        running = Running(run_dir.absolute(), plan)
        running.folder.mkdir()
        origin = Origin(time.monotonic() + _LEAD_S, time.time() + _LEAD_S)
        save(running.folder, PLAN, plan)
        save(running.folder, ORIGIN, origin)
        self._running = running
        self._begin(running, origin)

    def _ended(self) -> None:
        """Everybody has ended: unless somebody asked for it, end the test too."""
        if self._running is not None and not self._running.ending:
            gevent.spawn(self._end)

    def _end(self) -> None:
        """End the test, and Locust where nobody watches its UI."""
        options: Any = self.environment.parsed_options
        if options.headless:
            self._runner.quit()
        else:
            self._runner.stop()

    def _quitting(self, **_: object) -> None:
        if self._running is not None and not self._over():
            self._running.interrupted = True
        self._drain()
        # A master whose workers went first takes its test for stopped, and does not tell.
        self._stopped()

    def _drain(self, **_: object) -> None:
        """The end is asked for: wait for what is in flight; asked for again, do not."""
        running = self._running
        if running is None or self._over():
            return
        if running.ending:
            self._hasten()
        else:
            running.ending = True
            print(
                f"load-test: no further calls; waiting up to {running.plan.drain_s:g} s for those in flight, "
                "until you ask again",
                flush=True,
            )
            self._stop()
        until = time.monotonic() + running.plan.drain_s + _GRACE_S
        while not self._over() and time.monotonic() < until:
            gevent.sleep(_POLL_S)

    def _hasten(self) -> None:
        running = self._running
        if running is not None and not running.hastened and not self._over():
            running.hastened = True
            self._finish()

    def _stopped(self, **_: object) -> None:
        running, self._running = self._running, None
        if running is not None:
            self._conclusion = gevent.spawn(self._conclude, running)
        # In a greenlet of its own, since Locust may kill the one that comes here first; who comes second waits too.
        if self._conclusion is not None:
            self._conclusion.join()

    def _conclude(self, running: Running) -> None:
        """Merge what all recorded, or say how to."""
        run_dir = running.run_dir
        interrupted = running.hastened or (running.interrupted and self._had_an_end(running.plan))
        ending = Ending(interrupted=interrupted, curtailed=running.ending and not interrupted)
        try:
            save(running.folder, ENDING, ending)
            if self._recorded_elsewhere(running):
                print(
                    f"Copy {running.folder}/worker-*.jsonl from the other machines here, "
                    f"then `load-test recover {run_dir}`",
                    flush=True,
                )
                return
            merge(run_dir, interrupted=ending.interrupted, curtailed=ending.curtailed)
        except OSError as error:
            why = error.strerror or error
            complain(
                "load-test",
                f"{run_dir}: cannot be written ({why}); what was recorded is in {PARTS}, "
                f"`load-test recover {run_dir}` goes on from there",
            )
            self.environment.process_exit_code = Exit.UNUSABLE
            return
        print(f"Samples are in {run_dir}; `perf-report build {run_dir}` judges them", flush=True)

    def _had_an_end(self, plan: Plan) -> bool:
        """Whether the run would have ended without anybody's asking; else Ctrl-C is how it ends."""
        options: Any = self.environment.parsed_options
        return plan.duration_s is not None or bool(options.run_time)


class Alone(Planner):
    """A Locust without workers, which plays all of the load."""

    _player: LocustPlayer | None = None

    def _begin(self, running: Running, origin: Origin) -> None:
        options: Any = self.environment.parsed_options
        self._player = player_for(self.environment, running.plan, running.folder, 0, self._played)
        # A web UI in the same process makes garbage of its own.
        (without_collector if options.headless else rare_collector)()
        self._player.start(origin)
        GatewayUser.player = self._player

    def _played(self, player: LocustPlayer) -> None:
        player.finish()
        self._ended()

    def _stop(self) -> None:
        assert self._player is not None
        self._player.stop()

    def _finish(self) -> None:
        assert self._player is not None
        self._player.finish()

    def _over(self) -> bool:
        return self._player is None or self._player.over.is_set()

    def _processes(self) -> int:
        return 1

    def _recorded_elsewhere(self, running: Running) -> bool:
        del running
        return False


class Master(Planner):
    """A master: tells each worker its share, and waits until each has said that it is done."""

    def __init__(self, environment: Environment, runner: MasterRunner) -> None:
        super().__init__(environment, runner)
        self._master = runner
        # Workers with a share, by Locust's names for them, and those of them that are done.
        self._ordered: set[str] = set()
        self._done: set[str] = set()
        runner.register_message(DONE_MESSAGE, self._worker_done)

    def _begin(self, running: Running, origin: Origin) -> None:
        self._done.clear()
        self._ordered = {client.id for client in self._master.clients.ready}
        host = socket.gethostname()
        for rank, client in enumerate(self._master.clients.ready):
            order = Order(running.plan, rank, str(running.folder), host, origin)
            self._master.send_message(PLAN_MESSAGE, msgspec.to_builtins(order), client.id)

    def _worker_done(self, msg: Any, **_: object) -> None:
        self._done.add(msg.node_id)
        if self._ordered <= self._done:
            self._ended()

    def _stop(self) -> None:
        self._master.send_message(STOP_MESSAGE)

    def _finish(self) -> None:
        self._master.send_message(FINISH_MESSAGE)

    def _over(self) -> bool:
        clients = self._master.clients
        there = {client.id for client in (*clients.ready, *clients.spawning, *clients.running)}
        return not (self._ordered - self._done) & there

    def _processes(self) -> int:
        return max(len(self._master.clients.ready), 1)

    def _recorded_elsewhere(self, running: Running) -> bool:
        if not self._over():
            self._finish()
        host = socket.gethostname()
        there = sum(name.startswith(f"{host}_") for name in self._ordered)
        _wait_for_parts(running.folder, there)
        return there < len(self._ordered)


def _wait_for_parts(folder: Path, count: int) -> None:
    """Until so many workers of this machine have closed their parts, for a while at most."""
    deadline = time.monotonic() + _PARTS_S
    while time.monotonic() < deadline:
        parts = folder.glob("worker-*.jsonl")
        if sum(any(isinstance(note, PartEnd) for note in read_notes(part)) for part in parts) >= count:
            return
        gevent.sleep(_POLL_S)

"""``load-test run``: start the mock, start the workers, watch, merge, judge; leave nothing behind."""

from __future__ import annotations

import argparse
import contextlib
import importlib.util
import shutil
import signal
import subprocess
import sys
import time
from collections.abc import Iterator
from pathlib import Path
from types import FrameType
from typing import Any, Final

import msgspec
import psutil

from mock_server.config import WorldError, load_world
from mock_server.contract.accounts import LOAD_TEST_KEY
from mock_server.exits import Exit, complain
from scenarios.command.console import put
from scenarios.command.options import UsageError
from scenarios.command.prepare import check_out, claim, effective, now_utc, plan_of, run_id
from scenarios.command.progress import Display
from scenarios.command.target import OwnMock, probe, python_path
from scenarios.command.virtual import check_playable, play
from scenarios.command.watch import MockWatch
from scenarios.command.workers import Workers
from scenarios.players.virtual import StandstillError
from scenarios.record.manifest import write_manifest
from scenarios.record.merge import Merged, ending_of, merge
from scenarios.record.plan import ORIGIN, PLAN, Origin, Plan, Trouble, load_plan, save, script_of, times_of, window_s
from scenarios.record.spool import PARTS, WRONG_KEY_EXIT, part_owner

_BOOT_S: Final = 60.0
# Between the moment all workers are ready and the run's zero: time for each to read it.
_LEAD_S: Final = 0.3
_POLL_S: Final = 0.05
# After the drain, how long workers get to write down what they cut off.
_GRACE_S: Final = 15.0
_NOTHING_SENT: Final = "interrupted before anything was sent; nothing was written"
_REPORT_PACKAGES: Final = ("jinja2", "matplotlib", "pandas", "scipy")


class Interrupts:
    """Counts Ctrl-C and SIGTERM instead of dying of them."""

    def __init__(self) -> None:
        self.count = 0

    def _heard(self, _number: int, _frame: FrameType | None) -> None:
        self.count += 1

    @contextlib.contextmanager
    def caught(self) -> Iterator[None]:
        """While this lasts, both signals only count."""
        before = {number: signal.signal(number, self._heard) for number in (signal.SIGINT, signal.SIGTERM)}
        try:
            yield
        finally:
            for number, handler in before.items():
                signal.signal(number, handler)


def run(args: argparse.Namespace, argv: list[str]) -> int:
    """Run a scenario to its verdict and return the exit code; raises `UsageError` before anything is sent."""
    scenario = effective(args)
    name = run_id(scenario.name, now_utc())
    out = _free(Path("runs") / name) if args.out is None else args.out
    check_out(out)
    scale = args.time_scale or 1.0
    troubles = _troubles(scenario.world, scale) if args.target is None else ()
    if args.target is not None:
        probe(args.target)
    interrupts = Interrupts()
    with interrupts.caught(), contextlib.ExitStack() as stack:
        mock = None
        if args.target is None and not args.virtual:
            mock = OwnMock(scenario.world, args.seed, scale)
            stack.callback(mock.stop)
            probe(mock.url)
        plan = plan_of(args, argv, scenario, name, mock.url if mock else None, troubles)
        key = args.api_key or LOAD_TEST_KEY
        if args.virtual:
            check_playable(plan)
        claim(out)
        code = _simulate(plan, out, key, interrupts) if args.virtual else _drive(plan, out, key, interrupts, mock)
    if code is None:
        code = judge(out, inconclusive_ok=args.inconclusive_ok)
    died = mock is not None and mock.death() is not None
    return Exit.INVALID if died and code != Exit.INTERRUPTED else code


def _free(path: Path) -> Path:
    """``path``, or with a number where two runs began in the same second."""
    names = [path, *(path.with_name(f"{path.name}-{number}") for number in range(2, 1000))]
    return next(name for name in names if not name.exists())


def _troubles(world: str, scale: float) -> tuple[Trouble, ...]:
    """The incidents of a world; raises `UsageError` when the world cannot be used."""
    try:
        incidents = load_world(world).incidents
    except WorldError as error:
        raise UsageError(f"the world: {error}") from None

    def wall(simulated_s: float | None) -> float | None:
        return None if simulated_s is None else simulated_s * scale

    return tuple(Trouble(i.kind, i.match, i.at * scale, wall(i.lasts), wall(i.every)) for i in incidents)


def _begin(plan: Plan, out: Path) -> Path:
    """Write down what is to be done; the folder of parts."""
    # Absolute, since the workers live in it.
    folder = (out / PARTS).absolute()
    folder.mkdir()
    save(folder, PLAN, plan)
    calls = len(times_of(plan)) or len(script_of(plan))
    write_manifest(out, plan, None, ended_s=0.0, interrupted=True, planned_calls=calls)
    return folder


def _simulate(plan: Plan, out: Path, api_key: str, interrupts: Interrupts) -> int | None:
    """The run itself, in virtual time; an exit code where there is nothing to judge."""
    folder = _begin(plan, out)
    put(f"{plan.scenario.name}: {plan.load} in virtual time, recording to {out}")
    try:
        played = play(plan, folder, api_key, lambda: interrupts.count > 0)
    except StandstillError as problem:
        shutil.rmtree(out)
        raise UsageError(f"{problem}; nothing was written") from None
    except OSError as error:
        raise UsageError(f"{out}: cannot be written ({error.strerror or error}); run it again elsewhere") from None
    merged = _merge(out, interrupted=interrupts.count > 0 or played.wrong_key, ended_s=played.ended_s)
    if interrupts.count and not merged.handed_on:
        shutil.rmtree(out)
        complain("load-test", _NOTHING_SENT)
        return Exit.INTERRUPTED
    return _after(plan, out, merged, played.wrong_key)


def _drive(plan: Plan, out: Path, api_key: str, interrupts: Interrupts, mock: OwnMock | None) -> int | None:
    """The run itself; an exit code where there is nothing to judge."""
    folder = _begin(plan, out)
    workers = Workers(plan, folder, api_key)
    try:
        problem = _wait_until_ready(workers, interrupts)
        if problem is not None:
            return _discard(workers, out, problem, Exit.INTERRUPTED if interrupts.count else Exit.UNUSABLE)
        try:
            reset_at = time.monotonic() if mock is None else mock.begin_world()
        except OSError as error:
            why = f"its mock died ({(mock and mock.death()) or error}) before anything was sent; nothing was written"
            return _discard(workers, out, why, Exit.INVALID)
        zero = time.monotonic() + _LEAD_S
        origin = Origin(zero, time.time() + _LEAD_S, reset_at - zero)
        save(folder, ORIGIN, origin)
        put(f"{plan.scenario.name}: {plan.load} at {plan.target}, recording to {out}")
        if _interrupted_before(zero, interrupts):
            return _discard(workers, out, _NOTHING_SENT, Exit.INTERRUPTED)
        with contextlib.nullcontext() if mock is None else MockWatch(mock, folder):
            death = _watch(workers, plan, origin, interrupts, mock)
        ended_s = time.monotonic() - origin.monotonic_s
        wrong_key = WRONG_KEY_EXIT in workers.codes
    finally:
        workers.signal(signal.SIGKILL)
        workers.wait(_GRACE_S)
    stopped = interrupts.count > 0 or wrong_key
    merged = _merge(out, interrupted=stopped, ended_s=ended_s, mock_died=death is not None)
    if death is not None:
        complain("load-test", f"its mock died ({death})")
    if interrupts.count and not merged.handed_on:
        return _discard(workers, out, _NOTHING_SENT, Exit.INTERRUPTED)
    return _after(plan, out, merged, wrong_key)


def _wait_until_ready(workers: Workers, interrupts: Interrupts) -> str | None:
    """``None`` once all workers wait for the run's zero; else why they will not."""
    deadline = time.monotonic() + _BOOT_S
    while not workers.ready:
        if interrupts.count:
            return _NOTHING_SENT
        if workers.codes:
            return f"a worker did not start: {workers.last_words()}"
        if time.monotonic() > deadline:
            return f"the workers were not ready within {_BOOT_S:.0f} s; is the machine overloaded?"
        time.sleep(_POLL_S)
    return None


def _interrupted_before(zero: float, interrupts: Interrupts) -> bool:
    """Whether the run is to end before its zero; waits for the one or the other."""
    while (left_s := zero - time.monotonic()) > 0:
        if interrupts.count:
            return True
        time.sleep(min(left_s, _POLL_S))
    return False


def _discard(workers: Workers, out: Path, problem: str, code: int) -> int:
    """Undo a run that never began, with its directory, and say why; the exit code."""
    workers.signal(signal.SIGKILL)
    workers.wait(_GRACE_S)
    shutil.rmtree(out)
    complain("load-test", problem)
    return code


def _watch(workers: Workers, plan: Plan, origin: Origin, interrupts: Interrupts, mock: OwnMock | None) -> str | None:
    """Until all workers have ended: show progress, pass on interrupts, stop what outlives its time.

    Returns how the run's own mock died, if it did; without it the rest would only fail.
    """
    display = Display(plan)
    death: str | None = None
    last_s = window_s(plan) + plan.drain_s + _GRACE_S
    handled = 0
    told = False
    while workers.running:
        time.sleep(_POLL_S)
        now_s = time.monotonic() - origin.monotonic_s
        display.show(now_s, workers.progress)
        if interrupts.count > handled:
            handled = interrupts.count
            display.line("stopping; what was recorded is kept" if handled == 1 else "killing the workers")
            workers.signal(signal.SIGTERM if handled == 1 else signal.SIGKILL)
            last_s = min(last_s, now_s + _GRACE_S)
        if WRONG_KEY_EXIT in workers.codes and not told:
            told = True
            workers.signal(signal.SIGTERM)
        if death is None and mock is not None and (death := mock.death()) is not None:
            workers.signal(signal.SIGTERM)
            last_s = min(last_s, now_s + _GRACE_S)
        if now_s > last_s:
            workers.signal(signal.SIGKILL)
    display.done(time.monotonic() - origin.monotonic_s, workers.progress)
    return death or (mock.death() if mock is not None else None)


def _merge(out: Path, **how: Any) -> Merged:
    """`merge`, whose failure tells how to go on."""
    try:
        return merge(out, **how)
    except OSError as error:
        raise UsageError(
            f"{out}: cannot be written ({error.strerror or error}); what was recorded is in {PARTS}, "
            f"`load-test recover {out}` goes on from there"
        ) from None


def _after(plan: Plan, out: Path, merged: Merged, wrong_key: bool) -> int | None:
    if merged.lost_workers:
        complain("load-test", f"{merged.lost_workers} of {plan.processes} workers died")
    if wrong_key or (merged.answers and merged.answers == merged.denied):
        key = f"the key {plan.api_key}" if plan.api_key.strip("…") else "the given key"
        complain("load-test", f"{plan.target} answers 401 to {key}; check it. Samples are in {out}")
        return Exit.UNUSABLE
    return None


def _is_load_test(pid: int) -> bool:
    """Whether a process of that number runs a scenario; numbers are used again, so its command line decides."""
    try:
        words = psutil.Process(pid).cmdline() if pid else []
    except psutil.Error:
        return False
    return any("locustfile.py" in word or "load-test" in word or "scenarios" in word for word in words)


def recover(args: argparse.Namespace) -> int:
    """Merge a killed run's parts and judge it; raises `UsageError` when there is nothing to merge."""
    folder = args.run_dir / PARTS
    try:
        plan = load_plan(folder)
    except FileNotFoundError:
        raise UsageError(f"{args.run_dir}: nothing to recover; no unmerged parts are there") from None
    except (OSError, msgspec.MsgspecError, UnicodeDecodeError) as error:
        raise UsageError(f"{args.run_dir}: its plan cannot be read: {error}") from None
    pids = [plan.owner_pid, *(part_owner(path)[1] for path in folder.glob("worker-*.jsonl"))]
    if any(_is_load_test(pid) for pid in pids):
        raise UsageError(f"{args.run_dir}: the run is still going on; stop it first")
    ending = ending_of(folder)
    merged = _merge(args.run_dir, interrupted=ending.interrupted, curtailed=ending.curtailed)
    code = _after(plan, args.run_dir, merged, wrong_key=False)
    return judge(args.run_dir, inconclusive_ok=args.inconclusive_ok) if code is None else code


def judge(out: Path, *, inconclusive_ok: bool) -> int:
    """Build the report in a process of its own, pass on what it says, and return its exit code."""
    missing = [name for name in _REPORT_PACKAGES if importlib.util.find_spec(name) is None]
    if missing:
        complain(
            "load-test",
            'no verdict: reports need `pip install ".[report]"` in the checkout; the samples are kept, '
            f"`perf-report build {out}` judges them",
        )
        return Exit.PASSED if inconclusive_ok else Exit.UNDECIDED
    command = [sys.executable, "-m", "reports", "build", str(out)]
    command += ["--inconclusive-ok"] if inconclusive_ok else []
    # In a session of its own: Ctrl-C comes to it through us, once, so that it says so and leaves no half file.
    # Its words come through us too: who reads no further must not change its verdict.
    environment = {**python_path(), "PYTHONIOENCODING": "utf-8"}
    with subprocess.Popen(  # noqa: S603 - our own module
        command, env=environment, stdout=subprocess.PIPE, encoding="utf-8", start_new_session=True
    ) as report:
        try:
            said, _ = report.communicate()
            put(said, end="")
            return report.returncode
        except KeyboardInterrupt:
            report.send_signal(signal.SIGINT)
            report.wait(_GRACE_S)
            return Exit.INTERRUPTED

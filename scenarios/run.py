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
from typing import Final

import msgspec
import psutil

from mock_server.config import WorldError, load_world
from mock_server.contract.accounts import LOAD_TEST_KEY
from scenarios.catalog import CATALOG
from scenarios.manifest import write_manifest
from scenarios.merge import Merged, merge
from scenarios.options import UsageError
from scenarios.plan import ORIGIN, PLAN, Origin, Plan, Trouble, load_plan, save, script_of, times_of, window_s
from scenarios.prepare import check, check_out, claim, now_utc, plan_of, read_gates, run_id
from scenarios.progress import Display
from scenarios.recorder import PARTS, part_owner
from scenarios.target import OwnMock, probe, python_path
from scenarios.workers import WRONG_KEY_EXIT, Workers

_BOOT_S: Final = 60.0
# Between the moment all workers are ready and the run's zero: time for each to read it.
_LEAD_S: Final = 0.3
_POLL_S: Final = 0.05
# After the drain, how long workers get to write down what they cut off.
_GRACE_S: Final = 15.0
_INTERRUPTED: Final = 130
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
    check(args)
    gates = CATALOG[args.scenario].gates if args.gates is None else read_gates(args.gates)
    name = run_id(args.scenario, now_utc())
    out = _free(Path("runs") / name) if args.out is None else args.out
    check_out(out)
    plan_of(args, argv, gates, name, None)  # finds impossible numbers before a mock is started for them
    world, scale = args.world or CATALOG[args.scenario].world, args.time_scale or 1.0
    troubles = _troubles(world, scale) if args.target is None else ()
    if args.target is not None:
        probe(args.target)
    interrupts = Interrupts()
    with interrupts.caught(), contextlib.ExitStack() as stack:
        mock = None
        if args.target is None:
            mock = OwnMock(world, args.seed, scale)
            stack.callback(mock.stop)
            probe(mock.url)
        plan = plan_of(args, argv, gates, name, (mock.url, mock.pid) if mock else None, troubles)
        claim(out)
        code = _drive(plan, out, args.api_key or LOAD_TEST_KEY, interrupts, mock)
    if code is not None:
        return code
    return judge(out, inconclusive_ok=args.inconclusive_ok)


def _free(path: Path) -> Path:
    """``path``, or with a number where two runs began in the same second."""
    names = [path, *(path.with_name(f"{path.name}-{number}") for number in range(2, 1000))]
    return next(name for name in names if not name.exists())


def _troubles(world: str, scale: float) -> tuple[Trouble, ...]:
    """The incidents of a world; raises `UsageError` when the world cannot be used."""
    try:
        incidents = load_world(world).incidents
    except WorldError as error:
        raise UsageError(f"--world: {error}") from None

    def wall(simulated_s: float | None) -> float | None:
        return None if simulated_s is None else simulated_s * scale

    return tuple(Trouble(i.kind, i.match, i.at * scale, wall(i.lasts), wall(i.every)) for i in incidents)


def _drive(plan: Plan, out: Path, api_key: str, interrupts: Interrupts, mock: OwnMock | None) -> int | None:
    """The run itself; an exit code where there is nothing to judge."""
    # Absolute, since the workers live in it.
    folder = (out / PARTS).absolute()
    folder.mkdir()
    save(folder, PLAN, plan)
    calls = len(times_of(plan)) or len(script_of(plan))
    write_manifest(out, plan, None, ended_s=0.0, interrupted=True, planned_calls=calls)
    workers = Workers(plan, folder, api_key)
    try:
        problem = _wait_until_ready(workers, interrupts)
        if problem is not None:
            _discard(workers, out)
            print(f"load-test: {problem}", file=sys.stderr)
            return _INTERRUPTED if interrupts.count else 2
        reset_at = time.monotonic() if mock is None else mock.begin_world()
        zero = time.monotonic() + _LEAD_S
        origin = Origin(zero, time.time() + _LEAD_S, reset_at - zero)
        save(folder, ORIGIN, origin)
        print(f"{plan.scenario}: {plan.load} at {plan.target}, recording to {out}", flush=True)
        _watch(workers, plan, origin, interrupts)
        ended_s = time.monotonic() - origin.monotonic_s
        wrong_key = WRONG_KEY_EXIT in workers.codes
    finally:
        workers.signal(signal.SIGKILL)
        workers.wait(_GRACE_S)
    merged = _merge(out, interrupted=interrupts.count > 0 or wrong_key, ended_s=ended_s)
    return _after(plan, out, merged, wrong_key)


def _wait_until_ready(workers: Workers, interrupts: Interrupts) -> str | None:
    """``None`` once all workers wait for the run's zero; else why they will not."""
    deadline = time.monotonic() + _BOOT_S
    while not workers.ready:
        if interrupts.count:
            return "interrupted before anything was sent; nothing was written"
        if workers.codes:
            return f"a worker did not start: {workers.last_words()}"
        if time.monotonic() > deadline:
            return f"the workers were not ready within {_BOOT_S:.0f} s; is the machine overloaded?"
        time.sleep(_POLL_S)
    return None


def _discard(workers: Workers, out: Path) -> None:
    """Undo a run that never began, down to the directory where it is left empty."""
    workers.signal(signal.SIGKILL)
    workers.wait(_GRACE_S)
    shutil.rmtree(out)


def _watch(workers: Workers, plan: Plan, origin: Origin, interrupts: Interrupts) -> None:
    """Until all workers have ended: show progress, pass on interrupts, stop what outlives its time."""
    display = Display(sys.stdout, plan)
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
        if now_s > last_s:
            workers.signal(signal.SIGKILL)
    display.done(time.monotonic() - origin.monotonic_s, workers.progress)


def _merge(out: Path, *, interrupted: bool, ended_s: float | None = None) -> Merged:
    try:
        return merge(out, interrupted=interrupted, ended_s=ended_s)
    except OSError as error:
        raise UsageError(
            f"{out}: cannot be written ({error.strerror or error}); what was recorded is in {PARTS}, "
            f"`load-test recover {out}` goes on from there"
        ) from None


def _after(plan: Plan, out: Path, merged: Merged, wrong_key: bool) -> int | None:
    if merged.lost_workers:
        print(f"load-test: {merged.lost_workers} of {plan.processes} workers died", file=sys.stderr)
    if wrong_key or (merged.answers and merged.answers == merged.denied):
        print(
            f"load-test: {plan.target} answers 401 to the key {plan.api_key}; check it. Samples are in {out}",
            file=sys.stderr,
        )
        return 2
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
    merged = _merge(args.run_dir, interrupted=True)
    code = _after(plan, args.run_dir, merged, wrong_key=False)
    return judge(args.run_dir, inconclusive_ok=args.inconclusive_ok) if code is None else code


def judge(out: Path, *, inconclusive_ok: bool) -> int:
    """Build the report in a process of its own, pass on what it says, and return its exit code."""
    missing = [name for name in _REPORT_PACKAGES if importlib.util.find_spec(name) is None]
    if missing:
        print(
            f'load-test: no verdict: reports need `pip install "apiflowx-harness[report]"`; the samples are kept, '
            f"`perf-report build {out}` judges them",
            file=sys.stderr,
        )
        return 0 if inconclusive_ok else 4
    command = [sys.executable, "-m", "reports", "build", str(out)]
    command += ["--inconclusive-ok"] if inconclusive_ok else []
    # In a session of its own: Ctrl-C comes to it through us, once, so that it says so and leaves no half file.
    with subprocess.Popen(command, env=python_path(), start_new_session=True) as report:  # noqa: S603 - our own module
        try:
            return report.wait()
        except KeyboardInterrupt:
            report.send_signal(signal.SIGINT)
            report.wait(_GRACE_S)
            return _INTERRUPTED

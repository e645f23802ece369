"""`mock-server check-client`: does a client keep its side of the contract?"""

from __future__ import annotations

import argparse
import signal
import sys
from collections.abc import Iterator, Mapping
from contextlib import ExitStack, contextmanager
from pathlib import Path
from types import FrameType
from typing import Final, NoReturn

import msgspec

from mock_server.config import load_world
from mock_server.exits import Exit
from mock_server.kit.check import junit, text
from mock_server.kit.check.judging import CellReport, Judging
from mock_server.kit.check.plan import PlanCell, chosen, plan_toml, read_plan, standard_plan
from mock_server.kit.check.report import Report
from mock_server.kit.check.running import Runner
from mock_server.kit.check.session import Mocks, Session, Tell
from mock_server.kit.conform.command import replacing
from mock_server.kit.options import UnusableError
from mock_server.kit.verdict import waivers

_ENDING: Final = (signal.SIGTERM, signal.SIGHUP)


def check_client(args: argparse.Namespace, environment: Mapping[str, str]) -> tuple[str, int]:
    """Run the command: what to print, and the exit code. Raises :class:`UnusableError` and `WorldError`."""
    cells = chosen(standard_plan() if args.plan is None else _plan(args.plan), args.only)
    if args.show_plan:
        return plan_toml(cells), Exit.PASSED
    if not args.client:
        raise UnusableError("name the command that runs the client: mock-server check-client -- COMMAND …")
    how = Judging(
        waivers(args.waive), tuple(args.without), args.retries, args.exit_code == "tells", args.alive == "each"
    )
    for world in {args.world, *(cell.world for cell in cells if cell.world is not None)}:
        load_world(world)  # said here in full, before anything is run
    with _interruptible(), ExitStack() as files:
        # Opened first: a file that cannot be written is said before anything is run.
        file = None if args.junit is None else files.enter_context(replacing(args.junit))
        report = _check(args, cells, how, environment)
        if file is not None:
            file.write(junit.render(report, inconclusive_ok=args.inconclusive_ok))
    said = msgspec.json.format(msgspec.json.encode(report)).decode() + "\n" if args.json else text.render(report)
    return said, report.exit_code(inconclusive_ok=args.inconclusive_ok)


def _check(
    args: argparse.Namespace, cells: tuple[PlanCell, ...], how: Judging, environment: Mapping[str, str]
) -> Report:
    runner, mocks = Runner(args.client, environment, args.timeout), Mocks(args.world)
    try:
        return Session(mocks, runner, how).check(cells, args.jobs, _progress(len(cells)))
    finally:
        runner.stop()
        mocks.stop()


def _plan(path: Path) -> tuple[PlanCell, ...]:
    try:
        source = path.read_text(encoding="utf-8")
    except OSError as error:
        raise UnusableError(f"{path}: {(error.strerror or str(error)).lower()}: cannot read the plan") from None
    except UnicodeDecodeError as error:
        raise UnusableError(f"{path}: not UTF-8 at byte {error.start}: a plan is UTF-8 text") from None
    return read_plan(source, str(path))


def _progress(of: int) -> Tell:
    """On a terminal, a line for each cell as it ends: a check may take minutes."""

    def tell(report: CellReport, number: int) -> None:
        if sys.stderr.isatty():
            word = text.WORDS.get(report.result, report.result)
            print(f"{number}/{of} {word} {report.cell}", file=sys.stderr, flush=True)

    return tell


@contextmanager
def _interruptible() -> Iterator[None]:
    """SIGTERM and a closed terminal end the check as Ctrl-C does: no process and no file is left behind."""

    def interrupt(_number: int, _frame: FrameType | None) -> NoReturn:
        raise KeyboardInterrupt

    heeded = [number for number in _ENDING if signal.getsignal(number) is not signal.SIG_IGN]  # as under nohup
    before = {number: signal.signal(number, interrupt) for number in heeded}
    try:
        yield
    finally:
        for number, handler in before.items():
            signal.signal(number, handler)

"""The order of a check: a healthy run, the cells side by side, and a healthy run after each, or after all of them."""

from __future__ import annotations

import threading
from collections.abc import Callable, Iterable, Mapping, Sequence
from concurrent.futures import ThreadPoolExecutor, as_completed
from typing import Final

from msgspec import Struct

from mock_server.contract.accounts import LOAD_TEST_KEY
from mock_server.contract.endpoints import TEST_PREFIX
from mock_server.edge.journal import Entry
from mock_server.judge.finding import Result
from mock_server.judge.verdict import RuleResult, judge
from mock_server.kit.check.control import Control, RefusedError
from mock_server.kit.check.judging import (
    CellReport,
    Judging,
    alive_result,
    alive_summary,
    judge_cell,
    not_run,
    outcomes,
    probed,
    unfit,
)
from mock_server.kit.check.plan import ALIVE, BASELINE, PROBE, PlanCell
from mock_server.kit.check.report import Report, report_on
from mock_server.kit.check.running import Ran, Runner
from mock_server.kit.options import UnusableError
from mock_server.launch import Launched, LaunchError, launch

BASE_URL: Final = "LLM_BASE_URL"
API_KEY: Final = "LLM_API_KEY"
TEST_ID: Final = "LLM_TEST_ID"

Tell = Callable[[CellReport, int], None]


class Baseline(Struct, frozen=True):
    """What the command does without a fault: its requests, whether they are streamed, each rule's result."""

    entries: tuple[Entry, ...]
    modes: frozenset[bool]
    rules: Mapping[str, Result]


class Mocks:
    """The mocks of a check, one for each world, started when first wanted. Mutable. Threads may share it."""

    def __init__(self, world: str) -> None:
        self._world = world
        self._mocks: dict[str, Launched] = {}
        self._lock = threading.Lock()

    def of(self, world: str | None) -> Launched:
        """The mock of a world, the check's own unless named. Raises :class:`UnusableError`."""
        name = self._world if world is None else world
        with self._lock:
            if name not in self._mocks:
                try:
                    self._mocks[name] = launch("--world", name)
                except LaunchError as error:
                    raise UnusableError(f"cannot start the mock with the world {name!r}: {error}") from None
            return self._mocks[name]

    def stop(self) -> None:
        """End them all."""
        with self._lock:
            for mock in self._mocks.values():
                mock.stop()


class Session:
    """One check. Mutable: all entries seen so far, by test id."""

    def __init__(self, mocks: Mocks, runner: Runner, how: Judging) -> None:
        self._mocks, self._runner, self._how = mocks, runner, how
        self._entries: dict[str, list[Entry]] = {}

    def check(self, cells: Sequence[PlanCell], jobs: int, tell: Tell) -> Report:
        """Run every cell, ``jobs`` at a time. Raises :class:`UnusableError` where there is no client to check."""
        baseline = self._baseline()
        found: dict[str, CellReport] = {}
        pool = ThreadPoolExecutor(jobs)
        try:
            waiting = [pool.submit(self._cell, cell, baseline) for cell in cells]
            for done in as_completed(waiting):
                report = done.result()
                found[report.cell] = report
                tell(report, len(found))
        except BaseException:
            self._runner.stop()
            raise
        finally:
            pool.shutdown(cancel_futures=True)
        reports = [found[cell.name] for cell in cells]
        alive = self._alive_in_the_end(reports)
        return report_on(reports, [entry for some in self._entries.values() for entry in some], alive, self._how)

    def _cell(self, cell: PlanCell, baseline: Baseline) -> CellReport:
        if why := unfit(cell, baseline.modes):
            return not_run(cell, why)
        control = self._control(cell.world)
        try:
            control.queue(cell.name, cell.rule)
        except RefusedError as error:
            raise UnusableError(f"cell {cell.name!r} cannot be: {error}") from None
        ran, entries = self._run(cell.name, cell.world)
        report = judge_cell(cell, entries, ran, baseline.rules, self._how)
        if report.struck and not report.recovered and self._how.probes:
            return probed(report, self._alive(f"{cell.name}{PROBE}", cell.world))
        return report

    def _control(self, world: str | None) -> Control:
        return Control(self._mocks.of(world).port)

    def _run(self, test: str, world: str | None = None) -> tuple[Ran, list[Entry]]:
        """Run the command under a test id, and attest what is known of its answers."""
        mock, control = self._mocks.of(world), self._control(world)
        finished: set[str] = set()
        handed_over = {BASE_URL: f"{mock.url}{TEST_PREFIX}{test}", API_KEY: LOAD_TEST_KEY, TEST_ID: test}
        ran = self._runner.run(handed_over, late=lambda: finished.update(_ids(control.entries(test))))
        entries = control.settled(test)
        said = outcomes(entries, set(_ids(entries)) - finished, ran, tells=self._how.exit_code_tells)
        for request_id, outcome in said.items():
            control.attest(request_id, outcome)
        entries = control.entries(test)
        self._entries[test] = entries
        return ran, entries

    def _baseline(self) -> Baseline:
        ran, entries = self._run(BASELINE)
        verdict = judge(entries, says_it_retries=self._how.says_it_retries)
        if not entries:
            raise UnusableError(
                f"the command never called the mock{_how_it_ended(ran)}; it must send its calls to ${BASE_URL}"
                f"{self._proxied()}"
            )
        if verdict.unfit:
            raise UnusableError(f"{verdict.unfit} The command must use ${BASE_URL} and ${API_KEY}")
        if ran.killed:
            raise UnusableError(
                f"the command was not done after {ran.took_s:.0f} s, without any fault; give it more --timeout"
            )
        if ran.code:
            raise UnusableError(
                f"the command fails even without a fault{_how_it_ended(ran)}; it must succeed against a healthy mock"
            )
        if not any(entry.status == 200 for entry in entries):
            last = entries[0]
            raise UnusableError(f"no call was answered well, even without a fault: {last.status} {last.code}")
        modes = frozenset(entry.stream for entry in entries)
        return Baseline(tuple(entries), modes, {rule.rule: rule.result for rule in verdict.rules})

    def _proxied(self) -> str:
        """A hint at a proxy that may have got the calls; empty where there is none."""
        names = " and ".join(f"${name}" for name in self._runner.proxies)
        return f"; {names} may have taken them elsewhere: set NO_PROXY=127.0.0.1" if names else ""

    def _alive_in_the_end(self, reports: Sequence[CellReport]) -> RuleResult | None:
        """Whether the client has come through all faults, by the runs after each of them or by one after all."""
        if self._how.probes:
            return alive_summary(reports)
        return self._alive(ALIVE) if any(each.struck and not each.recovered for each in reports) else None

    def _alive(self, test: str, world: str | None = None) -> RuleResult:
        """A healthy run."""
        ran, entries = self._run(test, world)
        well = any(entry.status == 200 for entry in entries)
        alive = well and ran.code == 0 and not ran.killed
        said = "a healthy run went well" if alive else f"a healthy run failed{_how_it_ended(ran)}"
        return alive_result(alive=alive, said=said)


def _ids(entries: Iterable[Entry]) -> list[str]:
    return [entry.request_id for entry in entries]


def _how_it_ended(ran: Ran) -> str:
    """The exit code and the last thing said, for a message of one line."""
    lines = ran.output.strip().splitlines()
    said = f": {lines[-1].strip()[:200]}" if lines else ""
    return f" (it was stopped{said})" if ran.killed else f" (exit code {ran.code}{said})"

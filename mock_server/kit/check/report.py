"""All cells together: the result, the verdict, the coverage, and the exit code. Pure."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Final

from msgspec import Struct

from mock_server.edge.journal import Entry
from mock_server.exits import Exit
from mock_server.judge.coverage import Coverage, cover
from mock_server.judge.finding import Result, worst
from mock_server.judge.verdict import RuleResult, Verdict, judge
from mock_server.kit.check.judging import CellReport, Judging


class Report(Struct, frozen=True):
    """The check of a client. ``result`` is the worst of the cells, the verdict on all requests, and ``alive``.

    ``alive`` says whether the client still works after the faults; it is None where no run was made for that.
    ``verdict`` is about all requests together, the healthy runs' too.
    """

    result: Result
    cells: tuple[CellReport, ...]
    alive: RuleResult | None
    verdict: Verdict
    coverage: Coverage

    @property
    def exercised(self) -> int:
        """How many cells showed something."""
        return sum(cell.result != "NOT_EXERCISED" for cell in self.cells)

    def exit_code(self, *, inconclusive_ok: bool) -> Exit:
        """What the command ends with."""
        if self.result == "NOT_EXERCISED":
            return Exit.PASSED if inconclusive_ok else Exit.UNDECIDED
        return _CODES[self.result]


_CODES: Final = {"PASS": Exit.PASSED, "WARN": Exit.PASSED, "FAIL": Exit.FAILED}


def report_on(
    cells: Sequence[CellReport],
    entries: Sequence[Entry],
    alive: RuleResult | None,
    how: Judging,
) -> Report:
    """The whole report. Where no cell showed anything, nothing is said to be right."""
    verdict = judge(entries, waived=how.waived, not_applicable=how.not_applicable, says_it_retries=how.says_it_retries)
    found: list[Result] = [cell.result for cell in cells]
    if worst(found) == "NOT_EXERCISED" and verdict.result != "FAIL":
        result: Result = "NOT_EXERCISED"
    else:
        result = worst([*found, verdict.result])
    if alive is not None and alive.result == "FAIL":
        result = "FAIL"
    streaming = "streaming" not in how.not_applicable
    return Report(result, tuple(cells), alive, verdict, cover(entries, streaming=streaming))

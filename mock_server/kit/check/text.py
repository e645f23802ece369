"""The report as a person reads it in a terminal."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Sequence
from itertools import groupby
from typing import Final

from mock_server.judge.finding import Result
from mock_server.judge.text import verdict_text
from mock_server.judge.verdict import RuleResult
from mock_server.judge.words import printable
from mock_server.kit.check.judging import CellReport, happened
from mock_server.kit.check.report import Report

WORDS: Final[dict[Result, str]] = {"NOT_EXERCISED": "–"}
_OUTPUT_LINES: Final = 12


def render(report: Report) -> str:
    """The table of cells, what to do about the bad ones, then the verdict and the coverage."""
    rows = [_row(cell) for cell in report.cells]
    lines = [*_columns([("cell", "what happened", "result", "rule"), *rows]), *_skipped(report.cells)]
    for cell in report.cells:
        if cell.result in ("FAIL", "WARN"):
            lines += _details(cell)
    if report.alive is not None:
        lines += ["", f"alive? {_rule(report.alive)}"]
    shown = "".join(f"{printable(line)}\n" for line in lines)
    return f"{shown}\nVerdict on all runs together\n{verdict_text(report.verdict)}\n{_last(report)}"


def _row(cell: CellReport) -> tuple[str, str, str, str]:
    rules = ", ".join(rule.rule for rule in cell.broken)
    return cell.cell, happened(cell), WORDS.get(cell.result, cell.result), rules


def _skipped(cells: Sequence[CellReport]) -> Iterator[str]:
    """Why cells showed nothing, those of one reason together."""
    idle = sorted((cell for cell in cells if cell.result == "NOT_EXERCISED"), key=lambda cell: cell.why)
    for why, group in groupby(idle, key=lambda cell: cell.why):
        names = ", ".join(cell.cell for cell in group)
        yield ""
        yield f"not exercised, as {why}: {names}"


def _details(cell: CellReport) -> Iterator[str]:
    yield ""
    yield f"{cell.result} {cell.cell} ({cell.strikes_with})"
    for rule in cell.broken:
        yield f"  {_rule(rule)}"
        if rule.advice:
            yield f"  → {rule.advice}"
    if cell.result == "FAIL" and (said := cell.output.strip()):
        yield "  the command said:"
        yield from (f"    | {line}" for line in said.splitlines()[-_OUTPUT_LINES:])


def _rule(rule: RuleResult) -> str:
    return f"{rule.result} {rule.rule}: {rule.said}"


def _last(report: Report) -> str:
    coverage = report.coverage
    return (
        f"Coverage: {coverage.percent:g} % of {coverage.total} cells met ({coverage.met}); --json lists them\n"
        f"{report.result}: {report.exercised} of {len(report.cells)} cells exercised, "
        f"{_count(report, 'FAIL')} failed, {_count(report, 'WARN')} warned\n"
    )


def _count(report: Report, result: Result) -> int:
    return sum(cell.result == result for cell in report.cells)


def _columns(rows: Iterable[Sequence[str]]) -> Iterator[str]:
    table = [[printable(word) for word in row] for row in rows]
    widths = [max(map(len, column)) for column in zip(*table, strict=True)]
    for row in table:
        yield "  ".join(word.ljust(width) for word, width in zip(row, widths, strict=True)).rstrip()

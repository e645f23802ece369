"""Verdict and coverage as plain text, for terminals and logs."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Sequence
from typing import Final

from mock_server.judge.cells import COLUMNS
from mock_server.judge.coverage import Coverage
from mock_server.judge.finding import Evidence
from mock_server.judge.verdict import RuleResult, Verdict
from mock_server.judge.words import counted, moment, printable, test_name

_MARKS: Final = {"NOT_EXERCISED": "–"}
_SHOWN: Final = 3


def verdict_text(verdict: Verdict) -> str:
    """The verdict: the result, every rule, and evidence and advice where something is to be done."""
    exercised = sum(rule.result != "NOT_EXERCISED" for rule in verdict.rules)
    share = f"{exercised} of {len(verdict.rules)} rules exercised"
    head = f"{verdict.result}: {counted(verdict.calls, verdict.tries)}, {share}"
    lines = [head, *filter(None, [verdict.unfit]), *(f"note: {note}" for note in verdict.notes), ""]
    for rule in verdict.rules:
        lines += _rule(rule)
    bad = [test for test in verdict.tests if test.result in ("FAIL", "WARN")]
    if len(verdict.tests) > 1:
        lines += ["", f"{len(verdict.tests):,} tests, {len(bad):,} of them not right" + (":" if bad else "")]
    for test in bad if len(verdict.tests) > 1 else []:
        broken = ", ".join(name for name, result in test.rules.items() if result == test.result)
        lines.append(f"  {test.result:<5} {test_name(test.test)}: {broken}")
    return _joined(lines)


def _rule(rule: RuleResult) -> Iterator[str]:
    excuse = f" [waived: {rule.waived}]" if rule.waived else ""
    excuse += f" [not applicable: no {rule.not_applicable}]" if rule.not_applicable else ""
    yield f"{_MARKS.get(rule.result, rule.result):<5} {rule.rule:<28}{rule.said}{excuse}"
    if rule.result in ("FAIL", "WARN"):
        yield from (f"        {_evidence(each)}" for each in rule.evidence[:_SHOWN])
        if rule.evidence_count > _SHOWN:
            yield f"        and {rule.evidence_count - _SHOWN:,} more"
    if rule.advice and not (rule.waived or rule.not_applicable):
        yield f"      → {rule.advice}"


def _evidence(each: Evidence) -> str:
    where = f", test {each.test}" if each.test else ""
    return f"{moment(each.at_unix_s)} {' '.join(each.request_ids)}{where}: {each.said}"


def coverage_text(coverage: Coverage) -> str:
    """The coverage: the figure, what was met, and what never, with what brings it about."""
    share = f"{coverage.percent:g} % of {coverage.total} cells met ({coverage.met}), by {coverage.requests:,} requests"
    head = (*COLUMNS, "met")
    rows = [(*each.cell.words, f"{each.count:,}" if each.count else "never") for each in coverage.cells]
    said = [*filter(None, [coverage.unfit]), *(f"note: {note}" for note in coverage.notes)]
    lines = [share, *said, "", *_columns([head, *rows])]
    if coverage.missing:
        lines += ["", "never met, and how to:"]
        lines += [f"  {' '.join(word for word in cell.words if word)}: {cell.how}" for cell in coverage.missing]
    return _joined(lines)


def _columns(rows: Sequence[Sequence[str]]) -> Iterator[str]:
    widths = [max(map(len, column)) for column in zip(*rows, strict=True)]
    for row in rows:
        yield "  ".join(word.ljust(width) for word, width in zip(row, widths, strict=True)).rstrip()


def _joined(lines: Iterable[str]) -> str:
    return "".join(f"{printable(line)}\n" for line in lines)

"""The report as a table for people."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Final

from mock_server.contract.provenance import Source
from mock_server.kit.conform.finding import Result, printable
from mock_server.kit.conform.report import ClauseResult, Difference, Report

_SHOWN: Final = {Result.BROKEN: "BROKEN", Result.KEPT: "KEPT", Result.CANNOT_CHECK: "CANNOT CHECK"}
_NAME: Final = max(map(len, _SHOWN.values()))


def render(report: Report) -> str:
    """The table, broken clauses first and with their evidence, then the differences and the sums."""
    width = max(len(clause.clause) for clause in report.clauses)
    lines = [f"{report.target} with the key {report.key}", ""]
    for result in _SHOWN:
        for found in report.clauses:
            if found.result is result:
                lines += _clause(found, width)
    if report.compared_with:
        lines += ["", *_differences(report)]
    lines += ["", *_sums(report)]
    return "".join(f"{printable(line).rstrip()}\n" for line in lines)


def _clause(found: ClauseResult, width: int) -> Iterator[str]:
    said = found.said.replace("\n", " ")
    yield f"{_SHOWN[found.result]:<{_NAME}}  {found.clause:<{width}}  {found.source:<10}  {said}"
    if found.result is Result.BROKEN:
        margin = " " * (_NAME + 2)
        yield f"{margin}the contract: {found.text}"
        if found.source == Source.ASSUMED.value:
            knob = f" (the mock's switch: {found.knob})" if found.knob else ""
            yield f"{margin}assumed: {found.reason}{knob}"
        for one in found.evidence:
            number = f"  {one.request_id}" if one.request_id else ""
            yield f"{margin}{one.probe}: {one.answered}{number}"


def _differences(report: Report) -> Iterator[str]:
    if not report.differences:
        yield f"the same as {report.compared_with}, wherever both could be asked"
        return
    yield f"differs from {report.compared_with}:"
    for one in report.differences:
        yield from _difference(one)


def _difference(one: Difference) -> Iterator[str]:
    yield f"  {one.clause or one.probe}"
    yield f"    mock:    {one.mock}"
    yield f"    gateway: {one.gateway}"
    yield f"    change {one.change}: {one.advice}"


def _sums(report: Report) -> Iterator[str]:
    counts = f"{report.kept} kept, {report.broken} broken, {report.cannot_check} not to be checked"
    yield f"{_SHOWN[report.result]}: {counts}"
    documented = [one for one in report.clauses if one.source == Source.DOCUMENTED.value]
    failed = sum(one.result is Result.BROKEN for one in documented)
    yield f"of the {len(documented)} documented ones {failed} {'is' if failed == 1 else 'are'} broken"
    yield (
        f"{report.requests} requests; {report.paid_calls} of them may be paid: {report.tokens:,} tokens as told, "
        f"{report.tokens_at_worst:,} at worst"
    )

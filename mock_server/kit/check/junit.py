"""The report as JUnit XML: one test case for each cell, and one for the client's being alive in the end.

A CI shows what is skipped as green, so a check that rests on nothing is an error.
"""

from __future__ import annotations

from typing import Final
from xml.etree import ElementTree as Xml

from mock_server.judge.verdict import RuleResult
from mock_server.judge.words import printable
from mock_server.kit.check.judging import CellReport, happened
from mock_server.kit.check.report import Report

_SUITE: Final = "mock-server check-client"


def render(report: Report, *, inconclusive_ok: bool) -> bytes:
    """The document. ``inconclusive_ok``: nothing exercised is skipped rather than an error."""
    whole = _case("check", "verdict")
    said = f"{report.result}: {report.exercised} of {len(report.cells)} cells exercised"
    if report.result == "NOT_EXERCISED":
        Xml.SubElement(whole, "skipped" if inconclusive_ok else "error", message=said)
    else:
        bad = [rule for rule in report.verdict.rules if rule.result == "FAIL" and not rule.waived]
        _judged(whole, "FAIL" if bad else "PASS", said, bad)
    cases = [whole, *map(_cell, report.cells)]
    if report.alive is not None:
        alive = _case("check", report.alive.rule)
        _judged(alive, report.alive.result, report.alive.said, [report.alive])
        cases.append(alive)
    counts = {
        plural: str(sum(case.find(tag) is not None for case in cases))
        for plural, tag in (("failures", "failure"), ("errors", "error"), ("skipped", "skipped"))
    }
    root = Xml.Element("testsuites", name=_SUITE)
    suite = Xml.SubElement(root, "testsuite", counts, name=_SUITE, tests=str(len(cases)))
    suite.extend(cases)
    Xml.indent(root)
    rendered: bytes = Xml.tostring(root, encoding="utf-8", xml_declaration=True)
    return rendered + b"\n"


def _cell(report: CellReport) -> Xml.Element:
    case = _case("cell", report.cell)
    case.set("time", f"{report.took_s:.3f}")
    if report.result == "NOT_EXERCISED":
        Xml.SubElement(case, "skipped", message=printable(report.why))
    else:
        said = f"{report.strikes_with}: {happened(report)}"
        _judged(case, report.result, said, report.broken, report.output)
    return case


def _judged(
    case: Xml.Element, result: str, said: str, rules: list[RuleResult] | tuple[RuleResult, ...], output: str = ""
) -> None:
    lines = [said, *(f"{rule.result} {rule.rule}: {rule.said}. {rule.advice}".strip() for rule in rules)]
    text = "\n".join(printable(line) for line in (*lines, *output.splitlines()))
    if result == "FAIL":
        names = ", ".join(rule.rule for rule in rules if rule.result == "FAIL")
        Xml.SubElement(case, "failure", message=printable(names), type=result).text = text
    else:
        Xml.SubElement(case, "system-out").text = text


def _case(kind: str, name: str) -> Xml.Element:
    return Xml.Element("testcase", classname=f"mock-server.{kind}", name=printable(name))

"""junit.xml: one test case per clause; a broken one is a failure, one that cannot be checked is skipped."""

from __future__ import annotations

from typing import Final
from xml.etree import ElementTree as Xml

from mock_server.kit.conform.finding import Result, printable
from mock_server.kit.conform.report import ClauseResult, Report

_SUITE: Final = "mock-server conform"


def render(report: Report) -> bytes:
    """The report as JUnit XML."""
    suite = Xml.Element(
        "testsuite",
        name=_SUITE,
        tests=str(len(report.clauses)),
        failures=str(report.broken),
        errors="0",
        skipped=str(report.cannot_check),
    )
    properties = Xml.SubElement(suite, "properties")
    for name, value in {"target": report.target, "key": report.key, "result": str(report.result)}.items():
        Xml.SubElement(properties, "property", name=name, value=printable(value))
    suite.extend(map(_case, report.clauses))
    root = Xml.Element("testsuites", name=_SUITE)
    root.append(suite)
    Xml.indent(root)
    rendered: bytes = Xml.tostring(root, encoding="utf-8", xml_declaration=True)
    return rendered + b"\n"


def _case(found: ClauseResult) -> Xml.Element:
    case = Xml.Element("testcase", classname=f"conform.{found.source}", name=found.clause)
    said = printable(found.said)
    if found.result is Result.KEPT:
        Xml.SubElement(case, "system-out").text = said
    elif found.result is Result.CANNOT_CHECK:
        Xml.SubElement(case, "skipped", message=said)
    else:
        failure = Xml.SubElement(case, "failure", message=said, type=str(found.result))
        shown = [f"{one.asks}: {one.answered} {one.request_id}".rstrip() for one in found.evidence]
        failure.text = printable("\n".join([found.text, *shown]))
    return case

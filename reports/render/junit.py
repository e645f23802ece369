"""junit.xml: one test case per validity check and per gate, as CI systems show them."""

from __future__ import annotations

import re
from typing import Final
from xml.etree import ElementTree as Xml

from reports.values import Check, GateResult, Result, Summary

# What XML 1.0 cannot carry even escaped.
_ILLEGAL: Final = re.compile("[^\t\n\r\x20-\ud7ff\ue000-\ufffd\U00010000-\U0010ffff]")
_SKIPPED: Final = {Result.INCONCLUSIVE, Result.NOT_APPLICABLE, Result.NOT_JUDGED, Result.UNKNOWN}


def render(summary: Summary) -> str:
    """Return JUnit XML: a broken check is an error, a broken gate a failure, an undecided one is skipped."""
    cases = [_check(check) for check in summary.checks] + [_gate(gate) for gate in summary.gates]
    begin, end = summary.window_s
    suite = Xml.Element(
        "testsuite",
        name=_text(f"perf-report {summary.manifest.scenario}"),
        tests=str(len(cases)),
        failures=str(sum(case.find("failure") is not None for case in cases)),
        errors=str(sum(case.find("error") is not None for case in cases)),
        skipped=str(sum(case.find("skipped") is not None for case in cases)),
        timestamp=_text(summary.manifest.started_at),
        time=f"{end - begin:.3f}",
    )
    properties = Xml.SubElement(suite, "properties")
    facts = {"verdict": summary.verdict.verdict, "why": summary.verdict.why, "run": summary.manifest.run_id}
    for name, value in (facts | summary.manifest.labels).items():
        Xml.SubElement(properties, "property", name=_text(name), value=_text(value))
    suite.extend(cases)
    root = Xml.Element("testsuites", name="perf-report")
    root.append(suite)
    Xml.indent(root)
    return Xml.tostring(root, encoding="unicode", xml_declaration=False) + "\n"


def _check(check: Check) -> Xml.Element:
    case = Xml.Element("testcase", classname="perf-report.validity", name=check.name)
    _say(case, check.result, f"{check.said} (rule: {check.rule})")
    return case


def _gate(gate: GateResult) -> Xml.Element:
    limit = f"max {gate.gate.max:g}" if gate.gate.max is not None else f"min {gate.gate.limit:g}"
    name = _text(f"{gate.gate.metric} {limit}")
    case = Xml.Element("testcase", classname="perf-report.gate", name=name)
    _say(case, gate.result, f"{gate.said}. {gate.gate.why}".strip())
    return case


def _say(case: Xml.Element, result: Result, said: str) -> None:
    if result is Result.PASS:
        Xml.SubElement(case, "system-out").text = _text(said)
    elif result in _SKIPPED:
        Xml.SubElement(case, "skipped", message=_text(f"{result}: {said}"))
    else:
        tag = "error" if result is Result.INVALID else "failure"
        Xml.SubElement(case, tag, message=_text(said), type=result)


def _text(value: str) -> str:
    return _ILLEGAL.sub("\ufffd", value)

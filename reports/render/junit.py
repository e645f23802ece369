"""junit.xml: one test case for the verdict and one per validity check and gate, as CI systems show them.

Whatever a run names stands in values, or in names behind a prefix, so that no label can pass for the verdict.
"""

from __future__ import annotations

from typing import Final
from xml.etree import ElementTree as Xml

from reports.values import Check, GateResult, Result, Summary, Verdict

_SKIPPED: Final = {Result.INCONCLUSIVE, Result.NOT_APPLICABLE, Result.NOT_JUDGED, Result.UNKNOWN}


def render(summary: Summary) -> str:
    """Return JUnit XML: a broken check is an error, a broken gate a failure, an undecided one is skipped.

    Characters that XML cannot carry are left to `reports.format.printable`.
    """
    cases = [_verdict(summary), *map(_check, summary.checks), *map(_gate, summary.gates)]
    begin, end = summary.window_s
    suite = Xml.Element(
        "testsuite",
        name=f"perf-report {summary.manifest.scenario}",
        tests=str(len(cases)),
        failures=str(sum(case.find("failure") is not None for case in cases)),
        errors=str(sum(case.find("error") is not None for case in cases)),
        skipped=str(sum(case.find("skipped") is not None for case in cases)),
        timestamp=summary.manifest.started_at,
        time=f"{end - begin:.3f}",
    )
    properties = Xml.SubElement(suite, "properties")
    labels = {f"label.{name}": value for name, value in summary.manifest.labels.items()}
    facts = {"verdict": summary.verdict.verdict, "why": summary.verdict.why, "run": summary.manifest.run_id}
    for name, value in (labels | facts).items():
        Xml.SubElement(properties, "property", name=name, value=value)
    suite.extend(cases)
    root = Xml.Element("testsuites", name="perf-report")
    root.append(suite)
    Xml.indent(root)
    return Xml.tostring(root, encoding="unicode", xml_declaration=False) + "\n"


def _verdict(summary: Summary) -> Xml.Element:
    case = Xml.Element("testcase", classname="perf-report", name="verdict")
    _say(case, summary.verdict.verdict, summary.verdict.why)
    return case


def _check(check: Check) -> Xml.Element:
    case = Xml.Element("testcase", classname="perf-report.validity", name=check.name)
    _say(case, check.result, f"{check.said} (rule: {check.rule})")
    return case


def _gate(gate: GateResult) -> Xml.Element:
    limit = f"max {gate.gate.max:g}" if gate.gate.max is not None else f"min {gate.gate.limit:g}"
    case = Xml.Element("testcase", classname="perf-report.gate", name=f"{gate.gate.metric} {limit}")
    _say(case, gate.result, f"{gate.said}. {gate.gate.why}".strip())
    return case


def _say(case: Xml.Element, result: Result | Verdict, said: str) -> None:
    if result == Result.PASS:
        Xml.SubElement(case, "system-out").text = said
    elif result in _SKIPPED:
        Xml.SubElement(case, "skipped", message=f"{result}: {said}")
    else:
        tag = "error" if result == Result.INVALID else "failure"
        Xml.SubElement(case, tag, message=said, type=result)

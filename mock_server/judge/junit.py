"""The verdict as JUnit XML: one test case for the whole, one for each rule, and one for each test id.

A CI shows what is skipped as green, so a verdict that rests on nothing is an error.
"""

from __future__ import annotations

from collections.abc import Sequence
from xml.etree import ElementTree as Xml

from mock_server.judge.finding import Result
from mock_server.judge.verdict import RuleResult, TestVerdict, Verdict
from mock_server.judge.words import counted, moment, printable, test_name


def verdict_junit(verdict: Verdict, *, inconclusive_ok: bool = False) -> str:
    """The verdict as a document. ``inconclusive_ok``: nothing exercised is skipped rather than an error."""
    root = Xml.Element("testsuites", name="mock-server verdict")
    whole = _case("verdict", "verdict")
    _say(
        whole,
        verdict.result,
        "; ".join(filter(None, (counted(verdict.calls, verdict.tries), verdict.unfit, *verdict.notes))),
    )
    if verdict.result == "NOT_EXERCISED" and not inconclusive_ok:
        whole[0].tag = "error"
    root.append(_suite("mock-server verdict", [whole, *map(_rule, verdict.rules)]))
    if verdict.tests:
        root.append(_suite("mock-server verdict by test", [_test(test) for test in verdict.tests]))
    Xml.indent(root)
    return Xml.tostring(root, encoding="unicode") + "\n"


def _suite(name: str, cases: Sequence[Xml.Element]) -> Xml.Element:
    counts: dict[str, str] = {
        plural: str(sum(case.find(tag) is not None for case in cases))
        for plural, tag in (("failures", "failure"), ("errors", "error"), ("skipped", "skipped"))
    }
    suite = Xml.Element("testsuite", counts, name=name, tests=str(len(cases)))
    suite.extend(cases)
    return suite


def _case(kind: str, name: str) -> Xml.Element:
    return Xml.Element("testcase", classname=f"mock-server.{kind}", name=printable(name))


def _rule(rule: RuleResult) -> Xml.Element:
    case = _case("rule", rule.rule)
    seen = [f"{moment(each.at_unix_s)} {' '.join(each.request_ids)} {each.test}: {each.said}" for each in rule.evidence]
    said = f"{rule.said}. {rule.advice}".strip()
    if rule.waived:
        Xml.SubElement(case, "skipped", message=printable(f"waived: {rule.waived} ({rule.result}: {rule.said})"))
    else:
        _say(case, rule.result, said, "\n".join(map(printable, seen)))
    return case


def _test(test: TestVerdict) -> Xml.Element:
    case = _case("test", test_name(test.test))
    rules = ", ".join(f"{name} {result}" for name, result in test.rules.items())
    _say(case, test.result, f"{counted(test.calls, test.tries)}: {rules or 'no rule exercised'}")
    return case


def _say(case: Xml.Element, result: Result, said: str, details: str = "") -> None:
    said = printable(said)
    if result == "FAIL":
        Xml.SubElement(case, "failure", message=said, type=result).text = details
    elif result == "NOT_EXERCISED":
        Xml.SubElement(case, "skipped", message=f"{result}: {said}")
    else:
        Xml.SubElement(case, "system-out").text = "\n".join(filter(None, (f"{result}: {said}", details)))

"""The verdict on a client: every rule judged on the journal's entries, for each test id and for all together."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Collection, Mapping, Sequence
from difflib import get_close_matches
from typing import Final

from msgspec import Struct
from msgspec.structs import replace

from mock_server.edge.journal import Entry
from mock_server.judge.calls import link
from mock_server.judge.capabilities import CAPABILITIES
from mock_server.judge.finding import MOST_EVIDENCE, WORST_FIRST, Evidence, Finding, Result, Seen, see, times, worst
from mock_server.judge.fitness import unfit, was_asked
from mock_server.judge.rules import BY_NAME, RULES, Rule
from mock_server.judge.tries import Call

MOST_TESTS: Final = 1_000


class RuleResult(Struct, frozen=True):
    """One rule's result. ``said`` sums up what was seen; ``evidence`` holds the first of ``evidence_count``.

    ``advice`` says what to change, or where nothing was exercised, how to. ``waived`` is the reason for which a rule
    does not count; ``not_applicable`` the capability that the client does without.
    """

    rule: str
    result: Result
    said: str
    advice: str
    evidence: tuple[Evidence, ...] = ()
    evidence_count: int = 0
    waived: str = ""
    not_applicable: str = ""


class TestVerdict(Struct, frozen=True):
    """The verdict on one test id: its worst result, and the rules that were exercised, by result."""

    __test__ = False  # not for pytest

    test: str
    result: Result
    calls: int
    tries: int
    rules: Mapping[str, Result]


class Verdict(Struct, frozen=True):
    """What the journal says of the client: the worst result of all rules that count, and every rule's.

    ``notes`` say what the verdict does not rest on; ``unfit`` why nothing that was seen can make it PASS.
    """

    result: Result
    rules: tuple[RuleResult, ...]
    calls: int
    tries: int
    tests: tuple[TestVerdict, ...] = ()
    notes: tuple[str, ...] = ()
    unfit: str = ""


def judge(
    entries: Sequence[Entry],
    *,
    waived: Mapping[str, str] | None = None,
    not_applicable: Collection[str] = (),
    says_it_retries: bool = False,
    time_scale: float = 1.0,
) -> Verdict:
    """Judge a client by the requests it sent, in any order.

    ``waived`` gives a reason for each rule that is not to count, ``not_applicable`` the capabilities that the client
    does without. ``says_it_retries``: it promises to try again; else only its retry counts say so. ``time_scale`` is
    wall seconds per second of the mock's clocks. Raises ValueError for a rule or capability that there is not, and a
    waiver without a reason.
    """
    asked = [entry for entry in entries if was_asked(entry)]
    calls = link(asked, time_scale)
    by_test: dict[str, list[Call]] = defaultdict(list)
    for call in calls:
        by_test[call.test].append(call)
    judged = {test: _findings(see(own, says_it_retries)) for test, own in by_test.items()}
    together = _findings(see(calls, says_it_retries))
    whole = together if len(judged) < 2 else {name: _worse(name, together, judged.values()) for name in BY_NAME}
    tests = [_of_test(test, by_test[test], found) for test, found in judged.items()]
    rules = tuple(_result(rule, whole[rule.name]) for rule in RULES)
    shown, notes = tuple(tests[:MOST_TESTS]), _notes(entries, len(tests))
    verdict = Verdict("NOT_EXERCISED", rules, len(calls), len(asked), shown, notes, unfit(entries))
    return excused(verdict, waived or {}, not_applicable)


def excused(verdict: Verdict, waived: Mapping[str, str], not_applicable: Collection[str] = ()) -> Verdict:
    """The verdict with rules waived and capabilities declared absent.

    A declaration hides no fact: a rule about an absent capability that was exercised all the same counts. Raises
    ValueError as :func:`judge` does.
    """
    for name, reason in waived.items():
        if (mistake := wrong_waiver(name, reason)) is not None:
            raise ValueError(mistake)
    for capability in not_applicable:
        if capability not in CAPABILITIES:
            raise ValueError(f"no capability is named {capability!r}; there are {', '.join(CAPABILITIES)}")
    rules = tuple(_excuse(result, waived, not_applicable) for result in verdict.rules)
    tests = tuple(
        replace(test, result=worst(result for name, result in test.rules.items() if name not in waived))
        for test in verdict.tests
    )
    result = worst(rule.result for rule in rules if not rule.waived)
    if result == "PASS" and verdict.unfit:
        result = "NOT_EXERCISED"
    return replace(verdict, result=result, rules=rules, tests=tests)


def wrong_waiver(rule: str, reason: str) -> str | None:
    """What is wrong with a waiver; None where nothing is."""
    if rule not in BY_NAME:
        near = get_close_matches(rule, BY_NAME, n=1)
        hint = f"did you mean {near[0]!r}? " if near else ""
        return f"no rule is named {rule[:60]!r}: {hint}rules are {', '.join(BY_NAME)}"
    return None if reason.strip() else f"to waive {rule} takes a reason"


def _excuse(result: RuleResult, waived: Mapping[str, str], not_applicable: Collection[str]) -> RuleResult:
    rule = BY_NAME.get(result.rule)
    absent = rule is not None and rule.needs in not_applicable and result.result == "NOT_EXERCISED"
    capability = str(rule.needs) if rule is not None and absent else ""
    return replace(result, waived=waived.get(result.rule, "").strip(), not_applicable=capability)


def _findings(seen: Seen) -> dict[str, Finding]:
    return {rule.name: _at_most(rule, rule.check(seen)) for rule in RULES}


def _at_most(rule: Rule, finding: Finding) -> Finding:
    return replace(finding, result="WARN") if rule.warns and finding.result == "FAIL" else finding


def _worse(name: str, together: Mapping[str, Finding], single: Collection[Mapping[str, Finding]]) -> Finding:
    """What all tests together show, unless one of them alone shows worse."""
    found = [together[name], *(findings[name] for findings in single)]
    return min(found, key=lambda finding: WORST_FIRST.index(finding.result))


def _result(rule: Rule, finding: Finding) -> RuleResult:
    advice = {"PASS": "", "NOT_EXERCISED": rule.exercise}.get(finding.result, rule.advice)
    shown = finding.evidence[:MOST_EVIDENCE]
    return RuleResult(rule.name, finding.result, finding.said, advice, shown, len(finding.evidence))


def _of_test(test: str, calls: Sequence[Call], found: Mapping[str, Finding]) -> TestVerdict:
    rules = {name: finding.result for name, finding in found.items() if finding.result != "NOT_EXERCISED"}
    return TestVerdict(test, worst(rules.values()), len(calls), sum(len(call.tries) for call in calls), rules)


def _notes(entries: Sequence[Entry], tests: int) -> tuple[str, ...]:
    notes = []
    astray = [entry for entry in entries if not was_asked(entry)]
    if astray:
        first = f"{astray[0].method} {astray[0].path}".strip()
        notes.append(f"{times(len(astray), 'request')} not for the API, as {first}: not judged")
    forgotten = sorted({entry.test for entry in entries if entry.forgotten})
    if forgotten:
        named = ", ".join(forgotten[:5])
        notes.append(f"the mock had forgotten earlier requests of {times(len(forgotten), 'test')}, as of {named}")
    if tests > MOST_TESTS:
        notes.append(f"only the first {MOST_TESTS:,} of {tests:,} tests are listed")
    return tuple(notes)

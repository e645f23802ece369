"""Verdict and coverage as text, JUnit and HTML."""

from __future__ import annotations

from html.parser import HTMLParser
from xml.etree import ElementTree as Xml

import pytest

from mock_server.judge.coverage import cover
from mock_server.judge.junit import verdict_junit
from mock_server.judge.page import coverage_page
from mock_server.judge.rules import RULES
from mock_server.judge.text import coverage_text, verdict_text
from mock_server.judge.verdict import Verdict, judge
from tests.mock_server.judge.cases import AT_ONCE, NEVER, at, played
from tests.mock_server.judge.simulator import OK, refused

HOSTILE = 'a<b>&"\x1b[31m\x00'


@pytest.fixture
def verdict() -> Verdict:
    bad = played(AT_ONCE, [refused(429, 2), OK], test="cut")
    return judge(
        [*bad, *played(NEVER, [OK], test="fine")], waived={"no_backoff": "later"}, not_applicable=["streaming"]
    )


def junit(verdict: Verdict) -> dict[str, Xml.Element]:
    root = Xml.fromstring(verdict_junit(verdict))  # noqa: S314 - our own
    for suite in root:
        cases = suite.findall("testcase")
        counts = [len(suite.findall(f"testcase/{tag}")) for tag in ("failure", "error", "skipped")]
        assert [int(suite.get(name, "")) for name in ("tests", "failures", "errors", "skipped")] == [
            len(cases),
            *counts,
        ]
    return {f"{case.get('classname')} {case.get('name')}": case for case in root.iter("testcase")}


def test_the_text_says_what_is_wrong_where_and_what_to_do(verdict: Verdict) -> None:
    lines = verdict_text(verdict).splitlines()
    assert lines[0] == "FAIL: 2 calls, 3 requests, 6 of 18 rules exercised"
    at_fault = next(n for n, line in enumerate(lines) if line.startswith("FAIL  retry_after_ignored"))
    assert lines[at_fault + 1] == (
        "        2026-09-21T14:13:20.004Z req_0000000 req_0000001, test cut:"
        " 429 RATE_LIMIT_EXCEEDED with Retry-After: 2, and back after 0.00 s"
    )
    assert lines[at_fault + 2].startswith("      → wait at least as long as Retry-After says")
    assert any("no_backoff" in line and line.endswith("[waived: later]") for line in lines)
    streaming = [rule for rule in RULES if rule.needs == "streaming"]
    assert sum(line.endswith("[not applicable: no streaming]") for line in lines) == len(streaming)
    assert lines[-2:] == ["2 tests, 1 of them not right:", "  FAIL  cut: retry_after_ignored"]


def test_the_text_shows_a_few_pieces_of_evidence_and_counts_the_rest() -> None:
    lines = verdict_text(judge(played(AT_ONCE, *[[refused(429, 2), OK]] * 5))).splitlines()
    assert "        and 2 more" in lines


def test_junit_has_a_case_for_the_verdict_each_rule_and_each_test(verdict: Verdict) -> None:
    cases = junit(verdict)
    assert len(cases) == 1 + len(RULES) + 2
    assert cases["mock-server.verdict verdict"].find("failure") is not None
    broken = cases["mock-server.rule retry_after_ignored"].find("failure")
    assert broken is not None
    assert "req_0000000 req_0000001" in (broken.text or "")
    waived = cases["mock-server.rule no_backoff"].find("skipped")
    assert waived is not None
    assert waived.get("message", "").startswith("waived: later")
    assert cases["mock-server.test cut"].find("failure") is not None
    assert cases["mock-server.test fine"].find("system-out") is not None


def test_a_verdict_on_nothing_is_no_green_test() -> None:
    nothing = judge([])
    assert junit(nothing)["mock-server.verdict verdict"].find("error") is not None
    asked_for = Xml.fromstring(verdict_junit(nothing, inconclusive_ok=True))  # noqa: S314 - our own
    assert asked_for.find("testsuite/testcase/error") is None


def test_no_test_id_and_no_reason_can_break_a_rendering() -> None:
    # Test ids are visible ASCII; what else is shown may hold anything.
    verdict = judge(at({"test": "<&'\">", "content_type": HOSTILE}), waived={"no_jitter": HOSTILE})
    assert "\x1b" not in verdict_text(verdict)
    cases = junit(verdict)
    assert "mock-server.test <&'\">" in cases
    assert "Content-Type: a<b>" in "".join(cases["mock-server.rule wrong_content_type"].itertext())


class Rows(HTMLParser):
    """The cells of a page's tables, and what it would load. Mutable."""

    def __init__(self, page: str) -> None:
        super().__init__()
        self.rows: list[list[str]] = []
        self.loads: list[str] = []
        self.feed(page)

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        self.loads += [value or "" for name, value in attrs if name in ("src", "href")]
        self.loads += [tag] if tag in ("script", "link", "iframe") else []
        if tag == "tr":
            self.rows.append([])
        if tag in ("td", "th"):
            self.rows[-1].append("")

    def handle_data(self, data: str) -> None:
        if self.rows and self.rows[-1]:
            self.rows[-1][-1] += data.strip()


def test_the_page_shows_every_cell_what_is_missing_first_and_loads_nothing() -> None:
    coverage = cover(played(NEVER, [OK], [refused(402)]))
    page = Rows(coverage_page(coverage))
    head, *rows = page.rows
    assert (head[0], head[-2], page.loads) == ("status", "met", [])
    assert len(rows) == coverage.total
    assert [row[-2] == "never" for row in rows] == [True] * (coverage.total - 2) + [False] * 2
    assert rows[-1][-1] == "req_0000000"


def test_the_table_says_how_to_meet_what_is_missing() -> None:
    coverage = cover(played(NEVER, [OK]))
    text = coverage_text(coverage)
    assert text.startswith(f"{coverage.percent:g} % of {coverage.total} cells met (1), by 1 requests\n")
    assert "  402 INSUFFICIENT_BALANCE before_headers complete first: Prefer: code=402\n" in text
    assert "  200 stream mid_stream eof first: X-Mock-Fault: eof;stage=mid_stream;after=1\n" in text

"""The files: whole, escaped, and the same for the same run."""

import json
import math
import re
from collections.abc import Callable, Iterator
from itertools import pairwise
from pathlib import Path
from typing import Any
from xml.etree import ElementTree

import pandas as pd
import pytest
from hypothesis import given
from hypothesis import strategies as st

from reports.__main__ import main
from reports.render.axes import merged
from reports.sample import JUNIT_XML, REPORT_HTML, SUMMARY_JSON, SUMMARY_MD, Outcome

Make = Callable[..., Any]
EVIL = "<script>alert(1)</script>&\"'|`\x07]]>"
FILES = (SUMMARY_JSON, SUMMARY_MD, REPORT_HTML, JUNIT_XML)


def evil_run(make_run: Make) -> Path:
    """A run in which whatever a user can name is an attack on the page."""
    builder = make_run().gates({"metric": "error_rate", "max": 0.0, "why": EVIL})
    builder.manifest |= {"scenario": EVIL, "run_id": EVIL, "description": EVIL, "world": EVIL, "target": EVIL}
    builder.manifest |= {"labels": {EVIL: EVIL}, "argv": [EVIL], "machine": {EVIL: EVIL}, "versions": {EVIL: EVIL}}
    builder.manifest["incidents"] = [{"kind": EVIL, "what": EVIL, "start_s": 10, "end_s": 12}]
    builder.set(slice(None), scenario=EVIL)
    builder.fail(300, "refused", status=502, code=EVIL)
    builder.set(slice(400, 600), provider=EVIL, model=EVIL, kind=EVIL, worker=EVIL, request_id=EVIL)
    builder.manifest["workers"].append({"worker": EVIL, "pid": 13})
    more = builder.health[builder.health["worker"] == "w0"].assign(worker=EVIL)
    builder.health = pd.concat([builder.health, more], ignore_index=True)
    run: Path = builder.write()
    return run


def junit(run: Path) -> ElementTree.Element:
    return ElementTree.parse(run / JUNIT_XML).getroot()[0]  # noqa: S314 - our own file


def test_nothing_from_a_run_becomes_markup(make_run: Make) -> None:
    run = evil_run(make_run)
    assert main(["build", str(run)]) in (1, 4)
    page = (run / REPORT_HTML).read_text()
    assert "<script" not in page
    assert "&lt;script&gt;alert(1)" in page
    assert "<script" not in (run / SUMMARY_MD).read_text()
    suite = junit(run)
    said = {p.get("name"): p.get("value") for p in suite.iter("property")}
    shown = EVIL.replace("\x07", "\ufffd")
    assert said[f"label.{shown}"] == shown
    assert json.loads((run / SUMMARY_JSON).read_text())["manifest"]["scenario"] == EVIL


@pytest.fixture(scope="module")
def built(make_shared_run: Make) -> Path:
    """A healthy run with its four files."""
    run: Path = make_shared_run().write()
    assert main(["build", str(run)]) == 0
    return run


def test_the_page_needs_nothing_from_elsewhere_and_runs_nothing(built: Path) -> None:
    page = (built / REPORT_HTML).read_text()
    assert "<script" not in page
    assert not re.search(r"@import|<iframe|<img|<object", page)
    assert set(re.findall(r'(?:src|href)="([^"#]*)', page)) <= {"", "data:,"}
    assert page.count("<svg") == 6
    ids = re.findall(r'\bid="([^"]+)"', page)
    assert len(ids) == len(set(ids))
    for target in re.findall(r'(?:href="|url\()#([^")]+)', page):
        assert target in ids
    assert not re.search("#0101[01]", page)


def test_the_same_run_gives_the_same_files(built: Path) -> None:
    first = {name: (built / name).read_bytes() for name in FILES}
    assert main(["build", str(built)]) == 0
    assert first == {name: (built / name).read_bytes() for name in FILES}


def test_junit_has_a_case_per_check_and_gate(make_run: Make) -> None:
    run = (
        make_run()
        .gates(
            {"metric": "scheduled_p95_ms", "max": 1},
            {"metric": "scheduled_p95_ms", "max": 1480},
            {"metric": "error_rate", "max": 0.1},
        )
        .write()
    )
    assert main(["build", str(run)]) == 1
    suite = junit(run)
    counts = [suite.get(name) for name in ("tests", "failures", "errors", "skipped")]
    assert counts == ["20", "2", "0", "1"]
    gates = [case for case in suite.iter("testcase") if case.get("classname") == "perf-report.gate"]
    assert [case[0].tag for case in gates] == ["failure", "skipped", "system-out"]


POSING = {
    "verdict": "PASS",
    "why": "all is well",
    "run": "another",
    "label.verdict": "PASS",
    'x"/><property name="verdict" value="PASS': "PASS",
    "</properties><testcase classname='perf-report' name='verdict'/>": "PASS",
    "\u202everdict\r\n\x00\ufffe": "\u2066PASS",
}


def test_no_label_passes_for_the_verdict(make_run: Make) -> None:
    builder = make_run().gates({"metric": "error_rate", "max": 0.1, "why": "</failure>"}).fail(700, "lost")
    builder.manifest["labels"] = POSING
    builder.manifest["scenario"] = "a' name='perf-report"
    run = builder.write()
    assert main(["build", str(run)]) == 3
    suite = junit(run)
    names = [case.get("name") for case in suite.iter("property")]
    assert [names.count(name) for name in ("verdict", "why", "run")] == [1, 1, 1]
    assert len(names) == 3 + len(POSING)
    assert {p.get("name"): p.get("value") for p in suite.iter("property")}["verdict"] == "INVALID"
    verdicts = [case for case in suite.iter("testcase") if case.get("name") == "verdict"]
    assert [(case.get("classname"), case[0].tag) for case in verdicts] == [("perf-report", "error")]


def test_a_thousand_incidents_are_drawn_at_once_and_counted_where_they_are_not_named(make_run: Make) -> None:
    builder = make_run()
    spans = [{"kind": "outage", "what": f"m{at}", "start_s": at / 20, "end_s": at / 20 + 0.01} for at in range(1000)]
    builder.manifest["incidents"] = spans
    run = builder.write()
    assert main(["build", str(run)]) == 0
    page = (run / REPORT_HTML).read_text()
    assert "outage m19 0.95–0.96 s; and 980 more" in page
    assert page.count("<pattern") < 10


@given(st.lists(st.tuples(st.integers(0, 50), st.integers(0, 9)), max_size=12))
def test_merged_stretches_hold_the_same_moments_and_do_not_touch(spans: list[tuple[int, int]]) -> None:
    given_spans = [(float(begin), float(begin + length)) for begin, length in spans]
    found = merged(given_spans)
    assert all(before[1] < after[0] for before, after in pairwise(found))
    for moment in range(60):
        assert any(b <= moment <= e for b, e in found) == any(b <= moment <= e for b, e in given_spans)


def test_an_invalid_run_is_an_error_in_junit(make_run: Make) -> None:
    run = make_run().fail(700, "lost").write()
    assert main(["build", str(run)]) == 3
    suite = junit(run)
    assert [case.get("name") for case in suite.iter("testcase") if case.find("error") is not None] == [
        "verdict",
        "lost requests",
    ]
    assert suite.get("skipped") == "3"


def numbers(value: object) -> Iterator[float]:
    if isinstance(value, dict):
        for part in value.values():
            yield from numbers(part)
    elif isinstance(value, list):
        for part in value:
            yield from numbers(part)
    elif isinstance(value, float):
        yield value


def refuse(word: str) -> float:
    raise AssertionError(f"{word} is not JSON")


def test_summary_json_is_strict_json_with_its_version(make_run: Make) -> None:
    builder = make_run(150)
    builder.fail(slice(100, None), "timeout")
    run = builder.write()
    main(["build", str(run)])
    found = json.loads((run / SUMMARY_JSON).read_text(), parse_constant=refuse)
    assert found["schema_version"] == 1
    assert found["metrics"]["tpot_p50_ms"]["value"] is None
    assert all(math.isfinite(value) for value in numbers(found))


def test_markdown_tables_have_as_many_cells_in_every_row(make_run: Make) -> None:
    run = evil_run(make_run)
    main(["build", str(run)])
    blocks = re.findall(r"(?:^\|.*\n)+", (run / SUMMARY_MD).read_text(), flags=re.MULTILINE)
    assert len(blocks) >= 7
    for block in blocks:
        assert len({len(re.findall(r"(?<!\\)\|", line)) for line in block.splitlines()}) == 1


SPARSE: dict[str, Callable[[Any], object]] = {
    "nothing ok": lambda b: b.fail(slice(None), "connection", code="ConnectError"),
    "everything hangs": lambda b: b.fail(slice(None), "cut_off"),
    "nothing sent": lambda b: b.fail(slice(None), "never_sent"),
    "no streams": lambda b: b.set(slice(None), stream=False),
    "one ok": lambda b: b.fail(slice(0, 58), "timeout"),
    "stopped in its warm-up": lambda b: b.fail(slice(None), "never_sent").manifest.update(
        warmup_s=50.0, ended_s=2.0, interrupted=True
    ),
    "all at once": lambda b: b.set(
        slice(None), planned_s=6.0, sent_s=6.0, first_byte_s=6.0, end_s=6.0, phase="measure"
    ),
}


@pytest.mark.parametrize("name", SPARSE)
def test_a_run_with_little_in_it_still_gets_its_report(make_run: Make, name: str) -> None:
    builder = make_run(60, warmup_s=0.0)
    SPARSE[name](builder)
    run = builder.write()
    assert main(["build", str(run)]) in (0, 1, 3, 4)
    assert "</html>" in (run / REPORT_HTML).read_text()


def test_plots_without_data_say_so(make_run: Make) -> None:
    run = make_run(60, warmup_s=0.0).fail(slice(None), "connection", code="ConnectError").write()
    main(["build", str(run)])
    page = (run / REPORT_HTML).read_text()
    assert page.count("There was no data to draw.") == 3
    assert page.count("<svg") == 3


PROVOKED = slice(203, 900, 10)


def failing(make_run: Make) -> Any:
    """A run that fails by its errors: 60 unexpected ones of two sorts, and 70 provoked on purpose."""
    builder = make_run().gates({"metric": "unexpected_rate", "max": 0.01})
    builder.fail(slice(200, 1000, 20), "refused", status=502, code="ALL_PROVIDERS_FAILED")
    builder.fail(slice(201, 1000, 40), "timeout", code="Read\x1b[31mTimeout").fail(262, "malformed", status=200)
    builder.fail(PROVOKED, "refused", status=401, code="INVALID_API_KEY")
    return builder.set(PROVOKED, expected="INVALID_API_KEY")


def test_a_failed_run_names_its_three_most_frequent_errors(make_run: Make, capsys: pytest.CaptureFixture[str]) -> None:
    run = failing(make_run).write()
    assert main(["build", str(run)]) == 1
    said = capsys.readouterr().out
    wanted = ["refused 502 ALL_PROVIDERS_FAILED: 40", "timeout Read\ufffd[31mTimeout: 20", "malformed 200: 1"]
    assert re.findall(r"^  error      (.*)$", said, flags=re.MULTILINE) == wanted
    page = (run / SUMMARY_MD).read_text()
    assert "Most frequent errors:\n\n- refused 502 ALL\\_PROVIDERS\\_FAILED: 40\n" in page


def test_a_provoked_error_is_said_to_be_one(make_run: Make, capsys: pytest.CaptureFixture[str]) -> None:
    builder = failing(make_run).gates({"metric": "error_rate", "max": 0.01})
    builder.set(builder.samples["expected"].isna(), outcome="ok", status=200)
    assert main(["build", str(builder.write())]) == 1
    assert "  error      refused 401 INVALID_API_KEY: 70, 70 of them provoked\n" in capsys.readouterr().out


def test_a_run_that_passed_names_no_errors(make_run: Make, capsys: pytest.CaptureFixture[str]) -> None:
    run = make_run().fail(300, "timeout").write()
    assert main(["build", str(run)]) == 0
    assert "  error  " not in capsys.readouterr().out
    assert "Most frequent" not in (run / SUMMARY_MD).read_text()


@pytest.mark.parametrize("provoked", [True, False])
def test_unexpected_outcomes_come_before_the_error_rate_where_errors_are_provoked(
    make_run: Make, provoked: bool
) -> None:
    builder = failing(make_run)
    if not provoked:
        builder.set(slice(None), expected=None)
    run = builder.write()
    main(["build", str(run)])
    keys = re.findall("<dt>(.*?)</dt>", (run / REPORT_HTML).read_text())
    assert (keys.index("Unexpected outcomes") < keys.index("Error rate")) == provoked


def test_only_what_is_fine_is_folded_away(make_run: Make) -> None:
    run = make_run().fail(700, "lost").write()
    assert main(["build", str(run)]) == 3
    page = (run / REPORT_HTML).read_text()
    folded = re.findall(r"<details>.*?</details>", page, flags=re.DOTALL)
    assert [re.findall("<summary>(.*?)</summary>", part)[0] for part in folded] == [
        "15 of 16 checks are in order",
        "7 of 9 outcomes did not occur",
    ]
    assert "lost requests" not in folded[0]
    assert "generator CPU" in folded[0]
    assert re.findall(r'<td class="word"[^>]*>(\w+)<small>', folded[1]) == [
        outcome for outcome in Outcome if outcome not in (Outcome.OK, Outcome.LOST)
    ]
    assert (run / SUMMARY_MD).read_text().count("generator CPU") == 1


@pytest.mark.parametrize("failures", [0, 1])
def test_the_legend_names_failures_only_where_there_are_some(make_run: Make, failures: int) -> None:
    builder = make_run()
    if failures:
        builder.fail(300, "timeout")
    run = builder.write()
    main(["build", str(run)])
    assert (">failed</text>" in (run / REPORT_HTML).read_text()) == bool(failures)

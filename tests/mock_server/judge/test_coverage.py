"""Which ways to end a suite has met."""

from __future__ import annotations

from typing import Any

import pytest

from mock_server.contract.errors import ERRORS, INVALID_MOCK_DIRECTIVE
from mock_server.core.faults import FRAMINGS, TABLE, parse_fault
from mock_server.judge.cells import Cell, cells
from mock_server.judge.coverage import Coverage, cover
from tests.mock_server.judge.cases import NEVER, WAITS, at, played
from tests.mock_server.judge.simulator import BROKEN, OK, RESET, refused


def met(coverage: Coverage) -> list[tuple[str, ...]]:
    return [each.cell.words for each in coverage.cells if each.count]


def test_every_error_fault_and_framing_of_the_tables_has_its_cells() -> None:
    table = cells()
    assert {cell.code for cell in table} - {""} == {kind.code for kind in ERRORS if kind is not INVALID_MOCK_DIRECTIVE}
    for kind, row in TABLE.items():
        found = {(cell.mode, cell.stage) for cell in table if cell.ending == kind}
        assert found == {("plain", stage) for stage in row.plain} | {("stream", stage) for stage in row.stream}
    assert {cell.ending for cell in table if "framing" in cell.ending} == {f"framing={name}" for name in FRAMINGS}
    assert len({(c.code, c.mode, c.stage, c.ending, c.turn) for c in table}) == len(table)


def test_only_what_may_be_tried_again_can_be_met_again() -> None:
    again = {cell.code for cell in cells() if cell.turn == "again" and cell.code}
    assert again == {kind.code for kind in ERRORS if kind.retry}


def test_what_brings_a_fault_about_is_a_directive_that_does() -> None:
    told = [cell for cell in cells() if cell.how.startswith("X-Mock-Fault: ")]
    for cell in told:
        fault = parse_fault(cell.how.removeprefix("X-Mock-Fault: "))
        assert cell.ending in (fault.kind, f"framing={fault.framing}")
        assert cell.stage in ("", fault.stage)
    assert len({cell.ending for cell in told}) == len(TABLE) + len(FRAMINGS)


def test_a_suite_is_told_what_it_has_met() -> None:
    entries = played(WAITS, [OK], [refused(402)], [refused(502), refused(502), OK], [BROKEN])
    assert met(cover(entries)) == [
        ("402", "INSUFFICIENT_BALANCE", "", "before_headers", "complete", "first"),
        ("502", "ALL_PROVIDERS_FAILED", "", "before_headers", "complete", "first"),
        ("502", "ALL_PROVIDERS_FAILED", "", "before_headers", "complete", "again"),
        ("200", "", "plain", "", "complete", "first"),
        ("200", "", "plain", "", "complete", "again"),
        ("200", "", "stream", "mid_stream", "reset", "first"),
    ]


@pytest.mark.parametrize(
    ("known", "words"),
    [
        ({"stream": True}, ("200", "", "stream", "", "complete", "first")),
        ({"stream": True, "fault": "framing=crlf", "struck": True}, ("200", "", "stream", "", "framing=crlf", "first")),
        (
            {"ending": "abandoned", "stream": True, "left_in": "mid_stream"},
            ("200", "", "stream", "mid_stream", "left", "first"),
        ),
        (
            {"fault": "delay;stage=before_headers;for=2", "struck": True},
            ("200", "", "plain", "before_headers", "delay", "first"),
        ),
        (
            # A world may give the failure of a chain another status.
            {"status": 503, "code": "ALL_PROVIDERS_FAILED"},
            ("502", "ALL_PROVIDERS_FAILED", "", "before_headers", "complete", "first"),
        ),
    ],
)
def test_an_ending_is_found_in_the_table(known: dict[str, Any], words: tuple[str, ...]) -> None:
    assert met(cover(at(known))) == [words]


def test_a_fault_that_did_not_strike_was_not_met() -> None:
    waiting = {
        "fault": "reset;stage=mid_stream;after=3",
        "stream": True,
        "ending": "abandoned",
        "left_in": "before_headers",
    }
    assert met(cover(at(waiting))) == [("none", "", "stream", "before_headers", "left", "first")]


def test_every_cell_can_be_met() -> None:
    def entry_of(cell: Cell) -> dict[str, Any]:
        known: dict[str, Any] = {"stream": cell.mode == "stream", "code": cell.code, "status": cell.status}
        if cell.how.startswith("X-Mock-Fault: "):
            known |= {"fault": cell.how.removeprefix("X-Mock-Fault: "), "struck": True, "ending": "fault"}
        if cell.ending == "left":
            known |= {"ending": "abandoned", "left_in": cell.stage}
        return known | {"retry_count": int(cell.turn == "again"), "body_hash": repr(cell)}

    coverage = cover(at(*map(entry_of, cells())))
    assert (coverage.percent, coverage.missing) == (100.0, ())


def test_without_streaming_streams_do_not_count() -> None:
    entries = played(NEVER, [OK], [RESET])
    whole, plain = cover(entries), cover(entries, streaming=False)
    assert plain.met == whole.met == 2
    assert plain.total < whole.total
    assert {each.cell.mode for each in plain.cells} == {"", "plain"}


def test_an_empty_journal_has_met_nothing() -> None:
    coverage = cover([])
    assert (coverage.percent, coverage.met, coverage.requests) == (0.0, 0, 0)
    assert coverage.missing == cells()

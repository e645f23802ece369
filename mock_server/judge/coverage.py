"""Which of the ways in which a call can end a client's tests have met, and which never."""

from __future__ import annotations

from collections.abc import Iterator, Sequence

from msgspec import Struct

from mock_server.edge.journal import Entry
from mock_server.judge.calls import link
from mock_server.judge.cells import Cell, Mode, Turn, cells
from mock_server.judge.fitness import unfit
from mock_server.judge.tries import Try, struck_by

Key = tuple[str, Mode, str, str, Turn]


class Met(Struct, frozen=True):
    """One cell, how often it was met, and by which request first."""

    cell: Cell
    count: int
    request_id: str


class Coverage(Struct, frozen=True):
    """How much was met: ``percent`` of the ``total`` cells. ``requests`` is how many were looked at.

    ``unfit`` says why nothing that was seen counts as a client's tests, ``notes`` what it does not rest on.
    """

    percent: float
    met: int
    total: int
    requests: int
    cells: tuple[Met, ...]
    unfit: str = ""
    notes: tuple[str, ...] = ()

    @property
    def missing(self) -> tuple[Cell, ...]:
        """What was never met."""
        return tuple(each.cell for each in self.cells if not each.count)


def cover(entries: Sequence[Entry], *, streaming: bool = True, time_scale: float = 1.0) -> Coverage:
    """The coverage of a suite by the requests its client sent, in any order.

    Without ``streaming`` cells of streams do not count. ``time_scale`` is wall seconds per second of the mock's clocks.
    """
    table = {_key(cell): cell for cell in cells(streaming=streaming)}
    seen: dict[Key, list[str]] = {key: [] for key in table}
    for call in link(entries, time_scale):
        for each in call.tries:
            for key in _keys(each):
                again: Key = (*key, "again")
                first: Key = (*key, "first")
                late = each.number > 1 or bool(each.entry.retry_count)
                seen.get(again if late and again in table else first, []).append(each.entry.request_id)
    found = [Met(cell, len(seen[key]), seen[key][0] if seen[key] else "") for key, cell in table.items()]
    met = sum(each.count > 0 for each in found)
    return Coverage(round(100 * met / len(found), 2), met, len(found), len(entries), tuple(found), unfit(entries))


def _key(cell: Cell) -> Key:
    """What a cell is recognised by: status aside, which worlds may change for a code."""
    return cell.code, cell.mode, cell.stage, cell.ending, cell.turn


def _keys(each: Try) -> Iterator[tuple[str, Mode, str, str]]:
    """What a try has met, but for the turn."""
    entry = each.entry
    mode: Mode = "stream" if entry.stream else "plain"
    fault = struck_by(entry)
    if fault is not None and fault.framing is not None:
        yield "", mode, "", f"framing={fault.framing}"
    if fault is not None and fault.kind is not None:
        yield "", mode, fault.stage, fault.kind
    if entry.code:
        yield entry.code, "", "before_headers", "complete"
    elif entry.ending == "abandoned":
        yield "", mode, entry.left_in, "left"
    elif fault is None and entry.ending == "complete":
        yield "", mode, "", "complete"

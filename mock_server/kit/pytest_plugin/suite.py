"""Which errors and faults all tests of a run have met together, on any number of workers, and whether it is enough."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from pathlib import Path

import msgspec
import pytest
from msgspec.structs import replace

from mock_server.judge.coverage import Coverage, cover
from mock_server.judge.page import coverage_page
from mock_server.judge.words import printable
from mock_server.kit.conform.command import replacing
from mock_server.kit.options import UnusableError
from mock_server.kit.pytest_plugin.mock import LlmMock
from mock_server.kit.pytest_plugin.plane import MockGoneError, RefusedError


class SuiteCoverage:
    """Mutable: what was met so far, by tests and by workers, and what could not be had."""

    def __init__(self, bar: float | None, page: Path | None, *, streaming: bool) -> None:
        self._bar, self._page, self._streaming = bar, page, streaming
        self._met = cover([], streaming=streaming)
        self._complaint = ""

    def note(self, mock: LlmMock) -> None:
        """Add what a test has met since it began, or since its mock was reset."""
        try:
            self._add(mock.coverage(streaming=self._streaming))
        except (MockGoneError, RefusedError) as error:
            self._miss(f"not counted is {mock.test_id}: {error}")

    def part(self) -> str:
        """What this worker's tests have met, for the process that started it."""
        return msgspec.json.encode(self._met).decode()

    def take(self, part: str | None) -> None:
        """Add what a worker has handed over; None where it ended too early for that."""
        if part is None:
            self._miss("not counted is a worker that ended before it could tell what its tests met")
        else:
            self._add(msgspec.json.decode(part, type=Coverage))

    def close(self) -> bool:
        """Write the page, and say whether all is well: it is written, and the bar is reached."""
        try:
            if self._page is not None:
                with replacing(self._page) as file:
                    file.write(coverage_page(self._met).encode())
        except UnusableError as error:
            self._complaint = str(error)
        low = self._bar is not None and 100 * self._met.met < self._bar * self._met.total
        if low:
            self._complaint = self._complaint or f"below the {self._bar:g} % of --llm-coverage-fail-under"
        return not self._complaint

    def lines(self) -> Iterator[str]:
        """What is said of it at the end of a run."""
        met = self._met
        yield f"{met.percent:g} % of {met.total} cells met ({met.met}), by {met.requests:,} requests of all tests"
        yield from (printable(note) for note in met.notes)
        if met.missing:
            names = (" ".join(word for word in cell.words if word) for cell in met.missing)
            yield f"never met: {printable(', '.join(names))}"
        if self._page is not None:
            yield f"how to meet each: {self._page}"
        if self._complaint:
            yield f"FAILED: {self._complaint}"

    def _add(self, more: Coverage) -> None:
        self._met = together([self._met, more])

    def _miss(self, note: str) -> None:
        self._met = replace(self._met, notes=(*self._met.notes, note))


def together(parts: Sequence[Coverage]) -> Coverage:
    """One coverage of several of the same cells, of different requests."""
    cells = []
    for same in zip(*(part.cells for part in parts), strict=True):
        first = next((met.request_id for met in same if met.count), "")
        cells.append(replace(same[0], count=sum(met.count for met in same), request_id=first))
    met = sum(each.count > 0 for each in cells)
    notes = tuple(dict.fromkeys(note for part in parts for note in part.notes))
    percent = round(100 * met / len(cells), 2)
    return Coverage(percent, met, len(cells), sum(part.requests for part in parts), tuple(cells), notes=notes)


def asked_for(config: pytest.Config) -> SuiteCoverage:
    """What the command line asks for. Raises pytest's UsageError."""
    bar, page = config.getoption("--llm-coverage-fail-under"), config.getoption("--llm-coverage-html")
    if bar is not None and not 0 <= bar <= 100:
        raise pytest.UsageError(f"--llm-coverage-fail-under must be a number from 0 to 100, not {bar:g}")
    if page is not None and not Path(page).absolute().parent.is_dir():
        raise pytest.UsageError(f"--llm-coverage-html {page}: no such directory")
    streaming = "streaming" not in config.getoption("--llm-coverage-without")
    return SuiteCoverage(bar, None if page is None else Path(page).absolute(), streaming=streaming)

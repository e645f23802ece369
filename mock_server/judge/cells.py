"""Every way in which a call can end for a client, as the contract's and the faults' tables have them."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Final, Literal

from msgspec import Struct

from mock_server.contract.errors import ERRORS, FORCED, INVALID_MOCK_DIRECTIVE, ErrorKind
from mock_server.core.faults import FRAMINGS, STAGES, TABLE, Fault, Kind, Stage

Mode = Literal["", "plain", "stream"]
"""How the answer was asked for; an error looks the same either way."""
Turn = Literal["first", "again"]
"""Whether it was met by the first try of a call, or by a later one."""

COLUMNS: Final = ("status", "code", "answer", "stage", "ending", "try")
_BREAKING: Final = frozenset({"reset", "fin", "stall"})
_SECONDS: Final = 2.0
_LEFT_AT: Final[tuple[tuple[Mode, Stage], ...]] = (
    ("plain", "before_headers"),
    ("stream", "before_headers"),
    ("stream", "mid_stream"),
)
"""Where a client can leave an answer that no fault holds back: its head and its first piece leave together."""


class Cell(Struct, frozen=True):
    """One way to end. ``ending`` is "complete", "left", a fault kind, or an unusual framing; ``stage`` where it ended.

    ``status`` is 0 where there was none. ``how`` is what brings it about.
    """

    status: int
    code: str
    mode: Mode
    stage: str
    ending: str
    turn: Turn
    how: str

    @property
    def words(self) -> tuple[str, ...]:
        """It as the columns of a table."""
        return str(self.status) if self.status else "none", self.code, self.mode, self.stage, self.ending, self.turn


def cells(*, streaming: bool = True) -> tuple[Cell, ...]:
    """All cells, those of streams only if ``streaming``.

    Only what a good client tries again can be met again: success, errors that may be retried, and lost answers.
    """
    found = [*_errors(), *_good(), *_faults(), *_framings(), *_left()]
    return tuple(cell for cell in found if streaming or cell.mode != "stream")


def _errors() -> Iterator[Cell]:
    for kind in ERRORS:
        if kind is not INVALID_MOCK_DIRECTIVE:
            for turn in _turns(again=kind.retry):
                yield Cell(kind.status, kind.code, "", "before_headers", "complete", turn, _how_error(kind))


def _how_error(kind: ErrorKind) -> str:
    return f"Prefer: code={kind.status}" if FORCED[kind.status] is kind else kind.when


def _good() -> Iterator[Cell]:
    modes: tuple[Mode, ...] = ("plain", "stream")
    for mode in modes:
        for turn in _turns(again=True):
            how = "any call" if turn == "first" else "a call whose first try fails"
            yield Cell(200, "", mode, "", "complete", turn, how)


def _faults() -> Iterator[Cell]:
    for kind, row in TABLE.items():
        places: tuple[tuple[Mode, tuple[Stage, ...]], ...] = (("plain", row.plain), ("stream", row.stream))
        for mode, stages in places:
            for stage in stages:
                lost = kind in _BREAKING and stage == "before_headers"
                for turn in _turns(again=lost):
                    how = f"X-Mock-Fault: {_example(kind, stage).text()}"
                    yield Cell(0 if lost else 200, "", mode, stage, kind, turn, how)


def _example(kind: Kind, stage: Stage) -> Fault:
    return Fault(kind, stage, int(stage == "mid_stream"), _SECONDS if kind == "delay" else None)


def _framings() -> Iterator[Cell]:
    for framing in FRAMINGS:
        how = f"X-Mock-Fault: framing={framing}"
        yield Cell(200, "", "stream", "", f"framing={framing}", "first", how)


def _left() -> Iterator[Cell]:
    for mode, stage in _LEFT_AT:
        status = 0 if stage == STAGES[0] else 200
        yield Cell(status, "", mode, stage, "left", "first", f"leave a slow answer at {stage}")


def _turns(*, again: bool) -> tuple[Turn, ...]:
    return ("first", "again") if again else ("first",)

"""The pieces of a stream and when each is due."""

from __future__ import annotations

from bisect import bisect_right
from itertools import pairwise
from typing import Final

from mock_server.core.faults import Fault
from mock_server.core.provider import Attempt, Planner

WRITE_CHARS: Final = 4_096
"""How much of an answer is written at once, of which a client must take some before there is more.

This many characters are some 750 English pieces or 2,400 Chinese ones: 30 or 100 KB, which take well below 1 ms.
"""


class Timeline:
    """Mutable: how far the stream has been played, and whether it has come to the place of its fault.

    A fault after N pieces strikes after the last one where there are fewer.
    """

    __slots__ = ("_attempt", "_ends", "_fault_after", "_next", "_planner", "_text", "_tokens_to", "at_fault", "next_at")

    def __init__(self, planner: Planner, attempt: Attempt, fault: Fault) -> None:
        assert attempt.passage is not None
        pieces = attempt.passage.pieces()
        self._attempt = attempt
        self._planner = planner
        self._text = attempt.passage.text
        self._tokens_to = pieces.tokens_to
        self._ends = pieces.ends
        self._next = 0
        strikes = fault.kind is not None and fault.stage == "mid_stream"
        self._fault_after = min(fault.after, len(self._ends)) if strikes else 0
        self.at_fault = False
        self.next_at = attempt.first_at

    @property
    def finished(self) -> bool:
        """Whether the last piece has been sent."""
        return self._next >= len(self._ends)

    @property
    def sent_tokens(self) -> int:
        """Tokens of the pieces sent so far."""
        return self._tokens_to(self._next - 1) if self._next else 0

    @property
    def fault_at(self) -> float:
        """When the last piece before the fault is due."""
        if self._fault_after < 2 or not self._attempt.pace_s:
            return self._attempt.first_at
        return self._planner.piece_at(self._attempt, self._tokens_to(self._fault_after - 1))

    def due(self, now: float) -> list[str]:
        """The pieces due by ``now``, overdue ones included: all of them, or up to the place of the fault.

        Where that is more than one write holds, the others remain due.
        """
        first, ends = self._next, self._ends
        last = self._fault_after if first < self._fault_after else len(ends)
        start = ends[first - 1] if first else 0
        if self._attempt.pace_s:
            pieces = self._paced(first, last, start, now)
        elif self.next_at <= now:  # without a pace all are due with the first
            last = min(last, max(first + 1, bisect_right(ends, start + WRITE_CHARS, first)))  # no piece is cut in two
            pieces = cut(self._text, start, ends[first:last])
        else:
            pieces = []
        self._next += len(pieces)
        self.at_fault = first < self._next == self._fault_after
        return pieces

    def _paced(self, place: int, last: int, start: int, now: float) -> list[str]:
        """The pieces from ``place`` on, which begins at ``start``, to before ``last`` that are due by ``now``."""
        text, ends, full = self._text, self._ends, start + WRITE_CHARS
        pieces: list[str] = []
        while place < last and self.next_at <= now and (ends[place] <= full or not pieces):
            pieces.append(text[start : ends[place]])
            start, place = ends[place], place + 1
            if place < len(ends):
                self.next_at = self._planner.piece_at(self._attempt, self._tokens_to(place))
        return pieces


def cut(text: str, start: int, ends: list[int]) -> list[str]:
    """The pieces of ``text`` from ``start`` on that end at these offsets."""
    return [text[begin:end] for begin, end in pairwise([start, *ends])]

"""The pieces of a stream and when each is due."""

from __future__ import annotations

from mock_server.core.faults import Fault
from mock_server.core.provider import Attempt, Planner
from mock_server.edge import sse


class Timeline:
    """Mutable: how far the stream has been played, and whether it has come to the place of its fault.

    A fault after N pieces strikes after the last one where there are fewer.
    """

    __slots__ = ("_attempt", "_ends", "_fault_after", "_next", "_planner", "_text", "_tokens", "at_fault", "next_at")

    def __init__(self, planner: Planner, attempt: Attempt, fault: Fault) -> None:
        assert attempt.passage is not None
        pieces = attempt.passage.pieces()
        self._attempt = attempt
        self._planner = planner
        self._text = attempt.passage.text
        self._ends = pieces.ends
        self._tokens = pieces.token_ends
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
        return self._tokens[self._next - 1] if self._next else 0

    def due(self, now: float) -> list[bytes]:
        """The events of all pieces due by ``now``, or up to the place of the fault; overdue ones leave together."""
        attempt, ends, text = self._attempt, self._ends, self._text
        place, last = self._next, len(ends)
        if self._fault_after > place:
            last = self._fault_after
        start = ends[place - 1] if place else 0
        events = []
        while place < last and self.next_at <= now:
            end = ends[place]
            events.append(sse.piece(text[start:end]))
            start, place = end, place + 1
            if attempt.pace_s and place < len(ends):  # without a pace all are due with the first
                self.next_at = self._planner.piece_at(attempt, self._tokens[place])
        self.at_fault = self._next < place == self._fault_after
        self._next = place
        return events

"""A call in flight, as the relay sees it pass."""

from __future__ import annotations

from mock_server.contract.messages import MAX_BODY_BYTES
from mock_server.kit.conform.wire import MOST_BYTES
from mock_server.kit.proxy.messages import Head, Part, method_and_target, status_of
from mock_server.kit.proxy.record import Record


class Watched:
    """Mutable: one call in flight, and what has come of it."""

    def __init__(self, head: Head) -> None:
        self.method, self.target = method_and_target(head)
        self.head = head
        self.body, self.asked_bytes, self.sent_at = bytearray(), 0, 0.0
        self.answer_head: Head | None = None
        self.answer, self.answered_bytes = bytearray(), 0
        self.head_at = 0.0
        self.pieces: list[tuple[float, int]] = []
        self.own_s = 0.0

    def asks(self, part: Part) -> None:
        """More of its request has been passed on."""
        self.asked_bytes += len(part.body)
        if self.asked_bytes <= MAX_BODY_BYTES:
            self.body += part.body

    def answers(self, part: Part, now: float) -> None:
        """More of its answer has been passed on."""
        if part.body:
            self.answered_bytes += len(part.body)
            if self.answered_bytes <= MOST_BYTES:
                self.answer += part.body
            if self.pieces and self.pieces[-1][0] == now:
                self.pieces.pop()
            self.pieces.append((now, self.answered_bytes))

    def ended(self, now: float, *, broke: str = "", left: bool = False, stopped: bool = False) -> Record:
        """What there is to tell, now that it is over."""
        head = self.answer_head
        return Record(
            self.method,
            self.target,
            self.head.lines,
            bytes(self.body),
            self.asked_bytes,
            self.sent_at,
            0 if head is None else status_of(head),
            () if head is None else head.lines,
            bytes(self.answer),
            self.answered_bytes,
            self.head_at,
            tuple(self.pieces),
            now,
            broke,
            left,
            stopped,
            self.own_s,
        )

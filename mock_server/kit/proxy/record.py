"""What the relay takes down of one call: both messages as they came, and when."""

from __future__ import annotations

from msgspec import Struct

Lines = tuple[tuple[str, str], ...]


class Record(Struct, frozen=True, gc=False):
    """One request and what became of it. Moments are seconds of one monotonic clock, 0 where it never came to that.

    ``sent_at`` is when the request's last byte was passed on, ``head_at`` when the answer's head was there, ``pieces``
    when its body had come how far, in bytes; ``ended_at`` is when all was over. ``status`` is 0 where no answer came.
    ``asked_bytes`` and ``answered_bytes`` tell how long the bodies were, of which only so much is kept as is looked at.
    ``broke`` says how the gateway broke off; ``left`` is whether the client did, ``stopped`` whether the recorder did.
    ``own_s`` is the time the relay itself took about it.
    """

    method: str
    target: str
    lines: Lines
    body: bytes
    asked_bytes: int
    sent_at: float
    status: int = 0
    answer_lines: Lines = ()
    answer: bytes = b""
    answered_bytes: int = 0
    head_at: float = 0.0
    pieces: tuple[tuple[float, int], ...] = ()
    ended_at: float = 0.0
    broke: str = ""
    left: bool = False
    stopped: bool = False
    own_s: float = 0.0

    @property
    def whole(self) -> bool:
        """Whether request and answer came to their end, and all of both was kept."""
        kept = len(self.body) == self.asked_bytes and len(self.answer) == self.answered_bytes
        return kept and bool(self.status) and not (self.broke or self.left or self.stopped)

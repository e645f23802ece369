"""What every request of one running mock shares."""

from __future__ import annotations

from collections.abc import Callable, Iterator

from mock_server.clock import SimClock
from mock_server.core.engine import Engine
from mock_server.http.observe import Journal


class Context:
    """Engine, clock, journal and request ids. Mutable through its parts only.

    ``unix_now`` reads the calendar clock in seconds, for headers that announce calendar times.
    """

    __slots__ = ("clock", "engine", "ids", "journal", "unix_now")

    def __init__(self, engine: Engine, clock: SimClock, unix_now: Callable[[], float]) -> None:
        self.engine = engine
        self.clock = clock
        self.unix_now = unix_now
        self.journal = Journal()
        self.ids = request_ids(engine.seed)


def request_ids(seed: int) -> Iterator[str]:
    """``req_`` and seven hex digits, unique over 2^28 requests: a bijection of a counter, scattered by ``seed``."""
    offset = (seed * 0x9E3779B1 + 0x5BD1E995) & 0xFFFFFFF
    number = 0
    while True:
        number = (number + 1) & 0xFFFFFFF
        # Odd multipliers and xor with a right shift are both invertible modulo 2^28.
        mixed = ((number ^ offset) * 0x2C1B3C6D) & 0xFFFFFFF
        mixed = ((mixed ^ (mixed >> 14)) * 0x297A2D39) & 0xFFFFFFF
        yield f"req_{mixed ^ (mixed >> 14):07x}"

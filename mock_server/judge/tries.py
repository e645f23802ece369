"""One request seen from the client's side: when it was over, how it ended for the client, and what it may do then."""

from __future__ import annotations

from collections.abc import Iterator
from functools import lru_cache
from itertools import pairwise
from typing import Final, Literal

from msgspec import Struct

from mock_server.contract.errors import BY_CODE, IDEMPOTENCY_CONFLICT
from mock_server.core.faults import Fault, parse_fault
from mock_server.edge.journal import Entry

SHORT_S: Final = 5.0
"""A ``Retry-After`` of at most so many seconds is to be obeyed to the letter; good clients differ about longer ones."""

Ended = Literal["good", "refused", "lost", "broken", "spoiled", "left"]
"""For the client: answered well; with an error; not at all; broken off after content; with no JSON; or it went away."""
Link = Literal["first", "idempotency key", "retry count", "body"]
"""By what a try is known to belong to its call."""
_EARLY: Final = ("before_headers", "before_first_token")


class Try(Struct, frozen=True):
    """One try of a call. ``number`` counts from 1; ``wait_s`` is the time since the try before it was over.

    ``wait_s`` is None for a first try, and where the tries overlap so that there was no waiting.
    """

    entry: Entry
    number: int = 1
    link: Link = "first"
    wait_s: float | None = None


class Call(Struct, frozen=True):
    """The tries of one call, in order.

    ``echo`` is an earlier failed try of the same body that this call may be a retry of, where that cannot be told.
    ``untold``: no retry can be told from another call, since the body was sent several times at once or is not known.
    ``cut``: its first try is not among the entries.
    """

    tries: tuple[Try, ...]
    echo: Try | None = None
    untold: bool = False
    cut: bool = False

    @property
    def test(self) -> str:
        """Its test id."""
        return self.tries[0].entry.test

    @property
    def last(self) -> Try:
        """The try after which no other came."""
        return self.tries[-1]

    def again(self) -> Iterator[tuple[Try, Try]]:
        """Each try that was followed by another, and that other."""
        return pairwise(self.tries)


@lru_cache(maxsize=4_096)
def _parsed(fault: str) -> Fault:
    return parse_fault(fault)


def struck_by(entry: Entry) -> Fault | None:
    """The fault on the wire that struck; None where none did, a forced error included."""
    if not entry.struck or not entry.fault or entry.fault.startswith("code="):
        return None
    return _parsed(entry.fault)


@lru_cache(maxsize=65_536)
def _ended(status: int, ending: str, fault: Fault | None) -> Ended:
    if status >= 400:
        return "refused"
    if ending == "abandoned":
        return "left"
    if fault is None or ending != "fault" or fault.kind == "done_then_hang":
        return "good"
    if fault.spoils_whole:
        return "spoiled"
    return "lost" if fault.stage in _EARLY else "broken"


def ended(entry: Entry) -> Ended:
    """How it ended for the client."""
    return _ended(entry.status, entry.ending, struck_by(entry))


def had_content(entry: Entry) -> bool:
    """Whether the client had got a piece of a stream."""
    if not entry.stream or entry.status != 200:
        return False
    fault = struck_by(entry)
    late = fault is not None and fault.kind is not None and fault.stage not in _EARLY
    return entry.pieces > 0 or late or ended(entry) == "good"


def may_retry(entry: Entry) -> bool:
    """Whether a client by itself may send the same call again: after an error that says so, or no answer at all.

    What the answer announced comes first, then the contract. A world may give a refusal a status of 5xx, and most
    clients go by that. A silence that the client left is no failure of the gateway's, and an answer that had begun is
    another matter.
    """
    if ended(entry) == "refused":
        by_contract = BY_CODE[entry.code].retry or entry.status >= 500
        return by_contract if entry.should_retry is None else entry.should_retry
    fault = struck_by(entry)
    return fault is not None and fault.kind in ("reset", "fin") and fault.stage == "before_headers"


def must_not_retry(entry: Entry) -> bool:
    """Whether the same call is bound to fail again; a conflict about a key in use passes by itself."""
    return ended(entry) == "refused" and not may_retry(entry) and entry.code != IDEMPOTENCY_CONFLICT.code


def is_short(entry: Entry) -> bool:
    """Whether it announced a wait that every good client obeys, or none."""
    return entry.retry_after_s is None or entry.retry_after_s <= SHORT_S


def what(entry: Entry) -> str:
    """An answer in a few words, for evidence."""
    how = ended(entry)
    if how == "refused":
        wait = "" if entry.retry_after_s is None else f" with Retry-After: {entry.retry_after_s:g}"
        return f"{entry.status} {entry.code}{wait}"
    if how == "left":
        return "an answer it did not wait for"
    return entry.fault if entry.struck and entry.fault else f"{entry.status} as asked"

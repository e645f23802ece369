"""What a rule finds: a result, and the evidence for it."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from typing import Final, Literal

from msgspec import Struct

from mock_server.judge.calls import in_order
from mock_server.judge.tries import Call, Try

Result = Literal["PASS", "WARN", "FAIL", "NOT_EXERCISED"]

WORST_FIRST: Final[tuple[Result, ...]] = ("FAIL", "WARN", "PASS", "NOT_EXERCISED")
MOST_EVIDENCE: Final = 10


class Evidence(Struct, frozen=True):
    """What was seen: the requests concerned, when the first of them arrived (calendar seconds), and in words."""

    request_ids: tuple[str, ...]
    at_unix_s: float
    test: str
    said: str


class Finding(Struct, frozen=True):
    """What one rule found; ``said`` sums it up in a sentence. ``evidence`` is for FAIL and WARN."""

    result: Result
    said: str
    evidence: tuple[Evidence, ...] = ()


class Seen(Struct, frozen=True):
    """All that is judged: the calls, and every request by arrival.

    ``says_it_retries``: the client promises to try again after what may be tried again.
    """

    calls: tuple[Call, ...]
    tries: tuple[Try, ...]
    says_it_retries: bool = False

    @property
    def told_apart(self) -> list[Call]:
        """The calls whose retries can be told from other calls."""
        return [call for call in self.calls if not call.untold]


def see(calls: Sequence[Call], says_it_retries: bool) -> Seen:
    """What is to be judged."""
    by_entry = {id(each.entry): each for call in calls for each in call.tries}
    ordered = in_order(each.entry for each in by_entry.values())
    return Seen(tuple(calls), tuple(by_entry[id(entry)] for entry in ordered), says_it_retries)


def evidence(said: str, *tries: Try) -> Evidence:
    """Evidence about requests, the earliest first."""
    first = tries[0].entry
    return Evidence(tuple(each.entry.request_id for each in tries), first.arrived_unix_s, first.test, said)


def found(
    failures: Sequence[Evidence],
    doubts: Sequence[Evidence],
    exercised: int,
    passed: str,
    idle: str,
) -> Finding:
    """The worst that holds; ``passed`` and ``idle`` say so where nothing is wrong, or nothing was seen."""
    if failures:
        return Finding("FAIL", _first(failures), tuple(failures))
    if doubts:
        return Finding("WARN", _first(doubts), tuple(doubts))
    return Finding("PASS", passed) if exercised else Finding("NOT_EXERCISED", idle)


def worst(results: Iterable[Result]) -> Result:
    """The worst of some results."""
    return min(results, key=WORST_FIRST.index, default="NOT_EXERCISED")


def times(count: int, what: str) -> str:
    """A count in words: `1 call`, `2 calls`."""
    return f"{count:,} {what}{'' if count == 1 else 's'}"


def _first(some: Sequence[Evidence]) -> str:
    more = f"; and {len(some) - 1:,} more" if len(some) > 1 else ""
    return some[0].said + more

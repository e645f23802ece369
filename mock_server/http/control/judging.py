"""What the journal says of the client: the verdict, the coverage, and what its application made of an answer."""

from __future__ import annotations

from asyncio import FIRST_COMPLETED, Future, ensure_future, get_running_loop, to_thread, wait
from typing import Annotated, Final, Literal

from msgspec import Meta, Struct
from msgspec.structs import replace

from mock_server.edge.journal import Entry, Journal, Record, newest_first
from mock_server.http.context import Context
from mock_server.http.control.asked import Asked, not_found
from mock_server.http.control.journal import MAX_WAITS, same_test
from mock_server.http.control.possible import check_test
from mock_server.judge.coverage import Coverage, cover
from mock_server.judge.finding import times
from mock_server.judge.verdict import Verdict, judge

SETTLES_WITHIN_S: Final = 1.0
"""An application may tell what it made of an answer a moment before the journal holds it."""


class VerdictQuery(Struct, frozen=True, forbid_unknown_fields=True):
    """Whose verdict."""

    test: Annotated[str | None, Meta(description="the test id; X-Mock-Test says the same")] = None
    retries: Annotated[bool, Meta(description="the client promises to retry; giving up early then fails it")] = False


class CoverageQuery(Struct, frozen=True, forbid_unknown_fields=True):
    """Whose coverage, and of what."""

    test: Annotated[str | None, Meta(description="the test id; X-Mock-Test says the same")] = None
    streaming: Annotated[bool, Meta(description="whether streams count")] = True


class Outcome(Struct, frozen=True, forbid_unknown_fields=True):
    """What the application made of an answer."""

    outcome: Annotated[
        Literal["ok", "error", "partial", "killed"],
        Meta(
            description="ok: used as a good answer; error: reported as failed; partial: used, and known not to be "
            "whole; killed: it hung and was stopped from outside"
        ),
    ]


class Attested(Struct, frozen=True):
    """The request, and what is noted of it."""

    request_id: str
    outcome: str


async def show_verdict(context: Context, asked: Asked) -> Verdict:
    """How the client behaved: each rule with evidence and advice, for the test or for all, and for each test id."""
    entries = _entries(context, asked)
    retries: bool = asked.query.retries
    # In a thread: thousands of entries take longer than a planned moment may be late.
    verdict = await to_thread(judge, entries, says_it_retries=retries, time_scale=context.clock.scale)
    return replace(verdict, notes=(*verdict.notes, *_forgotten(context, asked)))


async def show_coverage(context: Context, asked: Asked) -> Coverage:
    """Which errors and faults the client's tests met, and which never."""
    entries = _entries(context, asked)
    streaming: bool = asked.query.streaming
    coverage = await to_thread(cover, entries, streaming=streaming, time_scale=context.clock.scale)
    return replace(coverage, notes=_forgotten(context, asked))


async def attest_outcome(context: Context, asked: Asked) -> Attested:
    """Tell what the application made of an answer, which turns the verdict's guesses into facts."""
    journal, request_id, outcome = context.journal, asked.path["request_id"], asked.body.outcome
    if journal.attest(request_id, outcome) is None:
        await _finished(journal, request_id, asked)
        if journal.attest(request_id, outcome) is None:
            not_found("the journal holds no finished request of this id; X-Request-Id of the answer tells it")
    return Attested(request_id, outcome)


class _Expected:
    """Waits for one request to finish. Mutable: whether it has."""

    test: str | None = None

    def __init__(self, request_id: str) -> None:
        self._request_id = request_id
        self.come: Future[None] = get_running_loop().create_future()

    def seen(self, record: Record) -> None:
        """A request has finished."""
        if record.entry.request_id == self._request_id and not self.come.done():
            self.come.set_result(None)

    def recount(self) -> None:
        """Nothing is counted."""


async def _finished(journal: Journal, request_id: str, asked: Asked) -> None:
    """Wait a moment for a request to finish, unless too many wait already."""
    if len(journal.watchers) >= MAX_WAITS:
        return
    expected, gone = _Expected(request_id), ensure_future(asked.gone())
    journal.watchers.add(expected)
    try:
        await wait({expected.come, gone}, timeout=SETTLES_WITHIN_S, return_when=FIRST_COMPLETED)
    finally:
        journal.watchers.discard(expected)
        gone.cancel()


def _entries(context: Context, asked: Asked) -> list[Entry]:
    """The remembered requests of the test, or of all."""
    test = _test(asked)
    if test is not None:
        check_test(test)
    return [record.entry for record in newest_first(context.journal.records(test))]


def _forgotten(context: Context, asked: Asked) -> tuple[str, ...]:
    """A note on the requests that there was no room for in the journal, if there were any."""
    dropped = context.journal.dropped(_test(asked))
    return (f"{times(dropped, 'earlier request')} no longer remembered: not judged",) if dropped else ()


def _test(asked: Asked) -> str | None:
    return same_test(asked.test, asked.query.test, "?test=")

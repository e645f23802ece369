"""What the mock saw: requests by filter, how many, waiting for them, and how one was routed."""

from __future__ import annotations

from asyncio import FIRST_COMPLETED, Future, ensure_future, get_running_loop, wait
from collections.abc import Callable
from functools import reduce
from itertools import islice
from operator import attrgetter
from typing import Annotated, Final, Literal

from msgspec import Meta, Struct

from mock_server.core.call import Route
from mock_server.core.routing import Candidate, mean_price, quality_for, rank
from mock_server.core.session import Step
from mock_server.edge.journal import RING_SIZE, TEST_RING_SIZE, Entry, Journal, Record, Totals
from mock_server.http.context import Context
from mock_server.http.control.asked import Asked, mistake, not_found
from mock_server.http.control.possible import check_code, check_fault, check_key, check_names, check_status, check_test

MAX_WAITS: Final = 1_000
MAX_WAIT_S: Final = 300.0


class RequestFilter(Struct, frozen=True, forbid_unknown_fields=True):
    """Which requests; what is absent matches all."""

    key: Annotated[str | None, Meta(description="the API key, or … and its last four characters")] = None
    test: Annotated[str | None, Meta(description="the test id; X-Mock-Test says the same")] = None
    status: Annotated[
        Annotated[int, Meta(ge=0, le=599)] | None,
        Meta(description="status of the answer; 0 where there was none"),
    ] = None
    code: Annotated[str | None, Meta(description="code of the error")] = None
    provider: Annotated[str | None, Meta(description="who answered")] = None
    model: Annotated[str | None, Meta(description="which model answered; provider/model is understood too")] = None
    stream: Annotated[bool | None, Meta(description="whether a stream was asked for")] = None
    fault: Annotated[str | None, Meta(description="the beginning of the fault, as `reset` or `code=502`")] = None
    ending: Annotated[Literal["complete", "abandoned", "fault"] | None, Meta(description="how the answer ended")] = None
    request_id: Annotated[str | None, Meta(description="its `X-Request-Id`")] = None


class ListQuery(RequestFilter, frozen=True, forbid_unknown_fields=True):
    """Which requests, and how many of them."""

    limit: Annotated[int, Meta(ge=0, le=1_000_000, description="at most so many, the newest first")] = 100
    since: Annotated[
        int,
        Meta(ge=0, le=10**15, description="only what finished after what an earlier answer gave as `last`; 0: all"),
    ] = 0


class WaitQuery(RequestFilter, frozen=True, forbid_unknown_fields=True):
    """Which requests, how many, and how long to wait."""

    count: Annotated[int, Meta(ge=0, le=RING_SIZE, description="how many must have finished")] = 1
    timeout: Annotated[float, Meta(ge=0, le=MAX_WAIT_S, description="wall seconds")] = 10.0


class Requests(Struct, frozen=True):
    """Counters of everybody since the start or the last reset, and the latest entries that match, newest first.

    ``remembered_at_most`` is how many calls of the test are remembered, or how many without a test id; ``dropped`` is
    how many of the test's, or of everybody's, no longer are. ``matching`` may be more than there are ``entries``.
    ``last`` is where to go on with `since`: at the number of the request that finished last, matching or not. With
    another ``epoch`` the mock was started anew or something was reset: what was given before may be forgotten.
    """

    totals: Totals
    remembered_at_most: int
    dropped: int
    matching: int
    entries: list[Entry]
    last: int
    epoch: str


class Count(Struct, frozen=True):
    """How many of the remembered requests match."""

    count: int


class Waited(Struct, frozen=True):
    """How many match, and whether that is as many as were waited for."""

    count: int
    reached: bool


class RoutedAttempt(Struct, frozen=True):
    """One attempt: who, why there, and what came of it. ``ms`` are wall milliseconds, prices USD per million tokens."""

    provider: str
    model: str
    rank: int
    why: str
    quality: float
    price_usd_per_1m: float
    healthy: bool
    result: str
    ms: float
    prompt_tokens: int
    completion_tokens: int


class RouteView(Struct, frozen=True):
    """How one request was routed; ``passed_over`` were better placed, but their breaker was open."""

    request_id: str
    mode: str
    task: str
    ranking: list[str]
    passed_over: list[str]
    attempts: list[RoutedAttempt]


_AS_IT_IS: Final = ("status", "code", "provider", "stream", "ending", "request_id")
"""What of a filter must be equal to the entry's field of that name."""


class Waiter:
    """Counts matching requests until there are enough. Mutable: the count."""

    def __init__(self, journal: Journal, wanted: RequestFilter, count: int) -> None:
        self.test = wanted.test
        self._journal = journal
        self._matches = matcher(wanted)
        self._enough = count
        self.reached: Future[None] = get_running_loop().create_future()
        self.count = 0
        self.recount()

    def seen(self, record: Record) -> None:
        """A request has finished."""
        if self.test in (None, record.entry.test):
            self.count += self._matches(record)
            self._look()

    def recount(self) -> None:
        """The journal has forgotten some."""
        self.count = sum(map(self._matches, self._journal.records(self.test)))
        self._look()

    def _look(self) -> None:
        if self.count >= self._enough and not self.reached.done():
            self.reached.set_result(None)


def matcher(wanted: RequestFilter) -> Callable[[Record], bool]:
    """Whether a request is asked for, its test aside: a question looks only at what it names."""
    named = {f"entry.{name}": getattr(wanted, name) for name in _AS_IT_IS}
    named["entry.key" if wanted.key is not None and wanted.key.startswith("…") else "key"] = wanted.key
    checks = [_equals(path, value) for path, value in named.items() if value is not None]
    if (model := wanted.model) is not None:
        checks.append(lambda record: model in (record.entry.model, f"{record.entry.provider}/{record.entry.model}"))
    if (fault := wanted.fault) is not None:
        checks.append(lambda record: record.entry.fault.startswith(fault))
    return reduce(_both, checks) if checks else lambda _record: True


def _both(first: Callable[[Record], bool], second: Callable[[Record], bool]) -> Callable[[Record], bool]:
    return lambda record: first(record) and second(record)


def _equals(path: str, value: object) -> Callable[[Record], bool]:
    read = attrgetter(path)
    return lambda record: bool(read(record) == value)


def list_requests(context: Context, asked: Asked) -> Requests:
    """The latest requests that match, and counters since the start, which never drop."""
    wanted, journal, limit = _filter(context, asked), context.journal, asked.query.limit
    found = list(filter(matcher(wanted), journal.since(asked.query.since, wanted.test)))
    at_most = TEST_RING_SIZE if wanted.test else RING_SIZE
    entries = [record.entry for record in islice(found, limit)]
    dropped = journal.dropped(wanted.test)
    return Requests(
        journal.totals(), at_most, dropped, len(found), entries, journal.last, f"{context.born_ms:x}-{journal.resets}"
    )


def count_requests(context: Context, asked: Asked) -> Count:
    """How many of the remembered requests match."""
    return Count(len(_matching(context, _filter(context, asked))))


async def wait_for_requests(context: Context, asked: Asked) -> Waited:
    """Wait until so many matching requests have finished, or the timeout is over."""
    journal, query = context.journal, asked.query
    if len(journal.watchers) >= MAX_WAITS:
        mistake(f"{MAX_WAITS} requests wait already")
    wanted = _filter(context, asked)
    if wanted.test is not None and query.count > TEST_RING_SIZE:
        mistake(f"count: at most {TEST_RING_SIZE:,} calls of a test id are remembered, not {query.count:,}")
    waiter = Waiter(journal, wanted, query.count)
    gone = ensure_future(asked.gone())
    journal.watchers.add(waiter)
    try:
        await wait({waiter.reached, gone}, timeout=query.timeout, return_when=FIRST_COMPLETED)
    finally:
        journal.watchers.discard(waiter)
        gone.cancel()
    return Waited(waiter.count, waiter.count >= query.count)


def show_route(context: Context, asked: Asked) -> RouteView:
    """The attempts of one request: who, why ranked there, result, time and tokens."""
    record = context.journal.find(asked.path["request_id"])
    if record is None:
        not_found("no finished request of this id is remembered; X-Request-Id of the answer tells it")
    route = record.route
    if route is None:
        return RouteView(record.entry.request_id, "", "", [], [], [])
    strategy, task = route.call.strategy, route.call.demand.task
    names = [candidate.name for candidate in route.candidates]
    tried = [f"{step.provider}/{step.model}" for step in record.entry.attempts]
    last = max((names.index(name) for name in tried if name in names), default=-1)
    scale = context.clock.scale
    return RouteView(
        record.entry.request_id,
        strategy.mode,
        task,
        names,
        [name for name in names[:last] if name not in tried],
        [_attempt(record, route, step, scale) for step in record.entry.attempts],
    )


def _attempt(record: Record, route: Route, step: Step, scale: float) -> RoutedAttempt:
    task, name, entry = route.call.demand.task, f"{step.provider}/{step.model}", record.entry
    place, candidate = next(((n, c) for n, c in enumerate(route.candidates, 1) if c.name == name), (0, None))
    answered = step.result in ("ok", "abandoned", "struck")
    return RoutedAttempt(
        step.provider,
        step.model,
        place,
        "given: a canned or replayed answer" if candidate is None else _why(route, candidate, place),
        0.0 if candidate is None else round(quality_for(candidate, task), 6),
        0.0 if candidate is None else mean_price(candidate),
        name not in route.ill,
        step.result,
        round((step.ended - step.started) * scale * 1e3, 3),
        entry.prompt_tokens if answered else 0,
        entry.completion_tokens if answered else 0,
    )


def _why(route: Route, candidate: Candidate, place: int) -> str:
    """Why a candidate has its place, in words."""
    strategy, task, settings = route.call.strategy, route.call.demand.task, candidate.settings
    on_merit = rank(route.candidates, strategy, task)
    merit = {
        "cost": f"{mean_price(candidate):g} USD per million tokens",
        "latency": f"{settings.ttft.median_s() * 1e3:g} ms to the first token",
        "throughput": f"{settings.tokens_per_s:g} tokens/s",
    }.get(strategy.mode, f"quality {quality_for(candidate, task):.3g} for {task}")
    parts = [f"place {place} of {len(route.candidates)} for mode {strategy.mode}: {merit}"]
    if strategy.mode in ("auto", "balanced") and on_merit and on_merit[0] is candidate:
        parts.append(f"the cheapest of those near the best, {mean_price(candidate):g} USD per million tokens")
    if candidate.provider in strategy.providers.order:
        parts.append("named in strategy.providers.order")
    if candidate.name == route.call.cached_by:
        parts.append(f"answered this conversation before, {route.call.cached_tokens:,} tokens cached")
    parts.append("put last: known to be failing" if candidate.name in route.ill else "healthy")
    return "; ".join(parts)


def _matching(context: Context, wanted: RequestFilter) -> list[Record]:
    return list(filter(matcher(wanted), context.journal.records(wanted.test)))


def _filter(context: Context, asked: Asked) -> RequestFilter:
    """The filter of a query, with the test id of the header."""
    wanted: RequestFilter = asked.query
    test = same_test(asked.test, wanted.test, "?test=")
    if wanted.key is not None:
        check_key(context, wanted.key)
    if wanted.test is not None:
        check_test(wanted.test)
    if wanted.status is not None:
        check_status(context, wanted.status)
    if wanted.code is not None:
        check_code(wanted.code)
    check_names(context, wanted.provider, wanted.model)
    if wanted.fault is not None:
        check_fault(wanted.fault, wanted.stream)
    return RequestFilter(
        wanted.key,
        test,
        wanted.status,
        wanted.code,
        wanted.provider,
        wanted.model,
        wanted.stream,
        wanted.fault,
        wanted.ending,
        wanted.request_id,
    )


def same_test(header: str | None, named: str | None, where: str) -> str | None:
    """The test id that header and request name, if any. Raises when they differ."""
    if header is not None and named is not None and header != named:
        mistake(f"X-Mock-Test and {where} contradict each other")
    return header if named is None else named

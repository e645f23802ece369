"""What the mock remembers of requests: for each test id a bounded ring of entries, and counters that never drop."""

from __future__ import annotations

from collections import Counter, deque
from collections.abc import Callable, Iterable, Iterator
from itertools import chain, takewhile
from operator import attrgetter
from typing import Annotated, Final, Protocol, TypeVar

from msgspec import Meta, Struct
from msgspec.structs import replace

from mock_server.core.call import Route
from mock_server.core.session import Step

RING_SIZE: Final = 10_000
"""So many calls without a test id are remembered."""
TEST_RING_SIZE: Final = 1_000
"""So many calls of each test id are."""

T = TypeVar("T")


class Entry(Struct, frozen=True, gc=False):
    """One finished request."""

    request_id: Annotated[str, Meta(description="its `X-Request-Id`; a replayed answer has that of the first")]
    at_s: Annotated[float, Meta(description="when it arrived, in simulated seconds on its test's clock")]
    test: Annotated[str, Meta(description="the test id")]
    key: Annotated[str, Meta(description="the last four characters of the API key, where an account has it")]
    status: Annotated[int, Meta(description="the status of the answer; 0 where there was none")]
    code: Annotated[str, Meta(description="the code of the error")]
    stream: Annotated[bool, Meta(description="whether a stream was asked for")]
    provider: Annotated[str, Meta(description="who answered")]
    model: Annotated[str, Meta(description="which model answered")]
    prompt_tokens: Annotated[int, Meta(description="tokens of the prompt")]
    completion_tokens: Annotated[int, Meta(description="tokens of the whole answer")]
    charged: Annotated[int, Meta(description="tokens charged")]
    planned_ms: Annotated[float, Meta(description="when the last byte was planned for, in ms from the arrival")]
    first_ms: Annotated[float, Meta(description="when the first piece was planned for, in ms from the arrival")]
    overhead_ms: Annotated[float, Meta(description="the mock's own time up to the first byte, in ms")]
    took_ms: Annotated[
        float,
        Meta(description="ms from the arrival until all was over, by the test's clock, which may have been steered"),
    ]
    ending: Annotated[
        str,
        Meta(description="complete: all was handed over; fault: a fault ended it; abandoned: the client had left"),
    ]
    fault: Annotated[str, Meta(description="the fault, or forced code, that was to strike it")]
    struck: Annotated[bool, Meta(description="whether that struck")]
    attempts: Annotated[tuple[Step, ...], Meta(description="the tries of providers, in simulated seconds")]
    forgotten: Annotated[bool, Meta(description="all about its test had been forgotten since the test was last seen")]
    arrived_unix_s: Annotated[float, Meta(description="when it arrived, in seconds of the calendar (Unix)")] = 0.0
    connection: Annotated[
        int, Meta(description="the number of its connection since the start; 0 where the server hides it")
    ] = 0
    on_connection: Annotated[
        int, Meta(description="1 for the first request on its connection, then 2, …; 0 where that is not known")
    ] = 0
    connected_ms: Annotated[
        float | None,
        Meta(description="ms from the opening of its connection until it arrived, of the first request on it"),
    ] = None
    method: Annotated[str, Meta(description="the method")] = "POST"
    path: Annotated[str, Meta(description="the path, without the query and without `/__test__/ID`")] = ""
    content_type: Annotated[str, Meta(description="its `Content-Type`, the first 128 characters")] = ""
    body_hash: Annotated[
        str, Meta(description="the same for the same body, byte by byte; empty where none was read to its end")
    ] = ""
    key_place: Annotated[
        str,
        Meta(description="where a key stood: `authorization` or another header, `query`, `path`, `body`; or nowhere"),
    ] = ""
    idempotency_key: Annotated[str, Meta(description="its `Idempotency-Key`")] = ""
    replayed: Annotated[bool, Meta(description="whether that key was answered with what it got before")] = False
    retry_count: Annotated[int | None, Meta(description="its `X-Stainless-Retry-Count`")] = None
    retry_after_s: Annotated[
        float | None, Meta(description="the `Retry-After` of the answer, in seconds; of a date, from then on")
    ] = None
    should_retry: Annotated[bool | None, Meta(description="the `X-Should-Retry` of the answer")] = None
    first_byte_ms: Annotated[
        float | None, Meta(description="wall ms from the arrival until the head of the answer was handed over")
    ] = None
    pieces: Annotated[int, Meta(description="pieces of text of a stream that were handed over")] = 0
    sent_bytes: Annotated[int, Meta(description="bytes of the body that were handed over")] = 0
    left_ms: Annotated[
        float | None,
        Meta(description="wall ms from the arrival until the client left, where it left before all was sent"),
    ] = None
    left_in: Annotated[str, Meta(description="the stage in which it left then, as in the table of stages")] = ""
    attested: Annotated[
        str, Meta(description="what the application made of the answer, as `POST /__mock__/outcomes/ID` was told")
    ] = ""


class Record(Struct, frozen=True, gc=False):
    """An entry, and what of the request is not for showing: the whole key, and the objects it was routed by.

    ``number`` counts requests in the order in which they finished.
    """

    entry: Entry
    key: str
    route: Route | None
    number: int


class Totals(Struct, frozen=True):
    """Counters since the start or the last reset."""

    requests: int
    by_status: dict[str, int]
    by_code: dict[str, int]
    by_model: dict[str, int]
    prompt_tokens: int
    completion_tokens: int
    charged_tokens: int
    abandoned: int
    in_flight: int
    dropped_from_ring: int


class Counts:
    """Sums over all requests. Mutable: everything, by adding entries."""

    def __init__(self) -> None:
        # By status, code, ending, provider, model, kind of fault and whether it struck: one look-up for each request.
        self._alike: dict[tuple[int, str, str, str, str, str, bool], int] = {}
        self.prompt = self.completion = self.charged = 0

    def add(self, entry: Entry) -> None:
        """Count a request."""
        kind = entry.fault and entry.fault.partition(";")[0].partition("=")[0]
        key = (entry.status, entry.code, entry.ending, entry.provider, entry.model, kind, entry.struck)
        self._alike[key] = self._alike.get(key, 0) + 1
        self.charged += entry.charged
        self.prompt += entry.prompt_tokens
        self.completion += entry.completion_tokens

    @property
    def statuses(self) -> Counter[tuple[int, str]]:
        """Requests by status and error code."""
        return self._by(lambda status, code, *_: (status, code))

    @property
    def endings(self) -> Counter[str]:
        """Requests by ending."""
        return self._by(lambda _status, _code, ending, *_: ending)

    @property
    def models(self) -> Counter[tuple[str, str]]:
        """Answers by provider and model."""
        return self._by(lambda _status, _code, _ending, provider, model, *_: (provider, model) if model else None)

    @property
    def faults(self) -> Counter[tuple[str, bool]]:
        """Requests with a fault by its kind and whether it struck."""
        return self._by(lambda *key: key[5:] if key[5] else None)

    def _by(self, part: Callable[..., T | None]) -> Counter[T]:
        """The requests by a part of their keys; those whose part is None are left out."""
        counts: Counter[T] = Counter()
        for key, count in self._alike.items():
            if (name := part(*key)) is not None:
                counts[name] += count
        return counts


class Watcher(Protocol):
    """Someone who wants to hear of finished requests, of a ``test`` or of all."""

    test: str | None

    def seen(self, record: Record) -> None:
        """A request has finished."""

    def recount(self) -> None:
        """The journal has forgotten some."""


class Ring:
    """What is remembered of one test, the oldest first, of so many requests that have finished. Mutable."""

    __slots__ = ("finished", "records")

    def __init__(self, size: int) -> None:
        self.records: deque[Record] = deque(maxlen=size)
        self.finished = 0

    @property
    def dropped(self) -> int:
        """For how many there was no room."""
        return self.finished - len(self.records)


class Journal:
    """Mutable: the rings, the counters, who watches, and the numbers of requests finished and in flight.

    ``last`` is the number of the request that finished last; ``resets`` counts the times that it was told to forget.
    """

    def __init__(self) -> None:
        self._rings: dict[str, Ring] = {}
        self.last = 0
        self.resets = 0
        self._dropped = 0  # by rings that are gone
        self.counts = Counts()
        self.watchers: set[Watcher] = set()
        self.in_flight = 0

    def record(self, entry: Entry, key: str, route: Route | None) -> None:
        """Remember a finished request."""
        try:
            ring = self._rings[entry.test]
        except KeyError:
            ring = self._rings[entry.test] = Ring(TEST_RING_SIZE if entry.test else RING_SIZE)
        ring.finished += 1
        self.last = number = self.last + 1
        ring.records.append(Record(entry, key, route, number))
        self.counts.add(entry)
        if self.watchers:
            for watcher in tuple(self.watchers):
                watcher.seen(ring.records[-1])

    def _rings_of(self, test: str | None) -> Iterable[Ring]:
        return self._rings.values() if test is None else [self._rings[test]] if test in self._rings else []

    def records(self, test: str | None = None) -> Iterator[Record]:
        """What is remembered of a test, or of everybody: of each test the oldest first."""
        return chain.from_iterable(ring.records for ring in self._rings_of(test))

    def since(self, number: int, test: str | None = None) -> list[Record]:
        """What finished after the request of this number and is remembered, the newest first; 0 gives all.

        Only as many as that are looked at, however much is remembered.
        """
        newer = (
            takewhile(lambda record: record.number > number, reversed(ring.records)) for ring in self._rings_of(test)
        )
        return newest_first(chain.from_iterable(newer))

    def dropped(self, test: str | None = None) -> int:
        """How many requests of a test, or of everybody, there was no room for since the last reset."""
        gone = self._dropped if test is None else 0
        return gone + sum(ring.dropped for ring in self._rings_of(test))

    def find(self, request_id: str) -> Record | None:
        """The latest request of this id, if it is still remembered."""
        found = self._find(request_id)
        return None if found is None else found[0][found[1]]

    def _find(self, request_id: str) -> tuple[deque[Record], int] | None:
        """The records among which the latest request of this id is, and its place there; no id is in two rings."""
        for ring in self._rings.values():
            for back, record in enumerate(reversed(ring.records), 1):
                if record.entry.request_id == request_id:
                    return ring.records, len(ring.records) - back
        return None

    def attest(self, request_id: str, outcome: str) -> Entry | None:
        """Note what the application made of the latest answer of this id; its entry, or None where there is none."""
        found = self._find(request_id)
        if found is None:
            return None
        records, place = found
        entry = replace(records[place].entry, attested=outcome)
        records[place] = replace(records[place], entry=entry)
        return entry

    def clear(self, test: str | None) -> None:
        """Forget everything, or the entries of one test id; counters are cleared only with everything."""
        self.resets += 1
        if test is None:
            self._rings.clear()
            self.counts = Counts()
            self._dropped = 0
        else:
            self._drop(test)
        for watcher in tuple(self.watchers):
            watcher.recount()

    def forget(self, test: str) -> None:
        """Forget the entries of a test that is forgotten whole; to others its requests have finished all the same."""
        if self._drop(test):
            for watcher in tuple(self.watchers):
                if watcher.test == test:
                    watcher.recount()

    def _drop(self, test: str) -> bool:
        ring = self._rings.pop(test, None)
        if ring is not None:
            self._dropped += ring.dropped
        return ring is not None

    def totals(self) -> Totals:
        """The counters as they are now."""
        counts, statuses = self.counts, self.counts.statuses
        by_status: Counter[str] = Counter()
        by_code: Counter[str] = Counter()
        for (status, code), count in statuses.items():
            by_status[str(status)] += count
            if code:
                by_code[code] += count
        return Totals(
            requests=statuses.total(),
            by_status=dict(by_status),
            by_code=dict(by_code),
            by_model={f"{provider}/{model}": count for (provider, model), count in counts.models.items()},
            prompt_tokens=counts.prompt,
            completion_tokens=counts.completion,
            charged_tokens=counts.charged,
            abandoned=counts.endings["abandoned"],
            in_flight=self.in_flight,
            dropped_from_ring=self.dropped(),
        )


def newest_first(records: Iterable[Record]) -> list[Record]:
    """The records, the one that finished last at the head."""
    return sorted(records, key=_NUMBER, reverse=True)


_NUMBER: Final = attrgetter("number")

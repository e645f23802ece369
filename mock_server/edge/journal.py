"""What the mock remembers of requests: a bounded ring of entries, and counters that never drop."""

from __future__ import annotations

from collections import Counter, deque
from collections.abc import Callable, Iterator
from typing import Final, Protocol, TypeVar

from msgspec import Struct
from msgspec.structs import replace

from mock_server.core.session import Route, Step

RING_SIZE: Final = 10_000

T = TypeVar("T")


class Entry(Struct, frozen=True, gc=False):
    """One finished request. Durations are wall milliseconds; ``key`` shows the last four characters only.

    ``fault`` is what was to strike it, and ``struck`` whether it did. ``forgotten`` says that all about its test had
    been forgotten since the test was last seen.

    ``arrived_unix_s`` is calendar time, ``at_s`` the moment on the test's clock. ``connection`` numbers connections
    since the start and ``on_connection`` the requests on one, both 0 where the server hides them. ``body_hash`` is
    equal for equal bodies and "" where none was read. ``retry_count`` is what the client says of itself,
    ``retry_after_s`` (wall seconds) and ``should_retry`` what the answer announced. ``pieces`` and ``sent_bytes`` were
    handed over. ``left_ms`` and ``left_in`` tell when and at which stage the client left, where it left early.
    ``attested`` is what the application was said to have made of the answer.
    """

    request_id: str
    at_s: float
    test: str
    key: str
    status: int
    code: str
    stream: bool
    provider: str
    model: str
    prompt_tokens: int
    completion_tokens: int
    charged: int
    planned_ms: float
    first_ms: float
    overhead_ms: float
    took_ms: float
    ending: str
    fault: str
    struck: bool
    attempts: tuple[Step, ...]
    forgotten: bool
    arrived_unix_s: float = 0.0
    connection: int = 0
    on_connection: int = 0
    method: str = "POST"
    path: str = ""
    content_type: str = ""
    body_hash: str = ""
    key_place: str = ""
    idempotency_key: str = ""
    replayed: bool = False
    retry_count: int | None = None
    retry_after_s: float | None = None
    should_retry: bool | None = None
    first_byte_ms: float | None = None
    pieces: int = 0
    sent_bytes: int = 0
    left_ms: float | None = None
    left_in: str = ""
    attested: str = ""


class Record(Struct, frozen=True, gc=False):
    """An entry, and what of the request is not for showing: the whole key, and the objects it was routed by."""

    entry: Entry
    key: str
    route: Route | None


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
        self.prompt = self.completion = self.charged = self.dropped = 0

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
    """Someone who wants to hear of finished requests."""

    def seen(self, record: Record) -> None:
        """A request has finished."""

    def recount(self) -> None:
        """The journal has forgotten some."""


class Journal:
    """Mutable: the ring, the counters, who watches, and the number of requests in flight."""

    def __init__(self) -> None:
        self._ring: deque[Record] = deque(maxlen=RING_SIZE)
        self.counts = Counts()
        self.watchers: set[Watcher] = set()
        self.in_flight = 0

    def record(self, entry: Entry, key: str, route: Route | None) -> None:
        """Remember a finished request."""
        ring = self._ring
        if len(ring) == RING_SIZE:
            self.counts.dropped += 1
        ring.append(Record(entry, key, route))
        self.counts.add(entry)
        if self.watchers:
            for watcher in tuple(self.watchers):
                watcher.seen(ring[-1])

    def records(self) -> Iterator[Record]:
        """What is remembered, the newest first."""
        return reversed(self._ring)

    def find(self, request_id: str) -> Record | None:
        """The latest request of this id, if it is still remembered."""
        return next((record for record in self.records() if record.entry.request_id == request_id), None)

    def attest(self, request_id: str, outcome: str) -> Entry | None:
        """Note what the application made of the latest answer of this id; its entry, or None where there is none."""
        ring = self._ring
        place = next((n for n in reversed(range(len(ring))) if ring[n].entry.request_id == request_id), None)
        if place is None:
            return None
        entry = replace(ring[place].entry, attested=outcome)
        ring[place] = replace(ring[place], entry=entry)
        return entry

    def clear(self, test: str | None) -> None:
        """Forget everything, or the entries of one test id; counters are cleared only with everything."""
        kept = [] if test is None else [record for record in self._ring if record.entry.test != test]
        self._ring.clear()
        self._ring.extend(kept)
        if test is None:
            self.counts = Counts()
        for watcher in tuple(self.watchers):
            watcher.recount()

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
            dropped_from_ring=counts.dropped,
        )

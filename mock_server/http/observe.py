"""What the mock remembers of requests: a bounded ring of entries, and counters that never drop."""

from __future__ import annotations

from collections import Counter, deque
from collections.abc import Iterator
from typing import Final

from msgspec import Struct

from mock_server.core.session import Step

RING_SIZE: Final = 10_000


class Entry(Struct, frozen=True, gc=False):
    """One finished request. Durations are wall milliseconds; ``key`` shows the last four characters only."""

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
    attempts: tuple[Step, ...]


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


class _Counts:
    """Mutable sums over all requests."""

    def __init__(self) -> None:
        self.statuses: Counter[tuple[int, str]] = Counter()
        self.models: Counter[tuple[str, str]] = Counter()
        self.endings: Counter[str] = Counter()
        self.prompt = self.completion = self.charged = 0

    def add(self, entry: Entry) -> None:
        self.statuses[entry.status, entry.code] += 1
        self.endings[entry.ending] += 1
        self.charged += entry.charged
        if entry.model:
            self.models[entry.provider, entry.model] += 1
            self.prompt += entry.prompt_tokens
            self.completion += entry.completion_tokens


class Journal:
    """Mutable: the ring, the counters and the number of requests in flight."""

    def __init__(self) -> None:
        self._ring: deque[Entry] = deque(maxlen=RING_SIZE)
        self._counts = _Counts()
        self.in_flight = 0

    def record(self, entry: Entry) -> None:
        """Remember a finished request."""
        self._ring.append(entry)
        self._counts.add(entry)

    def entries(self) -> Iterator[Entry]:
        """The remembered entries, the newest first."""
        return reversed(self._ring)

    def find(self, request_id: str) -> Entry | None:
        """The entry of a request, if it is still remembered."""
        return next((entry for entry in self.entries() if entry.request_id == request_id), None)

    def clear(self, test: str | None) -> None:
        """Forget everything, or the entries of one test id; counters are cleared only with everything."""
        kept = [] if test is None else [entry for entry in self._ring if entry.test != test]
        self._ring.clear()
        self._ring.extend(kept)
        if test is None:
            self._counts = _Counts()

    def totals(self) -> Totals:
        """The counters as they are now."""
        counts = self._counts
        requests = counts.statuses.total()
        by_status: Counter[str] = Counter()
        by_code: Counter[str] = Counter()
        for (status, code), count in counts.statuses.items():
            by_status[str(status)] += count
            if code:
                by_code[code] += count
        return Totals(
            requests=requests,
            by_status=dict(by_status),
            by_code=dict(by_code),
            by_model={f"{provider}/{model}": count for (provider, model), count in counts.models.items()},
            prompt_tokens=counts.prompt,
            completion_tokens=counts.completion,
            charged_tokens=counts.charged,
            abandoned=counts.endings["abandoned"],
            in_flight=self.in_flight,
            dropped_from_ring=max(0, requests - len(self._ring)),
        )

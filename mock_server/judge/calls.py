"""Which requests are tries of one call.

An idempotency key or a retry count says so itself. Else a request of the same test, API key and body is taken for a
retry when it comes after a failure and within the longest wait that clients are known to make. Requests that were under
way at the same time are calls of their own. A request is under way from the moment its connection is opened for it, so
that of two that are answered at once it is known whether the second was sent because of the first. Calls of their own
are also those of a body that the client was seen to send again after a good answer: a request after a failure may then
be either, and is only noted as an echo of it. So is one without a test id that fails in another way than the one
before.
"""

from __future__ import annotations

from bisect import insort
from collections import defaultdict
from collections.abc import Iterable, Sequence
from itertools import chain, islice, pairwise
from typing import Final

import msgspec

from mock_server.edge.journal import Entry
from mock_server.judge.tries import Call, Link, Try, ended

LONGEST_WAIT_S: Final = 600.0
"""Beyond what was announced. Doubling from 1 s, ten tries take no longer wait than this; later it is another call."""
_MOST_AT_ONCE: Final = 100  # so many waiting calls of one body are looked at for the one with an idempotency key
_REACTION_S: Final = 0.001  # in less it is not known that a client with idle connections has read an answer
_SPARE_MS: Final = 1_000.0  # a connection that was opened so long before was not opened for its first request
_OPENING_S: Final = 50e-6  # in less no client reads an answer and opens a connection
_SLACK_S: Final = 0.002  # a request is closed in the journal a moment after its last byte has left
_LEFT_SLACK_S: Final = 0.05  # that a client has left is noticed later than what it sends next


def link(entries: Iterable[Entry], time_scale: float = 1.0) -> tuple[Call, ...]:
    """The calls that entries, in any order, are tries of, in the order of their first tries.

    ``time_scale`` is wall seconds per second of the mock's clocks.
    """
    groups: dict[tuple[str, ...], list[Entry]] = defaultdict(list)
    ordered = in_order(entries)
    for entry in ordered:
        groups[entry.test, entry.key, entry.key_place, entry.body_hash].append(entry)
    found = [call for group in groups.values() for call in _Group(group, Times(time_scale)).calls()]
    places = {id(entry): place for place, entry in enumerate(ordered)}
    return tuple(sorted(found, key=lambda call: places[id(call.tries[0].entry)]))


def in_order(entries: Iterable[Entry]) -> list[Entry]:
    """Entries by arrival, whatever order they are in."""
    return sorted(sorted(entries, key=msgspec.json.encode), key=_order)


def _order(entry: Entry) -> tuple[float, float, int]:
    return entry.arrived_unix_s, entry.at_s, entry.on_connection


class Times:
    """Reads both clocks that entries go by: the wall's, and the test's own, which a test may steer."""

    def __init__(self, scale: float) -> None:
        self._scale = scale

    def wait_s(self, before: Entry, after: Entry) -> float:
        """Wall seconds from the end of one request to the arrival of another, by whichever clock saw more pass."""
        return max(self.wall_wait_s(before, after), self._own_wait_s(before, after))

    def wall_wait_s(self, before: Entry, after: Entry) -> float:
        """The same by the wall's clock alone; negative where they overlap."""
        return after.arrived_unix_s - over_s(before)

    def follows(self, before: Entry, after: Entry) -> bool:
        """Whether a request may have been sent because another was over."""
        if 0 < before.connection == after.connection:  # HTTP/1.1 answers in turn
            return after.on_connection > before.on_connection
        slack_s = _LEFT_SLACK_S if _may_have_left(before) else _SLACK_S
        return self.wait_s(before, after) >= -min(slack_s, before.took_ms / 4e3)

    def _own_wait_s(self, before: Entry, after: Entry) -> float:
        return (after.at_s - before.at_s) * self._scale - before.took_ms / 1e3


def over_s(entry: Entry) -> float:
    """The calendar second in which a request was over."""
    return entry.arrived_unix_s + entry.took_ms / 1e3


def _known_s(entry: Entry) -> float:
    """The calendar second in which the client could have the answer, whatever its test's clock says."""
    known_ms = entry.took_ms if entry.first_byte_ms is None else entry.first_byte_ms
    return entry.arrived_unix_s + known_ms / 1e3


def _may_have_left(entry: Entry) -> bool:
    """Whether its end may have been the client's doing."""
    stalled = entry.fault.startswith(("stall", "done_then_hang"))
    return entry.ending == "abandoned" or (entry.ending == "fault" and stalled)


def failed(entry: Entry) -> bool:
    """Whether a client has reason to send the call again: the answer was bad, or its application says it failed."""
    return ended(entry) != "good" or entry.attested == "error"


def _same_call(before: Entry, after: Entry) -> bool:
    """Whether body and time are enough to tell a retry.

    A suite that gives its tests no ids asks with one prompt for one error after the other.
    """
    other_error = before.code and after.code and before.code != after.code
    return not before.idempotency_key and bool(after.test or not other_error)


class _Open:
    """A call that may have more tries. Mutable: its tries."""

    def __init__(self, first: Entry, echo: Try | None, *, untold: bool, cut: bool) -> None:
        self.tries = [Try(first)]
        self.echo, self.untold, self.cut = echo, untold, cut

    @property
    def last(self) -> Entry:
        return self.tries[-1].entry

    def done(self) -> Call:
        return Call(tuple(self.tries), self.echo, self.untold, self.cut)


class _Group:
    """Requests of one test, API key and body, in order of arrival. Mutable: the calls found so far."""

    def __init__(self, entries: Sequence[Entry], times: Times) -> None:
        self._entries = entries
        self._times = times
        self._open: list[_Open] = []
        self._by_count: dict[tuple[int, bool], list[_Open]] = defaultdict(list)  # and by whether the last try failed
        self._by_key: dict[str, list[_Open]] = defaultdict(list)
        self._latest: _Open | None = None  # of the requests without a retry count
        self._repeated = False  # the body was sent again after a good answer
        self._crowded = self._at_once([entry for entry in entries if entry.retry_count is None])

    def calls(self) -> list[Call]:
        """All of them."""
        for entry in self._entries:
            if entry.retry_count is not None:
                self._counted(entry, entry.retry_count)
            elif entry.idempotency_key:
                self._keyed(entry)
            else:
                self._unnamed(entry)
        return [call.done() for call in self._open]

    def _counted(self, entry: Entry, count: int) -> None:
        call = self._waiting(count - 1, entry.idempotency_key)
        if call is None:
            call = self._begin(entry, cut=count > 0)
        else:
            self._by_count[count - 1, failed(call.last)].remove(call)
            self._join(call, entry, "retry count")
        insort(self._by_count[count, failed(entry)], call, key=lambda each: over_s(each.last))

    def _waiting(self, count: int, key: str) -> _Open | None:
        """The call that a try after this count belongs to.

        Of several at once any may be the one: the first to have failed gives its client the benefit of the doubt.
        """
        waiting = chain(self._by_count[count, True], self._by_count[count, False])
        some = list(islice(waiting, _MOST_AT_ONCE))
        return next((call for call in some if call.last.idempotency_key == key), some[0] if some else None)

    def _keyed(self, entry: Entry) -> None:
        same = self._by_key[entry.idempotency_key]
        after = next((call for call in reversed(same) if self._times.follows(call.last, entry)), None)
        if after is not None:
            self._latest = after
            self._join(after, entry, "idempotency key")
        else:
            self._latest = self._begin(entry, echo=self._echo(entry))
            same.append(self._latest)

    def _unnamed(self, entry: Entry) -> None:
        latest = self._latest
        if latest is not None and not failed(latest.last):
            self._repeated = True
        echo = self._echo(entry)
        if latest is not None and echo is not None and not self._repeated and _same_call(latest.last, entry):
            self._join(latest, entry, "body")
        else:
            self._latest = self._begin(entry, echo, untold=self._crowded or not entry.body_hash)

    def _echo(self, entry: Entry) -> Try | None:
        """The failed try that this may be a retry of, by body and time."""
        latest = self._latest
        if latest is None or self._crowded or not entry.body_hash or not failed(latest.last):
            return None
        most_s = LONGEST_WAIT_S + (latest.last.retry_after_s or 0.0)
        return latest.tries[-1] if self._times.wall_wait_s(latest.last, entry) <= most_s else None

    def _begin(self, entry: Entry, echo: Try | None = None, *, untold: bool = False, cut: bool = False) -> _Open:
        call = _Open(entry, echo, untold=untold, cut=cut)
        self._open.append(call)
        return call

    def _join(self, call: _Open, entry: Entry, by: Link) -> None:
        before = call.last
        wait_s = max(0.0, self._times.wait_s(before, entry)) if self._times.follows(before, entry) else None
        call.tries.append(Try(entry, len(call.tries) + 1, by, wait_s))

    def _at_once(self, entries: Sequence[Entry]) -> bool:
        """Whether any two were under way together, or came too quickly for one to be the consequence of another."""
        longest: Entry | None = None
        for before, after in pairwise(entries):
            if longest is None or over_s(before) > over_s(longest):
                longest = before
            if not (self._times.follows(before, after) and self._times.follows(longest, after)):
                return True
            if self._by_chance(before, after):
                return True
        return False

    def _by_chance(self, before: Entry, after: Entry) -> bool:
        """Whether a request comes after another without being the consequence of it, or that cannot be told."""
        apart = 0 < before.connection != after.connection > 0
        if not apart or _may_have_left(before):
            return False
        opened_ms = after.connected_ms
        if opened_ms is None or opened_ms > _SPARE_MS:
            return self._times.wait_s(before, after) < _REACTION_S
        return after.arrived_unix_s - opened_ms / 1e3 < _known_s(before) + _OPENING_S

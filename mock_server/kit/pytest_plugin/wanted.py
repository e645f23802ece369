"""Which requests of the journal a test means, how the others differ, and how they are shown."""

from __future__ import annotations

import math
from collections.abc import Collection, Mapping, Sequence
from typing import Any, Final, NamedTuple, get_args, get_type_hints

import msgspec

from mock_server.contract.endpoints import TEST_PREFIX
from mock_server.core.account import shown
from mock_server.core.faults import STAGES
from mock_server.edge.journal import Entry, Record
from mock_server.http.control.journal import RequestFilter, matcher
from mock_server.http.control.judging import Outcome
from mock_server.judge.words import printable
from mock_server.schema import did_you_mean

__tracebackhide__ = True  # pytest's: a failure shows the line of the test

_ASKED: Final = frozenset(RequestFilter.__struct_fields__) - {"test"}
"""What the mock itself can look for, which it refuses where no request could ever match."""
NAMES: Final = tuple(name for name in Entry.__struct_fields__ if name != "test")
_TYPES: Final = {**get_type_hints(Entry), **get_type_hints(RequestFilter)}
_WORDS: Final[Mapping[str, Collection[str]]] = {
    "left_in": ("", *STAGES),
    "attested": ("", *get_args(get_type_hints(Outcome)["outcome"])),
}
"""The only words that these fields ever hold."""
_SHOWN: Final = 3
_LISTED: Final = 50


class Wanted(NamedTuple):
    """Criteria by the names of an entry's fields: those that mean what they mean in the control plane, and the rest."""

    filters: Mapping[str, Any]
    exact: Mapping[str, Any]

    def differences(self, entry: Entry) -> list[str]:
        """In what a request is not as wanted, in words; empty where it matches."""
        seen = Record(entry, entry.key, None, 0)
        missed = [name for name, value in self.filters.items() if not matcher(RequestFilter(**{name: value}))(seen)] + [
            name for name, value in self.exact.items() if getattr(entry, name) != value
        ]
        both = {**self.filters, **self.exact}
        return [f"{name}: wanted {both[name]!r}, was {getattr(entry, name)!r}" for name in missed]

    def __str__(self) -> str:
        """As it was asked for, keys aside."""
        words = ", ".join(f"{name}={value!r}" for name, value in {**self.filters, **self.exact}.items())
        return f" with {words}" if words else ""


def read_wanted(criteria: Mapping[str, Any]) -> Wanted:
    """Criteria as they were given.

    Raises TypeError for a name that no entry has, a filter that filters nothing, and a value of another type than the
    field's; ValueError for one that the field never has.
    """
    for name in criteria:
        if name not in NAMES:
            hint = did_you_mean(name, NAMES)
            raise TypeError(f"requests have no {name!r}: {hint}there are {', '.join(NAMES)}")
    filters = {name: value for name, value in criteria.items() if name in _ASKED}
    if nothing := [name for name, value in filters.items() if value is None]:
        raise TypeError(f"{nothing[0]}=None matches every request; leave it out")
    exact = {name: _possible(name, value) for name, value in criteria.items() if name not in _ASKED}
    filters = {name: _possible(name, value) for name, value in filters.items()}
    key = filters.get("key")
    if key is not None and not key.startswith("…"):
        filters["key"] = shown(key)
    return Wanted(filters, exact)


def _possible(name: str, value: object) -> Any:
    """The value as a field of this name may have it. Raises TypeError and ValueError where no request's ever does."""
    try:
        given = msgspec.convert(value, _TYPES[name])
    except msgspec.ValidationError as error:
        raise TypeError(f"{name}={value!r} can match no request: {str(error).lower()}") from None
    if why := _never(name, given):
        raise ValueError(f"{name}={value!r} can match no request: {why}")
    return given


def _never(name: str, value: object) -> str:
    """Why no request's field of this name has the value; empty where one's may."""
    if isinstance(value, int | float):
        return "" if 0 <= value < math.inf else "it is never below 0, and always finite"
    if not isinstance(value, str):
        return ""
    if name in _WORDS and value not in _WORDS[name]:
        return f"{did_you_mean(value, _WORDS[name])}there are {', '.join(map(repr, _WORDS[name]))}"
    if name == "method" and value != value.upper():
        return f"methods are in upper case, as {value.upper()!r}"
    if name == "key_place" and (value != value.lower() or value in ("header", "headers")):
        return "it is 'path', 'query', 'body', or the name of the header in lower case, as 'authorization'"
    if name == "path" and value not in ("", "*") and (not value.startswith("/") or value.startswith(TEST_PREFIX)):
        return f"it begins with / and is without the query and {TEST_PREFIX}ID, as '/v1/llm/auto'"
    return ""


def nearest(wanted: Wanted, entries: Sequence[Entry]) -> str:
    """The requests that come nearest to what was wanted, and in what they differ; for those that do not match."""
    differing = [(found, entry) for entry in entries if (found := wanted.differences(entry))]
    if not differing:
        return "there were no other requests" if entries else "there was no request at all"
    ranked = sorted(differing, key=lambda pair: len(pair[0]))[:_SHOWN]
    lines = [f"the nearest of {len(differing)} other{'s' * (len(differing) != 1)}:"]
    began = entries[0].arrived_unix_s
    for found, entry in ranked:
        lines += [f"  {line_of(entry, began)}", *(f"      {difference}" for difference in found)]
    return "\n".join(lines)


def listing(entries: Sequence[Entry]) -> str:
    """Requests, one a line, the latest of very many."""
    began = entries[0].arrived_unix_s if entries else 0.0
    left_out = len(entries) - _LISTED
    first = [f"  … and {left_out:,} before"] if left_out > 0 else []
    return "\n".join([*first, *(f"  {line_of(entry, began)}" for entry in entries[-_LISTED:])])


def line_of(entry: Entry, began_unix_s: float) -> str:
    """One request in one line; its arrival counts from a calendar moment."""
    after = entry.arrived_unix_s - began_unix_s
    fault = f" fault {entry.fault} ({'struck' if entry.struck else 'did not strike'})" if entry.fault else ""
    answer = f"{entry.status or 'no answer'} {entry.code}".rstrip()
    model = f" {entry.provider}/{entry.model}" if entry.model else ""
    path = f" {entry.path}" if entry.path else ""
    how = "stream" if entry.stream else "plain"
    key = f" key {entry.key}" if entry.key else ""
    ending = "" if entry.ending == "complete" else f" {entry.ending}"
    tokens = f" charged {entry.charged}" if entry.charged else ""
    return printable(
        f"{entry.request_id} +{after:.3f} s {entry.method}{path} {how}{key}: {answer}{model}{ending}"
        f"{fault} took {entry.took_ms:.1f} ms{tokens}"
    )


def rule_words(fault: Mapping[str, Any]) -> str:
    """A rule of the queue in words: what it strikes with, and how often it has."""
    rule = fault["rule"]
    return f"{rule.get('fault') or rule.get('code')}, {fault['struck']} of {rule.get('times', '…')} struck"

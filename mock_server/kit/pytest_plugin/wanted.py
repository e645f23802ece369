"""Which requests of the journal a test means, how the others differ, and how they are shown."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any, Final, NamedTuple

from mock_server.core.account import shown
from mock_server.edge.journal import Entry, Record
from mock_server.http.control.journal import RequestFilter, matcher
from mock_server.judge.words import printable
from mock_server.schema import did_you_mean

__tracebackhide__ = True  # pytest's: a failure shows the line of the test

_ASKED: Final = frozenset(RequestFilter.__struct_fields__) - {"test"}
"""What the mock itself can look for, which it refuses where no request could ever match."""
NAMES: Final = tuple(name for name in Entry.__struct_fields__ if name != "test")
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
    """Criteria as they were given. Raises TypeError for a name that no entry has, or a filter that filters nothing."""
    for name in criteria:
        if name not in NAMES:
            hint = did_you_mean(name, NAMES)
            raise TypeError(f"requests have no {name!r}: {hint}there are {', '.join(NAMES)}")
    filters = {name: value for name, value in criteria.items() if name in _ASKED}
    if nothing := [name for name, value in filters.items() if value is None]:
        raise TypeError(f"{nothing[0]}=None matches every request; leave it out")
    key = filters.get("key")
    if isinstance(key, str) and not key.startswith("…"):
        filters["key"] = shown(key)
    return Wanted(filters, {name: value for name, value in criteria.items() if name not in _ASKED})


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

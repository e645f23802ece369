"""Server-sent events as the WHATWG specification reads them.

https://html.spec.whatwg.org/multipage/server-sent-events.html#event-stream-interpretation, without event types.
"""

from __future__ import annotations

import re
from typing import Final, NamedTuple

_LINE_END: Final = re.compile("\r\n|\r|\n")


class Event(NamedTuple):
    """One event that has data, and of how many lines that was put together."""

    data: str
    lines: int


def events_of(body: bytes) -> list[Event]:
    """The finished events of a stream, whatever its framing; what is not UTF-8 is replaced."""
    found: list[Event] = []
    data: list[str] = []
    for line in _LINE_END.split(body.decode("utf-8", "replace").removeprefix("\ufeff"))[:-1]:
        name, _, value = line.partition(":")
        if not line:
            found += [Event("\n".join(data), len(data))] if data else []
            data = []
        elif name == "data":
            data.append(value.removeprefix(" "))
    return found

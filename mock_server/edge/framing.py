"""Unusual but correct framings of an event stream: what goes into each write.

The WHATWG specification of server-sent events allows every one of them; a client that breaks on one is at fault.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Sequence
from typing import Final, assert_never

import msgspec

from mock_server.core.faults import Framing
from mock_server.edge import sse

COALESCED: Final = 8
_COMMENT: Final = b": a comment\n"


class Framer:
    """Turns events into writes. Mutable: events held back to leave together."""

    __slots__ = ("_frame", "_framing", "_held", "_size")

    def __init__(self, framing: Framing | None) -> None:
        self._framing = framing
        self._frame = _frame_of(framing)
        self._size = COALESCED if framing == "coalesced" else 1
        self._held: list[bytes] = []

    def pieces(self, texts: list[str], after: Sequence[bytes] = ()) -> list[bytes]:
        """The writes that are due with these pieces ``after`` these events."""
        if self._framing is not None:
            return self.writes([*after, *map(sse.piece, texts)])
        whole = b"".join([*after, sse.pieces(texts)]) if after else sse.pieces(texts)
        return [whole] if whole else []

    def writes(self, events: Iterable[bytes]) -> list[bytes]:
        """The writes that are due with these events; in the ordinary framing they leave together."""
        if self._framing is None:
            whole = b"".join(events)
            return [whole] if whole else []
        out: list[bytes] = []
        for event in events:
            self._held.append(event)
            if len(self._held) >= self._size:
                out += self.flush()
        return out

    @property
    def held(self) -> int:
        """How many events are held back."""
        return len(self._held)

    def batches(self, texts: list[str]) -> list[list[str]]:
        """Pieces that are due, those together that leave together."""
        return [texts] if self._framing is None else [[text] for text in texts] or [[]]

    def flush(self) -> list[bytes]:
        """The writes of what was held back."""
        held, self._held = b"".join(self._held), []
        return self._frame(held) if held else []


def _as_is(event: bytes) -> list[bytes]:
    return [event]


def _comments(event: bytes) -> list[bytes]:
    return [_COMMENT + event]


def _crlf(event: bytes) -> list[bytes]:
    return [event.replace(b"\n", b"\r\n")]


def _bytewise(event: bytes) -> list[bytes]:
    return [event[at : at + 1] for at in range(len(event))]


def _split_utf8(event: bytes) -> list[bytes]:
    """Cut behind the first byte of every character that has several."""
    cuts = [at + 1 for at, byte in enumerate(event) if byte >= 0xC0]
    return [event[start:end] for start, end in zip([0, *cuts], [*cuts, len(event)], strict=True)]


def _multiline(event: bytes) -> list[bytes]:
    """Spread the JSON of an event over several lines, which the client joins with line feeds."""
    name, _, document = event.rstrip(b"\n").partition(b": ")
    if name != b"data" or not document.startswith(b"{"):
        return [event]
    lines = msgspec.json.format(document, indent=1).split(b"\n")
    return [b"".join(b"data: " + line + b"\n" for line in lines) + b"\n"]


class _RetryLines:
    """Lines of every field there is, and an event without data, which is none. Mutable: the number of the event."""

    def __init__(self) -> None:
        self._number = 0

    def __call__(self, event: bytes) -> list[bytes]:
        self._number += 1
        return [b"event: ping\n\nretry: 3000\nid: %d\nevent: message\n%s" % (self._number, event)]


def _frame_of(framing: Framing | None) -> Callable[[bytes], list[bytes]]:
    """What turns an event, or several that leave together, into writes."""
    match framing:
        case None | "coalesced":
            return _as_is
        case "comments":
            return _comments
        case "crlf":
            return _crlf
        case "bytewise":
            return _bytewise
        case "split_utf8":
            return _split_utf8
        case "multiline":
            return _multiline
        case "retry_lines":
            return _RetryLines()
        case _:
            assert_never(framing)

"""Where the messages of an HTTP/1.1 connection begin and end, told without changing or holding back a byte of a body.

The parsers at hand tell what a message holds and not where it stood, which a relay has to know: it replaces one line of
each request, and passes everything else on as it came. What is not HTTP, or wants to become something else, is passed
on blindly.
"""

from __future__ import annotations

import re
from collections.abc import Callable
from typing import Final, NamedTuple

from msgspec import Struct

MOST_HEAD_BYTES: Final = 1 << 18
"""Of a head that is waited for; more is passed on blindly, for the other side to refuse."""
CHUNKED: Final = -1
UNTIL_CLOSE: Final = -2
BLIND: Final = -3

_LEADING: Final = re.compile(rb"[\r\n]+")
_HEAD_END: Final = re.compile(rb"\n\r?\n")
_SIZE: Final = re.compile(rb"[0-9a-fA-F]{1,16}")
_REQUEST: Final = re.compile(r"(\S+) (\S+) HTTP/1\.[01]")
_RESPONSE: Final = re.compile(r"HTTP/1\.[01] ([1-9][0-9]{2})(?: .*)?")
_NO_BODY: Final = (204, 304)
_LINE_END: Final = re.compile("\r?\n")


class Head(Struct, frozen=True):
    """A message's first line and its header lines."""

    start: str
    lines: tuple[tuple[str, str], ...]

    def all_of(self, name: str) -> list[str]:
        """The values of all header lines of a name."""
        return [value for found, value in self.lines if found.lower() == name]


class Part(NamedTuple):
    """Some bytes of a connection as they came, what of them is head or body of a message, and whether it ends here."""

    raw: bytes
    head: Head | None = None
    body: bytes = b""
    end: bool = False


class Scanner:
    """One direction of a connection. ``size_of`` tells from a head how long its body is, or how its end is known.

    Mutable: what is expected next, and what of it has come.
    """

    def __init__(self, size_of: Callable[[Head], int]) -> None:
        self._size_of = size_of
        self._step: Callable[[bytes], tuple[Part, bytes]] = self._head
        self._held = b""
        self._left = 0

    @property
    def held(self) -> bytes:
        """The beginning of a head of which the rest has not come, and which no part has told."""
        return self._held if self._step == self._head else b""

    @property
    def blind(self) -> bool:
        """Whether it is no HTTP any more, as far as can be told."""
        return self._step == self._blindly

    @property
    def ends_with_connection(self) -> bool:
        """Whether the end of the message that has begun is that of the connection."""
        return self._step == self._until_close

    def feed(self, data: bytes) -> list[Part]:
        """What came, in parts; their raw bytes put together are all that was fed, but for what is held."""
        parts = []
        while data:
            part, data = self._step(data)
            parts.append(part)
        return parts

    def _head(self, data: bytes) -> tuple[Part, bytes]:
        held = self._held + data
        if (blank := _LEADING.match(held)) is not None:
            self._held = b""
            return Part(blank[0]), held[blank.end() :]
        found = _HEAD_END.search(held)
        if found is None and len(held) <= MOST_HEAD_BYTES:
            self._held = held
            return Part(b""), b""
        self._held = b""
        head = None if found is None else _read_head(held[: found.end()])
        size = BLIND if head is None else self._size_of(head)
        if found is None or size == BLIND:
            self._step = self._blindly
            return Part(held), b""
        self._left = max(size, 0)
        self._step = {CHUNKED: self._chunk_size, UNTIL_CLOSE: self._until_close, 0: self._head}.get(size, self._length)
        return Part(held[: found.end()], head, end=size == 0), held[found.end() :]

    def _length(self, data: bytes) -> tuple[Part, bytes]:
        body, rest = data[: self._left], data[self._left :]
        self._left -= len(body)
        if not self._left:
            self._step = self._head
        return Part(body, body=body, end=not self._left), rest

    def _until_close(self, data: bytes) -> tuple[Part, bytes]:
        return Part(data, body=data), b""

    def _blindly(self, data: bytes) -> tuple[Part, bytes]:
        return Part(data), b""

    def _line(self, data: bytes) -> tuple[bytes | None, bytes, bytes]:
        """A line that has come whole, or None; the bytes of it that are new; and what follows."""
        end = data.find(b"\n") + 1
        if not end:
            self._held += data
            if len(self._held) > MOST_HEAD_BYTES:
                self._step = self._blindly
            return None, data, b""
        line, self._held = (self._held + data[:end]).rstrip(b"\r\n"), b""
        return line, data[:end], data[end:]

    def _chunk_size(self, data: bytes) -> tuple[Part, bytes]:
        line, raw, rest = self._line(data)
        if line is not None:
            size = _SIZE.match(line)
            self._left = int(size[0], 16) if size else 0
            self._step = self._blindly if size is None else self._chunk if self._left else self._trailer
        return Part(raw), rest

    def _chunk(self, data: bytes) -> tuple[Part, bytes]:
        body, rest = data[: self._left], data[self._left :]
        self._left -= len(body)
        if not self._left:
            self._step = self._chunk_end
        return Part(body, body=body), rest

    def _chunk_end(self, data: bytes) -> tuple[Part, bytes]:
        line, raw, rest = self._line(data)
        if line is not None:
            self._step = self._blindly if line else self._chunk_size
        return Part(raw), rest

    def _trailer(self, data: bytes) -> tuple[Part, bytes]:
        line, raw, rest = self._line(data)
        if line == b"":
            self._step = self._head
        return Part(raw, end=line == b""), rest


def _read_head(raw: bytes) -> Head | None:
    start, *lines = _LINE_END.split(raw.decode("latin-1").rstrip("\r\n"))
    pairs = [(name, value.strip(" \t")) for name, colon, value in (line.partition(":") for line in lines) if colon]
    return Head(start, tuple(pairs)) if len(pairs) == len(lines) else None


def method_and_target(head: Head) -> tuple[str, str]:
    """A request's method, and its path with the query; two empty texts where it is no request of HTTP/1."""
    found = _REQUEST.fullmatch(head.start)
    return ("", "") if found is None else (found[1], found[2])


def status_of(head: Head) -> int:
    """An answer's status; 0 where it is no answer of HTTP/1."""
    found = _RESPONSE.fullmatch(head.start)
    return 0 if found is None else int(found[1])


def request_size(head: Head) -> int:
    """How the end of a request's body is known (RFC 9112, section 6.3)."""
    method, _ = method_and_target(head)
    if method in ("", "CONNECT"):
        return BLIND
    return _framed(head, otherwise=0)


def response_size(head: Head, method: str) -> int:
    """How the end of the body of an answer to ``method`` is known (RFC 9112, section 6.3)."""
    status = status_of(head)
    if status in (0, 101):
        return BLIND
    if status < 200 or status in _NO_BODY or method == "HEAD":
        return 0
    return _framed(head, otherwise=UNTIL_CLOSE)


def _framed(head: Head, otherwise: int) -> int:
    codings = ",".join(head.all_of("transfer-encoding")).lower()
    if codings:
        return CHUNKED if codings.rpartition(",")[2].strip() == "chunked" else otherwise or BLIND
    sizes = set(head.all_of("content-length"))
    if not sizes:
        return otherwise
    (size, *others) = sizes
    return int(size) if not others and size.isascii() and size.isdigit() and len(size) < 19 else BLIND

"""What the journal notes of a request besides its call: how it came, and what of its answer was handed over."""

from __future__ import annotations

from collections.abc import Callable
from datetime import UTC
from email.utils import parsedate_to_datetime
from hashlib import blake2b, sha1
from math import isfinite
from typing import Final, Literal

from msgspec import Struct

from mock_server.contract.endpoints import LLM_AUTO
from mock_server.core.account import Account, shown
from mock_server.core.faults import Stage
from mock_server.edge.answers import Headers, WholeAnswer
from mock_server.edge.request import Head

MAX_CONTENT_TYPE: Final = 128
MAX_TEXT: Final = 256
"""So many characters of a path or an Idempotency-Key are kept; of a longer one the rest is told by its hash."""
LONG: Final = 4096
"""Bytes from which on a body is hashed in another way."""
_DIGITS: Final = 16
_SHORT: Final = blake2b(digest_size=_DIGITS // 2)
_JSON: Final = b"application/json"
_LEAST_SECRET: Final = 8  # a shorter token is found in words that have nothing to do with it


_Fields = tuple[
    *tuple[float, int, int, float | None, str, str, str, str, str, str, bool],
    *tuple[int | None, float | None, bool | None, float | None, int, int, float | None, str],
]


class BodyHash:
    """The hash of a long body that comes in pieces."""

    __slots__ = ("_state",)

    def __init__(self, start: bytes | bytearray = b"") -> None:
        self._state = sha1(start, usedforsecurity=False)

    def add(self, piece: bytes) -> None:
        """One more piece."""
        self._state.update(piece)

    def text(self) -> str:
        """16 hex digits."""
        return self._state.hexdigest()[:_DIGITS]


def hash_of(body: bytes) -> str:
    """16 hex digits, the same for the same body in every process; "" of none.

    64 bits tell the bodies of a test apart, and keep nobody from making two of one hash. SHA-1 is the fastest of long
    bodies, but it costs some microseconds to begin; a copied BLAKE2 costs half of one.
    """
    if not 0 < len(body) < LONG:
        return BodyHash(body).text() if body else ""
    state = _SHORT.copy()
    state.update(body)
    return state.hexdigest()


class Notes(Struct, eq=False, gc=False):
    """Mutable: filled in as the request comes and its answer goes.

    Moments are of the monotonic clock: ``opened`` when its connection was, 0 where that is not known, ``arrived``,
    ``first_byte`` when the head of the answer was handed over, and
    ``left`` when the client left. ``stage`` is the one the answer has come to, "" once all of it was handed over.
    ``key`` is what stood at ``key_place``, where that is not the account's; it is never shown.
    """

    head: Head
    arrived: float
    arrived_unix_s: float
    connection: int = 0
    on_connection: int = 0
    opened: float = 0.0
    method: str = LLM_AUTO.method
    path: str = LLM_AUTO.path
    body_hash: str = ""
    key_place: str = ""
    key: str = ""
    replayed: bool = False
    retry_after_s: float | None = None
    should_retry: bool | None = None
    first_byte: float | None = None
    pieces: int = 0
    sent_bytes: int = 0
    left: float | None = None
    stage: Stage | Literal[""] = "before_headers"

    def announce(self, headers: Headers, unix_now: Callable[[], float]) -> None:
        """Note what the lines of an answer say of trying again."""
        for name, value in headers:
            if name == b"retry-after":
                self.retry_after_s = _seconds(value, unix_now)
            elif name == b"x-should-retry":
                self.should_retry = {b"true": True, b"false": False}.get(value.strip().lower())

    def handed_over(self, whole: WholeAnswer) -> None:
        """All of an answer has been handed over in one piece."""
        self.sent_bytes = len(whole.body)
        self.pieces = whole.pieces
        self.stage = ""

    def fields(self, account: Account | None) -> _Fields:
        """The last fields of the journal's entry, from ``arrived_unix_s`` on."""
        head, arrived = self.head, self.arrived
        left = self.left if self.stage else None
        count = head.named.get(b"x-stainless-retry-count")
        return (
            self.arrived_unix_s,
            self.connection,
            self.on_connection,
            (arrived - self.opened) * 1e3 if self.on_connection == 1 and self.opened else None,
            self.method,
            self.path if self.path == LLM_AUTO.path else self._bounded(self.path, account),
            "application/json" if head.content_type == _JSON else self._content_type(account),
            self.body_hash,
            self.key_place or ("" if account is None else "authorization"),
            self._bounded(head.idempotency.decode("latin-1"), account) if head.idempotency else "",
            self.replayed,
            None if count is None else _count(count),
            self.retry_after_s,
            self.should_retry,
            None if self.first_byte is None else (self.first_byte - arrived) * 1e3,
            self.pieces,
            self.sent_bytes if self.method != "HEAD" else 0,
            None if left is None else (left - arrived) * 1e3,
            "" if left is None else self.stage,
        )

    def _content_type(self, account: Account | None) -> str:
        return self._hidden(self.head.content_type.decode("latin-1"), account)[:MAX_CONTENT_TYPE]

    def _bounded(self, text: str, account: Account | None) -> str:
        text = self._hidden(text, account)
        return text if len(text) <= MAX_TEXT else f"{text[: MAX_TEXT - 17]}…{hash_of(text.encode('utf-8', 'replace'))}"

    def _hidden(self, text: str, account: Account | None) -> str:
        """A text without any key that the request is known to have carried."""
        for key in ("" if account is None else account.key, self.key, self.head.api_key()):
            if len(key) >= _LEAST_SECRET:
                text = text.replace(key, shown(key))
        return text


def _count(value: bytes) -> int | None:
    return int(value) if value.isdigit() and len(value) < 10 else None


def _seconds(value: bytes, unix_now: Callable[[], float]) -> float | None:
    """The wait of a ``Retry-After`` line (RFC 9110, 10.2.3: seconds, or a date); None where it cannot be read."""
    text = value.decode("latin-1").strip()
    try:
        seconds = float(text)
    except ValueError:
        try:
            date = parsedate_to_datetime(text)
        except ValueError:
            return None
        if date.tzinfo is None:
            date = date.replace(tzinfo=UTC)
        seconds = max(0.0, date.timestamp() - unix_now())
    return seconds if isfinite(seconds) and seconds >= 0 else None

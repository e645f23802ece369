"""Idempotency keys: the same key and body replays the first answer and charges once."""

from __future__ import annotations

from typing import Final, Generic, Literal, TypeVar

from msgspec import Struct

from mock_server.core.added import Added

KEPT_S: Final = 86_400.0
MAX_KEYS: Final = 10_000

T = TypeVar("T")


class Kept(Struct, frozen=True):
    """A good answer as it was given, to be given again."""

    request_id: str
    text: str
    prompt_tokens: int
    completion_tokens: int
    provider: str
    model: str
    finish_reason: Literal["stop", "length"]
    headers: Added = ()
    """Of a canned answer."""


class Conflict(Struct, frozen=True):
    """The key cannot be used; ``reason`` says why."""

    reason: str


class Replay(Struct, Generic[T], frozen=True):
    """The answer this key got before."""

    answer: T


class _Claim(Generic[T]):
    """Mutable: the answer is None while the first call is in flight."""

    __slots__ = ("answer", "body", "until")

    def __init__(self, body: bytes, until: float) -> None:
        self.body = body
        self.until = until
        self.answer: T | None = None


class IdempotencyKeys(Generic[T]):
    """Keys of one test id, by account and key. Mutable; bounded, the oldest finished one is forgotten first."""

    __slots__ = ("_records",)

    def __init__(self) -> None:
        self._records: dict[tuple[str, str], _Claim[T]] = {}

    def begin(self, name: tuple[str, str], body: bytes, now: float) -> Replay[T] | Conflict | None:
        """Claim a key for a call with this body digest; None: it is new, and the call goes ahead."""
        record = self._records.get(name)
        if record is not None and now < record.until:
            if record.body != body:
                return Conflict("the key was used with another request body")
            if record.answer is None:
                return Conflict("a call with this key is in flight")
            return Replay(record.answer)
        self._records.pop(name, None)
        self._records[name] = _Claim(body, now + KEPT_S)
        if len(self._records) > MAX_KEYS:
            oldest = next((key for key, kept in self._records.items() if kept.answer is not None), None)
            if oldest is not None:
                del self._records[oldest]
        return None

    def finish(self, name: tuple[str, str], answer: T | None) -> None:
        """The call is over: keep its answer, or with None free the key, so that a retry is a new call."""
        if answer is None:
            self._records.pop(name, None)
        elif name in self._records:
            self._records[name].answer = answer

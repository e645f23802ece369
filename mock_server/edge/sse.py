"""Server-sent events of a stream: one `data:` line of JSON each."""

from __future__ import annotations

from typing import Final, Literal

from mock_server.contract.errors import ALL_PROVIDERS_FAILED
from mock_server.contract.messages import (
    DONE,
    ENCODER,
    ErrorBody,
    StreamClosing,
    StreamError,
    StreamOpening,
    StreamPiece,
    Usage,
)

KEEP_ALIVE: Final = b": keep-alive\n\n"
GARBAGE: Final = b'data: {"response": "\n\n'
DONE_EVENT: Final = b"data: " + DONE.encode() + b"\n\n"
_EMPTY_TEXT: Final = ENCODER.encode("")


def event(document: bytes) -> bytes:
    """Frame one document."""
    return b"data: " + document + b"\n\n"


def opening(request_id: str, model: str, provider: str) -> bytes:
    """The first event."""
    return event(ENCODER.encode(StreamOpening(True, request_id, model, provider, "", False)))


def piece(text: str) -> bytes:
    """One piece of the answer."""
    return event(ENCODER.encode(StreamPiece(text, False)))


_BEFORE_TEXT, _AFTER_TEXT = piece("").split(_EMPTY_TEXT)


def pieces(texts: list[str]) -> bytes:
    """The events of several pieces, one after the other: what `piece` makes of each, at a tenth of the cost."""
    if not texts:
        return b""
    # JSON has no bare line feed within a text, so those that are there stand between two.
    lines = ENCODER.encode_lines(texts)[:-1]
    return _BEFORE_TEXT + lines.replace(b"\n", _AFTER_TEXT + _BEFORE_TEXT) + _AFTER_TEXT


def usage(reason: Literal["stop", "length"], tokens: Usage) -> bytes:
    """The last event with a body."""
    return event(ENCODER.encode(StreamClosing("", True, reason, tokens)))


def error(request_id: str) -> bytes:
    """What a stream ends with that fails after its first piece."""
    body = ErrorBody(ALL_PROVIDERS_FAILED.code, ALL_PROVIDERS_FAILED.message)
    return event(ENCODER.encode(StreamError(False, body, request_id, True)))

"""Server-sent events of a stream: one `data:` line of JSON each."""

from __future__ import annotations

from typing import Final, Literal

from mock_server.contract.messages import DONE, ENCODER, StreamClosing, StreamOpening, StreamPiece, Usage

KEEP_ALIVE: Final = b": keep-alive\n\n"
_DONE_EVENT: Final = b"data: " + DONE.encode() + b"\n\n"


def opening(request_id: str, model: str, provider: str) -> bytes:
    """The first event."""
    return event(ENCODER.encode(StreamOpening(True, request_id, model, provider, "", False)))


def piece(text: str) -> bytes:
    """One piece of the answer."""
    return event(ENCODER.encode(StreamPiece(text, False)))


def closing(reason: Literal["stop", "length"], usage: Usage) -> bytes:
    """The last event with a body, and the terminal one."""
    return event(ENCODER.encode(StreamClosing("", True, reason, usage))) + _DONE_EVENT


def event(document: bytes) -> bytes:
    """Frame one document."""
    return b"data: " + document + b"\n\n"

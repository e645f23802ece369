"""How a request is put, and what may become of its connection, whoever carries it."""

from __future__ import annotations

from typing import Final

from scenarios.model.workload import Call

# How long a stream that has said [DONE] may take to end its body too, so that its connection can be used again.
REST_S: Final = 1.0


class IncompleteBodyError(ConnectionError):
    """The connection closed before the answer's framing said so."""


class NoAnswerError(ConnectionError):
    """The connection closed before any byte of an answer."""


def head_lines(call: Call, api_key: str) -> list[tuple[str, str]]:
    """The header lines of a request, but for those of its connection and of its length."""
    return [
        ("Authorization", f"Bearer {call.key or api_key}"),
        ("Content-Type", call.content_type),
        ("Accept", "text/event-stream" if call.stream else "application/json"),
        ("User-Agent", "apiflowx-harness"),
        *call.headers,
    ]

"""Header lines and error bodies of the contract, as bytes."""

from __future__ import annotations

from math import ceil
from typing import Final

from msgspec import Struct

from mock_server.contract.endpoints import LLM_AUTO
from mock_server.contract.errors import (
    ERRORS,
    FORCED,
    INVALID_API_KEY,
    METHOD_NOT_ALLOWED,
    MODEL_UNAVAILABLE,
    RATE_LIMIT_EXCEEDED,
    UPSTREAM_STATUSES,
    Refusal,
)
from mock_server.contract.messages import ENCODER, ErrorBody, ErrorResponse
from mock_server.core.added import Added
from mock_server.core.engine import MAX_SCOPES
from mock_server.core.limits import MINUTE_S, Quota
from mock_server.core.world import GatewaySettings

Headers = list[tuple[bytes, bytes]]

JSON_TYPE: Final = (b"content-type", b"application/json; charset=utf-8")
PLAIN_TYPE: Final = (b"content-type", b"text/plain; charset=utf-8")
EVENTS_TYPE: Final = (b"content-type", b"text/event-stream; charset=utf-8")
_FORCED_RETRY_AFTER_S: Final = 1.0
NO_CACHE: Final = (b"cache-control", b"no-cache")
FORGOTTEN: Final = (b"x-mock-test-forgotten", b"%d" % MAX_SCOPES)
"""Told with every answer to a test that was forgotten, until it is reset."""


class WholeAnswer(Struct, frozen=True, gc=False):
    """An answer that is sent in one piece; whoever sends it announces its length too, unless it is ``streamed``.

    ``pieces`` is how many pieces of text a stream has.
    """

    status: int
    headers: Headers
    body: bytes
    streamed: bool = False
    pieces: int = 0


class Timing(Struct, frozen=True, gc=False):
    """What ``Server-Timing`` announces, in wall milliseconds."""

    planned_ms: float
    first_ms: float
    overhead_ms: float
    attempts: int
    wasted_ms: float

    def header(self) -> tuple[bytes, bytes]:
        """The header line."""
        line = _TIMING_LINE % (self.planned_ms, self.first_ms, self.overhead_ms, self.attempts, self.wasted_ms)
        return b"server-timing", line


_TIMING_LINE: Final = b'planned;dur=%.3f, first;dur=%.3f, overhead;dur=%.3f, attempts;desc="%d", wasted;dur=%.3f'
NO_TIMING: Final = Timing(0.0, 0.0, 0.0, 0, 0.0)


def length_line(body: bytes) -> tuple[bytes, bytes]:
    """The header line that announces the length of ``body``."""
    return b"content-length", b"%d" % len(body)


def forced_refusal(status: int, scale: float, headers: Added = ()) -> Refusal:
    """The error that stands for a forced ``status``; ``scale`` is wall seconds per simulated second.

    ``headers`` are sent besides its own.
    """
    kind = FORCED[status]
    retry_after = _FORCED_RETRY_AFTER_S / scale if kind is RATE_LIMIT_EXCEEDED else None
    allow = LLM_AUTO.method if kind is METHOD_NOT_ALLOWED else ""
    return Refusal(kind, kind.message, retry_after, allow=allow, headers=headers)


def quota_headers(quota: Quota, scale: float, unix_now: float) -> Headers:
    """Both families of rate-limit headers; ``scale`` turns simulated seconds into wall seconds."""
    full_in = ceil(quota.reset_s * scale)
    window = max(1, ceil(MINUTE_S * scale))
    return [
        (b"x-ratelimit-limit", b"%d" % quota.limit),
        (b"x-ratelimit-remaining", b"%d" % quota.remaining),
        (b"x-ratelimit-reset", b"%d" % ceil(unix_now + quota.reset_s * scale)),
        (b"ratelimit-policy", b'"minute";q=%d;w=%d' % (quota.limit, window)),
        (b"ratelimit", b'"minute";r=%d;t=%d' % (quota.remaining, full_in)),
    ]


def error_body(refusal: Refusal) -> bytes:
    """The documented envelope."""
    return ENCODER.encode(ErrorResponse(False, ErrorBody(refusal.kind.code, refusal.message)))


def error_headers(refusal: Refusal, scale: float) -> Headers:
    """The headers an error has of its own; ``scale`` turns simulated seconds into wall seconds."""
    headers: Headers = []
    if refusal.kind is INVALID_API_KEY:
        headers.append((b"www-authenticate", b"Bearer"))
    if refusal.allow:
        headers.append((b"allow", refusal.allow.encode()))
    if refusal.retry_after is not None:
        headers.append((b"retry-after", b"%d" % max(1, ceil(refusal.retry_after * scale))))
    return headers


def with_added(headers: Headers, lines: Added) -> Headers:
    """``headers`` and further ``lines``, which take the place of those of the same name."""
    if not lines:
        return headers
    more = [(name.lower().encode(), value.encode("latin-1")) for name, value in lines]
    names = {name for name, _ in more}
    return [*(line for line in headers if line[0] not in names), *more]


def possible_statuses(gateway: GatewaySettings) -> frozenset[int]:
    """Every status that an answer in such a world may have."""
    chain = gateway.failed_chain_status
    failed = UPSTREAM_STATUSES.values() if chain == "last" else (chain,)
    return frozenset((200, *(kind.status for kind in ERRORS), gateway.model_unavailable_status, *failed))


def status_of(refusal: Refusal, model_unavailable_status: int) -> int:
    """The status of a refusal; some of them have a knob."""
    if refusal.status is not None:
        return refusal.status
    return model_unavailable_status if refusal.kind is MODEL_UNAVAILABLE else refusal.kind.status

"""Every error of the API: status, code, documented text, and whether to retry."""

from __future__ import annotations

from typing import Final

import msgspec

from mock_server.contract.provenance import DOCUMENTED, MOCK, Provenance, assumed


class ErrorKind(msgspec.Struct, frozen=True):
    """One row of the error table.

    ``message`` is the text when it is the whole cause; a field at fault is appended after a colon.
    ``retry`` says whether the same call may succeed later.
    """

    status: int
    code: str
    message: str
    when: str
    retry: bool
    provenance: Provenance
    headers: tuple[str, ...] = ()
    knob: str = ""


class Refusal(msgspec.Struct, frozen=True):
    """A decision not to answer: which error, its message, and how long to wait before asking again.

    ``retry_after`` is in simulated seconds from the moment of the decision; ``None`` announces nothing.
    ``field`` names the request field at fault, as a path such as ``messages[0].content``. ``status`` is another than
    the kind's, where a knob says so; ``headers`` are sent besides.
    """

    kind: ErrorKind
    message: str
    retry_after: float | None = None
    field: str = ""
    allow: str = ""
    status: int | None = None
    headers: tuple[tuple[str, str], ...] = ()


ATTEMPT_COUNT: Final = "X-Attempt-Count"
LAST_ATTEMPT_STATUS: Final = "X-Last-Attempt-Status"

_STATUS_ONLY: Final = assumed("status and text are documented; the code follows the documented example's style")
_HTTP: Final = assumed("HTTP's own case, RFC 9110")

INVALID_REQUEST: Final = ErrorKind(
    400,
    "INVALID_REQUEST",
    "Invalid request parameters",
    "malformed JSON, wrong types, an unknown mode, missing or blank message content",
    False,
    _STATUS_ONLY,
)
CONTEXT_LENGTH_EXCEEDED: Final = ErrorKind(
    400,
    "CONTEXT_LENGTH_EXCEEDED",
    "The messages do not fit the context window of any candidate model",
    "prompt and max_tokens fit no candidate's context window",
    False,
    assumed("comparable gateways refuse this before routing, with a code of its own"),
)
MODEL_UNAVAILABLE: Final = ErrorKind(
    400,
    "MODEL_UNAVAILABLE",
    "No provider matched your route policy or constraints",
    "no model in the catalogue satisfies the policy and constraints",
    False,
    assumed(
        "code and text are documented; the status is 400 because it is the caller's parameters that must "
        "change, and 400 is the documented status for that"
    ),
    knob="gateway.model_unavailable_status",
)
INVALID_API_KEY: Final = ErrorKind(
    401,
    "INVALID_API_KEY",
    "Invalid API key in Authorization header",
    "the key is missing, malformed, given twice, unknown or revoked, all alike",
    False,
    _STATUS_ONLY,
    headers=("WWW-Authenticate",),
)
INSUFFICIENT_BALANCE: Final = ErrorKind(
    402,
    "INSUFFICIENT_BALANCE",
    "Insufficient token balance for this request",
    "the reservation exceeds the balance",
    False,
    _STATUS_ONLY,
    knob="gateway.reserve",
)
NOT_FOUND: Final = ErrorKind(404, "NOT_FOUND", "No such path", "any other path", False, _HTTP)
METHOD_NOT_ALLOWED: Final = ErrorKind(
    405,
    "METHOD_NOT_ALLOWED",
    "Method not allowed for this path",
    "any method but the documented one, HEAD included",
    False,
    _HTTP,
    headers=("Allow",),
)
REQUEST_TIMEOUT: Final = ErrorKind(
    408,
    "REQUEST_TIMEOUT",
    "The request did not come in time",
    "the rest of a request that was begun did not come in time; the connection is then closed",
    True,
    _HTTP,
    knob="connection.head_timeout_s",
)
PAYLOAD_TOO_LARGE: Final = ErrorKind(
    413,
    "PAYLOAD_TOO_LARGE",
    "Request body is larger than 4 MiB",
    "the body is over 4 MiB",
    False,
    _HTTP,
)
UNSUPPORTED_MEDIA_TYPE: Final = ErrorKind(
    415,
    "UNSUPPORTED_MEDIA_TYPE",
    "Content-Type must be application/json",
    "the body is not declared as application/json",
    False,
    _HTTP,
)
HEADERS_TOO_LARGE: Final = ErrorKind(
    431,
    "HEADERS_TOO_LARGE",
    "Request line and headers are too large",
    "request line and headers are over 64 KiB; the connection is then closed",
    False,
    assumed("HTTP's own case, RFC 6585; the size is between what common servers allow"),
    knob="connection.head_bytes",
)
RATE_LIMIT_EXCEEDED: Final = ErrorKind(
    429,
    "RATE_LIMIT_EXCEEDED",
    "Rate limit exceeded for your current plan",
    "requests or tokens per minute, requests per day, or concurrent requests are over the plan",
    True,
    _STATUS_ONLY,
    headers=("Retry-After",),
)
INVALID_MOCK_DIRECTIVE: Final = ErrorKind(
    400,
    "INVALID_MOCK_DIRECTIVE",
    "Invalid mock directive",
    "a directive to the mock that cannot be understood or is impossible",
    False,
    MOCK,
)
IDEMPOTENCY_CONFLICT: Final = ErrorKind(
    409,
    "IDEMPOTENCY_CONFLICT",
    "Idempotency key was used with another request or is in use",
    "the same Idempotency-Key with another body, or while the first call is in flight; only where the world "
    "turns idempotency on",
    False,
    assumed("the usual practice of payment APIs"),
    knob="gateway.idempotency",
)
INTERNAL_ERROR: Final = ErrorKind(
    500,
    "INTERNAL_ERROR",
    "Unexpected server error",
    "only by fault",
    True,
    _STATUS_ONLY,
)
ALL_PROVIDERS_FAILED: Final = ErrorKind(
    502,
    "ALL_PROVIDERS_FAILED",
    "All candidate model providers failed",
    "every candidate failed, timed out, was rate-limited upstream or is cooling down (then with Retry-After)",
    True,
    _STATUS_ONLY,
    headers=(ATTEMPT_COUNT, LAST_ATTEMPT_STATUS),
    knob="gateway.failed_chain_status",
)

ERRORS: Final[tuple[ErrorKind, ...]] = (
    INVALID_REQUEST,
    CONTEXT_LENGTH_EXCEEDED,
    MODEL_UNAVAILABLE,
    INVALID_API_KEY,
    INSUFFICIENT_BALANCE,
    NOT_FOUND,
    METHOD_NOT_ALLOWED,
    REQUEST_TIMEOUT,
    IDEMPOTENCY_CONFLICT,
    PAYLOAD_TOO_LARGE,
    UNSUPPORTED_MEDIA_TYPE,
    RATE_LIMIT_EXCEEDED,
    HEADERS_TOO_LARGE,
    INVALID_MOCK_DIRECTIVE,
    INTERNAL_ERROR,
    ALL_PROVIDERS_FAILED,
)
BY_CODE: Final[dict[str, ErrorKind]] = {kind.code: kind for kind in ERRORS}

UPSTREAM_STATUSES: Final[dict[str, int]] = {"error": 500, "timeout": 504, "refused": 503, "rate_limited": 429}
"""What the failure of an attempt is as an HTTP status: assumed, by what each means in RFC 9110 and RFC 6585."""

MISSING_CONTENT: Final = "Missing required message content"


class Status(msgspec.Struct, frozen=True):
    """One row of the documented status reference."""

    status: int
    phrase: str
    meaning: str
    provenance: Provenance = DOCUMENTED


STATUSES: Final[tuple[Status, ...]] = (
    Status(200, "OK", "Request successful"),
    Status(400, "Bad Request", "Invalid request parameters"),
    Status(401, "Unauthorized", "Authentication required or failed"),
    Status(402, "Payment Required", "Insufficient token balance"),
    Status(429, "Too Many Requests", "Rate limit exceeded"),
    Status(500, "Internal Server Error", "Unexpected server error"),
    Status(502, "Bad Gateway", "Upstream model provider failed"),
    Status(404, "Not Found", "No such path", _HTTP),
    Status(405, "Method Not Allowed", "Another method is needed", _HTTP),
    Status(408, "Request Timeout", "The request did not come in time", _HTTP),
    Status(409, "Conflict", "The idempotency key is taken", IDEMPOTENCY_CONFLICT.provenance),
    Status(413, "Content Too Large", "The body is over 4 MiB", _HTTP),
    Status(415, "Unsupported Media Type", "The body must be JSON", _HTTP),
    Status(431, "Request Header Fields Too Large", "The headers are over 64 KiB", HEADERS_TOO_LARGE.provenance),
)

# The documented "Common errors": status and text, in the page's order.
COMMON_ERRORS: Final[tuple[tuple[int, str], ...]] = (
    (400, MISSING_CONTENT),
    (401, INVALID_API_KEY.message),
    (402, INSUFFICIENT_BALANCE.message),
    (429, RATE_LIMIT_EXCEEDED.message),
    (502, ALL_PROVIDERS_FAILED.message),
)


# Where several errors share a status, the general one stands for it.
FORCED: Final[dict[int, ErrorKind]] = {
    kind.status: kind for kind in reversed(ERRORS) if kind is not INVALID_MOCK_DIRECTIVE
}

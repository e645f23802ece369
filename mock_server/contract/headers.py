"""Every response header of the API, and the request headers it reads."""

from __future__ import annotations

from typing import Final

import msgspec

from mock_server.contract.endpoints import TEST_PREFIX
from mock_server.contract.errors import ATTEMPT_COUNT, FORCED, LAST_ATTEMPT_STATUS
from mock_server.contract.provenance import DOCUMENTED, MOCK, Provenance, assumed


class Header(msgspec.Struct, frozen=True):
    """One header: when it is there, what it holds, an example, and a pattern its value keeps."""

    name: str
    when: str
    meaning: str
    example: str
    provenance: Provenance
    pattern: str | None = None


_ZIHIN: Final = assumed("the widespread X-RateLimit family")
_IETF: Final = assumed("IETF httpapi rate limit headers, draft 10")
_LIMITED: Final = "every authenticated answer, unless the key has no limits"
_INTEGER: Final = "^[0-9]+$"
_CHAIN: Final = assumed("LiteLLM and Portkey tell attempts in headers, under names of their own")

RESPONSE_HEADERS: Final[tuple[Header, ...]] = (
    Header(
        "X-Request-Id",
        "always",
        "the id of the request, as in the body",
        "req_9f1a2e8",
        assumed("the documented body field, also where there is no body to hold it"),
        "^req_[0-9a-f]{7}$",
    ),
    Header("X-RateLimit-Limit", _LIMITED, "requests per minute of the plan", "60", _ZIHIN, _INTEGER),
    Header("X-RateLimit-Remaining", _LIMITED, "requests left right now", "59", _ZIHIN, _INTEGER),
    Header(
        "X-RateLimit-Reset",
        _LIMITED,
        "Unix second at which the bucket is full again",
        "1767225600",
        _ZIHIN,
        _INTEGER,
    ),
    Header("RateLimit-Policy", _LIMITED, "quota and window", '"minute";q=60;w=60', _IETF),
    Header("RateLimit", _LIMITED, "requests left; seconds until the bucket is full", '"minute";r=59;t=42', _IETF),
    Header(
        "Retry-After",
        "RATE_LIMIT_EXCEEDED always; ALL_PROVIDERS_FAILED while every candidate cools down",
        "whole seconds to wait, at least 1, never earlier than true",
        "7",
        assumed("RFC 9110"),
        "^[1-9][0-9]*$",
    ),
    Header(ATTEMPT_COUNT, "ALL_PROVIDERS_FAILED", "how many providers were tried", "3", _CHAIN, _INTEGER),
    Header(
        LAST_ATTEMPT_STATUS,
        "ALL_PROVIDERS_FAILED, once a provider was tried",
        "how the last attempt failed: 429 rate-limited upstream, 500 an error, 503 not reached, 504 timed out",
        "503",
        _CHAIN,
        "^(429|500|503|504)$",
    ),
    Header("WWW-Authenticate", "401", "the authentication scheme", "Bearer", assumed("RFC 9110 demands it")),
    Header("Allow", "405", "the methods of the path", "POST", assumed("RFC 9110 demands it")),
    Header(
        "Server-Timing",
        "always",
        "wall milliseconds: `planned` to the last byte, `first` to the first piece, `overhead` of the mock "
        "until the first byte, `wasted` in failed attempts; `attempts` counts the providers tried",
        'planned;dur=812.3, first;dur=512.4, overhead;dur=0.2, attempts;desc="1", wasted;dur=0',
        MOCK,
    ),
    Header(
        "X-Mock-Test-Forgotten",
        "the test id was known before, and all about it has been forgotten since, as too many others came after it",
        "from how many other test ids on the least recently used one is forgotten",
        "1000",
        MOCK,
        _INTEGER,
    ),
    Header(
        "Preference-Applied",
        "an outcome was forced by Prefer",
        "the preference that was honoured",
        "code=429",
        MOCK,
    ),
)


_FORCIBLE: Final = f"^({'|'.join(str(status) for status in sorted(FORCED))})$"


class RequestHeader(msgspec.Struct, frozen=True):
    """A request header the API or the mock reads."""

    name: str
    required: bool
    meaning: str
    example: str
    provenance: Provenance
    pattern: str | None = None


REQUEST_HEADERS: Final[tuple[RequestHeader, ...]] = (
    RequestHeader("Authorization", True, "Bearer and the API key", "Bearer YOUR_API_KEY", DOCUMENTED),
    RequestHeader("Content-Type", True, "application/json; parameters are allowed", "application/json", DOCUMENTED),
    RequestHeader(
        "Prefer",
        False,
        "`code=STATUS` forces that error (RFC 7240), as `?__code=STATUS` does; other preferences are ignored",
        "code=429",
        MOCK,
        _FORCIBLE.replace("^", "^code="),
    ),
    RequestHeader(
        "X-Mock-Fault",
        False,
        "a fault on the wire or an unusual framing, for this answer; `?__fault=` does the same",
        "reset;stage=mid_stream;after=3",
        MOCK,
    ),
    RequestHeader(
        "X-Mock-Test",
        False,
        "the test this call belongs to: limits, balances, faults and journal are kept apart by it; "
        f"`{TEST_PREFIX}ID` before the path does the same",
        "checkout-1",
        MOCK,
        "^[!-~]{0,128}$",
    ),
)

QUERY_DIRECTIVES: Final[tuple[RequestHeader, ...]] = (
    RequestHeader("__code", False, "as `Prefer: code=STATUS`", "429", MOCK, _FORCIBLE),
    RequestHeader("__fault", False, "as `X-Mock-Fault`", "reset", MOCK),
)
"""The directives of the query string, for clients that cannot set headers."""

"""The contract's clauses that are no rows of another table: sentences, each with who says so."""

from __future__ import annotations

from typing import Final

import msgspec

from mock_server.contract.messages import DEFAULT_COMPLETION_TOKENS, DONE
from mock_server.contract.provenance import DOCUMENTED, Provenance, assumed

KEEP_ALIVE_S: Final = 15.0
"""Seconds of silence between two pieces of a stream after which a comment keeps the connection open."""


class Clause(msgspec.Struct, frozen=True):
    """One sentence of the contract, with a name that reports of conformance know it by.

    ``knob`` is the setting of a world file that changes it, if there is one.
    """

    name: str
    text: str
    provenance: Provenance
    knob: str = ""


TYPES: Final = Clause(
    "request.types",
    "A known field of a wrong type is refused; nothing is converted.",
    assumed("a mistake that is corrected in silence is found late"),
)
UNKNOWN_FIELDS: Final = Clause(
    "request.unknown_fields",
    "Unknown fields are ignored.",
    assumed("clients written for a newer gateway go on working"),
    "gateway.strict",
)
REQUESTS: Final[tuple[Clause, ...]] = (TYPES, UNKNOWN_FIELDS)

JSON_ONLY: Final = Clause(
    "answers.json",
    "Whatever is not a stream is one JSON object, declared as `application/json`.",
    assumed("JSON is the documented response format; that errors before the API itself keep to it is not said"),
)
ENCODING: Final = Clause(
    "answers.encoding",
    "`Content-Type` says `charset=utf-8`, and characters stand as they are, not as `\\u` escapes.",
    assumed("the documented example shows them so"),
)
KEYS: Final = Clause(
    "answers.keys",
    "An answer has the documented keys in the documented order, and no others.",
    assumed("the documented example shows them so"),
)
ANSWERS: Final[tuple[Clause, ...]] = (JSON_ONLY, ENCODING, KEYS)

_SSE: Final = assumed("the way comparable gateways stream; the documentation names `stream` and no format")
_BUCKETS: Final = assumed("the documentation names a rate limit per plan and a token balance, and no mechanism")

FRAMING: Final = Clause(
    "stream.framing",
    f"With `stream: true` the answer is `text/event-stream`: each event is one `data:` line of JSON, and "
    f"`data: {DONE}` is the last.",
    _SSE,
)
EVENTS: Final = Clause(
    "stream.events",
    "The first event tells `request_id`, `model` and `provider`; each that follows brings a piece of the answer; the "
    f"last before `data: {DONE}` has `done` true, `finish_reason` and `usage`.",
    _SSE,
)
STREAM_FAILURE: Final = Clause(
    "stream.failure",
    "A failure after the first piece ends the stream with an error event, "
    f"`done` true and no `{DONE}`; the connection is closed.",
    assumed("OpenRouter reports failures in mid-stream this way"),
)
STREAMING: Final[tuple[Clause, ...]] = (
    FRAMING,
    EVENTS,
    Clause(
        "stream.head",
        "Headers, opening event and first piece leave together, when the first piece is due. Until then an error is "
        "ordinary JSON with its real status.",
        assumed("after the first byte the status is spent, so failover and refusals come before it"),
    ),
    STREAM_FAILURE,
    Clause(
        "stream.keep_alive",
        f"After {KEEP_ALIVE_S:g} s of silence between two pieces comes the comment `: keep-alive`.",
        assumed("proxies close connections that stay silent"),
        "gateway.keep_alive_s",
    ),
    Clause(
        "stream.any_framing",
        "Clients must accept any framing that the WHATWG specification of server-sent events allows: comments, other "
        "line endings, data over several lines, writes that split an event or a character.",
        assumed("a format is its specification, not what one server happens to send"),
    ),
    Clause(
        "stream.same_text",
        "The pieces put together are the text a plain answer would have had.",
        assumed("streaming changes how an answer travels, not what it says"),
    ),
)

ROUTING: Final[tuple[Clause, ...]] = (
    Clause(
        "routing.failed_chain",
        "When all candidates have failed, `X-Attempt-Count` says how many were tried and `X-Last-Attempt-Status` how "
        "the last one failed. The status is 502; a world may say 503, or that of the last attempt.",
        assumed("502 is documented; LiteLLM and Vercel answer 503, others pass the last status on"),
        "gateway.failed_chain_status",
    ),
    Clause(
        "routing.each_alone",
        "Each call is routed by itself. A world may let a conversation, told by account and first message, stay with "
        "the model that last answered it; what that model has read before is in its cache, and the first token comes "
        "sooner.",
        assumed("OpenRouter documents both; routers that hop between models lose the cache"),
        "routing.sticky_s",
    ),
)

LIMITS: Final[tuple[Clause, ...]] = (
    Clause(
        "limits.buckets",
        "Each limit is a token bucket per key. Tokens per minute are estimated before the call (prompt and "
        f"`max_tokens`, or {DEFAULT_COMPLETION_TOKENS}) and corrected after it.",
        _BUCKETS,
    ),
    Clause(
        "limits.refusals_are_free",
        "400 and 401 consume nothing; 402 and 5xx consume a request. A forced outcome is charged nothing and consumes "
        "nothing.",
        _BUCKETS,
    ),
    Clause(
        "limits.reservation",
        f"The balance is reserved before the call (prompt and `max_tokens`, or {DEFAULT_COMPLETION_TOKENS}; 402 if it "
        "is short) and settled on the actual total. A failed call is refunded, and only the attempt that answers is "
        "charged.",
        _BUCKETS,
        "gateway.reserve",
    ),
    Clause(
        "limits.model_max",
        'With `reserve = "model_max"`, a call without `max_tokens` reserves the whole output of the model ranked '
        "first, and a 402 says how many tokens of answer are affordable.",
        assumed("OpenRouter and others reserve so, and it is what their users stumble over most"),
        "gateway.reserve",
    ),
    Clause(
        "limits.abandoned",
        "A client that leaves pays for the prompt and for what was sent.",
        assumed("what was delivered has been paid for upstream"),
        "gateway.abandoned_charge",
    ),
)

ENVELOPE: Final = Clause(
    "errors.envelope",
    "Every error has the documented envelope and no other keys. A field at fault is named after the message.",
    assumed("one shape for all errors is what the documentation shows"),
)

VALIDATION: Final = Clause(
    "errors.validation",
    "Invalid parameters are 400, whatever is wrong with them, and never 422.",
    DOCUMENTED,
)

CHECKS: Final = Clause(
    "errors.order",
    "A call is checked in this order: path and method, key, size, content type, body, mock directives, limits, "
    "balance, route, attempts. The first check that fails decides the answer.",
    assumed("what costs least and reveals least is checked first"),
)

"""Request and response bodies as types: decoding, JSON Schema and documentation all derive from them."""

from __future__ import annotations

from typing import Annotated, Final, Literal, get_args

import msgspec
from msgspec import UNSET, Meta, Struct, UnsetType

from mock_server.contract.provenance import DOCUMENTED, Provenance, assumed

Mode = Literal["auto", "cost", "latency", "throughput", "quality", "balanced"]
MODES: Final[tuple[Mode, ...]] = get_args(Mode)

MAX_MESSAGES: Final = 1_000
MAX_TOKENS: Final = 131_072
MAX_BODY_BYTES: Final = 4 * 1024 * 1024
DEFAULT_COMPLETION_TOKENS: Final = 500
"""What is reserved for an answer when the call sets no ``max_tokens``."""

# Stated for the schema and checked in `reading`: a msgspec pattern inside a union crashes the interpreter at its exit.
Text = Annotated[str, Meta(description="text that is not blank", extra_json_schema={"pattern": r"\S"})]


class TextPart(Struct, frozen=True):
    """One part of a message's content."""

    type: Literal["text"]
    text: str


Parts = Annotated[tuple[TextPart, ...], Meta(min_length=1, description="text parts, not all blank")]


class SystemMessage(Struct, frozen=True, tag_field="role", tag="system"):
    """Instructions that hold for the whole conversation."""

    content: Text | Parts


class DeveloperMessage(Struct, frozen=True, tag_field="role", tag="developer"):
    """Instructions of the application's developer."""

    content: Text | Parts


class UserMessage(Struct, frozen=True, tag_field="role", tag="user"):
    """What the user says."""

    content: Text | Parts


class ToolMessage(Struct, frozen=True, tag_field="role", tag="tool"):
    """What a tool returned."""

    content: Text | Parts


class AssistantMessage(Struct, frozen=True, tag_field="role", tag="assistant"):
    """What the model said before; ``content`` may be null."""

    content: Text | Parts | None


Message = SystemMessage | DeveloperMessage | UserMessage | AssistantMessage | ToolMessage
Messages = Annotated[
    tuple[Message, ...],
    Meta(
        min_length=1,
        max_length=MAX_MESSAGES,
        description="the conversation so far; at least one message has the role user",
        extra_json_schema={"contains": {"properties": {"role": {"const": "user"}}, "required": ["role"]}},
    ),
]
Names = tuple[Annotated[str, Meta(min_length=1)], ...]


class ProviderPolicy(Struct, frozen=True, omit_defaults=True):
    """Which providers may answer, and in which order of preference."""

    only: Annotated[Names, Meta(description="only these providers")] = ()
    ignore: Annotated[Names, Meta(description="never these providers")] = ()
    order: Annotated[Names, Meta(description="these first, in this order")] = ()


class Strategy(Struct, frozen=True, omit_defaults=True):
    """How to choose the model; the constraints are hard filters."""

    mode: Mode = "auto"
    models: Annotated[Names, Meta(description="globs on `model` or `provider/model`; only these")] = ()
    exclude_models: Annotated[Names, Meta(description="globs; never these")] = ()
    providers: ProviderPolicy = ProviderPolicy()
    max_price_per_1m: (
        Annotated[float, Meta(ge=0, description="mean of input and output price, USD per million tokens")] | UnsetType
    ) = UNSET
    max_latency_ms: Annotated[float, Meta(ge=0, description="median time to first token")] | UnsetType = UNSET
    min_throughput_tps: Annotated[float, Meta(ge=0, description="tokens per second")] | UnsetType = UNSET
    allow_fallbacks: Annotated[bool, Meta(description="whether another model may be tried")] = True
    max_attempts: Annotated[int, Meta(ge=1, le=10, description="providers to try at most")] = 3


class ChatRequest(Struct, frozen=True):
    """The body of `POST /v1/llm/auto`."""

    messages: Messages
    strategy: Strategy = Strategy()
    stream: Annotated[bool, Meta(description="answer as server-sent events")] = False
    max_tokens: (
        Annotated[int, Meta(ge=1, le=MAX_TOKENS, description="the answer's greatest length in tokens")] | UnsetType
    ) = UNSET


class Usage(Struct, frozen=True):
    """Tokens of the call; ``total_tokens`` is the sum and is what the account is charged."""

    prompt_tokens: Annotated[int, Meta(ge=0)]
    completion_tokens: Annotated[int, Meta(ge=0)]
    total_tokens: Annotated[int, Meta(ge=0)]


RequestId = Annotated[str, Meta(extra_json_schema={"pattern": "^req_[0-9a-f]{7}$"})]


class ChatResponse(Struct, frozen=True):
    """The answer: the documented keys in the documented order."""

    success: Literal[True]
    model: str
    response: str
    usage: Usage
    provider: str
    request_id: RequestId


class ErrorBody(Struct, frozen=True):
    """What went wrong: a stable code and a text for people."""

    code: str
    message: str


class ErrorResponse(Struct, frozen=True):
    """The documented envelope of every error; it has no other keys."""

    success: Literal[False]
    error: ErrorBody


class StreamOpening(Struct, frozen=True):
    """The first event of a stream."""

    success: Literal[True]
    request_id: RequestId
    model: str
    provider: str
    response: Literal[""]
    done: Literal[False]


class StreamPiece(Struct, frozen=True):
    """One piece of the answer."""

    response: str
    done: Literal[False]


class StreamClosing(Struct, frozen=True):
    """The last event before `data: [DONE]`."""

    response: Literal[""]
    done: Literal[True]
    finish_reason: Literal["stop", "length"]
    usage: Usage


class StreamError(Struct, frozen=True):
    """A failure after the first piece: the stream ends with this event and without `[DONE]`."""

    success: Literal[False]
    error: ErrorBody
    request_id: RequestId
    done: Literal[True]


DONE: Final = "[DONE]"

_UNION: Final = "the union of what comparable routers offer (Azure Model Router, Auriko, LLMGateway, Vercel)"
_CONSTRAINTS: Final = assumed('"route policy or constraints" in the documented error implies them')

FIELDS: Final[dict[str, tuple[str, Provenance]]] = {
    "messages": (
        "1 to 1,000 messages, at least one of them by the user",
        assumed("the list is documented; how long it may be is not"),
    ),
    "messages[].role": (
        "system, developer, user, assistant or tool",
        assumed("user is documented; the others are the widespread chat roles"),
    ),
    "messages[].content": (
        "text that is not blank, or text parts; null only for the assistant",
        assumed("text is documented; parts and null follow the widespread chat format"),
    ),
    "strategy.mode": (", ".join(MODES), assumed("auto is documented; the others are " + _UNION)),
    "strategy.models": ("globs on model or provider/model; only these", _CONSTRAINTS),
    "strategy.exclude_models": ("globs; never these", _CONSTRAINTS),
    "strategy.providers": ("only, ignore and order: lists of provider names", _CONSTRAINTS),
    "strategy.max_price_per_1m": ("mean of input and output price, USD per million tokens", _CONSTRAINTS),
    "strategy.max_latency_ms": ("median time to first token", _CONSTRAINTS),
    "strategy.min_throughput_tps": ("tokens per second", _CONSTRAINTS),
    "strategy.allow_fallbacks": ("whether another model may be tried", _CONSTRAINTS),
    "strategy.max_attempts": ("providers to try at most, 1 to 10", _CONSTRAINTS),
    "stream": ("false for a standard JSON response, true for a stream", DOCUMENTED),
    "max_tokens": ("1 to 131,072", assumed("the widespread name for the answer's greatest length")),
}
"""What each request field means and who says so, for the documentation."""

RESPONSE_FIELDS: Final[dict[str, tuple[str, Provenance]]] = {
    "success": ("true; false in the error envelope", DOCUMENTED),
    "model": ("the model that answered", DOCUMENTED),
    "response": ("the answer's text", DOCUMENTED),
    "usage.prompt_tokens": ("tokens of the messages", DOCUMENTED),
    "usage.completion_tokens": ("tokens of the answer", DOCUMENTED),
    "usage.total_tokens": ("the sum of both", DOCUMENTED),
    "provider": ("the provider that answered", DOCUMENTED),
    "request_id": ("`req_` and seven hexadecimal digits", DOCUMENTED),
}
"""What each key of an answer holds, in the documented order."""


def text_of(message: Message) -> str:
    """The message's content as one text; empty for a null content."""
    content = message.content
    if isinstance(content, str):
        return content
    return "" if content is None else "".join(part.text for part in content)


ENCODER: Final = msgspec.json.Encoder()

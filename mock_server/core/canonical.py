"""What a request asks for, as bytes: the same for every spelling of the same request, others for any other."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Final

from msgspec import UNSET
from msgspec.structs import replace

from mock_server.contract.messages import ENCODER, ChatRequest, Message, Strategy
from mock_server.core.known_texts import LONG, known_texts

_ANY_PROVIDER: Final = Strategy().providers


def canonical(request: ChatRequest) -> bytes:
    """Messages, strategy and ``max_tokens``, in which digests stand for long texts."""
    messages: Sequence[object] = request.messages
    for message in request.messages:
        content = message.content
        if type(content) is tuple or (content is not None and len(content) >= LONG):
            messages = [_named(message) for message in request.messages]
            break
    strategy = request.strategy
    if strategy.providers is not _ANY_PROVIDER and strategy.providers == _ANY_PROVIDER:
        strategy = replace(strategy, providers=_ANY_PROVIDER)  # no policy, written out
    limit = None if request.max_tokens is UNSET else request.max_tokens
    return ENCODER.encode((messages, strategy, limit))


def _named(message: Message) -> tuple[object, ...]:
    """Role and content. A text is a string in JSON, a digest an array, and parts are an object: none is another."""
    role, content = type(message).__struct_config__.tag, message.content
    if content is None:
        return role, None
    return role, _name(content) if isinstance(content, str) else {"parts": [_name(part.text) for part in content]}


def _name(text: str) -> str | tuple[bytes]:
    return text if len(text) < LONG else (known_texts.read(text).digest,)

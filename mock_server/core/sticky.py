"""Conversations that stay with their model: which one last answered, and what of the prompt is in its cache.

A conversation is told by account and first message. What its model has read are the messages of the call it answered;
a later call need not prefill those it begins with. Off unless the world sets ``routing.sticky_s``.
"""

from __future__ import annotations

from hashlib import blake2b
from typing import Final

from msgspec import Struct

from mock_server.contract.messages import Message, text_of
from mock_server.contract.tokens import PER_MESSAGE, estimate
from mock_server.core.known_texts import LONG, known_texts

MAX_CONVERSATIONS: Final = 10_000


class Conversation(Struct, frozen=True, gc=False):
    """A call as part of its conversation: whose it is, and each message's digest with its tokens."""

    account: str
    messages: tuple[tuple[bytes, int], ...]

    @property
    def key(self) -> tuple[str, bytes]:
        """What calls of one conversation have in common."""
        return self.account, self.messages[0][0]

    def shared_tokens(self, earlier: Conversation) -> int:
        """Tokens of the messages that both begin with."""
        tokens = 0
        for mine, theirs in zip(self.messages, earlier.messages, strict=False):
            if mine != theirs:
                break
            tokens += mine[1]
        return tokens


def conversation_of(account: str, messages: tuple[Message, ...]) -> Conversation:
    """The conversation that a call of these messages belongs to."""
    return Conversation(account, tuple(map(_digest, messages)))


def _digest(message: Message) -> tuple[bytes, int]:
    text = text_of(message)
    role = type(message).__name__.encode()
    if len(text) < LONG:
        said, tokens = text.encode("utf-8", "surrogatepass"), estimate(text)
    else:
        known = known_texts.read(text)
        said, tokens = known.digest, known.tokens
    return blake2b(said, digest_size=16, person=role[:16]).digest(), PER_MESSAGE + tokens


class Held(Struct, frozen=True, gc=False):
    """The model that holds a conversation, until when, and the last call it answered."""

    name: str
    until: float
    last: Conversation


class Conversations:
    """Who holds which conversation. Mutable; bounded, the one longest unheard of is forgotten first."""

    __slots__ = ("_held", "_sticky_s")

    def __init__(self, sticky_s: float) -> None:
        self._sticky_s = sticky_s
        self._held: dict[tuple[str, bytes], Held] = {}  # in order of last use, oldest first

    def find(self, conversation: Conversation, now: float) -> Held | None:
        """Who holds it at ``now``."""
        held = self._held.get(conversation.key)
        return held if held is not None and now < held.until else None

    def keep(self, conversation: Conversation, name: str, now: float) -> None:
        """A model has answered it at ``now``."""
        self._held.pop(conversation.key, None)
        self._held[conversation.key] = Held(name, now + self._sticky_s, conversation)
        if len(self._held) > MAX_CONVERSATIONS:
            del self._held[next(iter(self._held))]

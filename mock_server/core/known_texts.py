"""Long texts read before: what a conversation repeats, or a prompt sent again, is not counted and hashed again."""

from __future__ import annotations

from collections import OrderedDict
from hashlib import sha256
from sys import getsizeof
from typing import Final

from msgspec import Struct

from mock_server.contract.tokens import estimate


class Known(Struct, frozen=True, gc=False):
    """A text, its size in memory in bytes, its tokens, and 16 bytes of its SHA-256."""

    text: str
    size: int
    tokens: int
    digest: bytes


class Texts:
    """Long texts read before, ``size`` bytes in all. Mutable: beyond ``limit`` bytes the oldest are forgotten.

    A text larger than an eighth of ``limit`` is not kept at all.
    """

    __slots__ = ("_known", "_last", "_limit", "size")

    def __init__(self, limit: int) -> None:
        # By some of their characters, the oldest first. The more were removed from a plain dict, the longer it takes to
        # find its first key.
        self._known: OrderedDict[str, Known] = OrderedDict()
        self._last = Known("", 0, 0, b"")  # what reads a request looks for its text more than once
        self._limit = limit
        self.size = 0

    def read(self, text: str) -> Known:
        """A text of at least 64 characters with its tokens and its digest."""
        if text is self._last.text:
            return self._last
        some = text[:: len(text) // 64]  # cheaper to hash than the whole, and seldom the same for two texts
        like = self._known.get(some)
        if like is not None and like.text == text:
            self._last = like
            return like
        known = Known(text, getsizeof(text), estimate(text), _digest(text))
        if known.size <= self._limit // 8:
            self._last = known
            if like is not None:
                del self._known[some]
                self.size -= like.size
            self._known[some] = known
            self.size += known.size
            while self.size > self._limit:
                self.size -= self._known.popitem(last=False)[1].size
        return known


def _digest(text: str) -> bytes:
    # Most processors know SHA-256, which makes it faster than any other hash here. UTF-16 takes half the time of UTF-8;
    # no ASCII text begins with the byte before it.
    digest = sha256(text.encode() if text.isascii() else b"\xff" + text.encode("utf-16-le", "surrogatepass"))
    return digest.digest()[:16]


LONG: Final = 512
"""Characters from which on a text is worth remembering."""

known_texts: Final = Texts(limit=8 * 1024 * 1024)
"""Those of all requests."""

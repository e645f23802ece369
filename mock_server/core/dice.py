"""Chance as keyed hashes: the same call gets the same fate in any process, order or worker.

One digest per attempt yields eight independent 64-bit draws, one slot per concern, so that a concern that draws
more or less than another never shifts the rest.
"""

from __future__ import annotations

from collections import OrderedDict
from enum import IntEnum
from hashlib import blake2b
from statistics import NormalDist
from struct import Struct as Packing
from typing import Final

from msgspec import Struct

from mock_server.contract.messages import ChatRequest
from mock_server.core.canonical import canonical

_EIGHT: Final = Packing("<8Q")
_PLACE: Final = Packing("<QI")
_NORMAL: Final = NormalDist()
_UNIT: Final = 2.0**-52


class Concern(IntEnum):
    """What a draw decides: the slot of the digest it is read from."""

    FATE = 0
    FAILURE = 1
    FIRST_TOKEN = 2
    TAIL = 3
    PACE = 4
    GAPS = 5
    LENGTH = 6
    TEXT = 7


class Roll(Struct, frozen=True, gc=False):
    """The eight draws of one attempt."""

    words: tuple[int, ...]

    def bits(self, concern: Concern) -> int:
        """64 random bits."""
        return self.words[concern]

    def uniform(self, concern: Concern) -> float:
        """A number in the open interval (0, 1)."""
        return ((self.words[concern] >> 12) + 0.5) * _UNIT

    def normal(self, concern: Concern) -> float:
        """A standard normal number."""
        return _NORMAL.inv_cdf(((self.words[concern] >> 12) + 0.5) * _UNIT)


class Dice:
    """All draws of one test id under one seed."""

    __slots__ = ("_of_attempts", "_of_requests")

    def __init__(self, seed: int, test: str) -> None:
        root = blake2b(str(seed).encode(), digest_size=32, person=b"world").digest()
        key = blake2b(test.encode("utf-8", "surrogatepass"), key=root, digest_size=32).digest()
        # Hashes to be copied, which is faster than to make new ones.
        self._of_requests = blake2b(key=key, digest_size=16)
        self._of_attempts = blake2b(key=key)

    def fingerprint(self, request: ChatRequest) -> bytes:
        """16 bytes that name what is asked: messages, strategy and ``max_tokens``, never how or by whom."""
        name = self._of_requests.copy()
        name.update(canonical(request))
        return name.digest()

    def roll(self, fingerprint: bytes, occurrence: int, attempt: int) -> Roll:
        """The draws of one attempt of one occurrence of a call."""
        draws = self._of_attempts.copy()
        draws.update(fingerprint + _PLACE.pack(occurrence, attempt))
        return Roll(_EIGHT.unpack(draws.digest()))


class Occurrences:
    """How often each fingerprint came before; remembers the last ``size`` of them."""

    __slots__ = ("_counts", "_size")

    def __init__(self, size: int = 65_536) -> None:
        # In order of last use, oldest first. The more were removed from a plain dict, the longer it takes to find its
        # first key.
        self._counts: OrderedDict[bytes, int] = OrderedDict()
        self._size = size

    def count(self, fingerprint: bytes) -> int:
        """How often ``fingerprint`` came before, counting this time for the next."""
        before = self._counts.pop(fingerprint, 0)
        self._counts[fingerprint] = before + 1
        if len(self._counts) > self._size:
            self._counts.popitem(last=False)
        return before

    def give_back(self, fingerprint: bytes) -> None:
        """One time does not count, as nothing came of the call."""
        if fingerprint in self._counts:
            self._counts[fingerprint] -= 1

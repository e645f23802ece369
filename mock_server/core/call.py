"""A request as the engine sees it, and how it was routed."""

from __future__ import annotations

from typing import Final

from msgspec import Struct

from mock_server.contract.messages import Strategy
from mock_server.core.provider import Demand
from mock_server.core.routing import Candidate
from mock_server.core.sticky import Conversation


class Call(Struct, frozen=True, gc=False):
    """A request as the engine sees it: what is demanded, how often to try, and what its draws are keyed on.

    Where conversations stay with their model, ``cached_by`` names it, and it need not prefill ``cached_tokens``.
    """

    demand: Demand
    max_attempts: int
    fingerprint: bytes
    occurrence: int
    strategy: Strategy = Strategy()
    conversation: Conversation | None = None
    cached_by: str = ""
    cached_tokens: int = 0


class Route(Struct, frozen=True, gc=False):
    """How a call was routed: the candidates, best first, and which of them were known to be failing then."""

    call: Call
    candidates: tuple[Candidate, ...]
    ill: frozenset[str]


NOBODY_ILL: Final = frozenset[str]()

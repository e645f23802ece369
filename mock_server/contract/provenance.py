"""Where a clause of the contract comes from."""

from __future__ import annotations

from enum import StrEnum

import msgspec


class Source(StrEnum):
    """Who says so."""

    DOCUMENTED = "documented"
    ASSUMED = "assumed"
    MOCK = "mock"


class Provenance(msgspec.Struct, frozen=True):
    """A clause's source, and for an assumed one the reason for the choice."""

    source: Source
    reason: str = ""


DOCUMENTED = Provenance(Source.DOCUMENTED)
MOCK = Provenance(Source.MOCK, "the mock's own; a real gateway knows nothing of it")


def assumed(reason: str) -> Provenance:
    """An assumption, with its reason."""
    return Provenance(Source.ASSUMED, reason)

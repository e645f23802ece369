"""What became of a clause, and how several observations make one finding."""

from __future__ import annotations

import re
from collections.abc import Iterable
from enum import StrEnum
from typing import Final

from msgspec import Struct

from mock_server.kit.conform.seen import Exchange

_MOST_SAID: Final = 3
# What a terminal obeys, XML cannot carry, or turns text around.
_UNPRINTABLE: Final = re.compile(
    "[\x00-\x08\x0b-\x1f\x7f-\x9f\u061c\u200e\u200f\u2028-\u202e\u2066-\u2069\ud800-\udfff\ufffe\uffff]"
)


def printable(text: str) -> str:
    """The text with a replacement character for each that is not safe to show."""
    return _UNPRINTABLE.sub("\ufffd", text)


class Result(StrEnum):
    """Whether a gateway keeps a clause."""

    KEPT = "KEPT"
    BROKEN = "BROKEN"
    CANNOT_CHECK = "CANNOT_CHECK"


class Finding(Struct, frozen=True):
    """What was found of a clause, in one sentence, and the probes that show it."""

    result: Result
    said: str
    probes: tuple[str, ...] = ()


def kept(said: str, *shown_by: Exchange) -> Finding:
    """The clause is kept."""
    return Finding(Result.KEPT, said, _names(shown_by))


def broken(said: str, *shown_by: Exchange) -> Finding:
    """The clause is broken."""
    return Finding(Result.BROKEN, said, _names(shown_by))


def cannot(why: str, *shown_by: Exchange) -> Finding:
    """The clause could not be checked."""
    return Finding(Result.CANNOT_CHECK, why, _names(shown_by))


def together(findings: Iterable[Finding], otherwise: str) -> Finding:
    """One finding of several: broken if any is, undecided if any is, else kept; ``otherwise`` where there are none."""
    found = list(findings)
    for result in (Result.BROKEN, Result.CANNOT_CHECK):
        worst = [finding for finding in found if finding.result is result]
        if worst:
            return _one(result, worst)
    return _one(Result.KEPT, found) if found else cannot(otherwise)


def _one(result: Result, findings: list[Finding]) -> Finding:
    said = list(dict.fromkeys(finding.said for finding in findings))
    more = f"; and {len(said) - _MOST_SAID} more" if len(said) > _MOST_SAID else ""
    names = dict.fromkeys(name for finding in findings for name in finding.probes)
    return Finding(result, "; ".join(said[:_MOST_SAID]) + more, tuple(names))


def _names(exchanges: tuple[Exchange, ...]) -> tuple[str, ...]:
    return tuple(exchange.probe.name for exchange in exchanges)

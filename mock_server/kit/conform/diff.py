"""Where a mock and a gateway disagree, and which of mock, document and gateway should change."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any, Final

from mock_server.contract.headers import RESPONSE_HEADERS
from mock_server.contract.provenance import Source
from mock_server.kit.conform.finding import Result, printable
from mock_server.kit.conform.probes import PROBES
from mock_server.kit.conform.report import ClauseResult, Difference
from mock_server.kit.conform.seen import Exchange, Seen

_OURS: Final = tuple(row.name for row in RESPONSE_HEADERS if row.provenance.source is not Source.MOCK)
_DECIDED: Final = (Result.KEPT, Result.BROKEN)


def differences(
    mock: tuple[ClauseResult, ...], gateway: tuple[ClauseResult, ...], mock_seen: Seen, gateway_seen: Seen
) -> tuple[Difference, ...]:
    """The clauses of which both were judged and not both keep, then what else was answered differently."""
    of_clauses = list(_of_clauses(mock, gateway))
    told = {name for one in of_clauses for name in one.probe.split(", ")}
    return (*of_clauses, *_left_open(mock_seen, gateway_seen, told))


def _of_clauses(mock: tuple[ClauseResult, ...], gateway: tuple[ClauseResult, ...]) -> Iterator[Difference]:
    for ours, theirs in zip(mock, gateway, strict=True):
        if {ours.result, theirs.result} <= set(_DECIDED) and Result.BROKEN in (ours.result, theirs.result):
            change, advice = _advice(ours, theirs)
            worst = theirs if theirs.result is Result.BROKEN else ours
            probes = ", ".join(evidence.probe for evidence in worst.evidence)
            yield Difference(theirs.clause, probes, _answer(ours), _answer(theirs), change, advice)


def _answer(found: ClauseResult) -> str:
    return f"{found.result}: {found.said}"


def _advice(ours: ClauseResult, theirs: ClauseResult) -> tuple[str, str]:
    """Who should change, and how."""
    documented = theirs.source == Source.DOCUMENTED.value
    switch = f"`{theirs.knob}` in its world file" if theirs.knob else ""
    if theirs.result is Result.KEPT:
        how = f"; look at {switch}" if switch else ""
        return "mock", f"the mock breaks a clause that the gateway keeps{how}"
    if ours.result is Result.BROKEN:
        if ours.said == theirs.said:
            which = "documentation" if documented else "contract's assumption"
            return "document", f"mock and gateway agree with each other, and not with the {which}"
        return (
            "mock",
            "both break it, each in its own way; the mock should do as the gateway does, or as the contract says",
        )
    if documented:
        return "gateway", "the documentation promises it: the gateway should keep it, or the documentation be corrected"
    if switch:
        return "mock", f"the contract only assumes it, and leaves it open: set {switch}"
    return "mock", "the contract only assumes it: mock and contract should follow the gateway, and the document say so"


def _left_open(mock: Seen, gateway: Seen, told: set[str]) -> Iterator[Difference]:
    for name in PROBES:
        ours, theirs = mock[name], gateway[name]
        if name not in told and ours.reply is not None and theirs.reply is not None:
            here, there = _shape(ours), _shape(theirs)
            differing = [what for what in here if here[what] != there[what]]
            if differing:
                shown = [", ".join(f"{what} {side[what] or 'none'}" for what in differing) for side in (here, there)]
                advice = "the contract leaves it open, or a clause could not be checked; clients should not lean on it"
                yield Difference("", name, printable(shown[0]), printable(shown[1]), "nobody", advice)


def _shape(exchange: Exchange) -> dict[str, str]:
    """What of an answer can be compared: not its text, its ids and its numbers."""
    reply, document = exchange.reply, exchange.document
    assert reply is not None
    names = [name for name in _OURS if reply.all_of(name)]
    return {
        "status": str(reply.status),
        "type": reply.media_type,
        "code": exchange.code,
        "message": exchange.message,
        "keys": ", ".join(_paths(document, "")),
        "headers": ", ".join(names),
    }


def _paths(value: Any, prefix: str) -> Iterator[str]:
    if isinstance(value, dict):
        for name, inner in list(value.items())[:50]:
            yield f"{prefix}{name}"[:100]
            yield from _paths(inner, f"{prefix}{name}.") if len(prefix) < 100 else ()

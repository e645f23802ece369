"""What is said of a gateway: one entry per clause, and the sums. Its JSON is the struct as it stands."""

from __future__ import annotations

from typing import Final

from msgspec import Struct

from mock_server.exits import Exit
from mock_server.kit.conform.budget import Budget
from mock_server.kit.conform.finding import Result, printable
from mock_server.kit.conform.pack import PACK
from mock_server.kit.conform.seen import Exchange, Seen

SCHEMA: Final = 1
_MOST_EVIDENCE: Final = 5


class Evidence(Struct, frozen=True):
    """One request that shows something: what it asked, what was answered, and the answer's id, to find it again."""

    probe: str
    asks: str
    answered: str
    request_id: str = ""


class ClauseResult(Struct, frozen=True):
    """What was found of one clause. ``source`` says whether it is documented or assumed, ``reason`` why it is."""

    clause: str
    text: str
    source: str
    result: Result
    said: str
    evidence: tuple[Evidence, ...] = ()
    reason: str = ""
    knob: str = ""


class Difference(Struct, frozen=True):
    """Where mock and gateway disagree: in a clause, or in what the contract leaves open (``clause`` is empty then).

    ``change`` names who should: ``gateway``, ``mock``, ``document``, or nobody.
    """

    clause: str
    probe: str
    mock: str
    gateway: str
    change: str
    advice: str


class Report(Struct, frozen=True, kw_only=True):
    """What was found of a gateway. ``tokens`` are those that its answers told of, ``tokens_at_worst`` what counts."""

    schema: int = SCHEMA
    target: str
    key: str
    result: Result
    kept: int
    broken: int
    cannot_check: int
    requests: int
    paid_calls: int
    tokens: int
    tokens_at_worst: int
    clauses: tuple[ClauseResult, ...]
    compared_with: str = ""
    differences: tuple[Difference, ...] = ()

    @property
    def exit(self) -> Exit:
        """The exit code."""
        return {Result.KEPT: Exit.PASSED, Result.BROKEN: Exit.FAILED, Result.CANNOT_CHECK: Exit.UNDECIDED}[self.result]


def judge(seen: Seen) -> tuple[ClauseResult, ...]:
    """What was found of every clause, in the order of the pack."""
    found = []
    for row in PACK.values():
        clause, finding = row.clause, row.find(seen)
        evidence = tuple(evidence_of(seen[name]) for name in finding.probes[:_MOST_EVIDENCE])
        provenance = clause.provenance
        found.append(
            ClauseResult(
                clause.name,
                clause.text,
                provenance.source.value,
                finding.result,
                printable(finding.said),
                evidence,
                provenance.reason,
                clause.knob,
            )
        )
    return tuple(found)


def evidence_of(exchange: Exchange) -> Evidence:
    """One exchange in a few words."""
    ids = exchange.reply.all_of("x-request-id") if exchange.reply is not None else []
    return Evidence(
        exchange.probe.name, exchange.probe.asks, printable(exchange.answered), printable("".join(ids[:1]))[:64]
    )


def report_on(target: str, key: str, seen: Seen, sent: int, budget: Budget) -> Report:
    """The whole report; ``key`` is as it may be shown."""
    clauses = judge(seen)
    counts = {result: sum(clause.result is result for clause in clauses) for result in Result}
    decided = (Result.BROKEN, Result.KEPT)
    return Report(
        target=target,
        key=key,
        result=next((result for result in decided if counts[result]), Result.CANNOT_CHECK),
        kept=counts[Result.KEPT],
        broken=counts[Result.BROKEN],
        cannot_check=counts[Result.CANNOT_CHECK],
        requests=sent,
        paid_calls=budget.calls,
        tokens=budget.told,
        tokens_at_worst=budget.tokens,
        clauses=clauses,
    )

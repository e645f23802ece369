"""The conformance pack: every clause of the contract, with what judges it or why nothing outside can.

The clauses are the rows of the contract's tables; a row without a judge and without a reason stops the import.
"""

from __future__ import annotations

from collections.abc import Iterator
from typing import Final

from msgspec import Struct

from mock_server.contract.clauses import (
    ANSWERS,
    CHECKS,
    ENVELOPE,
    LIMITS,
    REQUESTS,
    ROUTING,
    STREAMING,
    VALIDATION,
    Clause,
)
from mock_server.contract.endpoints import ENDPOINTS
from mock_server.contract.errors import COMMON_ERRORS, ERRORS
from mock_server.contract.headers import REQUEST_HEADERS, RESPONSE_HEADERS
from mock_server.contract.messages import FIELDS, RESPONSE_FIELDS
from mock_server.contract.provenance import DOCUMENTED, Source
from mock_server.kit.conform.finding import Finding, cannot
from mock_server.kit.conform.judges import answers, headers, refusals, requests, streams
from mock_server.kit.conform.judges.taken import Judge
from mock_server.kit.conform.seen import Seen

UNSEEN: Final[dict[str, str]] = {
    "error.REQUEST_TIMEOUT": "it would have to keep a connection open for as long as the gateway is patient",
    "stream.keep_alive": "no model can be made to be silent for so long",
    "stream.any_framing": "it binds clients, not the gateway",
    "stream.same_text": "two answers of a model differ by chance",
    "routing.each_alone": "which model answers depends on more than the call",
    "limits.buckets": "it would use up the key's limits",
    "limits.reservation": "no endpoint tells the balance",
    "limits.model_max": "no endpoint tells the balance, and it is off unless a world turns it on",
    "limits.abandoned": "no endpoint tells what a call was charged",
}
"""Why no request from outside can tell whether a clause is kept."""

_JUDGES: Final[dict[str, Judge]] = {
    **requests.JUDGES,
    **answers.JUDGES,
    **refusals.JUDGES,
    **headers.JUDGES,
    **streams.JUDGES,
}


class Row(Struct, frozen=True):
    """One clause, and what judges it; ``why_not`` says why nothing does."""

    clause: Clause
    judge: Judge | None = None
    why_not: str = ""

    def find(self, seen: Seen) -> Finding:
        """What was seen of the clause."""
        return cannot(self.why_not) if self.judge is None else self.judge(seen)


def clauses() -> Iterator[Clause]:
    """Every clause of the contract that binds a gateway, the mock's own directives aside."""
    for endpoint in ENDPOINTS:
        yield Clause("endpoint", f"`{endpoint.method} {endpoint.path}`: {endpoint.summary}", endpoint.provenance)
    for row in REQUEST_HEADERS:
        yield Clause(f"request.{row.name}", f"`{row.name}`: {row.meaning}", row.provenance)
    for path, (rule, provenance) in FIELDS.items():
        yield Clause(f"request.{path}", f"`{path}`: {rule}", provenance)
    yield from REQUESTS
    for path, (meaning, provenance) in RESPONSE_FIELDS.items():
        yield Clause(f"response.{path}", f"`{path}`: {meaning}", provenance)
    yield from ANSWERS
    for header in RESPONSE_HEADERS:
        text = f"`{header.name}`: {header.meaning}. Sent: {header.when}"
        yield Clause(f"header.{header.name}", text, header.provenance)
    yield from (ENVELOPE, VALIDATION, CHECKS)
    for status, message in COMMON_ERRORS:
        yield Clause(f"documented.{status}", f"{status} “{message}”", DOCUMENTED)
    for kind in ERRORS:
        yield Clause(f"error.{kind.code}", f"{kind.status} `{kind.code}`: {kind.when}", kind.provenance, kind.knob)
    yield from (*STREAMING, *ROUTING, *LIMITS)


def _row(clause: Clause) -> Row:
    judge, why_not = _JUDGES.get(clause.name), UNSEEN.get(clause.name, "")
    if (judge is None) == (not why_not):
        raise LookupError(f"clause {clause.name} needs either a judge or a reason why there is none")
    return Row(clause, judge, why_not)


PACK: Final[dict[str, Row]] = {
    clause.name: _row(clause) for clause in clauses() if clause.provenance.source is not Source.MOCK
}

"""What the journal can be asked for: a filter that no request can ever match is a mistake."""

from __future__ import annotations

from collections.abc import Iterable
from typing import Final, NoReturn

from mock_server.contract.errors import BY_CODE, FORCED, Refusal
from mock_server.core.canned import Reply
from mock_server.core.faults import FRAMINGS, STAGES, TABLE
from mock_server.edge.answers import possible_statuses
from mock_server.edge.request import read_test_id
from mock_server.http.context import Context
from mock_server.http.control.asked import mistake
from mock_server.schema import did_you_mean

_BEGINNINGS: Final = (
    *(f"code={status}" for status in sorted(FORCED)),
    *(f"framing={framing}" for framing in FRAMINGS),
    *(f"{kind};stage={stage}" for kind, row in TABLE.items() for stage in STAGES if stage in row.plain + row.stream),
)
_OPTIONS: Final = ("after=", "for=", "framing=")


def check_test(test: str) -> None:
    """Refuse what is no test id."""
    read = read_test_id(test.encode("utf-8", "replace"))
    if isinstance(read, Refusal):
        mistake(f"test: {read.message.partition(': ')[2]}")


def check_status(context: Context, status: int) -> None:
    """Refuse a status that no answer has."""
    statuses = sorted(possible_statuses(context.engine.world.gateway))
    if status not in (0, *statuses):
        mistake(f"status: no answer has {status}; there are {', '.join(map(str, statuses))}, and 0 for none")


def check_code(code: str) -> None:
    """Refuse a code that no error has."""
    if code not in BY_CODE:
        _refuse("code", code, BY_CODE)


def check_names(context: Context, provider: str | None, model: str | None) -> None:
    """Refuse names that neither the world, nor a canned answer, nor the journal holds."""
    pairs = {(c.provider, c.model) for c in context.engine.catalogue} | set(context.journal.counts.models)
    replies = canned_replies(context)
    providers = {name for name, _ in pairs} | {reply.provider for reply in replies if reply.provider}
    models = {name for _, name in pairs} | {reply.model for reply in replies if reply.model}
    if provider is not None and provider not in providers:
        _refuse("provider", provider, sorted(providers))
    if model is not None and model not in models:
        owner, _, name = model.partition("/")
        if owner not in providers or name not in models:
            _refuse("model", model, sorted(models | {f"{owner}/{name}" for owner, name in pairs}))


def check_fault(fault: str) -> None:
    """Refuse what no fault in the journal begins with."""
    for beginning in _BEGINNINGS:
        if beginning.startswith(fault):
            return
        if fault.startswith(f"{beginning};"):
            options = fault.removeprefix(f"{beginning};").split(";")
            if all(any(o.startswith(option) or option.startswith(o) for o in _OPTIONS) for option in options):
                return
    _refuse("fault", fault, [*TABLE, "code=STATUS", "framing=FRAMING"])


def canned_replies(context: Context) -> list[Reply]:
    """Every canned reply of the world, and of those queued for any test."""
    given = (active.rule for scope in context.engine.scopes() for active in scope.given.rules)
    return [reply for rule in (*context.engine.world.answers, *given) for reply in rule.replies]


def _refuse(what: str, wanted: str, known: Iterable[str]) -> NoReturn:
    names = list(known)
    mistake(f"{what}: nothing here is {wanted[:40]!r}: {did_you_mean(wanted, names)}there are {', '.join(names)}")

"""What the journal can be asked for: a filter that no request can ever match is a mistake."""

from __future__ import annotations

from collections.abc import Iterable
from functools import cache
from itertools import product
from typing import Final, NoReturn

from mock_server.contract.errors import BY_CODE, FORCED, Refusal
from mock_server.core.account import shown
from mock_server.core.canned import Reply
from mock_server.core.faults import FRAMINGS, STAGES, TABLE
from mock_server.edge.answers import possible_statuses
from mock_server.edge.request import read_test_id
from mock_server.http.context import Context
from mock_server.http.control.asked import mistake
from mock_server.schema import did_you_mean

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
    pairs = {(c.provider, c.model) for c in context.engine.catalogue}
    owners, names = {owner for owner, _ in pairs}, {name for _, name in pairs}
    pairs |= context.journal.counts.models.keys()
    for reply in canned_replies(context):  # what it does not name is as the simulation has it
        replied = product({reply.provider} if reply.provider else owners, {reply.model} if reply.model else names)
        pairs.update(replied)
    if provider is not None and all(provider != owner for owner, _ in pairs):
        _refuse("provider", provider, sorted({owner for owner, _ in pairs}))
    if model is not None:
        mine = [(owner, name) for owner, name in sorted(pairs) if provider in (None, owner)]
        if all(model not in (name, f"{owner}/{name}") for owner, name in mine):
            _refuse("model", model, [*dict.fromkeys(name for _, name in mine), *(f"{o}/{n}" for o, n in mine)])


def check_key(context: Context, key: str) -> None:
    """Refuse a key, or the last characters of one, that no account has."""
    known = context.engine.world.accounts
    if not any(key in (one, shown(one)) for one in known):
        mistake("key: no account has this key; calls with a wrong key are found by status=401")


def check_fault(fault: str, stream: bool | None) -> None:
    """Refuse what no fault in the journal begins with, of streams or plain answers where one of them is asked for."""
    for beginning in _beginnings(stream):
        if beginning.startswith(fault):
            return
        if fault.startswith(f"{beginning};"):
            options = fault.removeprefix(f"{beginning};").split(";")
            if all(any(o.startswith(option) or option.startswith(o) for o in _OPTIONS) for option in options):
                return
    _refuse("fault", fault, [*TABLE, "code=STATUS", "framing=FRAMING"])


@cache
def _beginnings(stream: bool | None) -> tuple[str, ...]:
    where = {kind: {None: row.plain + row.stream, True: row.stream, False: row.plain} for kind, row in TABLE.items()}
    return (
        *(f"code={status}" for status in sorted(FORCED)),
        *(f"framing={framing}" for framing in FRAMINGS if stream is not False),
        *(f"{kind};stage={stage}" for kind in TABLE for stage in STAGES if stage in where[kind][stream]),
    )


def canned_replies(context: Context) -> list[Reply]:
    """Every canned reply of the world, and of those queued for any test."""
    given = (active.rule for scope in context.engine.scopes() for active in scope.given.rules)
    return [reply for rule in (*context.engine.world.answers, *given) for reply in rule.replies]


def _refuse(what: str, wanted: str, known: Iterable[str]) -> NoReturn:
    names = list(known)
    mistake(f"{what}: nothing here is {wanted[:40]!r}: {did_you_mean(wanted, names)}there are {', '.join(names)}")

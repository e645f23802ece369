"""Small journals, and what one rule makes of them."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Any, NamedTuple

import pytest

from mock_server.edge.journal import Entry
from mock_server.judge.finding import Result
from mock_server.judge.verdict import RuleResult, judge
from tests.mock_server.judge.rows import growing
from tests.mock_server.judge.simulator import START_UNIX_S, Answer, Client, Policy, entry

NEVER = Policy(0)
AT_ONCE = Policy(3)
WAITS = Policy(2, growing(0.5, 2.0, 8.0), obeys_s=60)


class Case(NamedTuple):
    """What a client did, in words and as a journal, and what is to come of it."""

    did: str
    journal: Callable[[], Sequence[Entry]]
    result: Result


def cases(rule: str, *some: Case) -> list[Any]:
    """Parameters of a test of one rule."""
    return [pytest.param(rule, case, id=f"{rule}: {case.did}") for case in some]


def ruling(rule: str, entries: Sequence[Entry], **options: Any) -> RuleResult:
    (found,) = (each for each in judge(entries, **options).rules if each.rule == rule)
    return found


def played(policy: Policy, *calls: Sequence[Answer], test: str = "t", **more: Any) -> list[Entry]:
    """The journal of a client that made some calls."""
    client = Client(policy, test=test)
    for answers in calls:
        client.call(answers, **more)
    return client.entries


def at(*known: dict[str, Any], every_s: float = 1.0) -> list[Entry]:
    """Entries one after the other on one connection, each with what is known of it."""
    usual = [
        {"request_id": f"req_{n:07x}", "arrived_unix_s": START_UNIX_S + n * every_s, "on_connection": n + 1}
        for n in range(len(known))
    ]
    return [entry(**(fields | more)) for fields, more in zip(usual, known, strict=True)]

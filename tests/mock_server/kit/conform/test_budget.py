"""No more is spent than is allowed, whatever the gateway does with a call."""

from __future__ import annotations

import json

import pytest

from mock_server.kit.conform.asking import Asker, Keys
from mock_server.kit.conform.budget import Budget
from mock_server.kit.conform.probes import ATTEMPTS, OWN, PROBES
from mock_server.kit.conform.seen import Exchange
from mock_server.kit.conform.target import Target
from mock_server.kit.conform.wire import Message, NoReply, Reply
from tests.mock_server.kit.conform.gateways import TARGET

PLAIN, NOWHERE, SYNTAX = PROBES["plain"], PROBES["nowhere"], PROBES["body.truncated"]
JSON = (("content-type", "application/json"),)


def answered(status: int, total: int | None = None) -> Reply:
    document = {"success": status < 300, "usage": {"total_tokens": total}}
    return Reply(status, JSON, json.dumps(document).encode(), 0.0)


@pytest.mark.parametrize(
    ("answer", "calls", "tokens"),
    [
        (answered(200, 40), 1, ATTEMPTS * 40),
        (answered(200, 4_000_000), 1, ATTEMPTS * 4_000_000),  # far more than was asked for
        (answered(200), 1, ATTEMPTS * PLAIN.costs),  # does not say
        (answered(502), 1, ATTEMPTS * PLAIN.costs),  # every attempt may have been charged
        (NoReply("the connection broke"), 1, ATTEMPTS * PLAIN.costs),
        (NoReply("no connection", sent=False), 0, 0),
        (answered(400), 0, 0),
        (answered(429), 0, 0),
        ("not sent", 0, 0),
    ],
)
def test_a_call_counts_as_what_it_may_have_cost_at_worst(
    answer: Reply | NoReply | str, calls: int, tokens: int
) -> None:
    budget = Budget(5, 5_000)
    budget.count(Exchange(PLAIN, answer))
    assert (budget.calls, budget.tokens) == (calls, tokens)


def test_what_nobody_can_answer_is_always_allowed_and_counts_only_where_it_was_answered_and_charged() -> None:
    budget = Budget(0, 0)
    assert budget.why_not(SYNTAX) == ""
    for answer in (answered(200), answered(400), answered(502)):
        budget.count(Exchange(SYNTAX, answer))
    assert (budget.calls, budget.tokens) == (0, 0)
    budget.count(Exchange(SYNTAX, answered(200, 100)))
    assert (budget.calls, budget.told, budget.tokens) == (1, 100, ATTEMPTS * 100)


def test_a_call_has_to_fit_with_all_its_attempts() -> None:
    assert Budget(1, ATTEMPTS * PLAIN.costs).why_not(PLAIN) == ""
    assert "--budget" in Budget(1, ATTEMPTS * PLAIN.costs - 1).why_not(PLAIN)
    assert "--paid 0" in Budget(0, 10**9).why_not(PLAIN)


def test_a_model_that_there_is_not_is_free_once_it_was_refused_and_no_longer_once_it_was_answered() -> None:
    budget, other = Budget(1, 5_000), PROBES["max_tokens.too_many"]
    assert "--budget" in budget.why_not(other)
    budget.count(Exchange(NOWHERE, answered(400)))
    assert budget.why_not(other) == ""
    budget.count(Exchange(other, answered(200, 7)))
    assert (budget.calls, budget.tokens) == (1, ATTEMPTS * 7)
    assert "--paid 1" in budget.why_not(NOWHERE)


@pytest.mark.parametrize("status", [200, 500, 502, 0])
@pytest.mark.parametrize("paid", [1, 3])
def test_whatever_a_gateway_answers_to_every_call_the_number_of_calls_is_kept(status: int, paid: int) -> None:
    charged = list[Message]()

    def send(_target: Target, message: Message, _timeout_s: float) -> Reply | NoReply:
        known = ("Authorization", "Bearer sk-own-0123456789") in message.lines
        try:
            call = known and message.method == "POST" and isinstance(json.loads(message.body), dict)
        except ValueError:
            return answered(400)
        if not call:
            return answered(400)
        charged.append(message)
        return answered(status, 10) if status else NoReply("no answer in time")

    budget = Budget(paid, 10**9)
    keys = Keys("sk-own-0123456789")
    asker = Asker(TARGET, keys, budget, timeout_s=1.0, patience_s=0.0, send=send, wait=lambda _: None)
    asker.ask_all()
    assert len(charged) == budget.calls == paid


def test_a_gateway_that_stops_answering_is_left_alone() -> None:
    asked = list[Message]()

    def send(_target: Target, message: Message, _timeout_s: float) -> Reply | NoReply:
        asked.append(message)
        return answered(400) if len(asked) == 1 else NoReply("no answer in time")

    asker = Asker(TARGET, Keys("sk-own"), Budget(100, 10**9), timeout_s=1.0, patience_s=0.0, send=send)
    seen = asker.ask_all()
    assert len(asked) == 4
    assert seen["unknown_field"].answered == "not sent: 3 requests in a row got no answer"


@pytest.mark.parametrize(
    ("retry_after", "patience_s", "waited"), [("2", 5.0, [2.0, 2.0]), ("9", 5.0, []), ("soon", 2.0, [1.0, 1.0])]
)
def test_rate_limits_are_waited_for_as_long_as_patience_lasts(
    retry_after: str, patience_s: float, waited: list[float]
) -> None:
    waits = list[float]()
    asks = 0

    def send(_target: Target, _message: Message, _timeout_s: float) -> Reply | NoReply:
        nonlocal asks
        asks += 1
        lines = (*JSON, ("Retry-After", retry_after))
        return answered(400) if asks == 1 else Reply(429, lines, b'{"success": false}', 0.0)

    budget = Budget(100, 10**9)
    asker = Asker(TARGET, Keys("sk-own"), budget, timeout_s=1.0, patience_s=patience_s, send=send, wait=waits.append)
    seen = asker.ask_all()
    assert waits == waited
    # With the key that is to wait nothing is sent any more: the first, those that were waited for, and the last 429.
    assert sum(one.probe.key == OWN and one.status > 0 for one in seen.exchanges) == 2 + len(waited)
    assert "longer than --patience allows" in seen["unknown_field"].answered

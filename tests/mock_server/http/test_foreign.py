"""The mock as an application under another ASGI server than its own, which does not hand over its connections."""

from __future__ import annotations

import asyncio
import json
import time
from typing import Any

import pytest
from starlette.types import Message

from mock_server.clock import SimClock
from mock_server.config import build_world
from mock_server.core.canned import AnswerRule, Reply
from mock_server.core.engine import Engine
from mock_server.core.faults import KINDS, TABLE, Kind, parse_fault
from mock_server.core.rules import FaultRule, Match
from mock_server.core.scope import Scope
from mock_server.http.app import MockApp
from tests.mock_server.wire import PATH, chat, heads

KEY = "sk-test-pro"
CUTTING = ["reset", "fin", "truncated_json", "stall;for=0.1", "reset;stage=before_first_token"]
CUTTING_STREAMS = ["reset;after=2", "fin;stage=before_done", "stall;stage=before_usage;for=1", "done_then_hang;for=1"]
EACH = pytest.mark.parametrize(
    ("fault", "stream"), [*((fault, False) for fault in CUTTING), *((fault, True) for fault in CUTTING_STREAMS)]
)


def a_mock(world: str = "") -> MockApp:
    settings = build_world(f'extends = "instant"\n{world}', "foreign.toml")
    return MockApp(Engine(settings, 0, 0.0), SimClock(1.0, time.monotonic), time.time, world_name="", version="1")


async def ask(mock: MockApp, *, fault: str = "", stays: bool = True, **fields: Any) -> list[Message]:
    """What another server is told to send to a client, which leaves once it has sent all unless it ``stays``."""
    came: list[Message] = [{"type": "http.request", "body": json.dumps(chat(**fields)).encode(), "more_body": False}]
    sent: list[Message] = []

    async def receive() -> Message:
        if came:
            return came.pop()
        if stays:
            await asyncio.Event().wait()
        return {"type": "http.disconnect"}

    async def send(message: Message) -> None:
        sent.append(message)

    named = heads(KEY) | ({"X-Mock-Fault": fault} if fault else {})
    headers = [(name.lower().encode(), value.encode()) for name, value in named.items()]
    scope = {"type": "http", "method": "POST", "path": PATH, "query_string": b"", "headers": headers}
    await mock(scope, receive, send)
    return sent


def assert_refused_for_free(mock: MockApp, cutting: str, **how: Any) -> str:
    """A 400 on arrival that says what it takes, for which nothing is charged or counted; what it says."""
    account = mock.context.scope(None).account(KEY, 0.0)
    assert account is not None
    before = account.quota(0.0)
    start, body = asyncio.run(ask(mock, **how))
    error = json.loads(body["body"])["error"]
    assert (start["status"], error["code"]) == (400, "INVALID_MOCK_DIRECTIVE")
    assert (
        f"{parse_fault(cutting).text()} cuts the connection, which only the mock's own server can" in error["message"]
    )
    assert (account.ledger.charged, account.ledger.reserved, account.in_flight) == (0, 0, set())
    assert account.quota(0.0) == before
    (record,) = mock.context.journal.records()
    assert (record.entry.status, record.entry.fault, record.entry.struck) == (400, "", False)
    return str(error["message"])


def counts(scope: Scope) -> list[int]:
    """How often each rule saw a call and struck one, and how many each canned answer answered."""
    rules = [*scope.queued.rules, *scope.rules.rules]
    return [count for rule in rules for count in (rule.seen, rule.struck)] + [
        rule.answered for rule in scope.given.rules
    ]


@EACH
def test_a_directive_to_cut_the_connection_is_refused(fault: str, stream: bool) -> None:
    assert_refused_for_free(a_mock(), fault, fault=fault, stream=stream)


@EACH
@pytest.mark.parametrize("match", [Match(), Match(provider="openai")], ids=["any", "routed"])
def test_a_call_that_a_queued_fault_would_cut_is_refused_and_not_counted(
    fault: str, stream: bool, match: Match
) -> None:
    mock = a_mock()
    scope = mock.context.scope(None)
    scope.queued.add(FaultRule(match, fault=fault, times=1))
    said = assert_refused_for_free(mock, fault, stream=stream, strategy={"models": ["openai/gpt-4.1"]})
    assert "queued, or is the world's" in said
    assert counts(scope) == [0, 0]


@pytest.mark.parametrize("match", ["", 'match = { provider = "openai" }'])
def test_a_call_that_a_fault_of_the_world_would_cut_is_refused_and_not_counted(match: str) -> None:
    mock = a_mock(f'[[faults]]\nfault = "reset"\n{match}')
    assert_refused_for_free(mock, "reset", strategy={"models": ["openai/gpt-4.1"]})
    assert counts(mock.context.scope(None)) == [0, 0]


@EACH
def test_a_call_that_a_canned_answer_would_cut_is_refused_and_keeps_the_answers_turn(fault: str, stream: bool) -> None:
    mock = a_mock()
    scope = mock.context.scope(None)
    scope.given.add(AnswerRule((Reply("first", fault=fault), Reply("second"))))
    assert "canned answer: " in assert_refused_for_free(mock, fault, stream=stream)
    assert counts(scope) == [0]


def test_a_canned_answer_that_a_rule_about_its_provider_would_cut_keeps_its_turn() -> None:
    mock = a_mock()
    scope = mock.context.scope(None)
    scope.given.add(AnswerRule((Reply("first", provider="openai"), Reply("second"))))
    scope.queued.add(FaultRule(Match(provider="openai"), fault="reset"))
    assert_refused_for_free(mock, "reset")
    assert counts(scope) == [0, 0, 0]


@pytest.mark.parametrize("source", ["any", "routed", "canned"])
def test_a_call_that_is_refused_for_a_fault_leaves_the_fate_of_the_next_alone(source: str) -> None:
    def answer(mock: MockApp) -> str:
        return str(json.loads(asyncio.run(ask(mock))[1]["body"])["response"])

    mock, untouched = a_mock(), a_mock()
    scope = mock.context.scope(None)
    if source == "canned":
        scope.given.add(AnswerRule((Reply("first", fault="reset"),)))
    else:
        provider = None if source == "any" else json.loads(asyncio.run(ask(a_mock()))[1]["body"])["provider"]
        scope.queued.add(FaultRule(Match(provider=provider), fault="reset"))
    for _ in range(2):
        assert asyncio.run(ask(mock))[0]["status"] == 400
    scope.queued.clear()
    scope.given.clear()
    assert [answer(mock), answer(mock)] == [answer(untouched), answer(untouched)]


def test_a_rule_about_a_provider_that_does_not_answer_refuses_nobody() -> None:
    mock = a_mock()
    mock.context.scope(None).queued.add(FaultRule(Match(provider="groq"), fault="reset"))
    assert asyncio.run(ask(mock, strategy={"models": ["openai/gpt-4.1"]}))[0]["status"] == 200


@pytest.mark.parametrize("fault", ["stall", "stall;stage=mid_stream", "done_then_hang"])
def test_what_hangs_until_the_client_leaves_does_so_under_any_server(fault: str) -> None:
    mock = a_mock()
    asyncio.run(asyncio.wait_for(ask(mock, fault=fault, stream=True, stays=False), 10))
    (record,) = mock.context.journal.records()
    assert record.entry.ending in ("fault", "abandoned")


@pytest.mark.parametrize("kind", KINDS)
def test_every_fault_is_either_played_under_any_server_or_refused(kind: Kind) -> None:
    row = TABLE[kind]
    fault = f"{kind};for=0.01" if row.takes_for else kind
    sent = asyncio.run(asyncio.wait_for(ask(a_mock(), fault=fault, stream=not row.plain), 10))
    assert sent[0]["status"] == (400 if parse_fault(fault).cuts else 200)
    assert not sent[-1].get("more_body")

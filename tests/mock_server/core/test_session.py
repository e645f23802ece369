"""Sessions: failover before the first byte, charging, and leaving early."""

from __future__ import annotations

from collections.abc import Callable
from math import inf

import pytest

from mock_server.contract.accounts import LOAD_TEST_KEY
from mock_server.contract.errors import ALL_PROVIDERS_FAILED, UPSTREAM_STATUSES, Refusal
from mock_server.contract.messages import ChatRequest
from mock_server.core.account import Account
from mock_server.core.engine import Engine
from mock_server.core.faults import parse_fault
from mock_server.core.limits import DAY_S
from mock_server.core.prompts import count_prompt
from mock_server.core.provider import Attempt
from mock_server.core.session import Answer, Session
from mock_server.core.world import Incident

Engines = Callable[..., Engine]
Requests = Callable[..., ChatRequest]
Begin = Callable[..., Session]
Ask = Callable[..., Answer | Refusal]
Accounts = Callable[..., Account]
Start = Callable[..., Session | Refusal]

ALPHA_DOWN = '[[incidents]]\nkind = "outage"\nmatch = "alpha"\n'
ALL_DOWN = '[[incidents]]\nkind = "outage"\n'
BRIEF = "[accounts.sk-rich]\nbalance = 1_000_000\n"
RICH = "sk-rich"


def steps(session: Session) -> list[tuple[str, str]]:
    return [
        (step.provider, "failed" if step.result in ("error", "timeout", "refused") else step.result)
        for step in session.steps
    ]


def test_a_good_attempt_is_answered_and_charged(
    engine_of: Engines, request_of: Requests, begin: Begin, account_of: Accounts
) -> None:
    engine, request = engine_of(BRIEF), request_of("Hello, how are you?")
    session = begin(engine, request, RICH)
    answer = session.settle(session.attempt.ends_at)
    assert isinstance(answer, Answer)
    assert (answer.provider, answer.model, answer.finish_reason) == ("alpha", "one", "stop")
    assert answer.usage.prompt_tokens == count_prompt(request)
    assert answer.usage.total_tokens == answer.usage.prompt_tokens + answer.usage.completion_tokens == session.charged
    view = account_of(engine, RICH).view()
    assert (view.balance, view.charged) == (1_000_000 - session.charged, session.charged)
    assert (view.reserved, view.in_flight, session.over) == (0, 0, True)


def test_failover_goes_to_the_next_candidate(
    engine_of: Engines, request_of: Requests, begin: Begin, account_of: Accounts
) -> None:
    engine = engine_of(BRIEF + ALPHA_DOWN)
    session = begin(engine, request_of(), RICH)
    first = session.attempt
    second = session.settle(first.ends_at)
    assert isinstance(second, Attempt)
    assert second is session.attempt
    assert (second.candidate.provider, second.started) == ("beta", first.ends_at)
    assert account_of(engine, RICH).view().in_flight == 1
    answer = session.settle(second.ends_at)
    assert isinstance(answer, Answer)
    assert answer.provider == "beta"
    assert steps(session) == [("alpha", "failed"), ("beta", "ok")]
    assert session.charged == answer.usage.total_tokens  # only the answering attempt


@pytest.mark.parametrize(
    ("strategy", "tried"),
    [
        ({}, ["alpha", "beta", "gamma"]),
        ({"max_attempts": 2}, ["alpha", "beta"]),
        ({"max_attempts": 1}, ["alpha"]),
        ({"max_attempts": 10}, ["alpha", "beta", "gamma"]),
        ({"allow_fallbacks": False}, ["alpha"]),
        ({"allow_fallbacks": False, "max_attempts": 3}, ["alpha"]),
    ],
    ids=str,
)
def test_when_all_have_failed_it_is_502_and_nothing_is_charged(
    engine_of: Engines,
    request_of: Requests,
    begin: Begin,
    account_of: Accounts,
    play: Callable[[Session], Answer | Refusal],
    strategy: dict[str, object],
    tried: list[str],
) -> None:
    engine = engine_of(BRIEF + ALL_DOWN)
    session = begin(engine, request_of(strategy={"mode": "quality", **strategy}), RICH)
    refusal = play(session)
    assert isinstance(refusal, Refusal)
    assert (refusal.kind, refusal.message) == (ALL_PROVIDERS_FAILED, "All candidate model providers failed")
    said = dict(refusal.headers)
    assert said["X-Attempt-Count"] == str(len(tried))
    assert said["X-Last-Attempt-Status"] == str(UPSTREAM_STATUSES[session.steps[-1].result])
    assert [provider for provider, _ in steps(session)] == tried
    view = account_of(engine, RICH).view()
    assert (view.balance, view.reserved, view.charged, view.in_flight) == (1_000_000, 0, 0, 0)


def test_when_every_breaker_is_open_the_refusal_says_when_to_come_back(
    engine_of: Engines, request_of: Requests, ask: Ask, start: Callable[..., Session | Refusal]
) -> None:
    engine = engine_of(ALL_DOWN)
    for call in range(5):
        ask(engine, request_of(f"call {call}"), now=100.0)
    refusal = start(engine, request_of(), now=110.0)
    assert isinstance(refusal, Refusal)
    assert refusal.kind is ALL_PROVIDERS_FAILED
    opened = [engine.scope("", 110.0).breakers[name].wait(110.0) for name in ("alpha", "beta", "gamma")]
    assert refusal.retry_after == min(opened)
    assert refusal.headers == (("X-Attempt-Count", "0"),)
    assert 0 < min(opened) <= 60


@pytest.mark.parametrize(("probe_fails", "cooldown"), [(False, 0.0), (True, 30.0)])
def test_while_the_one_probe_is_out_the_refusal_says_when_that_will_have_told(
    engine_of: Engines, request_of: Requests, begin: Begin, start: Start, probe_fails: bool, cooldown: float
) -> None:
    engine, only = engine_of(), request_of(strategy={"providers": {"only": ["alpha"]}})
    scope = engine.scope("", 0.0)
    scope.breakers["alpha"].trip(0.0)
    if probe_fails:
        scope.start_incident(Incident("outage", "alpha"), 30.0)
    probe = begin(engine, only, now=30.0)
    probe.fault = parse_fault("delay;for=5")
    refusal = start(engine, only, now=31.0)
    assert isinstance(refusal, Refusal)
    assert refusal.retry_after == pytest.approx(probe.attempt.ends_at + 5.0 + cooldown - 31.0)
    probe.fault = parse_fault("stall")
    probe.held_until = inf
    refusal = start(engine, only, now=31.0)
    assert isinstance(refusal, Refusal)
    assert refusal.retry_after == DAY_S  # nobody can tell when its client leaves


def test_upstream_rate_limits_fail_over_but_open_no_breaker(engine_of: Engines, request_of: Requests, ask: Ask) -> None:
    engine = engine_of('[[incidents]]\nkind = "rate_limited"\nmatch = "alpha"\n')
    for call in range(20):
        answer = ask(engine, request_of(f"call {call}"))
        assert isinstance(answer, Answer)
        assert answer.provider == "beta"
    assert engine.scope("", 0.0).breakers["alpha"].state(0.0) == "closed"


def test_open_breakers_are_routed_around_until_a_probe_succeeds(
    engine_of: Engines, request_of: Requests, begin: Begin, ask: Ask
) -> None:
    engine = engine_of(ALPHA_DOWN + "at = 0\nfor = 20\n")
    for call in range(5):
        ask(engine, request_of(f"call {call}"))
    opened = engine.scope("", 0.0).breakers["alpha"].wait(0.0)
    waiting = begin(engine, request_of(), now=opened - 0.001)
    assert waiting.attempt.candidate.provider == "beta"
    probe = begin(engine, request_of(), now=opened)
    meanwhile = begin(engine, request_of(), now=opened)
    assert [s.attempt.candidate.provider for s in (probe, meanwhile)] == ["alpha", "beta"]
    probe.settle(probe.attempt.ends_at)
    assert begin(engine, request_of(), now=probe.attempt.ends_at).attempt.candidate.provider == "alpha"


@pytest.mark.parametrize("ending", ["outage account", "abandoned", "gateway failure"])
def test_a_probe_that_tells_nothing_lets_another_one_probe(
    engine_of: Engines, request_of: Requests, begin: Begin, ask: Ask, ending: str
) -> None:
    engine = engine_of(ALPHA_DOWN + "for = 20\n")
    for call in range(5):
        ask(engine, request_of(f"call {call}"))
    probe = begin(engine, request_of(), "sk-test-outage" if ending == "outage account" else LOAD_TEST_KEY, now=200.0)
    assert probe.attempt.candidate.provider == "alpha"
    if ending == "outage account":
        probe.settle(200.1)
    elif ending == "abandoned":
        probe.abandon(200.1)
    else:
        probe.fail(200.1)
    assert begin(engine, request_of(), now=201.0).attempt.candidate.provider == "alpha"


def test_a_doomed_account_spoils_nothing_for_others(engine_of: Engines, request_of: Requests, ask: Ask) -> None:
    engine = engine_of()
    for call in range(20):
        refusal = ask(engine, request_of(f"call {call}"), "sk-test-outage")
        assert isinstance(refusal, Refusal)
        assert refusal.kind is ALL_PROVIDERS_FAILED
    answer = ask(engine, request_of())
    assert isinstance(answer, Answer)
    assert answer.provider == "alpha"


def test_leaving_twice_or_after_the_end_changes_nothing(
    engine_of: Engines, request_of: Requests, begin: Begin, account_of: Accounts
) -> None:
    engine = engine_of(BRIEF)
    left, done = begin(engine, request_of(), RICH), begin(engine, request_of(), RICH)
    left.abandon(0.05)
    done.settle(done.attempt.ends_at)
    before = account_of(engine, RICH).view()
    left.abandon(0.06, 40)
    done.abandon(9.0, 40)
    done.fail(9.0)
    left.fail(9.0)
    assert account_of(engine, RICH).view() == before
    assert steps(left) == [("alpha", "abandoned")]


def test_when_the_gateway_fails_everything_is_refunded(
    engine_of: Engines, request_of: Requests, begin: Begin, account_of: Accounts
) -> None:
    engine = engine_of(BRIEF)
    session = begin(engine, request_of(), RICH)
    session.fail(0.2)
    view = account_of(engine, RICH).view()
    assert (view.balance, view.reserved, view.in_flight, session.charged) == (1_000_000, 0, 0, 0)


def test_a_failing_attempt_has_no_answer(engine_of: Engines, request_of: Requests, begin: Begin) -> None:
    session = begin(engine_of(ALL_DOWN), request_of())
    with pytest.raises(ValueError, match="an attempt that fails has no answer"):
        session.answer()


@pytest.mark.parametrize("max_tokens", [1, 7, 20])
def test_max_tokens_cuts_the_answer(engine_of: Engines, request_of: Requests, ask: Ask, max_tokens: int) -> None:
    engine = engine_of()
    for call in range(10):
        answer = ask(engine, request_of(f"Tell me about {call}", max_tokens=max_tokens))
        assert isinstance(answer, Answer)
        assert answer.usage.completion_tokens <= max_tokens
        assert (answer.finish_reason == "length") == (answer.usage.completion_tokens == max_tokens)


def test_answers_without_a_cap_never_exceed_what_the_balance_pays(
    engine_of: Engines, request_of: Requests, start: Callable[..., Session | Refusal], account_of: Accounts
) -> None:
    balance = 2 * (count_prompt(request_of("Prove theorem 0")) + 500) + 60
    engine = engine_of(f"[accounts.sk-tight]\nbalance = {balance}\n")
    endings = set()
    for test in map(str, range(40)):
        for session in [start(engine, request_of(f"Prove theorem {n}"), "sk-tight", test=test) for n in (0, 1)]:
            if isinstance(session, Refusal):
                endings.add(session.kind.code)  # the other call's long answer left too little
                continue
            answer = session.settle(session.attempt.ends_at)
            assert isinstance(answer, Answer)
            endings.add(answer.finish_reason)
        view = account_of(engine, "sk-tight", test=test).view()
        assert view.balance is not None
        assert view.balance >= 0
        assert view.balance + view.charged == balance
    assert endings == {"stop", "length", "INSUFFICIENT_BALANCE"}


def test_a_balance_lowered_meanwhile_still_pays_for_what_was_reserved(
    engine_of: Engines, request_of: Requests, begin: Begin, account_of: Accounts
) -> None:
    engine = engine_of("[accounts.sk-rich]\nbalance = 10_000\n" + ALPHA_DOWN)
    one, two = begin(engine, request_of("one"), RICH), begin(engine, request_of("two"), RICH)
    account_of(engine, RICH).ledger.balance = 0
    for session in (one, two):
        session.settle(session.attempt.ends_at)
        answer = session.settle(session.attempt.ends_at)
        assert isinstance(answer, Answer)
        assert answer.usage.completion_tokens <= 500
    assert account_of(engine, RICH).view().reserved == 0

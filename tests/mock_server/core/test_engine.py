"""The engine: the order of checks, what each refusal consumes, test keys, isolation of tests."""

from __future__ import annotations

from collections.abc import Callable

import pytest

from mock_server.contract.accounts import LOAD_TEST_KEY, TEST_KEYS
from mock_server.contract.errors import Refusal
from mock_server.contract.messages import ChatRequest
from mock_server.core.account import Account
from mock_server.core.engine import MAX_SCOPES, Engine
from mock_server.core.prompts import count_prompt
from mock_server.core.provider import Attempt, Planner
from mock_server.core.session import Answer, Session

Engines = Callable[..., Engine]
Requests = Callable[..., ChatRequest]
Begin = Callable[..., Session]
Ask = Callable[..., Answer | Refusal]
Accounts = Callable[..., Account]

NOBODY = {"models": ["nobody/*"]}
ONCE = """
[plans.once]
rpm = 1
[accounts.sk-once]
plan = "once"
balance = 10_000
[accounts.sk-poor]
plan = "once"
balance = 5
"""


def code(result: object) -> str:
    return result.kind.code if isinstance(result, Refusal) else "ok"


@pytest.fixture(scope="module")
def engine(engine_of: Engines) -> Engine:
    """Shared: each test uses a test id of its own."""
    return engine_of(ONCE)


@pytest.mark.parametrize(
    ("key", "codes"),
    [
        ("sk-test-unlimited", ["ok"] * 3),
        ("sk-test-free", ["ok"] * 3),
        ("sk-test-basic", ["ok"] * 3),
        ("sk-test-pro", ["ok"] * 3),
        ("sk-test-empty", ["INSUFFICIENT_BALANCE"] * 3),
        ("sk-test-limited", ["ok", "RATE_LIMIT_EXCEEDED", "RATE_LIMIT_EXCEEDED"]),
        ("sk-test-revoked", ["INVALID_API_KEY"] * 3),
        ("sk-test-outage", ["ALL_PROVIDERS_FAILED"] * 3),
        ("sk-test-error", ["INTERNAL_ERROR"] * 3),
        ("sk-unknown", ["INVALID_API_KEY"] * 3),
        ("", ["INVALID_API_KEY"] * 3),
    ],
)
def test_each_key_gets_its_documented_answer(
    engine: Engine, request_of: Requests, ask: Ask, key: str, codes: list[str]
) -> None:
    assert [code(ask(engine, request_of(f"{n}"), key, test=f"key {key}")) for n in range(3)] == codes


def test_the_table_of_keys_is_complete() -> None:
    listed = test_each_key_gets_its_documented_answer.pytestmark[0].args[1]  # type: ignore[attr-defined]  # a mark
    assert {row.key for row in TEST_KEYS} == {key for key, _ in listed if key.startswith("sk-test")}


@pytest.mark.parametrize(
    ("key", "strategy", "codes"),
    [
        # 429 before 402 before routing
        ("sk-once", {}, ["ok", "RATE_LIMIT_EXCEEDED"]),
        ("sk-poor", {}, ["INSUFFICIENT_BALANCE", "RATE_LIMIT_EXCEEDED"]),
        ("sk-poor", NOBODY, ["INSUFFICIENT_BALANCE", "RATE_LIMIT_EXCEEDED"]),
        # a caller's mistake consumes nothing
        ("sk-once", NOBODY, ["MODEL_UNAVAILABLE"] * 4),
        # server errors consume a request
        ("sk-test-error", {}, ["INTERNAL_ERROR"] * 300 + ["RATE_LIMIT_EXCEEDED"]),
    ],
)
def test_checks_come_in_order_and_consume_what_they_should(
    engine: Engine, request_of: Requests, ask: Ask, key: str, strategy: dict[str, object], codes: list[str]
) -> None:
    test = f"order {key} {strategy}"
    assert [code(ask(engine, request_of(strategy=strategy), key, test=test)) for _ in codes] == codes


def test_all_failed_consumes_a_request_and_no_tokens(
    engine_of: Engines, request_of: Requests, ask: Ask, account_of: Accounts
) -> None:
    engine = engine_of(ONCE + '[[incidents]]\nkind = "outage"\n')
    assert [code(ask(engine, request_of(), "sk-once")) for _ in range(2)] == [
        "ALL_PROVIDERS_FAILED",
        "RATE_LIMIT_EXCEEDED",
    ]
    assert account_of(engine, "sk-once").view().balance == 10_000


def test_mistakes_leave_the_account_as_it_was(
    engine: Engine, request_of: Requests, ask: Ask, account_of: Accounts
) -> None:
    before = account_of(engine, "sk-once", test="mistakes").view()
    for request in (request_of(strategy=NOBODY), request_of("word " * 300_000)):
        ask(engine, request, "sk-test-unlimited", test="mistakes")
        ask(engine, request, "sk-once", test="mistakes")
    assert account_of(engine, "sk-once", test="mistakes").view() == before


@pytest.mark.parametrize(
    ("words", "max_tokens", "strategy", "expected"),
    [
        (40_000, 1_000, {}, "alpha"),
        (60_000, 1_000, {}, "beta"),
        (100, 49_000, {}, "alpha"),
        (100, 49_990, {}, "beta"),
        (150_000, 1_000, {}, "gamma"),
        (250_000, 1_000, {}, "CONTEXT_LENGTH_EXCEEDED"),
        (60_000, 1_000, {"models": ["one"]}, "CONTEXT_LENGTH_EXCEEDED"),
        (60_000, 1_000, NOBODY, "MODEL_UNAVAILABLE"),
        (100, 1_000, NOBODY, "MODEL_UNAVAILABLE"),
        (100, 131_072, {"models": ["two"]}, "CONTEXT_LENGTH_EXCEEDED"),
    ],
)
def test_windows_exclude_models_and_say_so_when_none_is_left(
    engine: Engine,
    request_of: Requests,
    start: Callable[..., Session | Refusal],
    words: int,
    max_tokens: int,
    strategy: dict[str, object],
    expected: str,
) -> None:
    request = request_of("word " * words, max_tokens=max_tokens, strategy={"mode": "quality", **strategy})
    result = start(engine, request, test="windows")
    assert (result.attempt.candidate.provider if isinstance(result, Session) else result.kind.code) == expected
    if expected == "CONTEXT_LENGTH_EXCEEDED":
        assert isinstance(result, Refusal)
        assert f"{count_prompt(request) + max_tokens:,} tokens" in result.message


def test_the_same_seed_gives_the_same_answers_in_any_order(engine_of: Engines, request_of: Requests, ask: Ask) -> None:
    texts = [f"question {n % 5}" for n in range(10)]

    def answers(seed: int, order: list[str]) -> dict[tuple[str, int], object]:
        engine, found, seen = (
            engine_of(extends="realistic", seed=seed),
            dict[tuple[str, int], object](),
            dict[str, int](),
        )
        for text in order:
            seen[text] = seen.get(text, -1) + 1
            found[text, seen[text]] = ask(engine, request_of(text), now=1e4 * sum(seen.values()))
        return found

    first, again = answers(0, texts), answers(0, texts[::-1])
    assert first == again
    assert first != answers(1, texts)
    assert first["question 1", 0] != first["question 1", 1]  # a repeated call has draws of its own


def test_tests_cannot_see_each_other(engine: Engine, request_of: Requests, ask: Ask, account_of: Accounts) -> None:
    for test in ("one", "two"):
        assert code(ask(engine, request_of(), "sk-test-limited", test=test)) == "ok"
        assert code(ask(engine, request_of(), "sk-test-limited", test=test)) == "RATE_LIMIT_EXCEEDED"
    charges = {test: account_of(engine, "sk-test-limited", test=test).view().charged for test in ("one", "three")}
    assert charges["one"] > charges["three"] == 0
    assert ask(engine, request_of(), test="one") != ask(engine, request_of(), test="two")


def test_resets_forget_one_test_or_all(engine_of: Engines, request_of: Requests, ask: Ask) -> None:
    engine = engine_of()

    def second_calls() -> list[str]:
        return [code(ask(engine, request_of(), "sk-test-limited", test=test)) for test in ("", "a", "b")]

    assert second_calls() == ["ok"] * 3
    engine.reset("a", 0.0)
    assert second_calls() == ["RATE_LIMIT_EXCEEDED", "ok", "RATE_LIMIT_EXCEEDED"]
    engine.reset("", 0.0)
    assert second_calls() == ["ok", "RATE_LIMIT_EXCEEDED", "RATE_LIMIT_EXCEEDED"]
    engine.reset(None, 0.0)
    assert second_calls() == ["ok"] * 3
    engine.reset("never seen", 0.0)
    assert second_calls() == ["RATE_LIMIT_EXCEEDED"] * 3


def test_calls_in_flight_settle_in_the_state_they_began_in(
    engine: Engine, request_of: Requests, begin: Begin, account_of: Accounts
) -> None:
    session = begin(engine, request_of(), "sk-test-free", test="reset")
    engine.reset("reset", 0.0)
    session.settle(session.attempt.ends_at)
    view = account_of(engine, "sk-test-free", test="reset").view()
    assert (view.balance, view.charged, view.reserved, view.in_flight) == (100_000, 0, 0, 0)


def test_only_so_many_tests_are_remembered(engine_of: Engines) -> None:
    engine = engine_of()
    default, first, second = (engine.scope(test, 0.0) for test in ("", "first", "second"))
    for n in range(MAX_SCOPES - 2):
        engine.scope(f"test {n}", 0.0)
    assert engine.scope("first", 0.0) is first  # used again, so that the second is now the oldest
    engine.scope("one more", 0.0)
    assert engine.scope("first", 0.0) is first
    assert engine.scope("second", 0.0) is not second
    assert engine.scope("", 0.0) is default


def test_the_concurrency_cap_names_the_earliest_planned_end(
    engine_of: Engines, request_of: Requests, begin: Begin, start: Callable[..., Session | Refusal]
) -> None:
    engine = engine_of('[plans.pair]\nconcurrent = 2\n[accounts.sk-pair]\nplan = "pair"\n')
    both = [begin(engine, request_of(f"{n}"), "sk-pair") for n in range(2)]
    earliest = min(both, key=lambda session: session.attempt.ends_at)
    refusal = start(engine, request_of(), "sk-pair", now=0.05)
    assert isinstance(refusal, Refusal)
    assert (refusal.kind.code, refusal.retry_after) == ("RATE_LIMIT_EXCEEDED", earliest.attempt.ends_at - 0.05)
    earliest.settle(earliest.attempt.ends_at)
    assert isinstance(start(engine, request_of(), "sk-pair", now=earliest.attempt.ends_at), Session)


@pytest.mark.parametrize(
    ("text", "language"),
    [
        ("Hello", "en"),
        ("写一个产品介绍", "zh"),
        ("Translate to English: 你好", "en"),
        ("café", "en"),
        ("用Python写排序", "zh"),
    ],
)
def test_answers_come_in_the_language_of_the_question(
    engine: Engine, request_of: Requests, ask: Ask, text: str, language: str
) -> None:
    answer = ask(engine, request_of(text, strategy={}), LOAD_TEST_KEY, test="language")
    assert isinstance(answer, Answer)
    if "Python" not in text:
        assert answer.text.isascii() == (language == "en")


def test_the_test_used_the_longest_ago_is_forgotten_whole_and_that_is_known_when_it_comes_back(
    engine_of: Engines, account_of: Accounts
) -> None:
    engine, told = engine_of(), list[str]()
    engine.when_forgotten = told.append
    for test in ("first", "second"):
        account_of(engine, "sk-test-free", test=test).ledger.adjust(0)
    engine.scope("first", 0.0)
    for number in range(MAX_SCOPES - 1):
        engine.scope(f"other-{number}", 0.0)
    assert told == ["second"]
    assert account_of(engine, "sk-test-free", test="first").ledger.balance == 0
    assert account_of(engine, "sk-test-free", test="second").ledger.balance == 100_000
    assert engine.scope("second", 0.0).forgotten
    engine.reset("second", 0.0)
    assert not engine.scope("second", 0.0).forgotten
    assert not engine.scope("new", 0.0).forgotten


def test_a_test_with_a_call_in_flight_is_not_forgotten(engine_of: Engines, request_of: Requests, begin: Begin) -> None:
    engine = engine_of()
    session = begin(engine, request_of("hello"), test="busy")
    scope = engine.scope("busy", 0.0)
    for number in range(MAX_SCOPES + 5):
        engine.scope(f"other-{number}", 0.0)
    assert engine.scope("busy", 0.0) is scope
    session.abandon(0.1)
    for number in range(MAX_SCOPES + 5):
        engine.scope(f"another-{number}", 0.0)
    assert engine.scope("busy", 0.0).forgotten


def broken(*_: object) -> Attempt:
    raise ZeroDivisionError


def test_an_error_of_our_own_leaves_no_reservation_no_place_and_no_probe(
    engine_of: Engines, request_of: Requests, begin: Begin, account_of: Accounts, monkeypatch: pytest.MonkeyPatch
) -> None:
    engine = engine_of(ONCE)
    breaker = engine.scope("", 0.0).breakers["alpha"]
    breaker.trip(0.0)
    monkeypatch.setattr(Planner, "plan", broken)
    with pytest.raises(ZeroDivisionError):
        begin(engine, request_of(), "sk-once", now=100.0)
    view = account_of(engine, "sk-once").view()
    assert (view.balance, view.reserved, view.charged, view.in_flight) == (10_000, 0, 0, 0)
    assert breaker.allows(100.0)


def test_an_error_of_our_own_while_failing_over_costs_nothing(
    engine_of: Engines, request_of: Requests, begin: Begin, account_of: Accounts, monkeypatch: pytest.MonkeyPatch
) -> None:
    engine = engine_of(ONCE + '[[incidents]]\nkind = "outage"\n')
    session = begin(engine, request_of(), "sk-once")
    monkeypatch.setattr(Planner, "plan", broken)
    with pytest.raises(ZeroDivisionError):
        session.settle(session.attempt.ends_at)
    session.fail(1.0)
    view = account_of(engine, "sk-once").view()
    assert (view.balance, view.reserved, view.charged, view.in_flight) == (10_000, 0, 0, 0)
    assert [step.provider for step in session.steps] == ["alpha"]

"""No knob without an effect: each setting of a world changes what it says it changes."""

from __future__ import annotations

from collections.abc import Callable

import pytest

from mock_server.contract.errors import INSUFFICIENT_BALANCE, Refusal
from mock_server.contract.messages import ChatRequest
from mock_server.core import provider
from mock_server.core.account import Account
from mock_server.core.engine import Engine
from mock_server.core.prompts import count_prompt
from mock_server.core.session import Answer, Session
from mock_server.edge.answers import status_of

Engines = Callable[..., Engine]
Requests = Callable[..., ChatRequest]
Begin = Callable[..., Session]
Ask = Callable[..., Answer | Refusal]

ALL_DOWN = '[[incidents]]\nkind = "outage"\n'


BEST = """
[models."omega/best"]
ttft = { law = "constant", ms = 100.0 }
tokens_per_s = 100.0
window = 50_000
price_in = 1.0
price_out = 1.0
quality = 1.0
"""


@pytest.fixture
def first(engine_of: Engines, request_of: Requests, begin: Begin) -> Callable[..., Session]:
    """The first session in a world, of a call to the best of the steady models."""
    return lambda toml="", **fields: begin(engine_of(toml), request_of(**fields))


@pytest.mark.parametrize("scale", [0.0, 0.01, 2.0])
def test_latency_scale(first: Callable[..., Session], scale: float) -> None:
    plain, scaled = first().attempt, first(f"latency_scale = {scale}\n").attempt
    assert scaled.first_at == pytest.approx(scale * plain.first_at)
    assert scaled.ends_at == pytest.approx(scale * plain.ends_at)
    assert scaled.passage == plain.passage


@pytest.mark.parametrize(("scale", "share"), [(0.0, 0.0), (1.0, 0.013), (20.0, 0.264)])
def test_failure_scale(engine_of: Engines, request_of: Requests, begin: Begin, scale: float, share: float) -> None:
    engine, failed = engine_of(f"failure_scale = {scale}\n", extends="realistic"), 0
    for call in range(400):
        session = begin(engine, request_of(f"{call}", strategy={"models": ["gemini-2.5-pro"]}))
        failed += session.attempt.failure is not None
        session.abandon(0.0)
    assert failed / 400 == pytest.approx(share, abs=0.06)
    assert (failed > 0) == (scale > 0)


@pytest.mark.parametrize("kind", ["error", "timeout", "refused"])
def test_failure_mix(first: Callable[..., Session], kind: str) -> None:
    mix = "".join(f"{name} = {float(name == kind)}\n" for name in ("error", "timeout", "refused"))
    assert first(f"[failure_mix]\n{mix}{ALL_DOWN}").attempt.failure == kind


@pytest.mark.parametrize("timeout_s", [0.5, 12.0])
def test_attempt_timeout_s(first: Callable[..., Session], timeout_s: float) -> None:
    mix = "[failure_mix]\nerror = 0\ntimeout = 1\nrefused = 0\n"
    attempt = first(f"[gateway]\nattempt_timeout_s = {timeout_s}\n{mix}{ALL_DOWN}").attempt
    assert (attempt.failure, attempt.ends_at) == ("timeout", timeout_s)


@pytest.mark.parametrize("failures", [1, 3])
def test_breaker_failures(engine_of: Engines, request_of: Requests, ask: Ask, failures: int) -> None:
    engine = engine_of(f"[breaker]\nfailures = {failures}\n{ALL_DOWN}")
    for call in range(failures):
        assert engine.scope("", 0.0).breakers["alpha"].state(0.0) == "closed"
        ask(engine, request_of(f"{call}"))
    assert engine.scope("", 0.0).breakers["alpha"].state(0.0) == "open"


@pytest.mark.parametrize("cooldown_s", [0.0, 4.0])
def test_breaker_cooldown_s(engine_of: Engines, request_of: Requests, begin: Begin, cooldown_s: float) -> None:
    engine = engine_of(f"[breaker]\nfailures = 1\ncooldown_s = {cooldown_s}\n{ALL_DOWN}")
    session = begin(engine, request_of())
    session.settle(1.0)
    assert engine.scope("", 1.0).breakers["alpha"].wait(1.0) == cooldown_s


@pytest.mark.parametrize(
    ("charge", "before_anything", "after_five"),
    [("none", 0, 0), ("delivered", "prompt", "prompt + 5"), ("generated", "prompt + all", "prompt + all")],
)
def test_abandoned_charge(
    first: Callable[..., Session], charge: str, before_anything: int | str, after_five: int | str
) -> None:
    for sent, expected in ((0, before_anything), (5, after_five)):
        session = first(f'[gateway]\nabandoned_charge = "{charge}"\n')
        usage = session.answer().usage
        session.abandon(0.2, sent)
        amounts = {"prompt": usage.prompt_tokens, "all": usage.completion_tokens}
        assert session.charged == sum(amounts.get(word) or int(word) for word in str(expected).split(" + "))


@pytest.mark.parametrize("charge", ["none", "delivered", "generated"])
def test_leaving_during_a_failing_attempt_costs_nothing(first: Callable[..., Session], charge: str) -> None:
    session = first(f'[gateway]\nabandoned_charge = "{charge}"\n{ALL_DOWN}')
    session.abandon(0.01)
    assert session.charged == 0


@pytest.mark.parametrize(
    ("plan", "admitted"),
    [("rpm = 3", 3), ("rpd = 4", 4), ("tpm = 1_100", 2), ("concurrent = 5", 5), ("rpm = 9\nconcurrent = 2", 2)],
)
def test_plans(
    engine_of: Engines, request_of: Requests, start: Callable[..., Session | Refusal], plan: str, admitted: int
) -> None:
    engine = engine_of(f'[plans.own]\n{plan}\n[accounts.sk-own]\nplan = "own"\n')
    results = [start(engine, request_of(f"{n}"), "sk-own") for n in range(10)]
    assert [isinstance(result, Session) for result in results] == [True] * admitted + [False] * (10 - admitted)


@pytest.mark.parametrize(
    ("account", "code"),
    [
        ("", "ok"),
        ("balance = 2_000", "ok"),
        ("balance = 20", "INSUFFICIENT_BALANCE"),
        ('fate = "revoked"', "INVALID_API_KEY"),
        ('fate = "error"', "INTERNAL_ERROR"),
        ('fate = "outage"', "ALL_PROVIDERS_FAILED"),
    ],
)
def test_accounts(engine_of: Engines, request_of: Requests, ask: Ask, account: str, code: str) -> None:
    result = ask(engine_of(f"[accounts.sk-own]\n{account}\n"), request_of(), "sk-own")
    assert (result.kind.code if isinstance(result, Refusal) else "ok") == code


def test_balances_are_what_the_world_says(engine_of: Engines, account_of: Callable[..., Account]) -> None:
    engine = engine_of("[accounts.sk-own]\nbalance = 77\n[accounts.sk-open]\n")
    assert [account_of(engine, key).view().balance for key in ("sk-own", "sk-open")] == [77, None]


@pytest.mark.parametrize(("setting", "wanted"), [("", 9_000), ("400", 400), ("9_500", 9_000)])
def test_max_output(
    engine_of: Engines, request_of: Requests, begin: Begin, setting: str, wanted: int, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(provider, "_wanted_tokens", lambda _task, _roll: 9_000)
    answer = begin(engine_of(BEST + (f"max_output = {setting}\n" if setting else "")), request_of()).answer()
    assert (answer.usage.completion_tokens, answer.finish_reason) == (wanted, "stop" if wanted == 9_000 else "length")


RESERVE = """
max_output = 4_000
[accounts.sk-own]
balance = {balance}
[gateway]
reserve = "{reserve}"
"""


@pytest.mark.parametrize(
    ("reserve", "balance", "fields", "says"),
    [
        ("completion", 1_000, {}, None),
        ("completion", 100, {}, ""),
        ("completion", 1_000, {"max_tokens": 2_000}, ""),
        ("model_max", 1_000, {}, "its answer may have 4,000 tokens, and 993 are affordable: set max_tokens"),
        ("model_max", 1_000, {"max_tokens": 993}, None),
        ("model_max", 1_000, {"max_tokens": 994}, "its answer may have 994 tokens, and 993 are affordable"),
        ("model_max", 5, {}, "the prompt alone has 7 tokens, and 5 are left"),
        ("model_max", 4_007, {}, None),
        ("model_max", 4_006, {}, "its answer may have 4,000 tokens, and 3,999 are affordable"),
        ("model_max", 4_007, {"max_tokens": 9_000}, None),
        ("model_max", 4_006, {"max_tokens": 9_000}, "its answer may have 4,000 tokens, and 3,999 are affordable"),
    ],
)
def test_reserve(
    engine_of: Engines,
    request_of: Requests,
    start: Callable[..., Session | Refusal],
    account_of: Callable[..., Account],
    reserve: str,
    balance: int,
    fields: dict[str, int],
    says: str | None,
) -> None:
    engine, request = engine_of(BEST + RESERVE.format(balance=balance, reserve=reserve)), request_of("Hi", **fields)
    assert count_prompt(request) == 7
    found = start(engine, request, "sk-own")
    if says is None:
        assert isinstance(found, Session), found
        reserved = min(4_000, fields.get("max_tokens", 4_000 if reserve == "model_max" else 500))
        assert account_of(engine, "sk-own").view().reserved == 7 + reserved
        found.settle(found.attempt.ends_at)
        assert account_of(engine, "sk-own").balanced
    else:
        assert isinstance(found, Refusal)
        assert found.kind is INSUFFICIENT_BALANCE
        message, _, why = found.message.partition(": ")
        assert message == INSUFFICIENT_BALANCE.message
        assert why.startswith(says)
        assert bool(why) == (reserve == "model_max")


def test_a_model_that_may_write_more_than_the_one_reserved_for_writes_no_more_than_can_be_paid(
    engine_of: Engines, request_of: Requests, begin: Begin, account_of: Callable[..., Account]
) -> None:
    short = RESERVE.format(balance=20, reserve="model_max").replace("4_000", "3\nerror_rate = 1.0")
    engine = engine_of(BEST + short)
    for number in range(5):
        session = begin(engine, request_of(f"Hi {number}", max_tokens=1_000), "sk-own")
        step = session.settle(session.attempt.ends_at)
        assert not isinstance(step, Refusal)
        session.settle(session.attempt.ends_at)
        view = account_of(engine, "sk-own").view()
        assert view.balance is not None
        assert view.balance >= 0
        account_of(engine, "sk-own").ledger.adjust(20)


def test_what_a_model_may_write_is_reserved_of_the_balance_alone(
    engine_of: Engines, request_of: Requests, start: Callable[..., Session | Refusal]
) -> None:
    plan = '[plans.own]\ntpm = 1_100\n[accounts.sk-own]\nplan = "own"\n[gateway]\nreserve = "model_max"\n'
    engine = engine_of(plan)
    results = [start(engine, request_of(f"{n}"), "sk-own") for n in range(3)]
    assert [isinstance(result, Session) for result in results] == [True, True, False]


@pytest.mark.parametrize("wanted", ["502", "503", '"last"'])
@pytest.mark.parametrize(("kind", "last"), [("error", 500), ("timeout", 504), ("refused", 503), ("rate_limited", 429)])
def test_failed_chain_status(
    engine_of: Engines, request_of: Requests, ask: Ask, wanted: str, kind: str, last: int
) -> None:
    down = '[[incidents]]\nkind = "rate_limited"\n' if kind == "rate_limited" else ALL_DOWN
    mix = (
        ""
        if kind == "rate_limited"
        else "[failure_mix]\n"
        + "".join(f"{name} = {float(name == kind)}\n" for name in ("error", "timeout", "refused"))
    )
    refusal = ask(engine_of(f"[gateway]\nfailed_chain_status = {wanted}\n{mix}{down}"), request_of())
    assert isinstance(refusal, Refusal)
    assert refusal.kind.code == "ALL_PROVIDERS_FAILED"
    assert status_of(refusal, 400) == (last if wanted == '"last"' else int(wanted))
    assert refusal.headers == (("X-Attempt-Count", "3"), ("X-Last-Attempt-Status", str(last)))

"""Whatever calls come, end or are left, in whatever order: the books balance."""

from __future__ import annotations

from collections.abc import Callable

import msgspec
import pytest
from hypothesis import settings
from hypothesis import strategies as st
from hypothesis.stateful import RuleBasedStateMachine, invariant, precondition, rule, run_state_machine_as_test

from mock_server.contract.errors import Refusal
from mock_server.contract.messages import ChatRequest
from mock_server.core.account import Account
from mock_server.core.engine import Engine
from mock_server.core.provider import Attempt
from mock_server.core.session import Answer, Session

WORLD = """
[plans.tight]
rpm = 20
tpm = 3_000
concurrent = 2
[plans.wide]
concurrent = 4
[accounts.sk-tight]
plan = "tight"
balance = 4_000
[accounts.sk-wide]
plan = "wide"
balance = 3_000
[accounts.sk-open]
[accounts.sk-doomed]
balance = 2_000
fate = "outage"
[[incidents]]
kind = "brownout"
rate = 0.4
[gateway]
abandoned_charge = "CHARGE"
"""
BALANCES: dict[str, int | None] = {"sk-tight": 4_000, "sk-wide": 3_000, "sk-open": None, "sk-doomed": 2_000}
CAPS = {"sk-tight": 2, "sk-wide": 4}

calls = st.fixed_dictionaries(
    {
        "messages": st.sampled_from(["Hi", "Prove it", "写代码", "word " * 40]).map(
            lambda t: [{"role": "user", "content": t}]
        )
    },
    optional={
        "max_tokens": st.integers(1, 800),
        "strategy": st.sampled_from([{"mode": "cost"}, {"max_attempts": 1}, {"models": ["nobody"]}]),
    },
)


class Books(RuleBasedStateMachine):
    """One scope of an engine, a model of who owes what, and calls in flight."""

    engine: Engine

    def __init__(self) -> None:
        super().__init__()
        self.now = 0.0
        self.engine.reset("laws", self.now)
        self.scope = self.engine.scope("laws", self.now)
        self.flying: list[tuple[str, Session]] = []
        self.spent = dict.fromkeys(BALANCES, 0)

    def account(self, key: str) -> Account:
        account = self.engine.authenticate(self.scope, key, self.now)
        assert isinstance(account, Account)
        return account

    @rule(key=st.sampled_from(sorted(BALANCES)), call=calls)
    def start(self, key: str, call: dict[str, object]) -> None:
        before = self.account(key).view()
        result = self.engine.start(self.scope, self.account(key), msgspec.convert(call, ChatRequest), self.now)
        if isinstance(result, Session):
            self.flying.append((key, result))
        else:
            assert self.account(key).view() == before
            if result.retry_after is not None:
                assert result.retry_after >= 0

    @precondition(lambda self: self.flying)
    @rule(which=st.integers(0, 50), late=st.floats(0, 1))
    def settle(self, which: int, late: float) -> None:
        key, session = self.flying.pop(which % len(self.flying))
        self.now = max(self.now, session.attempt.ends_at + late)
        result = session.settle(self.now)
        if isinstance(result, Attempt):
            self.flying.append((key, session))
        elif isinstance(result, Answer):
            assert session.charged == result.usage.total_tokens
            self.spent[key] += result.usage.total_tokens
        else:
            assert isinstance(result, Refusal)
            assert session.charged == 0

    @precondition(lambda self: self.flying)
    @rule(which=st.integers(0, 50), share=st.floats(0, 1))
    def abandon(self, which: int, share: float) -> None:
        key, session = self.flying.pop(which % len(self.flying))
        passage = session.attempt.passage
        session.abandon(self.now, 0 if passage is None else int(passage.tokens * share))
        self.spent[key] += session.charged

    @precondition(lambda self: self.flying)
    @rule(which=st.integers(0, 50))
    def fail(self, which: int) -> None:
        _, session = self.flying.pop(which % len(self.flying))
        session.fail(self.now)
        assert session.charged == 0

    @rule(seconds=st.floats(0, 90))
    def wait(self, seconds: float) -> None:
        self.now += seconds

    @invariant()
    def books_balance(self) -> None:
        for key, balance in BALANCES.items():
            view = self.account(key).view()
            mine = [session for owner, session in self.flying if owner == key]
            assert view.in_flight == len(mine) <= CAPS.get(key, len(mine))
            assert view.charged == self.spent[key]
            assert (view.reserved > 0) == bool(mine)
            if balance is None:
                assert view.balance is None
            else:
                assert view.balance == balance - self.spent[key]
                assert view.balance >= view.reserved >= 0

    def teardown(self) -> None:
        while self.flying:
            self.abandon(0, 1.0)
        self.books_balance()


@pytest.mark.parametrize("charge", ["none", "delivered", "generated"])
def test_the_books_balance_whatever_happens(engine_of: Callable[..., Engine], charge: str) -> None:
    machine = type("Machine", (Books,), {"engine": engine_of(WORLD.replace("CHARGE", charge))})
    run_state_machine_as_test(machine, settings=settings(max_examples=40, stateful_step_count=40, deadline=None))

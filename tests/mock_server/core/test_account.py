"""Accounts: what an admission takes, and what each ending gives back."""

from __future__ import annotations

from typing import NamedTuple

import msgspec
import pytest

from mock_server.contract.accounts import PLANS, Plan
from mock_server.contract.errors import INSUFFICIENT_BALANCE, RATE_LIMIT_EXCEEDED, Refusal
from mock_server.core.account import Account, Grant
from mock_server.core.limits import Outlook
from mock_server.core.world import AccountSettings

KEY = "sk-live-0123456789"


def account(plan: Plan | None = None, balance: int | None = 1_000) -> Account:
    return Account(KEY, AccountSettings("some", balance), plan or Plan(), 0.0)


def admitted(account: Account, prompt: int = 10, answer: int = 90, now: float = 0.0) -> Grant:
    grant = account.admit(prompt, answer, now)
    assert isinstance(grant, Grant)
    return grant


def test_admissions_reserve_prompt_and_answer() -> None:
    one = account()
    assert admitted(one).reserved == 100
    assert (one.view().balance, one.view().reserved) == (1_000, 100)


def test_concurrent_admissions_never_promise_more_than_the_balance() -> None:
    one = account(balance=250)
    results = [one.admit(10, 90, 0.0) for _ in range(4)]
    assert [isinstance(result, Grant) for result in results] == [True, True, False, False]
    assert one.view().reserved == 200


def test_a_short_balance_is_402_and_takes_the_request_but_no_tokens() -> None:
    one = account(Plan(rpm=2, tpm=1_000), balance=50)
    for left in (1, 0):
        refusal = one.admit(10, 90, 0.0)
        assert refusal == Refusal(INSUFFICIENT_BALANCE, "Insufficient token balance for this request")
        quota = one.quota(0.0)
        assert quota is not None
        assert quota.remaining == left
    refusal = one.admit(10, 90, 0.0)
    assert isinstance(refusal, Refusal)
    assert refusal.kind is RATE_LIMIT_EXCEEDED
    rich = account(Plan(tpm=1_000), balance=50)
    rich.admit(10, 90, 0.0)
    assert isinstance(rich.admit(10, 40, 0.0), Grant)


def test_429_comes_before_402_takes_nothing_and_says_when() -> None:
    one = account(Plan(rpm=1), balance=0)
    one.admit(1, 1, 0.0)
    for now in (0.0, 12.0):
        refusal = one.admit(1, 1, now)
        assert isinstance(refusal, Refusal)
        assert refusal.kind is RATE_LIMIT_EXCEEDED
        assert refusal.retry_after == pytest.approx(60.0 - now)
    late = one.admit(1, 1, 60.0)
    assert isinstance(late, Refusal)
    assert late.kind is INSUFFICIENT_BALANCE


def test_undoing_gives_everything_back() -> None:
    one = account(Plan(rpm=1, rpd=1, tpm=100))
    for _ in range(5):
        one.undo(admitted(one), 0.0)
    assert (one.view().reserved, one.view().balance, one.view().charged) == (0, 1_000, 0)


def test_refunding_keeps_the_request_counted() -> None:
    one = account(Plan(rpm=2, tpm=100))
    one.refund(admitted(one), 0.0)
    one.refund(admitted(one), 0.0)
    assert isinstance(one.admit(1, 1, 0.0), Refusal)
    assert (one.view().reserved, one.view().charged) == (0, 0)


class Ends(NamedTuple):
    """A request in flight, which will have used so many tokens more than were taken for it."""

    at: float
    tokens: int = 0

    def outlook(self) -> Outlook:
        return Outlook(self.at, self.at, self.tokens)


def test_endings_charge_free_the_place_and_correct_the_quota() -> None:
    one = account(Plan(tpm=1_000, concurrent=1))
    grant = admitted(one, 10, 490)
    session = Ends(8.0)
    one.take_place(session)
    refusal = one.admit(1, 1, 5.0)
    assert isinstance(refusal, Refusal)
    assert refusal.retry_after == 3.0
    one.release(session, grant, 120, 5.0)
    view = one.view()
    assert (view.balance, view.reserved, view.charged, view.in_flight) == (880, 0, 120, 0)
    assert isinstance(one.admit(0, 880, 5.0), Grant)


def test_what_a_call_used_corrects_the_quota_once_though_it_goes_on() -> None:
    one = account(Plan(tpm=1_000))
    session = Ends(8.0)
    grant = admitted(one, 10, 490)
    one.take_place(session)
    grant = one.correct(grant, 500, 5.0)
    view = one.view()
    assert (view.reserved, view.charged, view.in_flight) == (500, 0, 1)
    one.release(session, grant, 500, 8.0)
    refusal = one.admit(0, 1_000, 8.0)
    assert isinstance(refusal, Refusal)
    assert refusal.retry_after == pytest.approx(22.0)


def test_grants_can_be_extended_as_far_as_the_balance_goes() -> None:
    one = account(balance=150)
    grant = one.extend(admitted(one), 30)
    assert grant.reserved == 130
    assert one.extend(grant, 1_000).reserved == 150
    assert one.view().reserved == 150
    assert account(balance=None).extend(Grant(1, 0), 10**9).reserved == 10**9 + 1


def test_views_never_show_the_key() -> None:
    shown = msgspec.json.encode(account().view()).decode()
    assert KEY not in shown
    assert '"…6789"' in shown


@pytest.mark.parametrize("name", sorted(PLANS))
def test_only_plans_with_requests_per_minute_announce_a_quota(name: str) -> None:
    quota = account(PLANS[name]).quota(0.0)
    rpm = PLANS[name].rpm
    assert quota == (None if rpm is None else (rpm, rpm, 0.0))

"""The token ledger: nobody overspends, and every token is accounted for."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from mock_server.core.ledger import Ledger

amounts = st.integers(0, 1_000)
steps = st.lists(
    st.one_of(
        st.tuples(st.just("reserve"), amounts, st.just(0)),
        st.tuples(st.just("settle"), st.integers(0, 20), st.integers(0, 100)),
    ),
    max_size=60,
)


@given(st.integers(0, 3_000), steps)
def test_interleaved_calls_never_overspend(balance: int, steps: list[tuple[str, int, int]]) -> None:
    ledger, open_calls, spent = Ledger(balance), list[int](), 0
    for kind, number, percent in steps:
        if kind == "reserve":
            room = balance - spent - sum(open_calls)
            assert ledger.available == room
            assert ledger.reserve(number) == (number <= room)
            if number <= room:
                open_calls.append(number)
        elif open_calls:
            reserved = open_calls.pop(number % len(open_calls))
            spent += reserved * percent // 100
            ledger.settle(reserved, reserved * percent // 100)
        assert ledger.balance is not None
        assert ledger.balance == balance - spent >= 0
        assert ledger.charged == spent
        assert ledger.reserved == sum(open_calls)
        assert ledger.balance - ledger.reserved >= 0
    for reserved in open_calls:
        ledger.settle(reserved, 0)
    assert (ledger.reserved, ledger.balance) == (0, balance - spent)


def test_two_calls_cannot_share_the_same_tokens() -> None:
    ledger = Ledger(100)
    assert ledger.reserve(60)
    assert not ledger.reserve(41)
    assert ledger.reserve(40)
    assert ledger.available == 0


def test_a_refusal_changes_nothing() -> None:
    ledger = Ledger(10)
    assert not ledger.reserve(11)
    assert (ledger.balance, ledger.reserved, ledger.charged) == (10, 0, 0)


def test_a_failure_refunds_everything() -> None:
    ledger = Ledger(100)
    ledger.reserve(70)
    ledger.settle(70, 0)
    assert (ledger.balance, ledger.reserved, ledger.charged, ledger.available) == (100, 0, 0, 100)


@pytest.mark.parametrize("actual", [-1, 51, 10_000])
def test_more_than_was_reserved_cannot_be_charged(actual: int) -> None:
    ledger = Ledger(100)
    ledger.reserve(50)
    with pytest.raises(ValueError, match=f"cannot charge {actual} tokens against a reservation of 50"):
        ledger.settle(50, actual)
    assert (ledger.balance, ledger.reserved, ledger.charged) == (100, 50, 0)


def test_unlimited_accounts_count_what_they_are_charged() -> None:
    ledger = Ledger(None)
    assert ledger.reserve(10**12)
    ledger.settle(10**12, 10**11)
    assert (ledger.balance, ledger.available, ledger.reserved, ledger.charged) == (None, None, 0, 10**11)

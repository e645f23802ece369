"""Balances and plans, and whether all the books agree."""

from __future__ import annotations

from typing import Annotated

from msgspec import UNSET, Meta, Struct, UnsetType

from mock_server.core.account import Account, AccountView
from mock_server.core.scope import Scope
from mock_server.http.context import Context
from mock_server.http.control.asked import Asked, mistake, not_found


class AccountChange(Struct, frozen=True, forbid_unknown_fields=True):
    """What to change; what is absent stays."""

    balance: Annotated[
        Annotated[int, Meta(ge=0, le=10**15)] | UnsetType | None, Meta(description="tokens; null is unlimited")
    ] = UNSET
    plan: Annotated[str | UnsetType, Meta(description="name of a plan; its quotas begin full")] = UNSET


class LedgerRow(Struct, frozen=True):
    """One account's books: opening - charged = balance, and nothing is reserved unless something is in flight."""

    test: str
    key: str
    plan: str
    opening: int | None
    charged: int
    balance: int | None
    reserved: int
    in_flight: int
    balanced: bool


class LedgerView(Struct, frozen=True):
    """All accounts that were asked for. ``used`` is what the requests' own usage says was charged.

    ``balanced`` is true when every account is, and when, with nothing in flight, ``used`` and ``charged`` agree.
    """

    accounts: list[LedgerRow]
    charged: int
    used: int
    reserved: int
    in_flight: int
    balanced: bool


def show_account(context: Context, asked: Asked) -> AccountView:
    """Plan, balance, reserved and charged tokens, requests in flight."""
    return _account(context, asked).view()


def change_account(context: Context, asked: Asked) -> AccountView:
    """Set balance or plan, for the test; without a test id, for all calls that have none."""
    account, change = _account(context, asked), asked.body
    plans = context.engine.world.plans
    if change.balance is UNSET and change.plan is UNSET:
        mistake("name something to change: balance, plan")
    if change.plan is not UNSET and change.plan not in plans:
        mistake(f"plan: must be one of {', '.join(plans)}")
    if change.plan is not UNSET:
        account.change_plan(change.plan, plans[change.plan], context.now(asked.test))
    if change.balance is not UNSET:
        account.ledger.adjust(change.balance)
    return account.view()


def show_ledger(context: Context, asked: Asked) -> LedgerView:
    """Every account that was asked for, and whether the sums agree."""
    scopes = [scope for scope in context.engine.scopes() if asked.test in (None, scope.test)]
    rows = [_row(scope, account) for scope in scopes for account in scope.accounts()]
    charged, used = sum(row.charged for row in rows), sum(scope.used for scope in scopes)
    in_flight = sum(row.in_flight for row in rows)
    agree = context.journal.in_flight > 0 or charged == used
    return LedgerView(
        rows,
        charged,
        used,
        sum(row.reserved for row in rows),
        in_flight,
        agree and all(row.balanced for row in rows),
    )


def _account(context: Context, asked: Asked) -> Account:
    account = context.scope(asked.test).account(asked.path["key"], context.now(asked.test))
    if account is None:
        not_found("no account has this key")
    return account


def _row(scope: Scope, account: Account) -> LedgerRow:
    ledger = account.ledger
    return LedgerRow(
        scope.test,
        account.shown_key,
        account.plan,
        ledger.opening,
        ledger.charged,
        ledger.balance,
        ledger.reserved,
        len(account.in_flight),
        account.balanced,
    )

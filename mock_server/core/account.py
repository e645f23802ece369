"""One API key's state: its limits, its ledger and its fate."""

from __future__ import annotations

from msgspec import Struct

from mock_server.contract.accounts import Fate, Plan
from mock_server.contract.errors import INSUFFICIENT_BALANCE, RATE_LIMIT_EXCEEDED, Refusal
from mock_server.core.ledger import Ledger
from mock_server.core.limits import Limits, Quota, Running
from mock_server.core.world import AccountSettings

_UNLIMITED = Plan()


def shown(key: str) -> str:
    """What may be shown of a key."""
    return "…" + key[-4:]


class Grant(Struct, frozen=True, gc=False):
    """An admission: ``reserved`` tokens of balance and ``tpm`` tokens of the minute's quota."""

    reserved: int
    tpm: int


class AccountView(Struct, frozen=True):
    """What may be shown of an account: never the key."""

    key: str
    plan: str
    balance: int | None
    reserved: int
    charged: int
    in_flight: int


class Account:
    """Mutable: ledger and limits; changed only by sessions and the control plane.

    ``shown_key`` is what logs and journals may say of the key: its last four characters.
    """

    __slots__ = ("_limits", "fate", "in_flight", "key", "ledger", "plan", "shown_key")

    def __init__(self, key: str, settings: AccountSettings, plan: Plan, now: float) -> None:
        self.key = key
        self.shown_key = shown(key)
        self.plan = settings.plan
        self.fate: Fate = settings.fate
        self.ledger = Ledger(settings.balance)
        self.in_flight: set[Running] = set()
        self._limits = None if plan == _UNLIMITED else Limits(plan, now)

    def change_plan(self, name: str, plan: Plan, now: float) -> None:
        """Go by another plan, with full quotas."""
        self.plan = name
        self._limits = None if plan == _UNLIMITED else Limits(plan, now)

    @property
    def balanced(self) -> bool:
        """Whether the books agree: all charges came off the balance, and nothing is reserved for nobody."""
        ledger = self.ledger
        paid = ledger.balance is None or ledger.opening is None or ledger.opening - ledger.charged == ledger.balance
        return paid and ledger.reserved >= 0 and (bool(self.in_flight) or ledger.reserved == 0)

    def admit(
        self, prompt_tokens: int, answer_tokens: int, now: float, *, model_max: int | None = None
    ) -> Grant | Refusal:
        """Take a request of the quota and reserve the tokens, or refuse; a 429 takes nothing, a 402 the request.

        ``model_max`` is how many tokens of answer to reserve of the balance instead, where a model's whole output is
        reserved; then a 402 says how many are affordable.
        """
        needed = prompt_tokens + answer_tokens
        limits = self._limits
        if limits is not None:
            wait = limits.wait(needed, self.in_flight, now)
            if wait > 0:
                return Refusal(RATE_LIMIT_EXCEEDED, RATE_LIMIT_EXCEEDED.message, retry_after=wait)
            limits.take_request(now)
        reserved = needed if model_max is None else prompt_tokens + model_max
        if not self.ledger.reserve(reserved):
            return self._short(prompt_tokens, model_max)
        return Grant(reserved, 0 if limits is None else limits.take_tokens(needed, now))

    def _short(self, prompt_tokens: int, model_max: int | None) -> Refusal:
        """The balance does not pay for a reservation."""
        kind, available = INSUFFICIENT_BALANCE, self.ledger.available
        if model_max is None or available is None:
            return Refusal(kind, kind.message)
        affordable = available - prompt_tokens
        if affordable < 1:
            why = f"the prompt alone has {prompt_tokens:,} tokens, and {max(0, available):,} are left"
            return Refusal(kind, f"{kind.message}: {why}")
        why = f"its answer may have {model_max:,} tokens, and {affordable:,} are affordable: set max_tokens to that"
        return Refusal(kind, f"{kind.message}: {why} or less", field="max_tokens")

    def undo(self, grant: Grant, now: float, session: Running | None = None) -> None:
        """Give an admission back whole, and the place of its ``session``: the call turned out to be a mistake."""
        self.refund(grant, now)
        if session is not None:
            self.in_flight.discard(session)
        if self._limits is not None:
            self._limits.give_back_request(now)

    def refund(self, grant: Grant, now: float) -> None:
        """Give the tokens of an admission back; the request stays counted."""
        self.ledger.settle(grant.reserved, 0)
        if self._limits is not None:
            self._limits.correct_tokens(grant.tpm, 0, now)

    def correct(self, grant: Grant, used: int, now: float) -> Grant:
        """It is known how many tokens a call has ``used``: let the minute's quota say so."""
        if self._limits is not None:
            self._limits.correct_tokens(grant.tpm, used, now)
        return Grant(grant.reserved, used)

    def extend(self, grant: Grant, tokens: int) -> Grant:
        """Reserve up to ``tokens`` more; the new grant says how many there were."""
        available = self.ledger.available
        more = tokens if available is None else min(tokens, available)
        self.ledger.reserve(more)
        return Grant(grant.reserved + more, grant.tpm)

    def take_place(self, session: Running) -> None:
        """Note that a request is in flight."""
        self.in_flight.add(session)

    def release(self, session: Running, grant: Grant, charged: int, now: float) -> None:
        """A session is over: charge it, correct the token quota, free its place."""
        self.ledger.settle(grant.reserved, charged)
        self.in_flight.discard(session)
        if self._limits is not None:
            self._limits.correct_tokens(grant.tpm, charged, now)

    def quota(self, now: float) -> Quota | None:
        """What the rate-limit headers announce, if anything."""
        return None if self._limits is None else self._limits.quota(now)

    def view(self) -> AccountView:
        """A picture of the account as it is now."""
        ledger = self.ledger
        return AccountView(
            self.shown_key, self.plan, ledger.balance, ledger.reserved, ledger.charged, len(self.in_flight)
        )

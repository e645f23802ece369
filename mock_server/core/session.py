"""One call from admission to settlement: the only place where limits, ledger and breakers change."""

from __future__ import annotations

from typing import Final, Literal

from msgspec import Struct
from msgspec.structs import replace

from mock_server.contract.errors import (
    ALL_PROVIDERS_FAILED,
    ATTEMPT_COUNT,
    LAST_ATTEMPT_STATUS,
    UPSTREAM_STATUSES,
    Refusal,
)
from mock_server.contract.messages import MAX_TOKENS, Usage
from mock_server.core.account import Account, Grant
from mock_server.core.added import Added
from mock_server.core.breaker import Breaker
from mock_server.core.call import NOBODY_ILL, Call, Route
from mock_server.core.canned import ActiveAnswer
from mock_server.core.faults import Fault
from mock_server.core.forecast import Stakes, at_most, failover
from mock_server.core.limits import DAY_S, Outlook
from mock_server.core.provider import Attempt, SimulatedModel
from mock_server.core.routing import Candidate
from mock_server.core.rules import Facts, Strike
from mock_server.core.scope import Scope
from mock_server.core.world import AbandonedCharge

Result = Literal["ok", "error", "timeout", "refused", "rate_limited", "abandoned", "struck"]


class Answer(Struct, frozen=True, gc=False):
    """A good answer, ready to be sent."""

    text: str
    usage: Usage
    provider: str
    model: str
    finish_reason: Literal["stop", "length"]


NO_ANSWER: Final = Answer("", Usage(0, 0, 0), "", "", "stop")


class Step(Struct, frozen=True, gc=False):
    """One attempt as it went, for the journal; times are simulated seconds."""

    provider: str
    model: str
    result: Result
    started: float
    ended: float


class Session:
    """A call that was admitted. Mutable; ``attempt`` is what is being played now.

    The player waits until the attempt's moment and calls :meth:`settle`; when the client leaves it calls
    :meth:`abandon`, which is idempotent and does nothing after the session is over. ``fault`` strikes the answer, and
    ``ask_again`` holds what rules about the route are to be asked with once it is known who answers.
    """

    __slots__ = (
        "_account",
        "_breaker",
        "_call",
        "_candidates",
        "_grant",
        "_next",
        "_probe",
        "_scope",
        "_settled",
        "ask_again",
        "attempt",
        "charged",
        "fault",
        "free",
        "given",
        "headers",
        "held_until",
        "ill",
        "over",
        "started",
        "steps",
    )

    attempt: Attempt

    def __init__(
        self, scope: Scope, account: Account, grant: Grant, call: Call, candidates: tuple[Candidate, ...], now: float
    ) -> None:
        self._scope = scope
        self._account = account
        self._grant = grant
        self._call = call
        self._candidates = candidates
        self._next = 0
        self._breaker: Breaker | None = None  # of the provider being tried; a given answer has none
        self._probe = False
        self._settled = False  # what the attempt came to is recorded, though the call goes on
        self.ask_again: Facts | None = None
        self.ill = NOBODY_ILL
        self.fault: Fault | None = None
        self.held_until: float | None = None  # a stall has begun, which ends then
        self.free = False
        self.given: ActiveAnswer | None = None  # the rule whose answer is given
        self.headers: Added = ()  # of that
        self.started = now
        self.steps: list[Step] = []
        self.over = False
        self.charged = 0

    @property
    def route(self) -> Route:
        """How it was routed."""
        return Route(self._call, self._candidates, self.ill)

    def begin(self, now: float) -> Attempt | Refusal:
        """Plan the next attempt, or refuse when no candidate is left."""
        scope, candidates = self._scope, self._candidates
        cooling: list[float] = []
        while self._next < len(candidates) and len(self.steps) < self._call.max_attempts:
            candidate = candidates[self._next]
            self._next += 1
            breaker = scope.breakers[candidate.provider]
            if breaker.allows(now):
                self.attempt = attempt = self._attempt(
                    scope.models[candidate.name], len(self.steps), now, self._affordable()
                )
                self._settled = False
                self._breaker = breaker
                self._probe = breaker.begin(now, self)
                if (passage := attempt.passage) is not None:
                    short = self._call.demand.prompt_tokens + passage.tokens - self._grant.reserved
                    if short > 0:
                        self._grant = self._account.extend(self._grant, short)
                self._account.take_place(self)
                return attempt
            cooling.append(breaker.wait(now))
        retry_after = min(*cooling, DAY_S) if cooling and not self.steps else None
        self._finish(now)
        return self._failed(retry_after)

    def _failed(self, retry_after: float | None) -> Refusal:
        """The refusal when no candidate is left."""
        kind, wanted = ALL_PROVIDERS_FAILED, self._scope.world.gateway.failed_chain_status
        last = UPSTREAM_STATUSES[self.steps[-1].result] if self.steps else None
        headers = [(ATTEMPT_COUNT, str(len(self.steps)))]
        if last is not None:
            headers.append((LAST_ATTEMPT_STATUS, str(last)))
        status = last if wanted == "last" else wanted
        return Refusal(kind, kind.message, retry_after, status=status, headers=tuple(headers))

    def withdraw(self, now: float) -> None:
        """The call turned out to be a mistake: it costs nothing, not even a request."""
        self._leave_undecided()
        self._return_turn()
        self.over = True
        self._account.undo(self._grant, now, self)

    def give(self, attempt: Attempt, prompt_tokens: int | None, fault: Fault | None, *, free: bool) -> bool:
        """Play a given answer instead of a planned one; False when the balance does not pay for it.

        ``prompt_tokens`` is what usage says of the prompt, where it is given too. ``fault`` strikes the answer. A
        ``free`` one costs nothing: it has been paid for before.
        """
        if prompt_tokens is not None:
            self._call = replace(self._call, demand=replace(self._call.demand, prompt_tokens=prompt_tokens))
        passage = attempt.passage
        assert passage is not None
        self.attempt, self.fault, self.free = attempt, fault, free
        short = 0 if free else self._call.demand.prompt_tokens + passage.tokens - self._grant.reserved
        if short > 0:
            before = self._grant.reserved
            self._grant = self._account.extend(self._grant, short)
            if self._grant.reserved - before < short:
                self._finish(attempt.started)
                return False
        self._account.take_place(self)
        return True

    def _attempt(self, model: SimulatedModel, number: int, now: float, affordable: int) -> Attempt:
        """The attempt of this number, counted from 0, on a model that then serves it."""
        call, scope = self._call, self._scope
        if self._account.fate == "outage":
            return scope.planner.plan_failure(model, "error", now)
        limit = min(affordable, model.candidate.most_output(call.demand.prompt_tokens))
        roll = scope.dice.roll(call.fingerprint, call.occurrence, number)
        cached = call.cached_tokens if call.cached_by == model.candidate.name else 0
        return scope.planner.plan(model, call.demand, limit, roll, now, cached)

    def outlook(self) -> Outlook:
        """What is to come of it, as far as that is known now: its fault and the attempts still to come included."""
        taken = self._grant.tpm
        if self.held_until is not None:
            return Outlook(self.held_until, self.held_until, self.charged - taken)
        puts_off_s = self.fault.puts_off_s if self.fault is not None else 0.0
        stakes = Stakes(taken, None if self.free else self._call.demand.prompt_tokens, puts_off_s)
        now = stakes.outlook(self.attempt, Strike(fault=self.fault))
        if self.attempt.failure is None:
            return now
        later = self._failover()
        return at_most(
            [now, *(stakes.outlook(attempt, strike) for attempt in later for strike in self._strikes(attempt))]
        )

    def _failover(self) -> list[Attempt]:
        """Every attempt there may still be."""
        scope, call, affordable = self._scope, self._call, self._affordable(alone=True)
        return failover(
            self.attempt.ends_at,
            range(len(self.steps) + 1, call.max_attempts),
            self._candidates[self._next :],
            scope.breakers,
            scope.in_flight,
            lambda candidate, number, at: self._attempt(
                scope.models[candidate.name].snapshot(), number, at, affordable
            ),
        )

    def _strikes(self, attempt: Attempt) -> list[Strike]:
        """All that may strike the answer of an attempt."""
        if self.ask_again is None or attempt.failure is not None:
            return [Strike(fault=self.fault)]
        candidate = attempt.candidate
        return self._scope.possible_strikes(replace(self.ask_again, provider=candidate.provider, model=candidate.model))

    def verdict(self) -> tuple[float, bool]:
        """When the attempt will have been settled at the latest, and whether it then counts as a failure."""
        failure = self.attempt.failure
        if failure is None or self.held_until is not None:
            return self.outlook().settles_by, False
        at = self.attempt.ends_at + (self.fault.puts_off_s if self.fault is not None else 0.0)
        return at, failure != "rate_limited" and self._account.fate == "normal"

    def _affordable(self, *, alone: bool = False) -> int:
        """How many tokens the answer may have: ``max_tokens``, or less where the balance does not pay for them.

        ``alone`` asks what that could come to if all other calls in flight were to cost nothing.
        """
        demand, ledger = self._call.demand, self._account.ledger
        wanted = MAX_TOKENS if demand.max_tokens is None else demand.max_tokens
        if ledger.balance is None or ledger.available is None:
            return wanted
        available = ledger.balance - self._grant.reserved if alone else ledger.available
        return min(wanted, self._grant.reserved - demand.prompt_tokens + max(0, available))

    def settle(self, now: float) -> Answer | Attempt | Refusal:
        """The attempt has come to its end: the answer, the next attempt, or the refusal when all have failed."""
        attempt, breaker = self.attempt, self._breaker
        if attempt.failure is None:
            answer = self.tell(now)
            self._finish(now)
            return answer
        self._record(attempt.failure, now)
        assert breaker is not None  # a given answer does not fail
        doomed = self._account.fate != "normal"  # and must not spoil the provider for others
        if doomed or attempt.failure == "rate_limited":
            breaker.undecided(probe=self._probe)
        else:
            breaker.failure(now, probe=self._probe)
        if not doomed:
            self._note_health(breaker, now)
        return self.begin(now)

    def tell(self, now: float) -> Answer:
        """Usage is told: the call costs what it says, however it ends; until then it keeps place and reservation."""
        answer, breaker = self.answer(), self._breaker
        if self._settled:
            return answer
        self._record("ok", now)
        if breaker is not None:
            breaker.success(probe=self._probe)
            if self._scope.ailing:
                self._note_health(breaker, now)
            if self._call.conversation is not None:
                self._scope.conversations.keep(self._call.conversation, self.attempt.candidate.name, now)
        self.charged = 0 if self.free else answer.usage.total_tokens
        self._grant = self._account.correct(self._grant, self.charged, now)
        return answer

    def _note_health(self, breaker: Breaker, now: float) -> None:
        provider, ailing = self.attempt.candidate.provider, self._scope.ailing
        if breaker.state(now) == "closed":
            ailing.discard(provider)
        else:
            ailing.add(provider)

    def answer(self) -> Answer:
        """What the current attempt will have said when it is over."""
        attempt, passage = self.attempt, self.attempt.passage
        if passage is None:
            msg = "an attempt that fails has no answer"
            raise ValueError(msg)
        prompt, completion = self._call.demand.prompt_tokens, passage.tokens
        usage = Usage(prompt, completion, prompt + completion)
        return Answer(passage.text, usage, attempt.candidate.provider, attempt.candidate.model, attempt.finish_reason)

    def abandon(self, now: float, sent_tokens: int = 0) -> None:
        """The client left after ``sent_tokens`` of the answer: charge what the world says, release the rest."""
        if self.over:
            return
        if not self._settled:
            passage = self.attempt.passage
            if passage is not None and not self.free:
                prompt = self._call.demand.prompt_tokens
                charges: dict[AbandonedCharge, int] = {
                    "none": 0,
                    "delivered": prompt + sent_tokens,
                    "generated": prompt + passage.tokens,
                }
                self.charged = charges[self._scope.world.gateway.abandoned_charge]
            self._leave("abandoned", now)
        self._finish(now)

    def fail(self, now: float) -> None:
        """A fault struck the answer: refund everything, unless its usage had been told."""
        if self.over:
            return
        if not self._settled:
            self._leave("struck", now)
        self._finish(now)

    def refuse(self, now: float) -> None:
        """An error is answered instead: refund everything, and let another call have a canned answer."""
        self.fail(now)
        self._return_turn()

    def _return_turn(self) -> None:
        if self.given is not None:
            self.given.answered -= 1

    def _leave(self, result: Result, now: float) -> None:
        self._leave_undecided()
        self._record(result, now)

    def _leave_undecided(self) -> None:
        if self._breaker is not None:
            self._breaker.undecided(probe=self._probe)

    def _record(self, result: Result, now: float) -> None:
        attempt, self._settled = self.attempt, True
        self.steps.append(Step(attempt.candidate.provider, attempt.candidate.model, result, attempt.started, now))

    def _finish(self, now: float) -> None:
        self.over = True
        self._account.release(self, self._grant, self.charged, now)

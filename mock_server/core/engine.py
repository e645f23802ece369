"""The gateway's decisions: who may ask, what fits, who answers. Nothing here waits or does I/O.

``now`` is simulated seconds on the caller's clock. State lives in one :class:`Scope` per test id. Beyond a bound the
least recently used test that has nothing in flight is forgotten whole, and that is told when it comes back.
"""

from __future__ import annotations

from bisect import bisect_left
from collections.abc import Callable, Collection, Iterator
from itertools import islice
from typing import Final

from msgspec import UNSET
from msgspec.structs import replace

from mock_server.contract.errors import (
    CONTEXT_LENGTH_EXCEEDED,
    INSUFFICIENT_BALANCE,
    INTERNAL_ERROR,
    INVALID_API_KEY,
    INVALID_MOCK_DIRECTIVE,
    MODEL_UNAVAILABLE,
    Refusal,
)
from mock_server.contract.messages import DEFAULT_COMPLETION_TOKENS, ChatRequest, Strategy, UserMessage, text_of
from mock_server.core.account import Account, Grant
from mock_server.core.call import NOBODY_ILL, Call
from mock_server.core.canned import Question, Reply, passage_of
from mock_server.core.dice import Dice
from mock_server.core.faults import check_fits
from mock_server.core.idempotency import Kept
from mock_server.core.latency import gaps_of
from mock_server.core.prompts import count_prompt, language_of, task_of
from mock_server.core.provider import Attempt, Demand, Planner
from mock_server.core.routing import Candidate, candidates_of, rank
from mock_server.core.rules import NO_CHOICE, Choice, Facts, Identity
from mock_server.core.scope import Rankings, Scope
from mock_server.core.session import Session
from mock_server.core.sticky import conversation_of
from mock_server.core.text import corpus_of
from mock_server.core.world import Task, World

MAX_SCOPES: Final = 1_000
_MAX_FORGOTTEN: Final = 65_536
_MAX_RANKINGS: Final = 1_024

DENIED: Final = Refusal(INVALID_API_KEY, INVALID_API_KEY.message)
BROKEN: Final = Refusal(INTERNAL_ERROR, INTERNAL_ERROR.message)


class Engine:
    """One simulated gateway: a world, a seed, and the state of every test id. Mutable: scopes and rankings."""

    def __init__(self, world: World, seed: int, now: float) -> None:
        self.world = world
        self.seed = seed
        self._catalogue = candidates_of(world.models)
        self._windows = sorted({c.settings.window for c in self._catalogue})
        self._planner = Planner(world, corpus_of(seed), gaps_of(seed))
        self._rankings: Rankings = {}
        self._scopes: dict[str, Scope] = {}  # in order of last use, oldest first; "" is never forgotten
        self._default = self._new_scope("", now)
        self._forgotten: dict[str, None] = {}  # names of tests, the oldest first
        self.when_forgotten: Callable[[str], None] = _nobody_cares
        """Told of every test that is forgotten, for what others keep of it."""

    def _new_scope(self, test: str, now: float) -> Scope:
        dice = Dice(self.seed, test)
        return Scope(test, self.world, self._catalogue, self._rankings, self._planner, dice, now)

    def scopes(self) -> Iterator[Scope]:
        """Everybody's state, then that of each test id remembered."""
        yield self._default
        yield from self._scopes.values()

    @property
    def catalogue(self) -> tuple[Candidate, ...]:
        """The models as the world has them, in name order."""
        return self._catalogue

    def restore_models(self, scope: Scope, names: Collection[str]) -> None:
        """Give models of a scope the world's settings again."""
        for candidate in self._catalogue:
            if candidate.name in names:
                scope.change_model(candidate, own_failures=False, own_pace=False)
        if scope.catalogue == self._catalogue:
            scope.rankings = self._rankings

    @property
    def planner(self) -> Planner:
        """Knows when the pieces of an attempt are due."""
        return self._planner

    def scope(self, test: str, now: float) -> Scope:
        """The state of ``test``, made when first asked for; the empty name is everybody else's."""
        if not test:
            return self._default
        scope = self._scopes.pop(test, None)
        if scope is None:
            scope = self._new_scope(test, now)
            scope.forgotten = test in self._forgotten
            self._scopes[test] = scope
            while len(self._scopes) > MAX_SCOPES and self._forget_one():
                pass
        else:
            self._scopes[test] = scope
        return scope

    def has_forgotten(self, test: str) -> bool:
        """Whether all about ``test`` has been forgotten, and it was not reset since."""
        scope = self._scopes.get(test)
        return test in self._forgotten if scope is None else scope.forgotten

    def _forget_one(self) -> bool:
        """Forget the test that was used the longest ago, of those with nothing going on, but for the newest."""
        others = islice(self._scopes.values(), len(self._scopes) - 1)
        idle = next((scope.test for scope in others if not (scope.open or scope.in_flight)), None)
        if idle is None:
            return False
        del self._scopes[idle]
        self._forgotten.pop(idle, None)
        self._forgotten[idle] = None
        if len(self._forgotten) > _MAX_FORGOTTEN:
            del self._forgotten[next(iter(self._forgotten))]
        self.when_forgotten(idle)
        return True

    def reset(self, test: str | None, now: float) -> None:
        """Forget the state of ``test``, or of everybody when it is None; calls in flight settle in the old state."""
        for scope in [scope for scope in self.scopes() if test in (None, scope.test)]:
            scope.retired = True
            self._scopes.pop(scope.test, None)
        if test is None:
            self._forgotten.clear()
        else:
            self._forgotten.pop(test, None)
        if not test:
            self._default = self._new_scope("", now)

    def identify(self, scope: Scope, request: ChatRequest) -> Identity:
        """Name a call, and count it."""
        fingerprint = scope.dice.fingerprint(request)
        return Identity(fingerprint, scope.occurrences.count(fingerprint))

    def has_rules(self, scope: Scope) -> bool:
        """Whether there are rules to ask at all."""
        return bool(scope.queued.rules or scope.rules.rules)

    def facts(self, scope: Scope, key: str, request: ChatRequest, identity: Identity) -> Facts:
        """What rules are asked with, before it is known who answers."""

        def has_text(part: str) -> bool:
            return any(part in text_of(message) for message in request.messages)

        return Facts(key, scope.test, request.stream, has_text, identity.fingerprint, identity.occurrence)

    def choose(self, scope: Scope, facts: Facts, *, routed: bool) -> Choice:
        """What is to strike a call: queued rules come before the world's. After a reset only the world's are left."""
        queued = NO_CHOICE if scope.retired else scope.queued.choose(facts, scope.dice, routed=routed)
        if queued.strike is not None:
            return queued
        world = scope.rules.choose(facts, scope.dice, routed=routed)
        return Choice(world.strike, queued.matched + world.matched)

    def authenticate(self, scope: Scope, key: str, now: float) -> Account | Refusal:
        """The account of ``key``; unknown and revoked keys are refused alike."""
        account = scope.account(key, now)
        return DENIED if account is None or account.fate == "revoked" else account

    def start(
        self,
        scope: Scope,
        account: Account,
        request: ChatRequest,
        now: float,
        identity: Identity | None = None,
        *,
        can_cut: bool = True,
    ) -> Session | Refusal:
        """Admit a call and plan its first attempt: limits, balance, routing, in this order.

        ``identity`` is given where the call has been counted already. ``can_cut``: its connection can be cut.
        """
        prompt_tokens = count_prompt(request)
        max_tokens = None if request.max_tokens is UNSET else request.max_tokens
        model_max = (
            self._model_max(scope, request, prompt_tokens) if self.world.gateway.reserve == "model_max" else None
        )
        grant = account.admit(prompt_tokens, max_tokens or DEFAULT_COMPLETION_TOKENS, now, model_max=model_max)
        if isinstance(grant, Refusal):
            return grant
        try:
            return self._route(scope, account, grant, request, prompt_tokens, now, identity, can_cut=can_cut)
        except Exception:
            account.refund(grant, now)
            raise

    def _route(
        self,
        scope: Scope,
        account: Account,
        grant: Grant,
        request: ChatRequest,
        prompt_tokens: int,
        now: float,
        identity: Identity | None,
        *,
        can_cut: bool,
    ) -> Session | Refusal:
        """Choose who answers an admitted call, and plan its first attempt."""
        if account.fate == "error":
            account.refund(grant, now)
            return BROKEN
        strategy, task = request.strategy, task_of(request)
        max_tokens = None if request.max_tokens is UNSET else request.max_tokens
        ranking = self._rank(scope, strategy, task, prompt_tokens + (max_tokens or 1))
        if isinstance(ranking, Refusal):
            account.undo(grant, now)
            return ranking
        demand = Demand(prompt_tokens, max_tokens, task, language_of(request))
        identity = identity or self.identify(scope, request)
        attempts = strategy.max_attempts if strategy.allow_fallbacks else 1
        call = Call(demand, attempts, identity.fingerprint, identity.occurrence, strategy)
        ill = _ill(scope, ranking, now) if scope.ailing or scope.incidents else NOBODY_ILL
        if self.world.routing.sticky_s:
            call, ranking = _stick(scope, account.key, request, call, ranking, now)
        if ill:
            ranking = tuple(sorted(ranking, key=lambda candidate: candidate.name in ill))
        session = Session(scope, account, grant, call, ranking, now)
        session.ill = ill
        if scope.given.rules or scope.answers.rules or self.world.gateway.canned_only:
            given = self._give(scope, session, account, request, ranking[0], now, can_cut=can_cut)
            if given is not None:
                return given
        first = session.begin(now)
        return first if isinstance(first, Refusal) else session

    def _model_max(self, scope: Scope, request: ChatRequest, prompt_tokens: int) -> int | None:
        """What is reserved where models' whole outputs are: that of the model ranked first, ``max_tokens`` at most."""
        wanted = request.max_tokens
        needed = prompt_tokens + (1 if wanted is UNSET else wanted)
        ranking = self._rank(scope, request.strategy, task_of(request), needed)
        if isinstance(ranking, Refusal):
            return None
        most = ranking[0].most_output(prompt_tokens)
        return most if wanted is UNSET else min(wanted, most)

    def _give(
        self,
        scope: Scope,
        session: Session,
        account: Account,
        request: ChatRequest,
        first: Candidate,
        now: float,
        *,
        can_cut: bool,
    ) -> Session | Refusal | None:
        """A canned answer, if one matches; a refusal where only canned answers count; None: simulate one."""
        text = next(text_of(m) for m in reversed(request.messages) if type(m) is UserMessage)
        asked = Question(text, first.provider, first.model, account.key, scope.test)
        found = (None if scope.retired else scope.given.find(asked)) or scope.answers.find(asked)
        if found is None:
            if not self.world.gateway.canned_only:
                return None
            _withdraw(scope, session, now)
            why = (scope.given if scope.given.rules else scope.answers).explain(asked)
            return Refusal(INVALID_MOCK_DIRECTIVE, f"{INVALID_MOCK_DIRECTIVE.message}: {why}")
        reply, fault, headers = found.next_reply()
        if fault is not None and (why_not := check_fits(fault, stream=request.stream, can_cut=can_cut)):
            _withdraw(scope, session, now)
            return Refusal(INVALID_MOCK_DIRECTIVE, f"{INVALID_MOCK_DIRECTIVE.message}: canned answer: {why_not}")
        if not session.give(given_attempt(reply, first, now), reply.prompt_tokens, fault, free=False):
            return Refusal(INSUFFICIENT_BALANCE, INSUFFICIENT_BALANCE.message)
        session.headers, session.given = headers, found
        found.answered += 1
        return session

    def replay(self, scope: Scope, account: Account, kept: Kept, now: float) -> Session:
        """An answer that was given and paid for before."""
        demand = Demand(kept.prompt_tokens, None, "chat", "en")
        session = Session(scope, account, Grant(0, 0), Call(demand, 1, b"", 0), (), now)
        reply = Reply(
            kept.text,
            completion_tokens=kept.completion_tokens,
            model=kept.model,
            provider=kept.provider,
            finish_reason=kept.finish_reason,
        )
        session.give(given_attempt(reply, self._catalogue[0], now), None, None, free=True)
        session.headers = kept.headers
        return session

    def _rank(self, scope: Scope, strategy: Strategy, task: Task, needed: int) -> tuple[Candidate, ...] | Refusal:
        """The candidates for a call of ``needed`` tokens, best first, health aside."""
        too_small = bisect_left(self._windows, needed)
        key = (strategy, task, too_small)
        ranking = scope.rankings.get(key)
        if ranking is None:
            if len(scope.rankings) >= _MAX_RANKINGS:
                scope.rankings.clear()
            ranking = rank((c for c in scope.catalogue if c.settings.window >= needed), strategy, task)
            scope.rankings[key] = ranking
        if ranking:
            return ranking
        if rank(scope.catalogue, strategy, task):
            return Refusal(CONTEXT_LENGTH_EXCEEDED, f"{CONTEXT_LENGTH_EXCEEDED.message}: {needed:,} tokens")
        return Refusal(MODEL_UNAVAILABLE, MODEL_UNAVAILABLE.message)


def _nobody_cares(_test: str) -> None:
    """Nothing else is kept of a test."""


def _withdraw(scope: Scope, session: Session, now: float) -> None:
    session.withdraw(now)
    scope.occurrences.give_back(session.route.call.fingerprint)


def given_attempt(reply: Reply, candidate: Candidate, now: float) -> Attempt:
    """The timeline of a given answer: all of it when its delay is over."""
    provider, model = reply.provider or candidate.provider, reply.model or candidate.model
    named = Candidate(f"{provider}/{model}", provider, model, candidate.settings)
    at = now + reply.delay_s
    return Attempt(named, now, None, at, at, passage=passage_of(reply), finish_reason=reply.finish_reason)


def _stick(
    scope: Scope, key: str, request: ChatRequest, call: Call, ranking: tuple[Candidate, ...], now: float
) -> tuple[Call, tuple[Candidate, ...]]:
    """Let the model that holds the call's conversation come first, unless the call itself orders the providers."""
    conversation = conversation_of(key, request.messages)
    held = scope.conversations.find(conversation, now)
    if held is None:
        return replace(call, conversation=conversation), ranking
    cached = conversation.shared_tokens(held.last)
    if not request.strategy.providers.order:
        ranking = tuple(sorted(ranking, key=lambda candidate: candidate.name != held.name))
    return replace(call, conversation=conversation, cached_by=held.name, cached_tokens=cached), ranking


def _ill(scope: Scope, ranking: tuple[Candidate, ...], now: float) -> frozenset[str]:
    """The candidates that are known to be failing: to be tried last."""
    return frozenset(
        candidate.name
        for candidate in ranking
        if not scope.breakers[candidate.provider].allows(now) or scope.models[candidate.name].known_bad(now)
    )

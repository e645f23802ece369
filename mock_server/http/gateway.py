"""`POST /v1/llm/auto`: from a request's head and body to an admitted session, or a refusal.

A request that has arrived whole is decided at once, and answered at once if its answer is due; what must wait or
stream goes on as plain ASGI, without Starlette's request and response objects, which halve the throughput.
"""

from __future__ import annotations

from asyncio import get_running_loop
from functools import partial
from hashlib import blake2b
from time import monotonic
from typing import Final

from starlette.types import Receive, Scope, Send

from mock_server.contract.endpoints import LLM_AUTO
from mock_server.contract.errors import IDEMPOTENCY_CONFLICT, INVALID_REQUEST, METHOD_NOT_ALLOWED, Refusal
from mock_server.contract.messages import ChatRequest
from mock_server.contract.reading import read_request
from mock_server.core.account import Account
from mock_server.core.idempotency import Conflict
from mock_server.core.scope import Scope as State
from mock_server.core.session import Session
from mock_server.http.answers import Headers, Reply
from mock_server.http.context import Context
from mock_server.http.exchange import Exchange
from mock_server.http.player import Player
from mock_server.http.protocol import BEGUN, WIRE, Begun
from mock_server.http.request import WRONG_TYPE, Head, read_body, read_directives, read_test_id
from mock_server.http.wire import Wire

MAX_IDEMPOTENCY_KEY: Final = 255
_WRONG_METHOD: Final = Refusal(METHOD_NOT_ALLOWED, METHOD_NOT_ALLOWED.message, allow=LLM_AUTO.method)


class Gateway:
    """The endpoint, as an ASGI application that can also answer at once."""

    def __init__(self, context: Context) -> None:
        self._context = context

    def at_once(self, arrived: float, headers: Headers, body: bytes) -> Reply | Begun:
        """Decide a POST that arrived whole at the monotonic moment ``arrived``: its answer, or what is to be played."""
        exchange = self._open(arrived)
        try:
            decision = self._decide(exchange, Head(headers), b"", body)
            reply = exchange.due(decision, exchange.arrived) if exchange.fault is None else None
        except Exception as error:  # raised again where the server expects it
            return Begun(exchange, error)
        if reply is None:
            return Begun(exchange, decision)
        exchange.ending = "complete"
        exchange.close()
        return reply

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Answer one request."""
        wire: Wire = scope.get(WIRE) or Wire(monotonic())
        begun: Begun | None = scope.get(BEGUN)
        exchange = self._open(wire.arrived) if begun is None else begun.exchange
        self._context.journal.in_flight += 1
        try:
            decision = await self._receive(exchange, wire, scope, receive) if begun is None else begun.decision
            if isinstance(decision, Exception):
                raise decision
            if decision is not None:
                await self._play(exchange, wire, send, decision)
        finally:
            self._context.journal.in_flight -= 1
            wire.close()
            exchange.close()

    async def _play(self, exchange: Exchange, wire: Wire, send: Send, decision: Session | Refusal) -> None:
        clock = exchange.clock
        clock.in_flight += 1
        try:
            await Player(exchange, wire, send).play(decision)
        finally:
            clock.in_flight -= 1
            if clock.may_jump:  # all that is left waits
                get_running_loop().call_soon(clock.jump)

    def _open(self, arrived: float) -> Exchange:
        context = self._context
        return Exchange(context, context.clock, context.clock.at(arrived), next(context.ids))

    async def _receive(
        self, exchange: Exchange, wire: Wire, scope: Scope, receive: Receive
    ) -> Session | Refusal | None:
        """Decide when the body has come; None when the client left before. Some refusals need no body."""
        if scope["method"] != LLM_AUTO.method:
            return _WRONG_METHOD
        head = Head(scope["headers"])
        entered = self._enter(exchange, head)
        if isinstance(entered, Refusal):
            return entered
        body = wire.body() or await read_body(receive)
        if body is None or isinstance(body, Refusal):
            return body
        return self._admit(exchange, *entered, head, scope["query_string"], body)

    def _decide(self, exchange: Exchange, head: Head, query: bytes, body: bytes) -> Session | Refusal:
        """All checks in the contract's order."""
        entered = self._enter(exchange, head)
        return entered if isinstance(entered, Refusal) else self._admit(exchange, *entered, head, query, body)

    def _enter(self, exchange: Exchange, head: Head) -> tuple[State, Account] | Refusal:
        """The checks that need no body."""
        if head.test and isinstance(test := read_test_id(head.test), str):
            exchange.test = test
            exchange.go_by(self._context.clock_of(test))
        engine, now = self._context.engine, exchange.arrived
        exchange.state = state = engine.scope(exchange.test, now)
        account = engine.authenticate(state, head.api_key(), now)
        if isinstance(account, Refusal):
            return account
        exchange.account = account
        return state, account

    def _admit(
        self, exchange: Exchange, state: State, account: Account, head: Head, query: bytes, body: bytes
    ) -> Session | Refusal:
        """The checks that need the body, and admission."""
        engine = self._context.engine
        if not head.is_json():
            return WRONG_TYPE
        request = read_request(body, strict=engine.world.gateway.strict)
        if isinstance(request, Refusal):
            return request
        exchange.stream = request.stream
        if head.test and isinstance(test := read_test_id(head.test), Refusal):
            return test
        if head.prefer or head.faults or query or engine.has_rules(state):
            refusal = self._direct(exchange, state, account, head, query, request)
            if refusal is not None:
                return refusal
        if head.idempotency and engine.world.gateway.idempotency:
            known = self._recall(exchange, state, account, head.idempotency, body)
            if known is not None:
                return known
        session = engine.start(state, account, request, exchange.arrived)
        if isinstance(session, Session):
            exchange.session = session
            exchange.fault = exchange.fault or session.fault
        return session

    def _direct(
        self, exchange: Exchange, state: State, account: Account, head: Head, query: bytes, request: ChatRequest
    ) -> Refusal | None:
        """What is to strike the call, by precedence: its own directive, a queued rule, a rule of the world."""
        engine = self._context.engine
        directives = read_directives(head, query, stream=request.stream)
        if isinstance(directives, Refusal):
            return directives
        if directives.force is not None:
            exchange.applied = directives.applied
            return exchange.force(directives.force)
        if directives.fault is not None:
            exchange.fault = directives.fault
            return None
        facts = engine.facts(state, account.key, exchange.test, request)
        strike = engine.strike(state, facts, routed=False)
        if strike is None:
            exchange.ask_again = facts
        elif strike.code is not None:
            return exchange.force(strike.code)
        else:
            exchange.fault = strike.fault
        return None

    def _recall(
        self, exchange: Exchange, state: State, account: Account, key: bytes, body: bytes
    ) -> Session | Refusal | None:
        """What the idempotency key calls for: the answer it got before, a refusal, or None for a new call."""
        if len(key) > MAX_IDEMPOTENCY_KEY:
            why = f"Idempotency-Key must have at most {MAX_IDEMPOTENCY_KEY} characters"
            return Refusal(INVALID_REQUEST, f"{INVALID_REQUEST.message}: {why}")
        name = (account.key, key.decode("latin-1"))
        digest = blake2b(body, digest_size=16).digest()
        known = state.idempotency.begin(name, digest, exchange.arrived)
        if isinstance(known, Conflict):
            kind = IDEMPOTENCY_CONFLICT
            return Refusal(kind, f"{kind.message}: {known.reason}")
        if known is None:
            exchange.keep = partial(state.idempotency.finish, name)
            return None
        exchange.request_id = known.answer.request_id
        session = exchange.session = self._context.engine.replay(state, account, known.answer, exchange.arrived)
        return session

"""`POST /v1/llm/auto`: from a request's head and body to an admitted session, or a refusal.

Plain ASGI, without Starlette's request and response objects, which halve the throughput.
"""

from __future__ import annotations

from typing import Final

from starlette.types import Receive, Scope, Send

from mock_server.contract.endpoints import LLM_AUTO
from mock_server.contract.errors import FORCED, METHOD_NOT_ALLOWED, RATE_LIMIT_EXCEEDED, ErrorKind, Refusal
from mock_server.contract.reading import read_request
from mock_server.core.session import Session
from mock_server.http.context import Context
from mock_server.http.exchange import Exchange
from mock_server.http.player import play
from mock_server.http.request import WRONG_TYPE, Directives, Head, read_body, read_directives, read_test_id

_WRONG_METHOD: Final = Refusal(METHOD_NOT_ALLOWED, METHOD_NOT_ALLOWED.message, allow=LLM_AUTO.method)
_FORCED_RETRY_AFTER_S: Final = 1.0


class Gateway:
    """The endpoint, as an ASGI application."""

    def __init__(self, context: Context) -> None:
        self._context = context

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Answer one request."""
        exchange = Exchange(self._context, scope, send)
        self._context.journal.in_flight += 1
        try:
            decision = await self._decide(exchange, scope, receive)
            if isinstance(decision, Session):
                await play(exchange, decision)
            elif decision is not None:
                await exchange.refuse(decision)
        finally:
            self._context.journal.in_flight -= 1
            exchange.close()

    async def _decide(self, exchange: Exchange, scope: Scope, receive: Receive) -> Session | Refusal | None:
        """The checks in the contract's order; None when the client left before its request was complete."""
        if scope["method"] != LLM_AUTO.method:
            return _WRONG_METHOD
        head = Head(scope["headers"])
        now, engine = exchange.arrived, self._context.engine
        test = read_test_id(head.test) if head.test else ""
        if isinstance(test, str):
            exchange.test = test
        state = engine.scope(exchange.test, now)
        key = head.api_key()
        account = engine.authenticate(state, key, now)
        if isinstance(account, Refusal):
            return account
        exchange.account = account
        body = exchange.wire.body() or await read_body(receive)
        if body is None or isinstance(body, Refusal):
            return body
        if not head.is_json():
            return WRONG_TYPE
        request = read_request(body, strict=engine.world.gateway.strict)
        if isinstance(request, Refusal):
            return request
        exchange.stream = request.stream
        if isinstance(test, Refusal):
            return test
        directives = read_directives(head.prefer, scope["query_string"])
        if isinstance(directives, Refusal):
            return directives
        if directives.force is not None:
            return _forced(exchange, FORCED[directives.force], directives)
        return engine.start(state, account, request, now)


def _forced(exchange: Exchange, kind: ErrorKind, directives: Directives) -> Refusal:
    exchange.applied = directives.applied
    retry_after = exchange.context.clock.simulated(_FORCED_RETRY_AFTER_S) if kind is RATE_LIMIT_EXCEEDED else None
    allow = LLM_AUTO.method if kind is METHOD_NOT_ALLOWED else ""
    return Refusal(kind, kind.message, retry_after, allow=allow)

"""The control plane under `/__mock__/`: what the mock saw, and what it holds."""

from __future__ import annotations

from typing import Final

import msgspec
from starlette.requests import Request
from starlette.responses import Response
from starlette.routing import Route

from mock_server.contract.errors import NOT_FOUND, Refusal
from mock_server.http.answers import JSON_TYPE, NO_TIMING, error_body, error_headers
from mock_server.http.context import Context
from mock_server.http.observe import RING_SIZE, Entry, Totals
from mock_server.http.request import WRONG_TYPE, Head

PREFIX: Final = "/__mock__"
_DEFAULT_LIMIT: Final = 100


class Health(msgspec.Struct, frozen=True):
    """That the mock runs, and what it simulates."""

    status: str
    version: str
    world: str
    seed: int
    time_scale: float
    uptime_s: float
    in_flight: int


class Requests(msgspec.Struct, frozen=True):
    """Counters since the start or the last reset, and the latest entries, the newest first."""

    totals: Totals
    remembered_at_most: int
    entries: list[Entry]


class Control:
    """Endpoints of the control plane."""

    def __init__(self, context: Context, world_name: str, version: str) -> None:
        self._context = context
        self._world_name = world_name
        self._version = version

    def routes(self) -> list[Route]:
        """The routes to mount."""
        return [
            Route(PREFIX + "/health", self.health),
            Route(PREFIX + "/requests", self.requests),
            Route(PREFIX + "/accounts/{key}", self.account),
            Route(PREFIX + "/reset", self.reset, methods=["POST"]),
        ]

    async def health(self, _request: Request) -> Response:
        """That the mock runs."""
        context = self._context
        now = context.clock.wall(context.clock.now())
        return _json(
            Health(
                "ok",
                self._version,
                self._world_name,
                context.engine.seed,
                context.clock.scale,
                now,
                context.journal.in_flight,
            )
        )

    async def requests(self, request: Request) -> Response:
        """The latest requests; `?limit=N` says how many, `X-Mock-Test` whose."""
        journal = self._context.journal
        asked = request.query_params.get("limit", str(_DEFAULT_LIMIT))
        limit = int(asked) if asked.isascii() and asked.isdigit() and len(asked) < 10 else _DEFAULT_LIMIT
        test = request.headers.get("x-mock-test")
        chosen = (entry for entry in journal.entries() if test is None or entry.test == test)
        return _json(
            Requests(journal.totals(), RING_SIZE, [entry for entry, _ in zip(chosen, range(limit), strict=False)])
        )

    async def account(self, request: Request) -> Response:
        """Balance and plan of a key."""
        context = self._context
        now = context.clock.now()
        scope = context.engine.scope(request.headers.get("x-mock-test", ""), now)
        account = scope.account(request.path_params["key"], now)
        if account is None:
            refusal = Refusal(NOT_FOUND, f"{NOT_FOUND.message}: no account has this key")
            return refused(context, refusal)
        return _json(account.view())

    async def reset(self, request: Request) -> Response:
        """Forget limits, balances, breakers and the journal: of everybody, or of the given test."""
        context = self._context
        # Web pages can send a POST to any host, but not one declared as JSON.
        if not Head(request.scope["headers"]).is_json():
            return refused(context, WRONG_TYPE)
        test = request.headers.get("x-mock-test")
        context.engine.reset(test, context.clock.now())
        context.journal.clear(test)
        return _json({"reset": "everything" if test is None else test})


def refused(context: Context, refusal: Refusal) -> Response:
    """The documented envelope, for all but the API's endpoint."""
    response = Response(error_body(refusal), refusal.kind.status)
    response.raw_headers += [
        JSON_TYPE,
        (b"x-request-id", next(context.ids).encode()),
        NO_TIMING.header(),
        *error_headers(refusal, 1.0),
    ]
    return response


def _json(value: object) -> Response:
    return Response(msgspec.json.encode(value), media_type="application/json")

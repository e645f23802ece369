"""The whole mock as one ASGI application."""

from __future__ import annotations

from collections.abc import Callable

from starlette.applications import Starlette
from starlette.exceptions import HTTPException
from starlette.requests import Request
from starlette.responses import RedirectResponse, Response
from starlette.routing import Route
from starlette.types import Message, Receive, Scope, Send

from mock_server.clock import SimClock
from mock_server.contract.endpoints import LLM_AUTO
from mock_server.contract.openapi import indented, openapi
from mock_server.core.engine import Engine
from mock_server.edge.admission import not_allowed, not_found
from mock_server.edge.answers import FORGOTTEN
from mock_server.edge.exchange import ID_HEADER
from mock_server.edge.request import Head
from mock_server.http.addresses import BEFORE_PATH, without_test
from mock_server.http.api import Api
from mock_server.http.context import Context
from mock_server.http.control.plane import Control, refused
from mock_server.http.control.table import PREFIX
from mock_server.http.cors import Preflights
from mock_server.http.meter import LoadMeter
from mock_server.page.document import documentation


class MockApp(Starlette):
    """Starlette for everything but the API's one endpoint, ``api``, which is plain ASGI for speed."""

    def __init__(
        self,
        engine: Engine,
        clock: SimClock,
        unix_now: Callable[[], float],
        *,
        world_name: str,
        version: str,
        admin_token: str | None = None,
        cors: bool = False,
    ) -> None:
        self.context = Context(engine, clock, unix_now, world_name=world_name, version=version)
        self.api = Api(self.context)
        self._openapi = indented(openapi(version))
        routes = [
            Route("/openapi.json", self._openapi_document),
            Route("/docs", self._documentation),
            Route("/", self._front_door),
            *Control(self.context, admin_token).routes(),
        ]
        super().__init__(routes=routes, exception_handlers={HTTPException: self._envelope})
        self.router.redirect_slashes = False
        self.cors = cors
        self._preflights = Preflights(self._serve)

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Answer one request."""
        if scope["type"] == "http":
            scope = without_test(scope)
            if scope["path"] != LLM_AUTO.path or scope["method"] == "OPTIONS":
                send = self._marked(send, Head(scope["headers"]).test)
        if self.cors and scope["type"] == "http":
            await self._preflights(scope, receive, send)
        else:
            await self._serve(scope, receive, send)

    async def _serve(self, scope: Scope, receive: Receive, send: Send) -> None:
        if scope["type"] == "http" and scope["path"] == LLM_AUTO.path:
            await self.api(scope, receive, send)
        else:
            await super().__call__(scope, receive, send)

    def _marked(self, send: Send, test: str) -> Send:
        """Let an answer to what is no call of the API have an id, and say if its test was forgotten."""

        async def send_marked(message: Message) -> None:
            if message["type"] == "http.response.start":
                headers = [*message.get("headers", ())]
                names = {name for name, _ in headers}
                if ID_HEADER not in names:
                    headers.append(self.context.exchanges.id_line())
                if FORGOTTEN[0] not in names and self.context.engine.has_forgotten(test):
                    headers.append(FORGOTTEN)
                message["headers"] = headers
            await send(message)

        return send_marked

    @property
    def meter(self) -> LoadMeter:
        """Measures the load on the mock itself; the server starts and stops it."""
        return self.context.meter

    async def _openapi_document(self, _request: Request) -> Response:
        return Response(self._openapi, media_type="application/json")

    async def _documentation(self, _request: Request) -> Response:
        return Response(documentation(), media_type="text/html")

    async def _front_door(self, request: Request) -> Response:
        return RedirectResponse(f"{request.scope.get(BEFORE_PATH, '')}/docs")

    async def _envelope(self, request: Request, error: Exception) -> Response:
        """The documented envelope for what no route takes, 404 and 405; in the journal, but for the control plane's."""
        assert isinstance(error, HTTPException)
        allow = ", ".join(sorted((error.headers or {}).get("Allow", "").split(", ")))  # Starlette has them in a set
        refusal = not_allowed(allow) if allow else not_found()
        if request.url.path.startswith(PREFIX):
            return refused(self.context, refusal)
        whole = await self.api.refused(request.scope, request.receive, refusal)
        response = Response(whole.body, whole.status)
        response.raw_headers += whole.headers
        return response

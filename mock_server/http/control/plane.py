"""Serves the control plane: from a request to its handler's answer, or the documented envelope."""

from __future__ import annotations

import re
from collections.abc import Awaitable
from hmac import compare_digest
from ipaddress import ip_address
from typing import Final

import msgspec
from starlette.exceptions import HTTPException
from starlette.requests import Request
from starlette.responses import RedirectResponse, Response
from starlette.routing import Route

from mock_server.contract.errors import INVALID_API_KEY, Refusal
from mock_server.contract.openapi import indented
from mock_server.edge.answers import JSON_TYPE, NO_TIMING, error_body, error_headers
from mock_server.edge.request import WRONG_TYPE, Head, bad_directive
from mock_server.http.addresses import BEFORE_PATH
from mock_server.http.body import read_body
from mock_server.http.context import Context
from mock_server.http.control.asked import Asked, MistakeError, Nothing, mistake, read_json, read_query
from mock_server.http.control.document import whole_openapi
from mock_server.http.control.room import ROOM_HEADERS, room_files
from mock_server.http.control.table import OPERATIONS, PREFIX, Operation, Said
from mock_server.http.wire import WIRE

TOKEN_HEADER: Final = "x-mock-admin-token"  # noqa: S105 - the name of a header
_PORT: Final = re.compile(r":[0-9]*$")
_UNTRUSTED: Final = Refusal(
    INVALID_API_KEY, f"{INVALID_API_KEY.message}: the control plane wants the admin token in X-Mock-Admin-Token"
)


class Control:
    """The endpoints of the control plane. ``token`` is what every request must show; None: there is none."""

    def __init__(self, context: Context, token: str | None) -> None:
        self._context = context
        self._token = token
        self._document = indented(whole_openapi(context.version))

    def routes(self) -> list[Route]:
        """The routes to mount, one for each path."""
        by_path: dict[str, dict[str, Operation]] = {}
        for endpoint in OPERATIONS:
            by_path.setdefault(PREFIX + endpoint.path, {})[endpoint.method] = endpoint
        return [
            Route(PREFIX, self._to_room, methods=["GET"]),
            Route(PREFIX + "/", self._room, methods=["GET"]),
            Route(PREFIX + "/room/{name}", self._room, methods=["GET"]),
            Route(PREFIX + "/openapi.json", self._openapi, methods=["GET"]),
            *(self._route(path, methods) for path, methods in by_path.items()),
        ]

    def _route(self, path: str, methods: dict[str, Operation]) -> Route:
        async def answer(request: Request) -> Response:
            endpoint = methods["GET" if request.method == "HEAD" else request.method]
            return await self._answer(endpoint, request)

        return Route(path, answer, methods=list(methods))

    async def _openapi(self, request: Request) -> Response:
        if (untrusted := self._distrust(request)) is not None:
            return refused(self._context, untrusted)
        return Response(self._document, media_type="application/json")

    async def _to_room(self, request: Request) -> Response:
        return RedirectResponse(f"{request.scope.get(BEFORE_PATH, '')}{PREFIX}/")

    async def _room(self, request: Request) -> Response:
        """A file of the control room. None of them holds what the token guards, and a browser could not show one."""
        if self._token is None and (foreign := self._foreign(request)) is not None:
            return refused(self._context, foreign)
        name = request.path_params.get("name")
        file = room_files().get("" if name is None else f"room/{name}")
        if file is None:
            raise HTTPException(404)
        return Response(file[1], media_type=file[0], headers=ROOM_HEADERS)

    async def _answer(self, endpoint: Operation, request: Request) -> Response:
        context = self._context
        if (untrusted := self._distrust(request)) is not None:
            return refused(context, untrusted)
        try:
            asked = await _read(endpoint, request)
            if asked.test is not None:
                context.scope(asked.test)  # whatever is asked of a test is a use of it
            said = endpoint.handler(context, asked)
            if isinstance(said, Awaitable):
                said = await said
        except MistakeError as error:
            return refused(context, error.refusal)
        return _json(said)

    def _distrust(self, request: Request) -> Refusal | None:
        """Why the request is not to be answered: without the token, or for another host where there is none."""
        if self._token is not None:
            shown = request.headers.get(TOKEN_HEADER, "")
            return None if compare_digest(shown.encode("latin-1"), self._token.encode()) else _UNTRUSTED
        return self._foreign(request)

    @staticmethod
    def _foreign(request: Request) -> Refusal | None:
        """Why the request is not to be answered where there is no token: it is for another host."""
        # A web page can point a name of its own at this address, and then speaks to the mock as to its own server.
        foreign = next((host for host in request.headers.getlist("host") if not _is_loopback(host)), None)
        if foreign is None:
            return None
        return bad_directive(
            f"Host must be a loopback name or address, not {foreign[:60]!r}; the control plane is for no other"
            " unless the server has an --admin-token"
        )


def _is_loopback(host: str) -> bool:
    """Whether a Host header names this machine to itself; the port aside."""
    name = _PORT.sub("", host).strip("[]").rstrip(".").lower()
    if name == "localhost" or name.endswith(".localhost"):  # RFC 6761: no resolver may send these elsewhere
        return True
    try:
        return ip_address(name).is_loopback
    except ValueError:
        return False


async def _read(endpoint: Operation, request: Request) -> Asked:
    """What is asked. Raises :class:`MistakeError`."""
    head = Head(request.scope["headers"])
    if head.wrong_test is not None:
        raise MistakeError(head.wrong_test)
    query = read_query(request.scope["query_string"], endpoint.query)
    content = await read_body(request.receive, request.scope.get(WIRE))
    if isinstance(content, Refusal):
        raise MistakeError(content)
    content = content or b""
    body: msgspec.Struct | None = None
    if endpoint.body is None:
        if content.strip():
            mistake(f"{endpoint.method} takes no body here")
    else:
        # Web pages can send a POST to any host, but not one declared as JSON.
        if not head.is_json():
            raise MistakeError(WRONG_TYPE)
        if endpoint.body is not Nothing and not content.strip():
            mistake("the body is empty; it must be a JSON object")
        body = read_json(content, endpoint.body)

    async def gone() -> None:
        while (await request.receive())["type"] != "http.disconnect":
            pass

    return Asked(head.test or None, request.path_params, query, body, gone)


def refused(context: Context, refusal: Refusal) -> Response:
    """The documented envelope, for all but the API's endpoint."""
    response = Response(error_body(refusal), refusal.kind.status)
    response.raw_headers += [
        JSON_TYPE,
        context.exchanges.id_line(),
        NO_TIMING.header(),
        *error_headers(refusal, 1.0),
    ]
    return response


def _json(said: Said) -> Response:
    return said if isinstance(said, Response) else Response(msgspec.json.encode(said), media_type="application/json")

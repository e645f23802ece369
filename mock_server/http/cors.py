"""Leave for web pages of any origin to call the mock: header lines for every answer, and answers to preflights."""

from __future__ import annotations

from typing import Final

from starlette.types import ASGIApp, Receive, Scope, Send

from mock_server.contract.headers import RESPONSE_HEADERS

_EXPOSED: Final = ", ".join(header.name for header in RESPONSE_HEADERS)
_ANSWER: Final = ("access-control-allow-methods", "GET, POST, PUT, DELETE, OPTIONS")
_AGE: Final = ("access-control-max-age", "600")

EVERY_ANSWER: Final = [("access-control-allow-origin", "*"), ("access-control-expose-headers", _EXPOSED)]
"""What the server adds to every answer; the star is enough, as keys travel in a header and never in a cookie."""


class Preflights:
    """Answers preflight requests; whatever else comes goes to the application."""

    def __init__(self, app: ASGIApp) -> None:
        self._app = app

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Answer one request."""
        asked = {name: value for name, value in scope["headers"] if name.startswith(b"access-control-request-")}
        if scope["method"] != "OPTIONS" or b"access-control-request-method" not in asked:
            await self._app(scope, receive, send)
            return
        headers = [(name.encode(), value.encode()) for name, value in (_ANSWER, _AGE)]
        wanted = asked.get(b"access-control-request-headers")
        if wanted is not None:  # a star would not cover Authorization
            headers.append((b"access-control-allow-headers", wanted))
        if b"access-control-request-private-network" in asked:
            headers.append((b"access-control-allow-private-network", b"true"))
        await send({"type": "http.response.start", "status": 204, "headers": headers})
        await send({"type": "http.response.body", "body": b""})

"""The control plane of the mock, as a test asks it: over the wire."""

from __future__ import annotations

from collections.abc import Mapping
from http.client import HTTPConnection, HTTPException
from typing import Any, Final, Protocol, TypeVar
from urllib.parse import urlencode

import msgspec

from mock_server.contract.messages import ErrorResponse
from mock_server.launch import Launched

__tracebackhide__ = True  # pytest's: a failure shows the line of the test

ANSWERS_WITHIN_S: Final = 30.0
_ENDS_WITHIN_S: Final = 1.0  # a process whose connections broke may not be over yet

T = TypeVar("T")


class RefusedError(ValueError):
    """The mock refuses what it is asked for; the message says why and what is allowed."""


class MockGoneError(RuntimeError):
    """The mock does not answer; the message says what became of it."""


class ForgottenError(RuntimeError):
    """The journal no longer holds all requests of the test, so that what is asked for cannot be told."""


class Plane(Protocol):
    """Where a test's mock is asked and steered."""

    url: str
    world: str
    waits: bool
    """Whether requests can come while this thread waits for them."""

    def ask(
        self, method: str, path: str, wanted: type[T], test: str, query: Mapping[str, Any] = {}, body: object = None
    ) -> T:
        """What ``METHOD /__mock__/<path>`` says for a test.

        Raises :class:`RefusedError` and :class:`MockGoneError`.
        """


class WirePlane:
    """That of a mock in a process of its own."""

    waits = True

    def __init__(self, launched: Launched, world: str) -> None:
        self.launched = launched
        self.url = launched.url
        self.world = world

    def ask(
        self, method: str, path: str, wanted: type[T], test: str, query: Mapping[str, Any] = {}, body: object = None
    ) -> T:
        """As :class:`Plane` says; over a connection of its own, so that any thread may ask."""
        target, headers, content = request_parts(method, path, test, query, body)
        # A wait is answered when it is over.
        connection = HTTPConnection(
            "127.0.0.1", self.launched.port, timeout=ANSWERS_WITHIN_S + float(query.get("timeout", 0))
        )
        try:
            connection.request(method, target, content, headers)
            answer = connection.getresponse()
            return understood(answer.status, answer.read(), wanted)
        except (OSError, HTTPException) as error:
            fate = self.launched.death(_ENDS_WITHIN_S)
            said = f"has ended by itself ({fate})" if fate else f"does not answer: {str(error) or type(error).__name__}"
            raise MockGoneError(f"the mock at {self.url} {said}{_last_words(self.launched, fate)}") from None
        finally:
            connection.close()


def request_parts(
    method: str, path: str, test: str, query: Mapping[str, Any], body: object
) -> tuple[str, dict[str, str], bytes | None]:
    """Target, headers and content of a request to the control plane."""
    words = {name: _word(value) for name, value in query.items()}
    target = f"/__mock__/{path}" + (f"?{urlencode(words)}" if words else "")
    content = msgspec.json.encode({} if body is None else body) if method in ("POST", "PUT") else None
    return target, {"X-Mock-Test": test} | ({"Content-Type": "application/json"} if content else {}), content


def understood(status: int, content: bytes, wanted: type[T]) -> T:
    """What an answer says. Raises :class:`RefusedError` with the mock's own words."""
    if status != 200:
        try:
            message = msgspec.json.decode(content, type=ErrorResponse).error.message
        except msgspec.MsgspecError:
            message = f"it answers with {status}"
        raise RefusedError(message)
    return msgspec.json.decode(content, type=wanted)


def _word(value: object) -> str:
    return str(value).lower() if isinstance(value, bool) else str(value)


def _last_words(launched: Launched, fate: str | None) -> str:
    lines = launched.complaints().strip().splitlines() if fate else []
    return f": {lines[-1]}" if lines else ""

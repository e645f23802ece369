"""What the check says to its own mock: queue a fault, give the entries of a test, note an outcome."""

from __future__ import annotations

import time
from http.client import HTTPConnection, HTTPException
from threading import Event
from typing import Final, TypeVar
from urllib.parse import quote, urlencode

import msgspec
from msgspec import Struct

from mock_server.contract.messages import ErrorResponse
from mock_server.core.rules import FaultRule
from mock_server.edge.journal import RING_SIZE, Entry
from mock_server.http.control.faults import FaultView
from mock_server.http.control.journal import Requests
from mock_server.http.control.judging import Attested
from mock_server.http.control.steering import Health

ANSWERS_WITHIN_S: Final = 30.0
SETTLES_WITHIN_S: Final = 2.0
_QUIET_S: Final = 0.25
_LOOKS_EVERY_S: Final = 0.02

S = TypeVar("S", bound=Struct)


class RefusedError(Exception):
    """The mock will not do it; the message is the mock's own."""


class Control:
    """Talks to one mock on this machine."""

    def __init__(self, port: int) -> None:
        self._port = port

    def queue(self, test: str, rule: FaultRule) -> None:
        """Let ``rule`` strike the calls of ``test``. Raises :class:`RefusedError`."""
        self._ask("POST", "faults", FaultView, test, rule)

    def entries(self, test: str) -> list[Entry]:
        """The finished requests of a test, the latest first."""
        return self._ask("GET", f"requests?{urlencode({'limit': RING_SIZE})}", Requests, test).entries

    def settled(self, test: str) -> list[Entry]:
        """The same once those that the command left behind have been noticed to be over."""
        found, ends = self.entries(test), time.monotonic() + SETTLES_WITHIN_S
        quiet_since = time.monotonic()
        while time.monotonic() < ends and self._ask("GET", "health", Health, "").in_flight:
            Event().wait(_LOOKS_EVERY_S)
            again = self.entries(test)
            if len(again) != len(found):
                found, quiet_since = again, time.monotonic()
            elif time.monotonic() - quiet_since > _QUIET_S:  # what is in flight is another run's
                break
        return self.entries(test)

    def attest(self, request_id: str, outcome: str) -> None:
        """Note what the application made of an answer."""
        self._ask("POST", f"outcomes/{quote(request_id, safe='')}", Attested, "", {"outcome": outcome})

    def _ask(self, method: str, path: str, wanted: type[S], test: str, body: object = None) -> S:
        headers = {"Content-Type": "application/json"} | ({"X-Mock-Test": test} if test else {})
        sent = None if body is None else msgspec.json.encode(body)
        connection = HTTPConnection("127.0.0.1", self._port, timeout=ANSWERS_WITHIN_S)
        try:
            connection.request(method, f"/__mock__/{path}", sent, headers)
            answer = connection.getresponse()
            said = answer.read()
        except (OSError, HTTPException) as error:
            raise RuntimeError(f"the mock that was started does not answer: {error}") from error
        finally:
            connection.close()
        if answer.status != 200:
            raise RefusedError(msgspec.json.decode(said, type=ErrorResponse).error.message)
        return msgspec.json.decode(said, type=wanted)

"""Clients that do one thing wrong each, named by the rule they break, and one that does all right.

``python -m tests.zoo.conduct NAME CALL…`` makes calls as the programs of the zoo do.
"""

from __future__ import annotations

import http.client
import json
import sys
import urllib.error
import urllib.parse
import uuid
from collections.abc import Callable
from time import monotonic
from typing import Final

from tests.mock_server.kit.check.clients import RETRYABLE, careful, events, wait
from zoo.python.calls import API_KEY, BASE_URL, TIMEOUT_S, Call, calls

SHORT_S: Final = 0.5
STREAM_S: Final = 2.0


class Client:
    """Sends calls on one connection. Mutable: the connection, and how many calls it has begun."""

    def __init__(self, timeout_s: float | None = TIMEOUT_S) -> None:
        self._connection = http.client.HTTPConnection(urllib.parse.urlsplit(BASE_URL).netloc, timeout=timeout_s)
        self.calls = 0

    def close(self) -> None:
        self._connection.close()

    def send(self, call: Call, **headers: str | None) -> http.client.HTTPResponse:
        """The answer to one try. Raises HTTPError where it is refused; ``headers`` come on top, None leaves one out."""
        named = {name.replace("_", "-"): value for name, value in headers.items()}
        said = {"Content-Type": "application/json"} | call.headers | named
        sent = {name: value for name, value in said.items() if value is not None}
        try:
            self._connection.request("POST", "/v1/llm/auto", json.dumps(call.body), sent)
            answer = self._connection.getresponse()
        except (OSError, http.client.HTTPException):
            self.close()
            raise
        if answer.status != http.HTTPStatus.OK:
            answer.read()
            raise urllib.error.HTTPError(call.url, answer.status, answer.reason, answer.headers, None)
        return answer

    def read(self, call: Call, answer: http.client.HTTPResponse) -> str:
        """Take an answer to its end; what is wrong with it is raised."""
        try:
            if call.stream:
                for data in events(answer):
                    call.event(data)
            else:
                call.answer(answer.read())
        except (OSError, http.client.HTTPException):
            self.close()
            raise
        return "".join(call.pieces)

    def once(self, call: Call, **headers: str | None) -> str:
        """One try."""
        return self.read(call, self.send(call, **headers))


def good(client: Client, call: Call) -> None:
    key = str(uuid.uuid4())
    careful(lambda: client.once(call, Idempotency_Key=key))


def non_retryable_retried(client: Client, call: Call) -> None:
    careful(lambda: client.once(call), retryable=(*RETRYABLE, 400))


def retry_after_ignored(client: Client, call: Call) -> None:
    careful(lambda: client.once(call), pause=lambda number, _: 0.2 * 2**number)


def no_backoff(client: Client, call: Call) -> None:
    careful(lambda: client.once(call), tries=6, pause=lambda *_: 0.0)


def no_jitter(client: Client, call: Call) -> None:
    careful(lambda: client.once(call), pause=lambda *_: 0.3)


def retry_storm(client: Client, call: Call) -> None:
    careful(lambda: client.once(call), tries=20, pause=lambda *_: 0.2)


def gave_up_early(client: Client, call: Call) -> None:
    counts = iter(range(3))
    tries = 3 if client.calls == 1 else 1
    careful(lambda: client.once(call, X_Stainless_Retry_Count=str(next(counts))), tries=tries)


def retried_after_first_token(client: Client, call: Call) -> None:
    try:
        client.once(call)
    except (OSError, http.client.HTTPException):
        wait(0.3)
        client.once(call)


def error_event_accepted(client: Client, call: Call) -> None:
    for data in events(client.send(call)):
        if '"response"' in data:
            call.event(data)
    call.event("[DONE]")


def truncated_stream_accepted(client: Client, call: Call) -> None:
    client.once(call)
    call.event("[DONE]")


def slow_stream_abandoned(client: Client, call: Call) -> None:
    began = monotonic()
    for data in events(client.send(call)):
        call.event(data)
        if monotonic() - began > STREAM_S:
            client.close()
            raise TimeoutError


def no_read_timeout(_: Client, call: Call) -> None:
    Client(timeout_s=None).once(call)


def duplicate_charge(_: Client, call: Call) -> None:
    hasty = Client(timeout_s=SHORT_S)
    try:
        hasty.once(call)
    except TimeoutError:
        wait(0.3)
        hasty.once(call)


def timeout_below_p99(_: Client, call: Call) -> None:
    Client(timeout_s=SHORT_S).once(call)


def idempotency_key_misused(client: Client, call: Call) -> None:
    client.once(call, Idempotency_Key="the only one")


def key_outside_header(client: Client, call: Call) -> None:
    client.once(call, Authorization=None, X_Api_Key=API_KEY)


def wrong_content_type(client: Client, call: Call) -> None:
    client.once(call, Content_Type="text/plain")


def connection_per_request(_: Client, call: Call) -> None:
    Client().once(call)
    wait(0.05)


def unknown_event_rejected(client: Client, call: Call) -> None:
    for raw in client.send(call):
        if raw.strip() and not raw.startswith(b"data: {") and not raw.startswith(b"data: ["):
            client.close()
            raise ValueError(raw)
        call.line(raw.decode().strip())


CONDUCT: Final[dict[str, Callable[[Client, Call], None]]] = {
    made.__name__: made
    for made in (
        good,
        non_retryable_retried,
        retry_after_ignored,
        no_backoff,
        no_jitter,
        retry_storm,
        gave_up_early,
        retried_after_first_token,
        error_event_accepted,
        truncated_stream_accepted,
        slow_stream_abandoned,
        no_read_timeout,
        duplicate_charge,
        timeout_below_p99,
        idempotency_key_misused,
        key_outside_header,
        wrong_content_type,
        connection_per_request,
        unknown_event_rejected,
    )
}


def main() -> None:
    make, client = CONDUCT[sys.argv.pop(1)], Client()
    for call in calls():
        client.calls += 1
        with call:
            make(client, call)


if __name__ == "__main__":
    main()

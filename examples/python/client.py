"""A small client of the gateway, as an application would have it; test_client.py is how its team tests it."""

from __future__ import annotations

import json
import time
from collections.abc import Iterator

import httpx

AGAIN = frozenset({429, 500, 502})


class GatewayError(Exception):
    """The gateway gave no whole answer; ``code`` is its error's, or a word for what happened."""

    def __init__(self, code: str) -> None:
        super().__init__(code)
        self.code = code


class Client:
    """Tries again what may succeed, waits as it is told, and takes no part of an answer for the whole.

    ``base_url`` ends in ``/v1``; ``tries`` counts the first one.
    """

    def __init__(self, base_url: str, api_key: str, *, tries: int = 3) -> None:
        self._tries = tries
        self._http = httpx.Client(
            base_url=base_url, headers={"Authorization": f"Bearer {api_key}"}, timeout=httpx.Timeout(5.0, read=10.0)
        )

    def __enter__(self) -> Client:
        return self

    def __exit__(self, *_: object) -> None:
        self._http.close()

    def ask(self, text: str) -> str:
        """The answer to a message. Raises :class:`GatewayError`."""
        body = {"messages": [{"role": "user", "content": text}]}
        pause_s = 0.1
        for left in reversed(range(self._tries)):
            try:
                answer = self._http.post("/llm/auto", json=body)
            except httpx.TransportError as error:
                if not left:
                    raise GatewayError("CONNECTION") from error
            else:
                if answer.status_code == 200:
                    return str(answer.json()["response"])
                if not left or answer.status_code not in AGAIN:
                    raise GatewayError(answer.json()["error"]["code"])
                pause_s = float(answer.headers.get("retry-after", pause_s))
            time.sleep(pause_s)
            pause_s *= 2
        raise AssertionError("there is at least one try")

    def stream(self, text: str) -> Iterator[str]:
        """The pieces of an answer as they come. Raises :class:`GatewayError`, also where the end is missing."""
        body = {"messages": [{"role": "user", "content": text}], "stream": True}
        try:
            with self._http.stream("POST", "/llm/auto", json=body) as answer:
                if answer.status_code != 200:
                    answer.read()
                    raise GatewayError(answer.json()["error"]["code"])
                for data in events(answer.iter_lines()):
                    if data == "[DONE]":
                        return
                    event = json.loads(data)
                    if "error" in event:
                        raise GatewayError(event["error"]["code"])
                    if piece := event["response"]:
                        yield piece
        except (httpx.TransportError, json.JSONDecodeError) as error:
            raise GatewayError("BROKEN_STREAM") from error
        raise GatewayError("BROKEN_STREAM")


def events(lines: Iterator[str]) -> Iterator[str]:
    """The data of each event of a stream, as the WHATWG standard reads them."""
    data: list[str] = []
    for line in lines:
        if not line and data:
            yield "\n".join(data)
            data = []
        elif line.startswith("data:"):
            data.append(line.removeprefix("data:").removeprefix(" "))

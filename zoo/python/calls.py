"""What the Python clients share: the calls they are asked to make, how events are read, and the line told of each.

``PROGRAM CALL…`` makes the calls one after the other, and prints of each a line of JSON. A call is ``plain``,
``stream`` or ``slow``, which is a stream from the model of that name; with ``@NAME`` behind it its prompt is its own,
and ``:FAULT`` asks for a fault on the wire, as ``stream:reset;after=3``. None given: one plain call. The environment
says where and as whom: ``LLM_BASE_URL``, ``LLM_API_KEY``, ``LLM_TEST_ID``; ``LLM_TIMEOUT_S`` is the client's time-out.
"""

from __future__ import annotations

import json
import os
import sys
from collections.abc import Iterator
from types import TracebackType
from typing import Any

PROMPT = "讲一个大海的故事"
BASE_URL = os.environ.get("LLM_BASE_URL", "http://127.0.0.1:8080").rstrip("/")
API_KEY = os.environ.get("LLM_API_KEY", "sk-test-unlimited")
TIMEOUT_S = float(os.environ.get("LLM_TIMEOUT_S", "30"))


class Call:
    """One call to make; as a context it tells how that went, and takes every exception for the call's end.

    Mutable: what has come so far.
    """

    def __init__(self, asked: str) -> None:
        call, _, fault = asked.partition(":")
        kind, _, name = call.partition("@")
        if kind not in ("plain", "stream", "slow"):
            sys.exit(f"a call is plain, stream or slow, with @NAME and :FAULT behind it or not, not {asked!r}")
        self.stream = kind != "plain"
        self.url = f"{BASE_URL}/v1/llm/auto"
        self.own_headers = {"X-Mock-Fault": fault} if fault else {}
        self.own_headers |= {"X-Mock-Test": os.environ["LLM_TEST_ID"]} if os.environ.get("LLM_TEST_ID") else {}
        self.headers = {"Authorization": f"Bearer {API_KEY}"} | self.own_headers
        prompt = f"{PROMPT} {name}" if name else PROMPT
        self.body: dict[str, Any] = {"messages": [{"role": "user", "content": prompt}], "stream": self.stream}
        self.body |= {"strategy": {"models": ["slow"]}, "max_tokens": 16} if kind == "slow" else {}
        self._asked = asked
        self.pieces: list[str] = []
        self.complete = False

    def event(self, data: str) -> None:
        """Take the data of one event."""
        if data == "[DONE]":
            self.complete = True
        else:
            self.document(json.loads(data))

    def document(self, event: Any) -> None:
        """Take the document of one event of a stream."""
        if text := event["response"]:
            self.pieces.append(text)

    def line(self, line: str) -> None:
        """Take one line, as those do who take every line for an event."""
        if line.startswith("data: "):
            self.event(line.removeprefix("data: "))

    def answer(self, body: str | bytes) -> None:
        """Take a plain answer."""
        self.plain(json.loads(body))

    def plain(self, document: Any) -> None:
        """Take the document of a plain answer."""
        self.pieces.append(document["response"])
        self.complete = True

    def read(self, response: Any) -> None:
        """Take an answer of httpx, a stream line by line."""
        if not self.stream:
            self.answer(response.read())
            return
        for line in response.iter_lines():
            self.line(line)

    def tell(self, error: list[str]) -> None:
        """Print what came and how it ended: the names of the error and of its root."""
        told = {"call": self._asked, "pieces": self.pieces, "complete": self.complete, "error": error}
        print(json.dumps(told), flush=True)

    def __enter__(self) -> Call:
        return self

    def __exit__(self, _: type[BaseException] | None, error: BaseException | None, __: TracebackType | None) -> bool:
        self.tell(_names(error))
        return isinstance(error, Exception)


def calls() -> Iterator[Call]:
    """The calls that the command line asks for."""
    return map(Call, sys.argv[1:] or ["plain"])


def _names(error: BaseException | None) -> list[str]:
    """What the program catches, and what is at the root of it where that is called otherwise."""
    found: list[str] = []
    while error is not None:
        found.append(type(error).__name__)
        # urllib3 and requests hand the cause on as an argument.
        inner = next((part for part in error.args if isinstance(part, BaseException)), None)
        error = error.__cause__ or inner or error.__context__
    return list(dict.fromkeys(found[:1] + found[-1:]))

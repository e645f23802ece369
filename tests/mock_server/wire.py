"""The client's side of the wire: a running mock, raw connections, and the shapes every answer is checked against."""

from __future__ import annotations

import json
import re
import signal
import socket
import time
from collections.abc import Callable, Iterator
from typing import Any, NamedTuple

import httpx

from mock_server.launch import Launched

PATH = "/v1/llm/auto"
UNLIMITED = "sk-test-unlimited"
REQUEST_ID = re.compile(r"req_[0-9a-f]{7}")
SERVER_TIMING = re.compile(
    r"planned;dur=(?P<planned>\d+\.\d+), first;dur=(?P<first>\d+\.\d+), overhead;dur=(?P<overhead>\d+\.\d+), "
    r'attempts;desc="(?P<attempts>\d+)", wasted;dur=(?P<wasted>\d+\.\d+)'
)
TIMEOUT_S = 20.0
EARLY_MS = 2.0
"""How much earlier than planned an answer may be seen: the rounding of two clocks."""


class Mock:
    """A running mock, and a client of it."""

    def __init__(self, launched: Launched) -> None:
        self.launched = launched
        self.url = launched.url
        self.port = launched.port
        self.http = httpx.Client(base_url=self.url, timeout=TIMEOUT_S)

    def call(
        self,
        body: object = None,
        *,
        key: str = UNLIMITED,
        test: str = "",
        headers: dict[str, str] | None = None,
        query: str = "",
    ) -> httpx.Response:
        """One call: of a JSON value or of raw bytes."""
        content = body if isinstance(body, bytes) else json.dumps(chat() if body is None else body).encode()
        return self.http.post(PATH + query, content=content, headers=heads(key, test) | (headers or {}))

    def control(self, path: str, *, test: str = "", **params: str | int) -> Any:
        """What the control plane says at ``path``."""
        answer = self.http.get(f"/__mock__/{path}", params=params, headers={"X-Mock-Test": test} if test else {})
        assert answer.status_code == 200, answer.text
        return answer.json()

    def account(self, key: str, *, test: str = "") -> Any:
        return self.control(f"accounts/{key}", test=test)

    def reset(self, test: str | None = None) -> Any:
        """Forget everything, or the given test."""
        headers = {"Content-Type": "application/json"} | ({} if test is None else {"X-Mock-Test": test})
        answer = self.http.post("/__mock__/reset", content=b"{}", headers=headers)
        assert answer.status_code == 200, answer.text
        return answer.json()

    def idle(self) -> bool:
        """Whether nothing is in flight."""
        return bool(self.control("health")["in_flight"] == 0)

    def connect(self) -> Connection:
        return Connection(self.port)

    def stop(self, number: signal.Signals = signal.SIGTERM) -> tuple[int, str, str]:
        """End it by a signal; its exit code and what else it wrote to stdout and stderr."""
        self.http.close()
        return *self.launched.stop(number), self.launched.complaints()


class Answer(NamedTuple):
    """An answer as read from a raw connection."""

    status: int
    headers: dict[str, str]
    body: bytes


class Connection:
    """A raw TCP connection to a mock."""

    def __init__(self, port: int) -> None:
        self.socket = socket.create_connection(("127.0.0.1", port), timeout=TIMEOUT_S)
        self._reader = self.socket.makefile("rb")

    def __enter__(self) -> Connection:
        return self

    def __exit__(self, *_: object) -> None:
        self.close()

    def close(self) -> None:
        self._reader.close()
        self.socket.close()

    def send(self, data: bytes) -> None:
        self.socket.sendall(data)

    def head(self) -> tuple[int, dict[str, str]]:
        """Status and headers of the next answer, or of an interim one."""
        line = self._reader.readline()
        assert line.startswith(b"HTTP/1.1 "), line
        headers = {}
        while (raw := self._reader.readline()) not in (b"\r\n", b""):
            name, _, value = raw.decode("latin-1").partition(":")
            headers[name.lower()] = value.strip()
        return int(line.split()[1]), headers

    def answer(self) -> Answer:
        """The next answer, whole."""
        status, headers = self.head()
        if "content-length" in headers:
            return Answer(status, headers, self._reader.read(int(headers["content-length"])))
        if "transfer-encoding" in headers:
            return Answer(status, headers, b"".join(self.chunks()))
        return Answer(status, headers, self._reader.read())

    def chunks(self) -> Iterator[bytes]:
        """The chunks of a chunked body, each as soon as it is there."""
        while size := int(self._reader.readline(), 16):
            chunk = self._reader.read(size)
            assert self._reader.readline() == b"\r\n"
            yield chunk
        assert self._reader.readline() == b"\r\n"

    def rest(self) -> bytes:
        """All until the server closes."""
        return self._reader.read()


def chat(text: str = "hello", **fields: Any) -> dict[str, Any]:
    """A valid request body."""
    return {"messages": [{"role": "user", "content": text}], **fields}


def heads(key: str = UNLIMITED, test: str = "") -> dict[str, str]:
    """The headers of a valid call."""
    headers = {"Authorization": f"Bearer {key}", "Content-Type": "application/json"}
    return headers | ({"X-Mock-Test": test} if test else {})


def raw_call(body: object = None, *, version: str = "1.1", close: bool = False, test: str = "") -> bytes:
    """A valid call as bytes."""
    content = body if isinstance(body, bytes) else json.dumps(chat() if body is None else body).encode()
    headers = heads(test=test) | {"Host": "mock", "Content-Length": str(len(content))}
    if close:
        headers["Connection"] = "close"
    lines = "".join(f"{name}: {value}\r\n" for name, value in headers.items())
    return f"POST {PATH} HTTP/{version}\r\n{lines}\r\n".encode() + content


def timing(answer: httpx.Response | Answer) -> dict[str, float]:
    """The numbers of ``Server-Timing``; durations in wall milliseconds."""
    match = SERVER_TIMING.fullmatch(answer.headers["server-timing"])
    assert match is not None, answer.headers["server-timing"]
    return {name: float(value) for name, value in match.groupdict().items()}


def assert_refused(answer: httpx.Response | Answer, status: int, code: str, *, says: str = "") -> str:
    """The documented envelope and nothing else, with the headers every answer has; returns the message."""
    body = answer.content if isinstance(answer, httpx.Response) else answer.body
    found = answer.status_code if isinstance(answer, httpx.Response) else answer.status
    document = json.loads(body.decode())
    message = document.get("error", {}).get("message")
    assert isinstance(message, str)
    assert (found, document) == (status, {"success": False, "error": {"code": code, "message": message}})
    assert list(document) == ["success", "error"]
    assert list(document["error"]) == ["code", "message"]
    assert says in message
    assert "\n" not in message
    assert answer.headers["content-type"] == "application/json; charset=utf-8"
    assert REQUEST_ID.fullmatch(answer.headers["x-request-id"])
    assert timing(answer)["attempts"] >= 0
    return message


def events(body: bytes) -> tuple[list[dict[str, Any]], int]:
    """The events of a complete stream without the terminal one, and how many keep-alive comments it had."""
    *blocks, last = body.decode().split("\n\n")
    assert last == ""
    comments = blocks.count(": keep-alive")
    lines = [block for block in blocks if block != ": keep-alive"]
    assert lines.pop() == "data: [DONE]"
    assert all(line.startswith("data: ") and "\n" not in line for line in lines)
    return [json.loads(line.removeprefix("data: ")) for line in lines], comments


def text_of(stream: list[dict[str, Any]]) -> str:
    """The pieces of a stream, put together."""
    return "".join(event["response"] for event in stream)


def eventually(condition: Callable[[], bool], within_s: float = 10.0) -> None:
    """Ask again until ``condition`` holds; each asking is a round trip to the mock, which is pause enough."""
    deadline = time.monotonic() + within_s
    while not condition():
        assert time.monotonic() < deadline, "it did not come true in time"


def data_of(body: bytes) -> list[str]:
    """The data of every finished event of ``body``, whatever its framing, as the WHATWG specification reads it.

    https://html.spec.whatwg.org/multipage/server-sent-events.html#event-stream-interpretation, without event types.
    """
    found, data = [], list[str]()
    for line in re.split("\r\n|\r|\n", body.decode().removeprefix("\ufeff"))[:-1]:
        name, _, value = line.partition(":")
        if not line:
            found += ["\n".join(data)] if data else []
            data = []
        elif name == "data":
            data.append(value.removeprefix(" "))
    return found

"""What arrived on a connection, byte by byte, when, and how it ended; and what the core had planned."""

from __future__ import annotations

import json
import socket
import time
from collections.abc import Iterator
from typing import Any, Literal, NamedTuple

import msgspec

from mock_server.contract.messages import ChatRequest
from mock_server.core.account import Account
from mock_server.core.engine import Engine
from mock_server.core.faults import Fault
from mock_server.core.session import Session
from mock_server.edge.timeline import Timeline
from tests.mock_server.wire import PATH, Connection, data_of, heads

Ending = Literal["complete", "fin", "reset"]


class Chunk(NamedTuple):
    """One chunk of a chunked body, and when its last byte was there."""

    data: bytes
    at: float


class Tape:
    """One answer as it came; moments are wall seconds since the request was sent.

    ``complete`` says that the message has its proper end, after which the connection stays open.
    """

    def __init__(self, connection: socket.socket) -> None:
        self.raw = b""
        self.ending: Ending = "complete"
        self._arrivals: list[tuple[int, float]] = []  # bytes so far, and since when
        self._socket = connection
        self._sent_at = time.monotonic()

    def record(self) -> Tape:
        """Read until the message or the connection ends."""
        while not self._is_whole():
            try:
                data = self._socket.recv(65_536)
            except ConnectionResetError:
                self.ending = "reset"
                break
            if not data:
                self.ending = "fin"
                break
            self.raw += data
            self._arrivals.append((len(self.raw), self._since()))
        self.ended_at = self._since()
        return self

    def _since(self) -> float:
        return time.monotonic() - self._sent_at

    def _is_whole(self) -> bool:
        head, found, body = self.raw.partition(b"\r\n\r\n")
        if not found:
            return False
        if b"transfer-encoding: chunked" in head:
            return body.endswith(b"\r\n0\r\n\r\n")
        return len(body) == int(self.headers["content-length"])

    def at(self, offset: int) -> float:
        """When the first ``offset`` bytes were there."""
        return next(at for total, at in self._arrivals if total >= offset)

    @property
    def status(self) -> int:
        """The status of the answer; 0 when nothing came."""
        return int(self.raw.split(b" ", 2)[1]) if self.raw else 0

    @property
    def headers(self) -> dict[str, str]:
        lines = self.raw.partition(b"\r\n\r\n")[0].decode("latin-1").split("\r\n")[1:]
        return {name.lower(): value.strip() for name, _, value in (line.partition(":") for line in lines)}

    @property
    def head_at(self) -> float:
        """When the head was there."""
        return self.at(self.raw.index(b"\r\n\r\n") + 4)

    @property
    def chunks(self) -> list[Chunk]:
        return list(self._chunks())

    def _chunks(self) -> Iterator[Chunk]:
        place = self.raw.index(b"\r\n\r\n") + 4
        while place < len(self.raw):
            line = self.raw.index(b"\r\n", place)
            size = int(self.raw[place:line], 16)
            start, place = line + 2, line + 2 + size + 2
            assert self.raw[place - 2 : place] == b"\r\n"
            if size:
                yield Chunk(self.raw[start : place - 2], self.at(place - 2))

    @property
    def body(self) -> bytes:
        """The body without its chunks' sizes."""
        if "content-length" in self.headers:
            return self.raw.partition(b"\r\n\r\n")[2]
        return b"".join(chunk.data for chunk in self.chunks) if self.raw else b""

    @property
    def last_chunk(self) -> bool:
        """Whether a chunked body has its proper end."""
        return self.raw.endswith(b"\r\n0\r\n\r\n")

    @property
    def events(self) -> list[tuple[str, float]]:
        """The data of every event, in any framing, each with when it was finished."""
        found: list[tuple[str, float]] = []
        so_far = b""
        for chunk in self.chunks:
            so_far += chunk.data
            if chunk.data.endswith(b"\n"):
                found += [(data, chunk.at) for data in data_of(so_far)[len(found) :]]
        return found


def send_call(connection: Connection, body: dict[str, Any], *, query: str = "", **named: str) -> Tape:
    """Send a call with these headers; the tape is still to be recorded."""
    content = json.dumps(body).encode()
    headers = {"Host": "mock", "Content-Length": str(len(content))} | named
    lines = "".join(f"{name}: {value}\r\n" for name, value in headers.items())
    tape = Tape(connection.socket)
    connection.send(f"POST {PATH}{query} HTTP/1.1\r\n{lines}\r\n".encode() + content)
    return tape


def tape_of(
    connection: Connection, body: dict[str, Any], *, key: str, test: str, fault: str = "", query: str = ""
) -> Tape:
    """Send a call and record its answer."""
    named = heads(key, test) | ({"X-Mock-Fault": fault} if fault else {})
    return send_call(connection, body, query=query, **named).record()


class Planned(NamedTuple):
    """What a call would get without a fault; moments are wall seconds since its arrival."""

    text: str
    usage: dict[str, int]
    reason: str
    pieces: list[tuple[str, float]]
    ends_at: float

    @property
    def first_at(self) -> float:
        return self.pieces[0][1]


def planned(engine: Engine, scale: float, body: dict[str, Any], *, key: str, test: str) -> Planned:
    """What the pure core says of the first call of this test id."""
    scope = engine.scope(test, 0.0)
    account = engine.authenticate(scope, key, 0.0)
    assert isinstance(account, Account)
    session = engine.start(scope, account, msgspec.convert(body, ChatRequest), 0.0)
    assert isinstance(session, Session)
    attempt, answer = session.attempt, session.answer()
    timeline = Timeline(engine.planner, attempt, Fault())
    pieces = []
    while not timeline.finished:
        at = timeline.next_at
        pieces += [(piece, at * scale) for piece in timeline.due(at)]
    usage = msgspec.to_builtins(answer.usage)
    return Planned(answer.text, usage, answer.finish_reason, pieces, attempt.ends_at * scale)

"""The same calls on every way through the mock: at once in uvicorn's protocol, through its cycle, as plain ASGI, and
in virtual time.

Mocks of one seed get thousands of calls of every kind. Time stands still but for jumps to what is waited for, so
that every byte must be the same, what `Server-Timing` and the rate-limit headers say included.
"""

from __future__ import annotations

import asyncio
import json
import random
from typing import Any

import msgspec
import pytest
from starlette.types import Message

from mock_server.clock import SimClock
from mock_server.config import build_world
from mock_server.contract.accounts import TEST_KEYS
from mock_server.core.engine import Engine
from mock_server.core.faults import FRAMINGS, KINDS, STAGES, TABLE, FaultError, parse_fault
from mock_server.core.rules import FaultRule, Match
from mock_server.core.scope import Scope
from mock_server.edge.answers import length_line
from mock_server.edge.journal import Entry
from mock_server.http.app import MockApp
from mock_server.virtual import Agenda, Asked, VirtualMock
from tests.mock_server.served import MADE_BY_THE_SERVER, Call, Got, Served
from tests.mock_server.wire import PATH

WORLD = """
extends = "realistic"
failure_scale = 20.0

[gateway]
idempotency = true

[[faults]]
match = { text = "from the world" }
fault = "eof;stage=mid_stream;after=2"
every = 2

[[answers]]
match = { contains = "canned" }
replies = [{ text = "given, 一二三", delay_s = 0.5 }, { text = "again", fault = "delay;for=1" }]
"""
INSTANT = WORLD.replace("[gateway]", "latency_scale = 0.0\n\n[gateway]")
BROKEN = (
    b"",
    b"{",
    b"\xff",
    b'{"messages": []}',
    b'{"messages": [{"role": "user", "content": " "}]}',
    b"[1]",
    b"x" * 4_194_305,
)


def some_call(dice: random.Random, cuts: bool) -> Call:
    """A call of any kind; most of them are good. ``cuts``: its fault may cut the connection."""
    text = dice.choice(
        ("Hello", "写一个产品介绍", "Write a function", "Prove it", "from the world", "canned", "queued", "same again")
    )
    body: dict[str, Any] = {"messages": [{"role": "user", "content": text}], "stream": dice.random() < 0.5}
    if dice.random() < 0.7:
        body["max_tokens"] = dice.randint(1, 40)
    if dice.random() < 0.2:
        body["strategy"] = dice.choice(({"mode": "cost"}, {"models": ["none"]}, {"max_attempts": 1}, {"mode": "?"}))
    content = (
        json.dumps(body, ensure_ascii=dice.random() < 0.5).encode() if dice.random() < 0.9 else dice.choice(BROKEN)
    )
    headers = [(b"host", b"mock"), (b"content-length", b"%d" % len(content))]
    key = dice.choice([*("sk-test-unlimited",) * 8, *(row.key for row in TEST_KEYS), "wrong"])
    place = dice.choice([b"authorization"] * 18 + [b"x-api-key", b"cookie"])
    headers.append((place, f"Bearer {key}".encode()))
    if dice.random() < 0.1:
        headers.append((b"x-stainless-retry-count", b"%d" % dice.randint(0, 2)))
    headers.append((b"content-type", b"application/json" if dice.random() < 0.95 else b"text/plain"))
    if dice.random() < 0.5:
        headers.append((b"x-mock-test", b"t%d" % dice.randint(0, 5) if dice.random() < 0.95 else b"a b"))
    if dice.random() < 0.3:
        headers.append((b"x-mock-fault", some_fault(dice, cuts).encode()))
    if dice.random() < 0.1:
        headers.append((b"prefer", b"code=%d" % dice.choice((400, 401, 402, 405, 429, 500, 502, 999))))
    if dice.random() < 0.1:
        headers.append((b"idempotency-key", b"k%d" % dice.randint(0, 3)))
    query = dice.choice((b"?__code=500", b"?__fault=eof", b"?a=b", b"?api_key=x")) if dice.random() < 0.1 else b""
    method = "POST" if dice.random() < 0.97 else dice.choice(("GET", "PUT"))
    return Call(method, query, headers, content, PATH if dice.random() < 0.97 else "/v1/elsewhere")


WAITING = [kind for kind, row in TABLE.items() if row.takes_for]


def some_fault(dice: random.Random, cuts: bool) -> str:
    """A directive; a few make no sense. It may cut the connection only if ``cuts``."""
    while True:
        fault = any_fault(dice)
        try:
            if cuts or not parse_fault(fault).cuts:
                return fault
        except FaultError:
            return fault


def any_fault(dice: random.Random) -> str:
    fault = f"{dice.choice(KINDS)};stage={dice.choice(STAGES)}" if dice.random() < 0.7 else dice.choice(KINDS)
    if "mid_stream" in fault:
        fault += f";after={dice.randint(1, 5)}"
    if fault.partition(";")[0] in WAITING:
        fault += ";for=2"
    if dice.random() < 0.2:
        fault = f"framing={dice.choice(FRAMINGS)}"
    return fault


def some_rule(dice: random.Random, cuts: bool) -> FaultRule:
    """A rule that can be queued; its fault cuts the connection only if ``cuts``."""
    pick: dict[str, Any] = dice.choice(({"times": 2}, {"every": 3}, {"rate": 0.5}, {"hits": 1, "of": 3}))
    match = Match(test=f"t{dice.randint(0, 5)}", provider=dice.choice((None, None, "openai", "groq")))
    if dice.random() < 0.5:
        return FaultRule(match, code=dice.choice((500, 502, 429)), **pick)
    fault = some_fault(dice, cuts)
    try:
        parse_fault(fault)
    except FaultError:
        fault = "reset" if cuts else "error_event"
    return FaultRule(match, fault=fault, **pick)


def a_mock(seed: int, world: str = WORLD) -> MockApp:
    """A mock whose time jumps, and otherwise stands still."""
    clock = SimClock(1.0, lambda: 1000.0)
    clock.jump_by_itself()
    return MockApp(Engine(build_world(world, "parity.toml"), seed, 0.0), clock, clock.now, world_name="", version="1")


def in_order(got: Got) -> Got:
    """An answer with its header lines sorted, since Starlette sends those of a 404 in an order of its own."""
    return got._replace(headers=sorted(got.headers))


class Virtually:
    """A mock in virtual time, and the one client it has at a time."""

    def __init__(self, seed: int, world: str) -> None:
        self._agenda = Agenda()
        self.mock = VirtualMock(build_world(world, "parity.toml"), seed, 1.0, self._agenda)

    def scope(self, test: str) -> Scope:
        return self.mock.engine.scope(test, self._agenda.now)

    def answer(self, call: Call) -> Got:
        self._status, self._headers, self._writes, self._over = 0, list[tuple[bytes, bytes]](), list[bytes](), ""
        lines = [(name.decode(), value.decode()) for name, value in call.headers]
        self.mock.ask(Asked.of(call.method, call.path + call.query.decode(), lines), call.body, self)
        while not self._over:
            self._agenda.act()
        if dict(self._headers).get(b"content-type", b"")[:17] != b"text/event-stream" and self._status:
            self._writes = [b"".join(self._writes)]
            if b"content-length" not in dict(self._headers):
                self._headers.append(length_line(self._writes[0]))
        return Got(self._status, self._headers, self._writes, self._over != "end")

    def head(self, status: int, headers: list[tuple[bytes, bytes]]) -> None:
        self._status, self._headers = status, list(headers)

    def part(self, data: bytes, at: float) -> None:  # noqa: ARG002 - bytes are compared, not moments
        self._writes += [data] if data else []

    def end(self, data: bytes) -> None:
        self.part(data, 0.0)
        self._over = "end"

    def cut(self, *, reset: bool) -> None:
        self._over = "reset" if reset else "fin"


async def plainly(mock: MockApp, call: Call) -> Got:
    """The answer of the application as any ASGI server would get it."""
    came = [{"type": "http.request", "body": call.body, "more_body": False}]
    sent: list[Message] = []

    async def receive() -> Message:
        if came:
            return came.pop()
        await asyncio.Event().wait()
        raise AssertionError

    async def send(message: Message) -> None:
        sent.append(message)

    scope = {
        "type": "http",
        "method": call.method,
        "path": call.path,
        "query_string": call.query[1:],
        "headers": call.headers,
    }
    await mock(scope, receive, send)
    headers = [line for line in sent[0]["headers"] if line[0] not in MADE_BY_THE_SERVER]
    writes = [message["body"] for message in sent[1:] if message["body"]]
    if b"content-length" in dict(headers):
        writes = [b"".join(writes)]
    return Got(sent[0]["status"], headers, writes, broken=False)


def comparable(entry: Entry) -> dict[str, Any]:
    """An entry but for what the ways differ in: the connection, which ASGI hides, and moments of the wall's clocks."""
    fields = msgspec.structs.asdict(entry)
    fields["first_byte_ms"] = entry.first_byte_ms is not None
    for name in ("arrived_unix_s", "connection", "on_connection", "connected_ms"):
        del fields[name]
    return fields


async def play(seed: int, world: str, calls: int, *, cuts: bool) -> tuple[set[int], set[str], int]:
    """All calls on all ways, or on all but plain ASGI where faults cut connections.

    Gives the statuses and endings seen, and how many more were answered at once on one.
    """
    dice = random.Random(seed)  # noqa: S311 - the same calls every time
    fast, slow, plain = Served(a_mock(seed, world)), Served(a_mock(seed, world), split=True), a_mock(seed, world)
    mocks = (fast.mock, slow.mock) if cuts else (fast.mock, slow.mock, plain)
    virtual = Virtually(seed, world)
    statuses = set[int]()
    for number in range(calls):
        if dice.random() < 0.05:
            rule = some_rule(dice, cuts)
            for mock in mocks:
                mock.context.scope(rule.match.test).queued.add(rule)
            virtual.scope(rule.match.test or "").queued.add(rule)
        call = some_call(dice, cuts)
        got = await fast.answer(call)
        assert got == await slow.answer(call), (number, call)
        assert cuts or got == await plainly(plain, call), (number, call)
        assert in_order(got) == in_order(virtual.answer(call)), (number, call)
        statuses.add(got.status)
    journals = [*(mock.context.journal for mock in mocks), virtual.mock.journal]
    entries = [[record.entry for record in journal.records()] for journal in journals]
    for first, *others in zip(*entries, strict=True):
        assert all(comparable(other) == comparable(first) for other in others)
    return statuses, {entry.ending for entry in entries[0]}, fast.at_once - slow.at_once


@pytest.mark.parametrize(
    ("seed", "world", "cuts"), [(0, WORLD, True), (1, WORLD, False), (2, INSTANT, False)], ids=["cuts", "1", "instant"]
)
def test_every_way_through_the_mock_gives_the_same_bytes_and_entries(seed: int, world: str, cuts: bool) -> None:
    statuses, endings, at_once = asyncio.run(play(seed, world, 1_000, cuts=cuts))
    assert statuses >= ({0} if cuts else set()) | {200, 400, 401, 402, 404, 405, 409, 413, 415, 429, 500, 502}
    assert endings >= {"complete", "fault"}
    assert at_once > 100

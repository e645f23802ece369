"""One test never changes another, whatever either does."""

from __future__ import annotations

import asyncio
import json

import pytest

from tests.mock_server.http.test_protocol import a_call, instant_mock
from tests.mock_server.served import Call, Got, Served, Transport, bytes_of, read, until
from tests.mock_server.wire import heads

CONTROL = "/__mock__/"


def of(test: str, call: Call) -> Call:
    """The call with a test id."""
    return call._replace(headers=[*call.headers, (b"x-mock-test", test.encode())])


def named(key: str, call: Call) -> list[tuple[bytes, bytes]]:
    """The headers of the call, with this key."""
    headers = heads(key) | {"Content-Length": str(len(call.body))}
    return [(name.lower().encode(), value.encode()) for name, value in headers.items()]


def control(method: str, path: str, body: object = None) -> Call:
    content = b"" if body is None else json.dumps(body).encode()
    headers = {"host": "localhost", "content-length": str(len(content)), "content-type": "application/json"}
    return Call(method, b"", [(n.encode(), v.encode()) for n, v in headers.items()], content, CONTROL + path)


def all_of(served: Served, *calls: Call) -> list[Got]:
    """The answers to calls on one connection, one after the other."""

    async def ask() -> list[Got]:
        return [await served.answer(call) for call in calls]

    return asyncio.run(ask())


def said(got: Got) -> object:
    return json.loads(b"".join(got.writes))


RULES = (
    control("POST", "faults", {"code": 500, "rate": 0.4}),
    control("POST", "faults", {"code": 502, "hits": 2, "of": 5}),
)
CALLS = [a_call(max_tokens=number % 3 + 1) for number in range(40)]


def fate(*before: Call) -> list[int]:
    """The statuses of a test's calls when all this came before them, in a mock of its own."""
    mine = [of("mine", call) for call in (*RULES, *CALLS)]
    return [got.status for got in all_of(Served(instant_mock()), *before, *mine)[-len(mine) :]]


def test_the_same_rules_and_calls_of_a_test_meet_the_same_fate_whatever_the_server_did_before() -> None:
    alone = fate()
    assert {200, 500, 502} <= set(alone)
    assert fate(*(of("other", each) for each in (*RULES, *CALLS, *RULES))) == alone
    assert fate(*RULES, control("POST", "faults", {"code": 429}), *CALLS) == alone  # of calls without a test id
    again = [of("mine", each) for each in (RULES[1], *CALLS, control("POST", "reset", {}))]
    assert fate(*again) == alone


def test_another_tests_faults_leave_room_for_mine() -> None:
    many = [of("other", control("POST", "faults", {"code": 500, "match": {"key": "sk-test-free"}}))] * 1_001
    *_, last, mine = all_of(Served(instant_mock()), *many, of("mine", RULES[0]))
    assert (last.status, mine.status) == (400, 200)


def test_a_test_is_forgotten_whole_and_its_answers_and_entries_say_so_when_it_comes_back() -> None:
    served = Served(instant_mock())
    mine = of("mine", control("GET", "accounts/sk-test-pro"))
    before = (
        of("mine", control("PUT", "accounts/sk-test-pro", {"balance": 0})),
        of("mine", control("POST", "clock", {"freeze": True})),
        of("mine", RULES[0]),
        of("mine", a_call()),
    )
    others = [of(f"other-{number}", control("GET", "clock")) for number in range(1_000)]
    after = (
        mine,
        of("mine", control("GET", "clock")),
        of("mine", control("GET", "faults")),
        of("mine", a_call()),
        of("mine", a_call())._replace(method="PUT"),
        of("mine", a_call())._replace(path="/nowhere"),
        of("mine", control("GET", "nowhere")),
        of("mine", control("GET", "accounts/nobody")),
        of("mine", control("GET", "requests")),
        of("mine", control("POST", "reset", {})),
        of("mine", a_call()),
    )
    got = all_of(served, *before, *others, *after)
    assert all(b"x-mock-test-forgotten" not in dict(each.headers) for each in got[: -len(after)])
    account, clock, faults, call, *refused, requests, _, reset = got[-len(after) :]
    assert [each.status for each in refused] == [405, 404, 404, 404]
    assert said(account)["balance"] == 100_000_000  # type: ignore[index]  # an object
    assert said(clock)["own"] is False  # type: ignore[index]
    assert said(faults) == {"faults": []}
    told = [(entry["status"], entry["forgotten"]) for entry in said(requests)["entries"]]  # type: ignore[index]
    assert told == [(404, True), (405, True), (200, True)]
    for each in (account, clock, faults, call, *refused, requests):
        assert [value for name, value in each.headers if name == b"x-mock-test-forgotten"] == [b"1000"]
    assert b"x-mock-test-forgotten" not in dict(reset.headers)


def test_a_test_with_a_call_that_is_still_arriving_is_not_forgotten() -> None:
    mock, transport, sent = instant_mock(), Transport(), bytes_of(of("mine", a_call()))
    served = Served(mock)
    closed = of("mine", control("PUT", "accounts/sk-test-pro", {"balance": 5}))
    others = [of(f"other-{number}", control("GET", "clock")) for number in range(1_001)]

    async def arrive_slowly() -> list[Got]:
        connection, first = Served(mock).connect(transport), await served.answer(closed)
        connection.data_received(sent[:-5])
        await asyncio.sleep(0)
        found = [await served.answer(call) for call in (*others, of("mine", control("GET", "accounts/sk-test-pro")))]
        connection.data_received(sent[-5:])
        await until(lambda: bool(transport.written))
        return [first, found[-1], read(transport.written, closed=False)]

    _, account, answer = asyncio.run(arrive_slowly())
    assert said(account)["balance"] == 5  # type: ignore[index]
    assert answer.status == 200
    assert b"x-mock-test-forgotten" not in dict(account.headers) | dict(answer.headers)


@pytest.mark.parametrize("key", ["sk-test-empty", "sk-test-limited"])
def test_a_call_that_is_refused_uses_up_no_queued_wire_fault(key: str) -> None:
    served, test = Served(instant_mock()), "mine"
    refused = a_call()._replace(headers=named(key, a_call()))
    first = [refused] if key == "sk-test-limited" else []  # the one that is allowed in a minute
    queue = control("POST", "faults", {"fault": "empty", "times": 1})
    calls = [*first, queue, refused, refused, a_call(), a_call(), control("GET", "faults"), control("GET", "requests")]
    *_, second, third, faults, requests = all_of(served, *(of(test, call) for call in calls))
    assert (second.status, second.writes, third.status) == (200, [b""], 200)
    (rule,) = said(faults)["faults"]  # type: ignore[index]
    assert (rule["seen"], rule["struck"]) == (1, 1)
    struck = [entry["fault"] for entry in said(requests)["entries"]]  # type: ignore[index]
    assert struck.count("empty;stage=before_headers") == 1


def others_come(served: Served) -> None:
    for number in range(1_001):
        served.mock.context.scope(f"other-{number}")


def test_a_test_whose_request_is_still_arriving_is_not_forgotten() -> None:
    served = Served(instant_mock())
    call = bytes_of(of("mine", a_call()._replace(headers=named("sk-test-basic", a_call()))))
    account = control("GET", "accounts/sk-test-basic")

    async def ask() -> tuple[Transport, Got]:
        await served.answer(of("mine", control("PUT", "accounts/sk-test-basic", {"balance": 1_000})))
        arriving = served.connect()
        arriving.data_received(call[:-5])
        await asyncio.sleep(0)
        others_come(served)
        arriving.data_received(call[-5:])
        transport = arriving.transport
        assert isinstance(transport, Transport)
        await until(lambda: bool(transport.written))
        return transport, await served.answer(of("mine", account))

    transport, after = asyncio.run(ask())
    assert b"x-mock-test-forgotten" not in transport.written[0]
    assert 0 < 1_000 - said(after)["balance"] == said(after)["charged"]  # type: ignore[index]  # an object


@pytest.mark.parametrize("fault", [b"done_then_hang", b"stall;stage=before_done"])
def test_a_test_whose_call_hangs_after_its_usage_is_not_forgotten(fault: bytes) -> None:
    served, hanging = Served(instant_mock()), a_call(stream=True)
    hanging = of("mine", hanging._replace(headers=[*hanging.headers, (b"x-mock-fault", fault)]))
    context = served.mock.context

    async def ask() -> list[bool]:
        connection = served.connect()
        connection.data_received(bytes_of(hanging))
        transport = connection.transport
        assert isinstance(transport, Transport)
        await until(lambda: any(b"usage" in written for written in transport.written))
        others_come(served)
        meanwhile = context.scope("mine").forgotten
        connection.connection_lost(None)
        await until(lambda: context.journal.in_flight == 0)
        others_come(served)
        return [meanwhile, context.scope("mine").forgotten]

    assert asyncio.run(ask()) == [False, True]

"""Scripts played in real time: time that jumps by itself, beside calls that wait for their clients."""

from __future__ import annotations

import asyncio

import pytest

from mock_server.http.app import MockApp
from tests.mock_server.http.test_parity import a_mock
from tests.mock_server.http.test_protocol import a_call
from tests.mock_server.served import Call, Served, Transport, bytes_of, read, until

TIMEOUT_S = 10.0


async def beside(mock: MockApp, waiting: Call, *, reads: bool) -> int:
    """The status of a call whose model takes its time, beside one that waits for its client."""
    served = Served(mock)
    other = served.connect()
    other.data_received(bytes_of(waiting))
    await asyncio.sleep(0)
    if not reads:
        other.pause_writing()  # the client reads no more
    got = await asyncio.wait_for(answered(served, a_call(max_tokens=20)), TIMEOUT_S)
    assert mock.context.journal.in_flight == 1
    other.connection_lost(None)
    await until(lambda: mock.context.journal.in_flight == 0)
    return got


async def answered(served: Served, call: Call) -> int:
    connection = served.connect()
    connection.data_received(bytes_of(call))
    transport = connection.transport
    assert isinstance(transport, Transport)
    await until(lambda: bool(transport.written))
    return read(transport.written, transport.closing).status


@pytest.mark.parametrize(
    ("waiting", "reads"),
    [
        (a_call(stream=True, max_tokens=20), False),
        *(
            (call._replace(headers=[*call.headers, (b"x-mock-fault", fault)]), True)
            for call, fault in (
                (a_call(), b"stall"),
                (a_call(stream=True), b"stall;stage=mid_stream;after=2"),
            )
        ),
    ],
    ids=["does not read", "stalled", "stalled in the middle"],
)
def test_time_jumps_on_beside_a_call_that_waits_for_its_client(waiting: Call, reads: bool) -> None:
    assert asyncio.run(beside(a_mock(0), waiting, reads=reads)) == 200

"""What the other end has yet to read is known on Linux, and no break comes before it has read what came before."""

from __future__ import annotations

import select
import socket
import sys

import pytest

from mock_server.http.unread import unread
from tests.mock_server.tape import send_call
from tests.mock_server.wire import UNLIMITED, Mock, chat, heads

pytestmark = pytest.mark.skipif(sys.platform != "linux", reason="only Linux tells what the other end has yet to read")

WATCHED_MS = 200
"""Longer than the mock waits once all has been read, shorter than it waits for a client that reads nothing."""


@pytest.mark.parametrize(
    ("listening", "calling"),
    [("127.0.0.1", "127.0.0.1"), ("::1", "::1"), ("::", "127.0.0.1")],
    ids=["ipv4", "ipv6", "ipv4 on a socket of both"],
)
def test_what_the_other_end_has_yet_to_read_is_counted(listening: str, calling: str) -> None:
    family = socket.AF_INET6 if ":" in listening else socket.AF_INET
    with (
        socket.create_server((listening, 0), family=family, dualstack_ipv6=listening == "::") as server,
        socket.create_connection((calling, server.getsockname()[1])) as client,
    ):
        connection, _ = server.accept()
        with connection:
            assert unread(connection) == 0
            connection.sendall(b"hello")
            assert unread(connection) == 5
            client.recv(3)
            assert unread(connection) == 2
            client.recv(3)
            assert unread(connection) == 0


def test_nothing_is_unread_on_a_connection_that_is_not_there() -> None:
    with socket.socket() as connection:
        assert unread(connection) == 0


@pytest.mark.parametrize(("fault", "seen"), [("reset", select.POLLERR), ("fin", select.POLLRDHUP)])
def test_a_break_waits_for_a_client_that_has_yet_to_read(mock: Mock, fault: str, seen: int) -> None:
    with mock.connect() as connection:
        named = heads(UNLIMITED) | {"X-Mock-Fault": f"{fault};after=3"}
        tape = send_call(connection, chat(stream=True, max_tokens=20), **named)
        connection.socket.recv(1, socket.MSG_PEEK)
        watch = select.poll()
        watch.register(connection.socket, seen)
        assert watch.poll(WATCHED_MS) == []
        tape.record()
        assert (tape.ending, len(tape.events)) == (fault, 1 + 3)

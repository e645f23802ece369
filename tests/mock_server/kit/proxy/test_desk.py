"""What waits to be looked at is bounded, and nothing that goes wrong there goes unnoticed."""

from __future__ import annotations

import io
import os
import signal

import pytest

from mock_server.kit.proxy.desk import Desk, DeskError, judge
from tests.mock_server.kit.proxy.records import error, plain


def test_all_that_was_taken_is_looked_at_before_the_end_and_what_is_new_is_told_once(
    capfd: pytest.CaptureFixture[str],
) -> None:
    desk = Desk()
    for number in range(3):
        desk.take(error(503, "NO", "…", request_id=f"req_000000{number}"))
    tally = desk.close()
    assert (tally.calls, tally.unjudged, len(tally.samples), len(tally.own_s)) == (3, 0, 3, 3)
    assert tally.clauses["gateway"]["routing.failed_chain"].broken == 3
    assert capfd.readouterr().err.count("the gateway breaks routing.failed_chain") == 1


def test_what_would_wait_beyond_the_bound_is_counted_and_not_looked_at() -> None:
    desk = Desk(most_bytes=10_000)
    os.kill(desk._process.pid, signal.SIGSTOP)  # so that nothing is looked at meanwhile
    body = b" " * 200_000  # more than a pipe holds
    for _ in range(3):
        desk.take(plain(body=body))
    for _ in range(2):
        desk.take(plain())
    os.kill(desk._process.pid, signal.SIGCONT)
    tally = desk.close()
    assert tally.calls + tally.unjudged == 5
    assert tally.unjudged >= 3


def test_an_error_of_our_own_is_raised_at_the_end() -> None:
    result = io.BytesIO()
    assert judge(io.BytesIO(b"\x01\x00\x00\x00\xff"), result) == 1
    assert b"Traceback" in result.getvalue()


def test_a_judging_process_that_died_is_told_of(capfd: pytest.CaptureFixture[str]) -> None:
    desk = Desk()
    os.kill(desk._process.pid, signal.SIGKILL)
    desk._process.wait(20)
    for _ in range(3):
        desk.take(plain())
    with pytest.raises(DeskError, match="it ended with -9"):
        desk.close()
    assert capfd.readouterr().err.count("the judging process has ended") == 1

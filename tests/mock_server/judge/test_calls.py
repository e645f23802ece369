"""Which requests are tries of one call, and which are calls of their own."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import pytest

from mock_server.edge.journal import Entry
from mock_server.judge.calls import link
from mock_server.judge.verdict import judge
from tests.mock_server.judge.cases import AT_ONCE, NEVER, at, played, ruling
from tests.mock_server.judge.rows import STAINLESS
from tests.mock_server.judge.simulator import OK, RESET, START_UNIX_S, Client, entry, refused

LIMITED: dict[str, Any] = {"status": 429, "code": "RATE_LIMIT_EXCEEDED", "retry_after_s": 2.0, "took_ms": 0.2}
FAILED: dict[str, Any] = {"status": 502, "code": "ALL_PROVIDERS_FAILED"}


def sizes(entries: Sequence[Entry], **options: Any) -> list[int]:
    """How many tries each call has."""
    return [len(call.tries) for call in link(entries, **options)]


def volley(count: int, *, pool: int, every_s: float, start_s: float = 0.0, **known: Any) -> list[Entry]:
    """Requests of one body sent at once, over so many connections."""
    return [
        entry(
            request_id=f"req_{int(start_s):03x}{n:04x}",
            arrived_unix_s=START_UNIX_S + start_s + n * every_s,
            connection=1 + n % pool,
            on_connection=1 + n // pool + int(start_s),
            **(LIMITED | known),
        )
        for n in range(count)
    ]


@pytest.mark.parametrize("pool", [50, 10])
def test_fifty_that_are_under_way_together_are_fifty_calls(pool: int) -> None:
    entries = volley(50, pool=pool, every_s=0.001, took_ms=300.0)
    assert sizes(entries) == [1] * 50
    assert judge(entries).result == "PASS"


@pytest.mark.parametrize("pool", [50, 10])
def test_fifty_at_once_are_fifty_calls_though_each_is_answered_before_the_next_arrives(pool: int) -> None:
    entries = volley(50, pool=pool, every_s=0.0006)
    assert sizes(entries) == [1] * 50
    found = ruling("retry_after_ignored", entries)
    assert found.result == "NOT_EXERCISED"
    assert "50 calls that cannot be told from retries" in found.said
    assert ruling("gave_up_early", entries, says_it_retries=True).result == "NOT_EXERCISED"


def test_fifty_in_a_loop_are_fifty_calls() -> None:
    assert sizes(played(NEVER, *[[OK]] * 50, body="same")) == [1] * 50


def test_a_loop_that_is_refused_in_the_middle_goes_on_with_calls_of_its_own() -> None:
    answers = [[OK]] * 2 + [[refused(429, 1)]] * 3 + [[OK]] * 2
    entries = played(NEVER, *answers, body="same")
    assert sizes(entries) == [1] * 7
    assert [call.echo is not None for call in link(entries)] == [False, False, False, True, True, True, False]


def test_fifty_clients_that_count_have_fifty_calls_of_two_tries_each() -> None:
    first = volley(50, pool=50, every_s=0.0006, retry_count=0)
    second = volley(50, pool=50, every_s=0.0006, start_s=2.1, retry_count=1, status=200, code="", retry_after_s=None)
    assert sizes(first + second) == [2] * 50
    assert judge(first + second).result == "PASS"


def test_a_counted_retry_belongs_to_a_call_that_failed() -> None:
    good = volley(40, pool=50, every_s=0.0006, retry_count=0, status=200, code="", charged=20, retry_after_s=None)
    bad = volley(10, pool=10, every_s=0.0006, start_s=0.5, retry_count=0)
    again = volley(10, pool=10, every_s=0.0006, start_s=3.0, retry_count=1, status=200, code="", charged=20)
    assert sorted(sizes(good + bad + again)) == [1] * 40 + [2] * 10
    assert judge(good + bad + again).result == "PASS"


def test_an_idempotency_key_names_its_call() -> None:
    keys = ["k", "l", "k", "l"]
    entries = at(*[{"idempotency_key": key, **FAILED} for key in keys], every_s=0.02)
    assert [[each.entry.request_id for each in call.tries] for call in link(entries)] == [
        ["req_0000000", "req_0000002"],
        ["req_0000001", "req_0000003"],
    ]


@pytest.mark.parametrize(
    ("opened_after_ms", "tries"),
    [(-5.0, [1, 1]), (-0.1, [1, 1]), (0.0, [1, 1]), (0.15, [2])],
    ids=["before it was sent", "while it was answered", "just then", "once it was answered"],
)
@pytest.mark.parametrize("later_ms", [0.3, 30.0])
def test_a_connection_that_was_opened_before_an_answer_was_there_was_not_opened_because_of_it(
    opened_after_ms: float, tries: list[int], later_ms: float
) -> None:
    arrived_ms = 0.2 + later_ms
    second = {"connection": 2, "on_connection": 1, "connected_ms": arrived_ms - 0.2 - opened_after_ms}
    assert sizes(at({**FAILED, "took_ms": 0.2, "first_byte_ms": 0.2}, second, every_s=arrived_ms / 1e3)) == tries


def test_a_spare_connection_says_nothing_of_when_it_was_asked_for() -> None:
    spare = {"connection": 2, "on_connection": 1, "connected_ms": 5_000.0}
    assert sizes(at(FAILED, spare, every_s=0.5)) == [2]
    assert sizes(at(FAILED, spare, every_s=0.0105)) == [1, 1]


def test_hedged_requests_with_one_key_are_no_retries() -> None:
    assert sizes(volley(2, pool=2, every_s=0.001, took_ms=500.0, idempotency_key="k")) == [1, 1]


def test_what_comes_after_a_failure_is_a_retry_until_it_is_good() -> None:
    entries = played(AT_ONCE, [refused(502), RESET, OK], [refused(500), OK])
    assert [[each.link for each in call.tries] for call in link(entries)] == [
        ["first", "body", "body"],
        ["first", "body"],
    ]


def test_waits_are_measured_from_the_end_of_the_try_before() -> None:
    (call,) = link(at({**FAILED, "took_ms": 400.0}, {}))
    assert call.tries[1].wait_s == pytest.approx(0.6, abs=1e-6)


def test_what_comes_much_later_is_another_call() -> None:
    assert sizes(at(FAILED, {}, every_s=599.0)) == [2]
    assert sizes(at(FAILED, {}, every_s=611.0)) == [1, 1]
    assert sizes(at({**LIMITED, "retry_after_s": 3600.0}, {}, every_s=3700.0)) == [2]


@pytest.mark.parametrize("other", [{"test": "u"}, {"body_hash": "c"}, {"key": "…asic"}, {"key_place": "query"}])
def test_another_test_body_or_key_is_another_call(other: dict[str, Any]) -> None:
    assert sizes(at(FAILED, other)) == [1, 1]


def test_a_suite_without_test_ids_that_asks_for_one_error_after_the_other_retries_nothing() -> None:
    errors = [
        {"test": "", "status": 400 + n, "code": code, "took_ms": 1.0}
        for n, code in enumerate(["INVALID_REQUEST", "INVALID_API_KEY", "INSUFFICIENT_BALANCE"])
    ]
    assert sizes(at(*errors)) == [1, 1, 1]
    assert judge(at(*errors)).result == "WARN"


def test_a_body_that_was_not_read_links_nothing() -> None:
    entries = at(*[{"body_hash": "", "status": 401, "code": "INVALID_API_KEY"}] * 3)
    assert sizes(entries) == [1, 1, 1]
    assert ruling("non_retryable_retried", entries).result == "NOT_EXERCISED"


def test_whoever_times_out_is_noticed_a_moment_after_the_next_try() -> None:
    left = {"ending": "abandoned", "status": 0, "took_ms": 2_000.0}
    entries = at(left, {"connection": 2, "on_connection": 1}, every_s=1.98)
    assert sizes(entries) == [2]
    assert link(entries)[0].tries[1].wait_s == 0.0


def test_a_clock_that_jumped_does_not_make_tries_overlap() -> None:
    # Half a minute of the test's time in a millisecond of the wall's.
    entries = at({**FAILED, "took_ms": 30_000.0, "at_s": 0.0}, {"at_s": 30.0}, every_s=0.001)
    assert sizes(entries) == [2]
    apart = at({**FAILED, "took_ms": 30_000.0, "at_s": 0.0, "connection": 1}, {"at_s": 30.5, "connection": 2})
    assert sizes(apart) == [2]


def test_a_call_whose_first_try_was_dropped_from_the_journal_is_known_as_such() -> None:
    client = Client(STAINLESS)
    client.call([refused(502)])
    (call,) = link(client.entries[1:])
    assert (call.cut, len(call.tries)) == (True, 2)

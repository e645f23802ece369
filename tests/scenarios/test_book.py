"""The ledger of a worker, without a clock, a network or Locust."""

from __future__ import annotations

from collections import Counter

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from reports.sample import Outcome
from scenarios.book import Book, Try
from scenarios.model.client import Ask
from scenarios.model.workload import Call
from scenarios.record.notes import PartEnd
from scenarios.record.plan import call_of
from scenarios.wire.reader import Reading
from tests.scenarios.ledgers import Kept, book_of, good, plan_of


def handed_on(book: Book, count: int) -> list[Try]:
    arrivals = book.arrivals()
    tries = [book.hand_on(next(arrivals)[1]) for _ in range(count)]
    return [one for one in tries if one is not None]


def test_an_open_try_is_planned_by_the_plan_and_ends_in_a_row() -> None:
    book, kept = book_of("open")
    (attempt,) = handed_on(book, 1)
    assert book.begin(attempt, 0.01)
    assert book.under_way == 1
    feedback = book.end(attempt, good(0.5), 0.6)
    (row,) = kept.rows
    assert (row.planned_s, row.ready_s, row.sent_s, row.end_s) == (0.0, None, 0.01, 0.5)
    assert (feedback.outcome, feedback.end_s, feedback.status) == (Outcome.OK, 0.5, 200)
    assert (book.under_way, book.done, book.failed) == (0, 1, 0)


def test_what_a_full_pool_cannot_take_says_so_and_what_the_end_prevents_does_not() -> None:
    book, kept = book_of("open")
    first, *_ = handed_on(book, 5)
    assert [(row.call_id, row.outcome, row.error_code) for row in kept.rows] == [
        (3, Outcome.NEVER_SENT, "PoolFull"),
        (4, Outcome.NEVER_SENT, "PoolFull"),
    ]
    book.begin(first, 0.5)
    book.close(1.0)
    ended = {row.call_id: (row.outcome, row.error_code, row.end_s) for row in kept.rows}
    assert ended[0] == (Outcome.CUT_OFF, None, 1.0)
    assert ended[1] == ended[2] == (Outcome.NEVER_SENT, None, None)
    assert kept.end == PartEnd(1.0, 5, 1.0)


def test_a_place_in_the_pool_is_free_again_when_its_try_is_over() -> None:
    book, kept = book_of("open", max_in_flight=1)
    arrivals = book.arrivals()
    for _, ask in arrivals:
        attempt = book.hand_on(ask)
        assert attempt is not None
        book.begin(attempt, ask.at_s)
        book.end(attempt, good(ask.at_s), ask.at_s)
    book.close(9.0)
    assert len(kept.rows) == 20
    assert kept.end.stopped_s is None


def test_what_is_cut_off_keeps_what_was_seen_of_its_answer() -> None:
    book, kept = book_of("open")
    (attempt,) = handed_on(book, 1)
    book.begin(attempt, 0.0)
    attempt.reading = Reading(Outcome.CONNECTION, 200, first_byte_s=0.3, chunks=2)
    book.close(1.5)
    (row,) = kept.rows
    assert (row.outcome, row.first_byte_s, row.chunks, row.end_s) == (Outcome.CUT_OFF, 0.3, 2, 1.5)
    # Whoever still reads it changes nothing any more.
    book.end(attempt, good(1.6), 1.6)
    assert len(kept.rows) == 1
    assert book.under_way == 0


def test_in_a_closed_load_a_call_is_planned_when_it_is_sent_and_tells_when_its_client_was_ready() -> None:
    book, kept = book_of("closed")
    attempt = book.foresee(Ask(0, 0, 0.2, Call("k", b"", key="sk-test-outage")))
    assert (book.under_way, kept.notes) == (0, [])
    assert book.begin(attempt, 0.25)
    book.end(attempt, good(0.5), 0.5)
    (row,) = kept.rows
    assert (row.ready_s, row.planned_s, row.sent_s) == (0.2, 0.25, 0.25)
    assert (row.key, kept.begun[0].key) == ("…tage", "…tage")


@pytest.mark.parametrize("kind", ["open", "closed"])
def test_a_retry_counts_from_the_moment_it_is_wished_for(kind: str) -> None:
    book, kept = book_of(kind)
    retry = book.foresee(Ask(7, 1, 0.9, Call("k", b"")))
    assert book.under_way == 1
    assert [(note.call_id, note.attempt, note.planned_s) for note in kept.begun] == [(7, 1, 0.9)]
    # The window is over, but the call was begun inside it.
    assert book.begin(retry, 5.0)
    book.end(retry, good(6.0), 6.0)
    (row,) = kept.rows
    assert (row.planned_s, row.ready_s) == ((0.9, None) if kind == "open" else (5.0, 0.9))


def test_after_a_stop_nothing_new_begins_and_what_was_begun_may_end() -> None:
    book, kept = book_of("closed")
    begun, waiting = (book.foresee(Ask(number, 0, 0.0, Call("k", b""))) for number in range(2))
    assert book.begin(begun, 0.1)
    book.stop(0.4)
    assert not book.begin(waiting, 0.5)
    assert book.end_s == 0.4
    book.end(begun, good(0.9), 0.9)
    book.close(1.0)
    assert [row.outcome for row in kept.rows] == [Outcome.OK]
    assert kept.end == PartEnd(1.0, 0, 0.4)


def test_after_a_stop_no_later_arrival_is_handed_on() -> None:
    book, kept = book_of("open")
    arrivals = book.arrivals()
    asks = [next(arrivals)[1] for _ in range(3)]
    assert book.hand_on(asks[0]) is not None
    book.stop(0.15)
    # What was due before the stop is only late.
    assert [book.hand_on(ask) is None for ask in asks[1:]] == [False, True]
    assert list(arrivals) == []
    book.close(0.16)
    assert kept.end == PartEnd(0.16, 2, 0.15)


def test_a_part_that_ended_by_itself_was_not_stopped() -> None:
    for kind in ("closed", "open"):
        book, kept = book_of(kind)
        if kind == "open":
            handed_on(book, 20)
        book.close(2.0)
        assert kept.end.stopped_s is None


def test_twenty_401s_and_nothing_else_tell_a_wrong_key() -> None:
    def key_after(codes: list[int]) -> bool:
        book, _ = book_of("closed")
        for number, status in enumerate(codes):
            attempt = book.foresee(Ask(number, 0, 0.0, Call("k", b"")))
            book.begin(attempt, 0.0)
            book.end(attempt, Reading(Outcome.REFUSED, status), 0.1)
        return book.wrong_key

    assert not key_after([401] * 19)
    assert key_after([401] * 20)
    assert key_after([401] * 20 + [200])
    assert not key_after([200] + [401] * 40)


def test_a_provoked_error_is_good_and_says_nothing_of_the_key() -> None:
    book, _ = book_of("closed")
    for number in range(30):
        attempt = book.foresee(Ask(number, 0, 0.0, Call("k", b"", expected="INVALID_API_KEY")))
        book.begin(attempt, 0.0)
        book.end(attempt, Reading(Outcome.REFUSED, 401, "INVALID_API_KEY"), 0.1)
        assert attempt.good
    assert (book.wrong_key, book.failed, book.done) == (False, 0, 30)


@settings(max_examples=30)  # each writes hundreds of texts
@given(users=st.integers(1, 12), processes=st.integers(1, 4), calls=st.integers(1, 4))
def test_no_two_users_ever_ask_under_one_number(users: int, processes: int, calls: int) -> None:
    # As many users come as will, whatever the plan says.
    numbers: list[int] = []
    kinds: dict[int, Call] = {}
    for worker in range(processes):
        book = Book(plan_of("closed", processes=processes), worker, Kept())
        for _ in range(users):
            client = book.user(0.0)
            assert client is not None
            ask = next(client)
            for _ in range(calls):
                assert isinstance(ask, Ask)
                numbers.append(ask.call_id)
                kinds[ask.call_id] = ask.call
                attempt = book.foresee(ask)
                book.begin(attempt, 0.5)
                ask = client.send(book.end(attempt, good(0.5), 0.5))
    assert len(set(numbers)) == len(numbers) == users * processes * calls
    # The number alone says what is asked.
    other = plan_of("closed", processes=1)
    assert all(call_of(other, number) == call for number, call in kinds.items())


def test_users_start_spread_over_the_warm_up_but_never_in_the_past() -> None:
    def starts(now: float) -> list[float]:
        book, _ = book_of("closed", warmup_s=5.0)
        clients = [book.user(now) for _ in range(3)]
        return [next(client).at_s for client in clients if client is not None]

    assert starts(0.0) == [0.0, pytest.approx(1 / 3), pytest.approx(2 / 3)]
    assert starts(7.0) == [7.0] * 3


def test_each_load_has_its_own_clients() -> None:
    for kind in ("open", "closed", "script"):
        book, _ = book_of(kind)
        assert (book.user(0.0) is not None) is (kind == "closed")
        assert (book.script() is not None) is (kind == "script")
        assert bool(list(book.arrivals())) is (kind == "open")


def test_the_counts_of_outcomes_make_up_what_was_planned() -> None:
    book, kept = book_of("open")
    tries = handed_on(book, 12)
    for attempt in tries[:2]:
        book.begin(attempt, 1.0)
    book.end(tries[0], good(1.2), 1.2)
    book.close(1.5)
    counts = Counter(row.outcome for row in kept.rows)
    assert counts == {Outcome.OK: 1, Outcome.CUT_OFF: 1, Outcome.NEVER_SENT: 10}
    assert counts.total() == kept.end.handed_on == 12

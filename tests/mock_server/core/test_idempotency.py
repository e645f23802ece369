from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from mock_server.core.idempotency import KEPT_S, MAX_KEYS, Conflict, IdempotencyKeys, Replay

NAME = ("sk-test-pro", "order-1")


def test_a_key_is_new_once_in_flight_until_it_is_finished_and_replayed_after() -> None:
    keys = IdempotencyKeys[str]()
    assert keys.begin(NAME, b"body", 0.0) is None
    assert keys.begin(NAME, b"body", 1.0) == Conflict("a call with this key is in flight")
    keys.finish(NAME, "answer")
    assert keys.begin(NAME, b"body", 2.0) == Replay("answer")
    assert keys.begin(NAME, b"body", 3.0) == Replay("answer")


@pytest.mark.parametrize("finished", [False, True])
def test_another_body_is_refused(finished: bool) -> None:
    keys = IdempotencyKeys[str]()
    keys.begin(NAME, b"body", 0.0)
    if finished:
        keys.finish(NAME, "answer")
    assert keys.begin(NAME, b"other", 1.0) == Conflict("the key was used with another request body")


def test_a_failed_call_frees_its_key_for_any_body() -> None:
    keys = IdempotencyKeys[str]()
    keys.begin(NAME, b"body", 0.0)
    keys.finish(NAME, None)
    assert keys.begin(NAME, b"other", 1.0) is None


@pytest.mark.parametrize("name", [("sk-test-free", "order-1"), ("sk-test-pro", "order-2")])
def test_keys_of_other_accounts_and_other_keys_are_apart(name: tuple[str, str]) -> None:
    keys = IdempotencyKeys[str]()
    keys.begin(NAME, b"body", 0.0)
    assert keys.begin(name, b"other", 0.0) is None


@given(st.floats(0, 1e9), st.floats(0, 2 * KEPT_S))
def test_an_answer_is_kept_for_its_time_from_the_first_call(start: float, later: float) -> None:
    keys = IdempotencyKeys[str]()
    keys.begin(NAME, b"body", start)
    keys.finish(NAME, "answer")
    kept = start + later < start + KEPT_S
    assert keys.begin(NAME, b"body", start + later) == (Replay("answer") if kept else None)


def test_the_oldest_finished_key_is_forgotten_first_and_none_in_flight() -> None:
    keys = IdempotencyKeys[int]()
    for number in range(MAX_KEYS):
        keys.begin(("k", str(number)), b"body", 0.0)
        if number:
            keys.finish(("k", str(number)), number)
    assert keys.begin(("k", "one more"), b"body", 0.0) is None
    assert keys.begin(("k", "0"), b"body", 0.0) == Conflict("a call with this key is in flight")
    assert keys.begin(("k", "2"), b"body", 0.0) == Replay(2)
    assert keys.begin(("k", "1"), b"body", 0.0) is None


def test_finishing_a_key_that_is_unknown_changes_nothing() -> None:
    keys = IdempotencyKeys[str]()
    keys.finish(NAME, "answer")
    assert keys.begin(NAME, b"body", 0.0) is None

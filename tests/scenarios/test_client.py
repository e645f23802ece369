from __future__ import annotations

from collections.abc import Callable, Iterable
from itertools import pairwise

import pytest

from mock_server.contract.errors import BY_CODE
from reports.sample import Outcome
from scenarios.model.client import Ask, Client, Feedback, closed_user, may_try_again, one_call, script
from scenarios.model.policy import POLICIES, Policy
from scenarios.model.workload import Call

THREE = Policy(max_tries=3, backoff_s=1.0, backoff_cap_s=8.0, backs_off_too=True)
CALL = Call("k", b"{}")


def drive(client: Client, answer: Callable[[Ask], Feedback]) -> list[Ask]:
    """Play a client without a clock and return all it asked."""
    asked = [next(client)]
    while True:
        try:
            asked.append(client.send(answer(asked[-1])))
        except StopIteration:
            return asked


def refused(ask: Ask, code: str = "RATE_LIMIT_EXCEEDED", wait: float | None = None) -> Feedback:
    return Feedback(Outcome.REFUSED, ask.at_s + 0.1, code, wait, BY_CODE[code].status)


def test_without_a_policy_nothing_is_tried_again() -> None:
    assert len(drive(one_call(4, 1.0, CALL, Policy(), 0), refused)) == 1


def test_a_call_is_tried_at_most_so_often_and_keeps_its_number() -> None:
    asked = drive(one_call(4, 1.0, CALL, THREE, 0), refused)
    assert [(ask.call_id, ask.attempt) for ask in asked] == [(4, 0), (4, 1), (4, 2)]
    assert all(later.at_s >= sooner.at_s + 0.1 for sooner, later in pairwise(asked))


def test_retry_after_is_never_undercut() -> None:
    asked = drive(one_call(4, 0.0, CALL, THREE, 0), lambda ask: refused(ask, wait=7.0))
    assert all(later.at_s >= sooner.at_s + 7.1 for sooner, later in pairwise(asked))


def test_a_rude_client_tries_at_once_whatever_was_asked_of_it_and_gives_up_in_the_end() -> None:
    asked = drive(one_call(4, 0.0, CALL, POLICIES["rude"], 0), lambda ask: refused(ask, wait=7.0))
    assert len(asked) == POLICIES["rude"].max_tries
    assert all(later.at_s == sooner.at_s + 0.1 for sooner, later in pairwise(asked))


def test_a_polite_client_waits_as_asked_spreads_its_tries_and_gives_up_in_the_end() -> None:
    policy = POLICIES["polite"]
    asked = drive(one_call(4, 0.0, CALL, policy, 0), lambda ask: refused(ask, wait=2.0))
    assert len(asked) == policy.max_tries > 1
    waits = [later.at_s - sooner.at_s - 2.1 for sooner, later in pairwise(asked)]
    assert all(0 <= wait <= policy.backoff_s * 2**attempt for attempt, wait in enumerate(waits))
    assert len(set(waits)) == len(waits)


@pytest.mark.parametrize(
    ("answer", "again"),
    [
        (Feedback(Outcome.REFUSED, 0, "RATE_LIMIT_EXCEEDED", status=429), True),
        (Feedback(Outcome.REFUSED, 0, "ALL_PROVIDERS_FAILED", status=502), True),
        (Feedback(Outcome.REFUSED, 0, "INTERNAL_ERROR", status=500), True),
        (Feedback(Outcome.REFUSED, 0, "INVALID_REQUEST", status=400), False),
        (Feedback(Outcome.REFUSED, 0, "INVALID_API_KEY", status=401), False),
        (Feedback(Outcome.CONNECTION, 0, "ConnectionResetError"), True),
        (Feedback(Outcome.CONNECTION, 0, "IncompleteBodyError", status=200), False),
        (Feedback(Outcome.STREAM_BROKEN, 0, status=200), False),
        (Feedback(Outcome.TIMEOUT, 0), False),
        (Feedback(Outcome.MALFORMED, 0, "BadJson", status=200), False),
        (Feedback(Outcome.OK, 0, status=200), False),
    ],
)
def test_only_what_may_succeed_later_is_tried_again(answer: Feedback, again: bool) -> None:
    assert may_try_again(THREE, answer) is again
    assert len(drive(one_call(4, 0.0, CALL, THREE, 0), lambda _ask: answer)) == (3 if again else 1)


def test_backoff_doubles_up_to_its_cap_and_jitter_spreads_it() -> None:
    policy = Policy(max_tries=9, backoff_s=1.0, backoff_cap_s=4.0)
    assert [policy.delay_s(attempt, None, (1.0, 0.0)) for attempt in range(4)] == [1.0, 2.0, 4.0, 4.0]
    assert policy.delay_s(0, None, (0.25, 0.0)) == 0.25


def user(think_s: float, call_ids: Iterable[int] = (1, 4, 7, 10)) -> Client:
    return closed_user(
        iter(call_ids),
        lambda call_id: Call(str(call_id), b""),
        start_s=0.5,
        think_s=think_s,
        policy=Policy(),
        seed=0,
    )


def test_a_user_asks_again_when_answered() -> None:
    asked = drive(user(0.0), lambda ask: Feedback(Outcome.OK, ask.at_s + 5))
    assert [(ask.call_id, ask.at_s) for ask in asked] == [(1, 0.5), (4, 5.5), (7, 10.5), (10, 15.5)]
    assert [ask.call.kind for ask in asked] == ["1", "4", "7", "10"]


def test_a_user_thinks_between_calls() -> None:
    asked = drive(user(2.0, range(20)), lambda ask: Feedback(Outcome.OK, ask.at_s))
    gaps = [later.at_s - sooner.at_s for sooner, later in pairwise(asked)]
    assert len(set(gaps)) == len(gaps) == 19
    assert 0.5 < sum(gaps) / len(gaps) < 6


def test_a_script_asks_in_order_each_after_the_last_has_ended() -> None:
    calls = [Call("a", b""), Call("b", b"")]
    asked = drive(script(calls, Policy(), 0), lambda ask: Feedback(Outcome.OK, ask.at_s + 3))
    assert [(ask.call_id, ask.at_s, ask.call.kind) for ask in asked] == [(0, 0.0, "a"), (1, 3.0, "b")]

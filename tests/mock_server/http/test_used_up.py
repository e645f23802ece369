"""What is queued for the next calls is used up by those that it strikes or answers, and by no other."""

from __future__ import annotations

from typing import Any

import pytest

from tests.mock_server.http.test_isolation import all_of, control, said
from tests.mock_server.http.test_protocol import a_call, instant_mock
from tests.mock_server.served import Call, Got, Served
from tests.mock_server.wire import heads

FAULTS, REQUESTS = control("GET", "faults"), control("GET", "requests")
DOWN, UP = control("POST", "incidents", {"kind": "outage", "for": 600}), control("DELETE", "incidents")
PLAIN, STREAM = a_call(), a_call(stream=True)


def with_key(key: str, call: Call) -> Call:
    """The call by another key."""
    other = (b"authorization", heads(key)["Authorization"].encode())
    return call._replace(headers=[other if line[0] == other[0] else line for line in call.headers])


def counted(got: Got) -> list[tuple[int, int, bool]]:
    """How many calls the rules saw and struck, and whether they are spent."""
    return [(rule["seen"], rule["struck"], rule["spent"]) for rule in said(got)["faults"]]  # type: ignore[index]


def told(got: Got) -> list[tuple[int, str, bool]]:
    """Status, fault, and whether it struck, of the journal's entries, the oldest first."""
    entries = said(got)["entries"]  # type: ignore[index]
    return [(entry["status"], entry["fault"].partition(";")[0], entry["struck"]) for entry in reversed(entries)]


def text(got: Got) -> Any:
    """The text of a plain answer."""
    return said(got)["response"]  # type: ignore[index]


@pytest.mark.parametrize(
    ("fault", "call"),
    [("error_event", STREAM), ("reset;stage=before_first_token", STREAM), ("framing=crlf", STREAM), ("empty", PLAIN)],
    ids=["error_event", "reset", "framing", "empty"],
)
def test_a_call_whose_chain_fails_uses_up_no_fault_that_has_not_struck_it(fault: str, call: Call) -> None:
    queue = control("POST", "faults", {"fault": fault, "times": 1})
    got = all_of(Served(instant_mock()), DOWN, queue, call, FAULTS, UP, call, call, FAULTS, REQUESTS)
    assert (counted(got[3]), counted(got[7])) == ([(1, 0, False)], [(2, 1, True)])
    kind = fault.partition(";")[0]
    assert told(got[8]) == [(502, kind, False), (200, kind, True), (200, "", False)]


def test_a_failed_chain_that_is_struck_uses_the_fault_up() -> None:
    queue = control("POST", "faults", {"fault": "delay;for=0", "times": 1})
    *_, faults, entries = all_of(Served(instant_mock()), DOWN, queue, PLAIN, PLAIN, FAULTS, REQUESTS)
    assert counted(faults) == [(1, 1, True)]
    assert told(entries) == [(502, "delay", True), (502, "", False)]


@pytest.mark.parametrize("picks", [{"every": 2}, {"hits": 1, "of": 2}, {"rate": 0.5}], ids=str)
def test_which_calls_a_fault_picks_does_not_hang_on_which_of_them_fail(picks: dict[str, Any]) -> None:
    queue = control("POST", "faults", {"fault": "empty"} | picks)
    (*_, upright), (*_, failing) = (
        all_of(Served(instant_mock()), *before, queue, *[PLAIN] * 3, UP, *[PLAIN] * 5, REQUESTS)
        for before in ([], [DOWN])
    )
    assert [status for status, _, _ in told(failing)] == [502] * 3 + [200] * 5
    assert [fault for _, fault, _ in told(failing)] == [fault for _, fault, _ in told(upright)]
    assert all(struck == (fault != "" and status == 200) for status, fault, struck in told(failing))


CANNED = [{"text": "first", "fault": "dribble;for=0"}, {"text": "second"}]
TOO_DEAR = [{"text": "first", "completion_tokens": 10_000_000}, {"text": "second"}]


@pytest.mark.parametrize(
    ("replies", "refused", "status"),
    [(CANNED, STREAM, 400), (TOO_DEAR, with_key("sk-test-free", PLAIN), 402)],
    ids=["what cannot strike it", "what it cannot pay for"],
)
def test_a_refused_call_uses_up_no_canned_reply(replies: list[dict[str, Any]], refused: Call, status: int) -> None:
    answers = control("POST", "answers", {"replies": replies})
    *_, no, one, two, rules = all_of(Served(instant_mock()), answers, refused, PLAIN, PLAIN, control("GET", "answers"))
    assert no.status == status
    assert (text(one), text(two)) == ("first", "second")
    assert said(rules)["answers"][0]["answered"] == 2  # type: ignore[index]


@pytest.mark.parametrize("match", [{}, {"provider": "canned"}], ids=str)
def test_a_call_that_an_error_strikes_uses_up_no_canned_reply(match: dict[str, str]) -> None:
    replies = [{"text": "first", "provider": "canned"}, {"text": "second"}]
    queue = control("POST", "faults", {"code": 500, "times": 1, "match": match})
    *_, no, one, two = all_of(
        Served(instant_mock()), control("POST", "answers", {"replies": replies}), queue, PLAIN, PLAIN, PLAIN
    )
    assert (no.status, text(one), text(two)) == (500, "first", "second")

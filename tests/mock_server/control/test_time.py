"""A clock of one's own: what would take minutes is over at once."""

from __future__ import annotations

import threading
import time
from collections.abc import Iterator
from contextlib import contextmanager

import httpx
import pytest

from tests.mock_server.conftest import StartMock
from tests.mock_server.control.conftest import Plane
from tests.mock_server.wire import UNLIMITED, Mock, assert_refused, chat, events, timing

STEADY = chat(strategy={"models": ["slow/steady"]}, max_tokens=3)


@contextmanager
def within(seconds: float) -> Iterator[None]:
    """What must not take the time it stands for."""
    began = time.monotonic()
    yield
    assert time.monotonic() - began < seconds


def test_a_rate_limit_window_passes_at_once(plane: Plane) -> None:
    call = plane.mock.call
    with within(3):
        assert call(key="sk-test-limited", test="mine").status_code == 200
        refused = call(key="sk-test-limited", test="mine")
        wait = int(refused.headers["retry-after"])
        assert (refused.status_code, 58 <= wait <= 60) == (429, True)
        plane.post("clock", {"advance": wait - 5}, test="mine")
        assert int(call(key="sk-test-limited", test="mine").headers["retry-after"]) <= 5
        plane.post("clock", {"advance": 5}, test="mine")
        assert call(key="sk-test-limited", test="mine").status_code == 200


def test_a_breakers_cooldown_passes_at_once(plane: Plane) -> None:
    only = chat(strategy={"providers": {"only": ["groq"]}, "models": ["groq/*"], "allow_fallbacks": False})
    with within(3):
        plane.put("providers/groq", {"error_rate": 1}, test="mine")
        for _ in range(5):
            assert plane.mock.call(only, test="mine").status_code == 502
        assert plane.get("providers/groq", test="mine")["breaker"] == "open"
        plane.put("providers/groq", {"error_rate": 0}, test="mine")
        refused = plane.mock.call(only, test="mine")
        assert refused.status_code == 502
        plane.post("clock", {"advance": int(refused.headers["retry-after"])}, test="mine")
        assert plane.get("providers/groq", test="mine")["breaker"] == "half_open"
        assert plane.mock.call(only, test="mine").status_code == 200
        assert plane.get("providers/groq", test="mine")["breaker"] == "closed"


def in_thread(mock: Mock, body: object, test: str, **headers: str) -> tuple[threading.Thread, list[httpx.Response]]:
    answers: list[httpx.Response] = []
    thread = threading.Thread(target=lambda: answers.append(mock.call(body, test=test, headers=headers)))
    thread.start()
    # The mock as a whole counts a call whose body is still on its way; its account one that has been planned.
    while mock.account(UNLIMITED, test=test)["in_flight"] == 0:
        assert thread.is_alive()
    return thread, answers


def test_a_planned_delay_passes_at_once(slow_plane: Plane) -> None:
    mock = slow_plane.mock
    with within(5):
        slow_plane.post("clock", {"freeze": True}, test="mine")
        thread, answers = in_thread(mock, STEADY, "mine", **{"X-Mock-Fault": "delay;for=10"})
        slow_plane.post("clock", {"advance": 9}, test="mine")
        assert mock.control("requests/count", test="mine") == {"count": 0}
        slow_plane.post("clock", {"advance": 2}, test="mine")
        thread.join()
    assert answers[0].status_code == 200
    assert timing(answers[0])["planned"] > 10_000


@pytest.mark.parametrize("steer", [{"advance": 60}, {"auto": True}], ids=str)
def test_a_clock_that_a_test_is_given_governs_the_calls_it_has_in_flight(
    slow_plane: Plane, steer: dict[str, object]
) -> None:
    mock = slow_plane.mock
    with within(5):
        thread, answers = in_thread(mock, STEADY, "mine", **{"X-Mock-Fault": "delay;for=40"})
        slow_plane.post("clock", steer, test="mine")
        thread.join()
    assert answers[0].status_code == 200


def test_another_tests_calls_do_not_go_by_it(slow_plane: Plane) -> None:
    mock = slow_plane.mock
    slow_plane.post("clock", {"freeze": True})
    thread, answers = in_thread(mock, STEADY, "other", **{"X-Mock-Fault": "delay;for=40"})
    slow_plane.post("clock", {"advance": 60}, test="mine")
    assert mock.control("requests/count", test="other") == {"count": 0}
    slow_plane.post("clock", {"advance": 60})
    thread.join()
    assert answers[0].status_code == 200


def test_after_a_reset_a_tests_new_clock_holds_no_call_of_before(slow_plane: Plane) -> None:
    mock = slow_plane.mock
    with within(10):
        thread, answers = in_thread(mock, STEADY, "mine", **{"X-Mock-Fault": "delay;for=1"})
        mock.reset("mine")
        slow_plane.post("clock", {"freeze": True}, test="mine")
        thread.join()
    assert answers[0].status_code == 200


def test_a_keep_alive_comes_at_once(slow_plane: Plane) -> None:
    body = chat(strategy={"models": ["slow/glacial"]}, max_tokens=2, stream=True)
    with within(5):
        slow_plane.post("clock", {"auto": True}, test="mine")
        answer = slow_plane.mock.call(body, test="mine")
    stream, comments = events(answer.content)
    assert stream[-1]["usage"]["completion_tokens"] == 2
    assert comments == 2  # in the 40 seconds between two tokens


def test_a_realistic_world_answers_at_once_where_time_jumps(start_mock: StartMock) -> None:
    mock = start_mock("--world", "realistic")
    plane = Plane(mock)
    plane.post("clock", {"auto": True}, test="mine")
    with within(5):
        answers = [mock.call(chat(f"call {n}", stream=n % 2 == 0), test="mine") for n in range(20)]
    assert sum(timing(answer)["planned"] for answer in answers) > 20_000
    clock = plane.get("clock", test="mine")
    assert (clock["frozen"], clock["auto"], clock["own"]) == (True, True, True)
    assert clock["now"] > 20 > plane.get("clock")["now"]
    load = plane.get("load")
    assert (load["saturated"], load["lateness"]["measured"]) == (False, 0)  # steered time tells nothing of the mock


def test_clocks_of_tests_are_independent(plane: Plane) -> None:
    frozen = plane.post("clock", {"freeze": True}, test="one")
    plane.post("clock", {"advance": 1_000}, test="two")
    assert plane.get("clock", test="one") == frozen
    assert plane.get("clock", test="two")["now"] > 1_000 > plane.get("clock", test="three")["now"]
    assert [plane.get("clock", test=test)["own"] for test in ("one", "two", "three")] == [True, True, False]
    plane.mock.reset("one")
    assert not plane.get("clock", test="one")["own"]
    assert plane.get("clock", test="two")["own"]
    plane.mock.reset()
    assert plane.get("clock", test="two")["now"] < 1_000


def test_everybodys_clock_is_frozen_and_resumed(plane: Plane) -> None:
    frozen = plane.post("clock", {"freeze": True})
    assert (frozen["frozen"], frozen["own"]) == (True, False)
    assert plane.get("clock")["now"] == frozen["now"]
    resumed = plane.post("clock", {"resume": True})
    assert not resumed["frozen"]
    assert plane.get("clock")["now"] > frozen["now"]


@pytest.mark.parametrize(
    ("body", "says"),
    [
        ({}, "give exactly one of freeze, advance, resume, auto, not none"),
        ({"freeze": True, "advance": 1}, "not freeze and advance"),
        ({"freeze": False}, "freeze: must be true"),
        ({"freeze": 1}, "freeze: must be true or false, not 1"),
        ({"advance": -1}, "advance: must be a number >= 0"),
        ({"advance": "60"}, "advance: must be a number >= 0"),
        ({"advance": True}, "advance: must be a number >= 0"),
        ({"advance": 1e9}, "advance: must be a number >= 0 and <="),
        (b'{"advance": 1e999}', "the body is not valid JSON"),
        ({"advnace": 1}, "did you mean 'advance'?"),
        ({"now": 5}, "now: unknown key"),
    ],
    ids=str,
)
def test_what_is_no_action_is_refused(plane: Plane, body: object, says: str) -> None:
    assert_refused(plane.ask("POST", "clock", body), 400, "INVALID_MOCK_DIRECTIVE", says=says)
    assert not plane.get("clock")["frozen"]

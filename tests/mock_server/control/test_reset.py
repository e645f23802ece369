from __future__ import annotations

import json
import threading

import httpx

from tests.mock_server.control.conftest import Plane
from tests.mock_server.wire import PATH, assert_refused, chat, heads

STEADY = chat(strategy={"models": ["slow/steady"]}, max_tokens=3)


def change_everything(plane: Plane, test: str) -> None:
    plane.post("faults", {"code": 500, "match": {"text": "boom"}}, test=test)
    plane.post("answers", {"replies": [{"text": "canned"}]}, test=test)
    plane.put("providers/groq", {"error_rate": 1}, test=test)
    plane.put("accounts/sk-test-pro", {"balance": 7}, test=test)
    plane.post("incidents", {"kind": "outage", "for": 60, "match": "openai"}, test=test)
    plane.post("clock", {"advance": 500}, test=test)
    plane.mock.call(test=test)


def state(plane: Plane, test: str) -> tuple[object, ...]:
    clock = plane.get("clock", test=test)
    return (
        len(plane.get("faults", test=test)["faults"]),
        len(plane.get("answers", test=test)["answers"]),
        any(m["changed"] for m in plane.get("providers/groq", test=test)["models"]),
        plane.get("accounts/sk-test-pro", test=test)["balance"] == 7,
        len(plane.get("incidents", test=test)["incidents"]),
        clock["own"] or clock["frozen"],
        plane.get("requests/count", test=test)["count"] if test else plane.get("requests/count")["count"],
    )


def test_a_reset_of_one_test_forgets_all_of_it_and_nothing_else(plane: Plane) -> None:
    for test in ("one", "two"):
        change_everything(plane, test)
    plane.mock.reset("one")
    assert state(plane, "one") == (0, 0, False, False, 0, False, 0)
    assert state(plane, "two") == (1, 1, True, True, 1, True, 1)


def test_a_reset_of_everything_forgets_all(plane: Plane) -> None:
    for test in ("one", ""):
        change_everything(plane, test)
    plane.post("clock", {"freeze": True})
    plane.mock.reset()
    for test in ("one", ""):
        assert state(plane, test) == (0, 0, False, False, 0, False, 0)


def test_a_call_that_a_reset_overtook_leaves_no_trace(slow_plane: Plane) -> None:
    mock, answers = slow_plane.mock, list[httpx.Response]()

    def start(test: str) -> threading.Thread:
        thread = threading.Thread(target=lambda: answers.append(mock.call(STEADY, key="sk-test-pro", test=test)))
        thread.start()
        return thread

    for reset in ("mine", None):
        threads = [start("mine"), start("other")]
        while mock.control("health")["in_flight"] < 2:
            assert all(thread.is_alive() for thread in threads)
        mock.reset(reset)
        for thread in threads:
            thread.join()
        while not mock.idle():
            pass
        assert slow_plane.get("requests/count", test="mine") == {"count": 0}
        left = 0 if reset is None else 1
        assert slow_plane.get("requests/count") == {"count": left}
        assert slow_plane.get("requests")["totals"]["requests"] == left
        assert slow_plane.get("accounts/sk-test-pro", test="mine")["charged"] == 0
        assert slow_plane.get("ledger")["balanced"]
    assert [answer.status_code for answer in answers] == [200] * 4


def test_what_is_queued_after_a_reset_is_not_for_calls_that_began_before(plane: Plane) -> None:
    body = json.dumps(chat()).encode()
    headers = heads() | {"Host": "mock", "Content-Length": str(len(body))}
    lines = "".join(f"{name}: {value}\r\n" for name, value in headers.items())
    with plane.mock.connect() as connection:
        connection.send(f"POST {PATH} HTTP/1.1\r\n{lines}\r\n".encode() + body[:5])
        while plane.get("health")["in_flight"] == 0:
            assert connection.socket.fileno() > 0
        plane.mock.reset()
        plane.post("faults", {"code": 502, "times": 1})
        plane.post("answers", {"replies": [{"text": "canned"}]})
        connection.send(body[5:])
        answer = connection.answer()
    assert answer.status == 200
    assert b'"canned"' not in answer.body
    assert plane.get("requests/count") == {"count": 0}
    assert_refused(plane.mock.call(), 502, "ALL_PROVIDERS_FAILED")
    assert plane.mock.call().json()["response"] == "canned"


def test_a_reset_takes_no_settings(plane: Plane) -> None:
    plane.mock.call()
    answer = plane.ask("POST", "reset", {"test": "one"})
    assert_refused(answer, 400, "INVALID_MOCK_DIRECTIVE", says="test: unknown key")
    assert plane.get("requests/count") == {"count": 1}
    assert plane.say("POST", "reset") == {"reset": "everything"}

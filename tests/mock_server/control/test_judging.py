"""Verdict, coverage and outcomes over the control plane."""

from __future__ import annotations

from typing import Any

import httpx
import pytest

from tests.mock_server.control.conftest import Plane
from tests.mock_server.wire import assert_refused, chat, raw_call


def struck(plane: Plane, fault: str, *, test: str = "") -> str:
    """A stream that ends badly; its request id."""
    answer = plane.mock.call(chat(stream=True), headers={"X-Mock-Fault": fault}, test=test)
    return answer.headers["x-request-id"]


def asked_for(plane: Plane, what: str, test: str, headers: dict[str, str]) -> httpx.Response:
    """What is said of a test that the query names."""
    return plane.mock.http.get(f"/__mock__/{what}", params={"test": test}, headers=headers)


def rule(verdict: Any, name: str) -> Any:
    return next(each for each in verdict["rules"] if each["rule"] == name)


def test_nothing_seen_is_nothing_judged(plane: Plane) -> None:
    verdict = plane.get("verdict")
    assert (verdict["result"], verdict["calls"]) == ("NOT_EXERCISED", 0)
    assert plane.get("coverage")["met"] == 0


@pytest.mark.parametrize(("outcome", "result"), [("ok", "FAIL"), ("error", "PASS"), ("partial", "PASS")])
def test_what_the_application_made_of_an_answer_turns_a_guess_into_a_fact(
    plane: Plane, outcome: str, result: str
) -> None:
    request_id = struck(plane, "error_event")
    unsaid = rule(plane.get("verdict"), "error_event_accepted")
    assert unsaid["result"] == "NOT_EXERCISED"
    assert "POST /__mock__/outcomes/{request_id}" in unsaid["advice"]
    assert plane.post(f"outcomes/{request_id}", {"outcome": outcome}) == {"request_id": request_id, "outcome": outcome}
    said = rule(plane.get("verdict"), "error_event_accepted")
    assert said["result"] == result
    assert [each["request_ids"] for each in said["evidence"]] == ([[request_id]] if result == "FAIL" else [])
    assert plane.get("requests")["entries"][0]["attested"] == outcome


def test_an_outcome_can_be_corrected(plane: Plane) -> None:
    request_id = struck(plane, "eof")
    for outcome in ("ok", "error"):
        plane.post(f"outcomes/{request_id}", {"outcome": outcome})
    assert rule(plane.get("verdict"), "truncated_stream_accepted")["result"] == "PASS"


def test_an_outcome_of_no_request_is_a_mistake(plane: Plane) -> None:
    answer = plane.ask("POST", "outcomes/req_0000000", {"outcome": "ok"})
    assert_refused(answer, 404, "NOT_FOUND", says="no finished request of this id; X-Request-Id of the answer tells it")
    assert plane.mock.idle()


def test_an_outcome_that_there_is_not_is_a_mistake(plane: Plane) -> None:
    request_id = struck(plane, "eof")
    answer = plane.ask("POST", f"outcomes/{request_id}", {"outcome": "good"})
    assert_refused(answer, 400, "INVALID_MOCK_DIRECTIVE", says="outcome: must be one of error, killed, ok, partial")


def test_an_outcome_may_be_told_before_the_journal_holds_the_request(plane: Plane) -> None:
    with plane.mock.connect() as connection:
        body = chat(stream=True)
        connection.send(raw_call(body).replace(b"\r\n\r\n", b"\r\nX-Mock-Fault: stall;stage=before_done\r\n\r\n", 1))
        _, headers = connection.head()
        connection.close()
        told = plane.post(f"outcomes/{headers['x-request-id']}", {"outcome": "ok"})
    assert told["outcome"] == "ok"


def test_a_test_id_has_a_verdict_and_a_coverage_of_its_own(plane: Plane) -> None:
    plane.post(f"outcomes/{struck(plane, 'error_event', test='bad')}", {"outcome": "ok"})
    plane.post(f"outcomes/{struck(plane, 'eof', test='good')}", {"outcome": "error"})
    whole = plane.get("verdict")
    assert {each["test"]: each["result"] for each in whole["tests"]} == {"bad": "FAIL", "good": "PASS"}
    assert (whole["result"], whole["calls"]) == ("FAIL", 2)
    for verdict in (plane.get("verdict", test="good"), asked_for(plane, "verdict", "good", {}).json()):
        assert (verdict["result"], verdict["calls"]) == ("PASS", 1)
    met = [each["cell"]["ending"] for each in plane.get("coverage", test="good")["cells"] if each["count"]]
    assert met == ["eof"]


def test_a_reset_is_a_new_beginning_for_the_verdict(plane: Plane) -> None:
    struck(plane, "eof", test="one")
    plane.mock.reset("one")
    assert plane.get("verdict", test="one")["result"] == "NOT_EXERCISED"


def test_streams_need_not_count(plane: Plane) -> None:
    struck(plane, "eof")
    assert plane.get("coverage")["met"] == 1
    assert plane.get("coverage", streaming="false")["met"] == 0


@pytest.mark.parametrize("what", ["verdict", "coverage"])
def test_a_wrong_test_id_is_refused(plane: Plane, what: str) -> None:
    answer = asked_for(plane, what, "two", {"X-Mock-Test": "one"})
    assert_refused(answer, 400, "INVALID_MOCK_DIRECTIVE", says="contradict each other")
    answer = asked_for(plane, what, "a b", {})
    assert_refused(answer, 400, "INVALID_MOCK_DIRECTIVE", says="visible ASCII")

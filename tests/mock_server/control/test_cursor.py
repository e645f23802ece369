"""Following the journal: what has come since the last answer, and how one learns that it began anew."""

from __future__ import annotations

import pytest

from tests.mock_server.control.conftest import Plane
from tests.mock_server.wire import assert_refused, chat


def test_one_is_given_what_has_finished_since_and_nothing_twice(plane: Plane) -> None:
    mock, seen, last = plane.mock, list[str](), 0
    sent = []
    for test in ("one", "", "two", "one", ""):
        sent += [mock.call(test=test).headers["x-request-id"] for _ in range(2)]
        answer = plane.get("requests", since=last)
        assert answer["matching"] == len(answer["entries"]) == 2
        seen += [entry["request_id"] for entry in reversed(answer["entries"])]
        last = answer["last"]
    assert seen == sent
    nothing = plane.get("requests", since=last)
    assert (nothing["entries"], nothing["last"]) == ([], last)


def test_what_does_not_match_moves_on_too_and_what_is_left_out_is_counted(plane: Plane) -> None:
    begun = plane.get("requests")["last"]
    plane.mock.call(headers={"Prefer": "code=500"})
    for _ in range(5):
        plane.mock.call()
    answer = plane.get("requests", since=begun, status=200, limit=2)
    assert (answer["matching"], len(answer["entries"]), answer["last"]) == (5, 2, begun + 6)
    assert plane.get("requests", since=begun, test="nobody")["last"] == begun + 6


def test_every_reset_is_another_epoch(plane: Plane) -> None:
    def epoch() -> str:
        return str(plane.get("requests")["epoch"])

    plane.mock.call(test="one")
    first = epoch()
    assert epoch() == first
    plane.post("reset", {}, test="one")
    second = epoch()
    plane.post("reset", {})
    assert len({first, second, epoch()}) == 3


def test_one_request_is_found_by_its_id(plane: Plane) -> None:
    plane.mock.call()
    wanted = plane.mock.call(chat("b"), test="one").headers["x-request-id"]
    (entry,) = plane.get("requests", request_id=wanted)["entries"]
    assert (entry["request_id"], entry["test"]) == (wanted, "one")
    assert plane.get("requests/count", request_id="req_0000000") == {"count": 0}


@pytest.mark.parametrize("since", ["-1", "x", "1.5", ""])
def test_a_cursor_is_a_number(plane: Plane, since: str) -> None:
    assert_refused(plane.ask("GET", "requests", since=since), 400, "INVALID_MOCK_DIRECTIVE", says="since")

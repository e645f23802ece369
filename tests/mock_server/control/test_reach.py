"""What an operation is about where `X-Mock-Test` is absent: what its table says is true."""

from __future__ import annotations

from typing import Any

import pytest

from mock_server.http.control.table import OPERATIONS, PREFIX, Operation
from tests.mock_server.control.conftest import Plane

TESTS = ("one", "two", "")
KEY = "sk-test-pro"
# What to ask of each operation that is about calls without a test id, and which view shows what came of it.
CHANGES: dict[str, tuple[str, str, Any]] = {
    "PUT /accounts/{key}": (f"accounts/{KEY}", f"accounts/{KEY}", {"balance": 5}),
    "PUT /providers/{name:path}": ("providers/openai", "providers/openai", {"error_rate": 0.5}),
    "POST /incidents": ("incidents", "incidents", {"kind": "outage", "for": 600, "match": "groq"}),
    "POST /clock": ("clock", "clock", {"freeze": True}),
    "POST /faults": ("faults", "faults", {"code": 500, "times": 1}),
    "POST /answers": ("answers", "answers", {"replies": [{"text": "a"}]}),
}


def name(operation: Operation) -> str:
    return f"{operation.method} {operation.path}"


def of(reach: str) -> set[str]:
    return {name(operation) for operation in OPERATIONS if operation.without_test == reach}


def test_every_operation_that_changes_something_is_tried_here() -> None:
    changing = {each for each in of("calls without a test id") if not each.startswith("GET")}
    assert changing - set(CHANGES) == {"DELETE /incidents", "DELETE /incidents/{number}"}


@pytest.mark.parametrize("operation", sorted(CHANGES))
def test_a_change_without_a_test_id_is_about_calls_that_have_none(plane: Plane, operation: str) -> None:
    path, view, body = CHANGES[operation]
    for test in ("one", "two"):
        plane.post("clock", {"resume": True}, test=test)  # a clock of its own
    before = [plane.get(view, test=test) for test in ("one", "two")]
    plane.say(operation.split()[0], path, body)
    after = [plane.get(view, test=test) for test in ("one", "two")]
    if view == "clock":
        assert [each["frozen"] for each in after] == [False, False]
        assert plane.get("clock")["frozen"]
    else:
        assert after == before
        assert plane.get(view) != before[0]


def test_incidents_without_a_test_id_are_those_of_calls_that_have_none(plane: Plane) -> None:
    for test in TESTS:
        plane.post("incidents", {"kind": "outage", "for": 600}, test=test)
    assert plane.delete("incidents") == {"ended": 1}
    assert [len(plane.get("incidents", test=test)["incidents"]) for test in TESTS] == [1, 1, 0]


@pytest.mark.parametrize("what", ["faults", "answers"])
def test_lists_and_removals_of_rules_without_a_test_id_are_about_all(plane: Plane, what: str) -> None:
    rule = {"code": 500} if what == "faults" else {"replies": [{"text": "a"}]}
    for test in TESTS:
        plane.post(what, rule, test=test)
    assert [len(plane.get(what, test=test)[what]) for test in ("one", "two")] == [1, 1]
    assert len(plane.get(what)[what]) == 3
    assert plane.delete(what, test="one") == {"cleared": 1}
    assert plane.delete(what) == {"cleared": 2}


def test_journal_ledger_and_reset_without_a_test_id_are_about_all(plane: Plane) -> None:
    for test in TESTS:
        plane.mock.call(test=test, key=KEY)
    assert {entry["test"] for entry in plane.get("requests")["entries"]} == set(TESTS)
    assert plane.get("requests/count") == {"count": 3}
    assert plane.get("requests/wait", count=3) == {"count": 3, "reached": True}
    assert {row["test"] for row in plane.get("ledger")["accounts"]} == set(TESTS)
    assert plane.post("reset", {}) == {"reset": "everything"}
    assert plane.get("requests/count") == {"count": 0}
    assert [plane.get(f"accounts/{KEY}", test=test)["charged"] for test in TESTS] == [0, 0, 0]


def test_what_is_about_the_mock_as_a_whole_knows_no_tests(plane: Plane) -> None:
    answer = plane.mock.call(test="one")
    paths = {"health", "load", f"requests/{answer.headers['x-request-id']}/route"}
    for path in paths:
        mine, others = plane.get(path, test="two"), plane.get(path)
        assert set(mine) == set(others)
        if "route" in path:
            assert mine == others
    outcome = f"outcomes/{answer.headers['x-request-id']}"
    assert plane.post(outcome, {"outcome": "ok"}, test="two") == plane.post(outcome, {"outcome": "ok"})
    assert of("the mock as a whole") == {
        "GET /health",
        "GET /load",
        "GET /metrics",
        "GET /requests/{request_id}/route",
        "POST /outcomes/{request_id}",
    }


def test_the_documents_say_so(plane: Plane) -> None:
    paths = plane.get("openapi.json")["paths"]
    for operation in OPERATIONS:
        shown = paths[PREFIX + operation.path.replace(":path", "")][operation.method.lower()]
        assert shown["description"] == f"Without a test id it is about {operation.without_test}."

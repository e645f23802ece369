from __future__ import annotations

from concurrent.futures import ThreadPoolExecutor
from typing import Any

import pytest

from tests.mock_server.control.conftest import Plane
from tests.mock_server.wire import assert_refused, chat

FREE = "accounts/sk-test-free"


def test_a_balance_is_set_and_spent(plane: Plane) -> None:
    assert plane.put(FREE, {"balance": 300}, test="mine")["balance"] == 300
    usage = plane.mock.call(chat(max_tokens=5), key="sk-test-free", test="mine").json()["usage"]
    assert plane.get(FREE, test="mine")["balance"] == 300 - usage["total_tokens"]
    plane.put(FREE, {"balance": 0}, test="mine")
    assert_refused(plane.mock.call(key="sk-test-free", test="mine"), 402, "INSUFFICIENT_BALANCE")
    plane.put(FREE, {"balance": None}, test="mine")
    assert plane.mock.call(key="sk-test-free", test="mine").status_code == 200
    assert plane.get("ledger", test="mine")["balanced"]
    assert plane.get(FREE)["balance"] == 100_000


def test_a_plan_is_set_with_full_quotas(plane: Plane) -> None:
    assert plane.mock.call(key="sk-test-limited").status_code == 200
    assert plane.mock.call(key="sk-test-limited").status_code == 429
    view = plane.put("accounts/sk-test-limited", {"plan": "free"})
    assert (view["plan"], view["balance"]) == ("free", 1_000_000 - view["charged"])
    answer = plane.mock.call(key="sk-test-limited")
    assert (answer.status_code, answer.headers["x-ratelimit-limit"]) == (200, "10")


@pytest.mark.parametrize(
    ("body", "says"),
    [
        ({}, "name something to change: balance, plan"),
        ({"balance": -1}, "balance: must be an integer >= 0"),
        ({"balance": "1"}, "balance: must be an integer >= 0"),
        ({"balance": 1.5}, "balance: must be an integer >= 0"),
        ({"balance": 10**30}, "balance: must be an integer >= 0 and <= 1e+15, not a longer number"),
        ({"plan": "gold"}, "plan: must be one of none, free, basic, pro, single"),
        ({"plan": None}, "plan: must be a string"),
        ({"fate": "outage"}, "fate: unknown key: allowed are balance, plan"),
    ],
    ids=str,
)
def test_changes_that_cannot_be_made_are_refused(plane: Plane, body: object, says: str) -> None:
    before = plane.get(FREE)
    assert_refused(plane.ask("PUT", FREE, body), 400, "INVALID_MOCK_DIRECTIVE", says=says)
    assert plane.get(FREE) == before


def test_an_unknown_account_is_not_found(plane: Plane) -> None:
    message = assert_refused(plane.ask("PUT", "accounts/sk-secret-thing", {"balance": 1}), 404, "NOT_FOUND")
    assert "secret" not in message


def test_the_ledger_adds_up_to_the_token(plane: Plane) -> None:
    mock = plane.mock
    calls: list[dict[str, Any]] = [
        {"key": key, "test": test, "headers": headers}
        for key in ("sk-test-pro", "sk-test-free", "sk-test-outage", "sk-test-error")
        for test in ("", "one")
        for headers in ({}, {"X-Mock-Fault": "fin"}, {"X-Mock-Fault": "empty"}, {"Prefer": "code=500"})
    ]
    with ThreadPoolExecutor(8) as threads:
        waiting = [threads.submit(mock.call, **call) for call in calls]
    answers = [call.result() for call in waiting if call.exception() is None]
    spent = sum(a.json()["usage"]["total_tokens"] for a in answers if a.status_code == 200 and a.content)
    assert plane.get("requests/wait", count=len(calls))["reached"]
    ledger = plane.get("ledger")
    assert (ledger["charged"], ledger["used"], ledger["reserved"], ledger["in_flight"]) == (spent, spent, 0, 0)
    assert spent == plane.get("requests")["totals"]["charged_tokens"] > 0
    assert ledger["balanced"]
    assert all(row["opening"] - row["charged"] == row["balance"] for row in ledger["accounts"])
    assert {(row["test"], row["key"]) for row in ledger["accounts"]} == {
        (test, key) for test in ("", "one") for key in ("…-pro", "…free", "…tage", "…rror")
    }
    assert {row["test"] for row in plane.get("ledger", test="one")["accounts"]} == {"one"}

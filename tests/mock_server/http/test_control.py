from __future__ import annotations

import json
import threading

import httpx
import pytest

from mock_server.contract.accounts import TEST_KEYS
from mock_server.edge.journal import RING_SIZE
from tests.mock_server.conftest import StartMock
from tests.mock_server.wire import PATH, UNLIMITED, Mock, assert_refused, chat, raw_call

KEYS = [row.key for row in TEST_KEYS]


def test_health_says_what_runs(mock: Mock) -> None:
    first, second = mock.control("health"), mock.control("health")
    assert (first["status"], first["world"], first["seed"], first["time_scale"]) == ("ok", "instant", 0, 1.0)
    assert 0 < first["uptime_s"] < second["uptime_s"]
    assert first["in_flight"] == 0


def test_requests_are_remembered_newest_first(mock: Mock) -> None:
    answers = [mock.call(chat(f"call {n}"), key="sk-test-pro") for n in range(3)]
    seen = mock.control("requests")
    assert [e["request_id"] for e in seen["entries"]] == [a.headers["x-request-id"] for a in reversed(answers)]
    newest, document = seen["entries"][0], answers[-1].json()
    usage = document["usage"]
    assert (newest["provider"], newest["model"]) == (document["provider"], document["model"])
    assert (newest["prompt_tokens"], newest["completion_tokens"]) == (
        usage["prompt_tokens"],
        usage["completion_tokens"],
    )
    assert (newest["charged"], newest["status"], newest["code"]) == (usage["total_tokens"], 200, "")
    assert (newest["key"], newest["stream"], newest["ending"]) == ("…-pro", False, "complete")
    assert [step["result"] for step in newest["attempts"]] == ["ok"]


def test_counters_add_up(mock: Mock) -> None:
    usage = mock.call().json()["usage"]
    mock.call(b"{")
    mock.call(key="wrong")
    mock.call(key="sk-test-outage")
    totals = mock.control("requests")["totals"]
    assert (totals["requests"], totals["in_flight"], totals["abandoned"], totals["dropped_from_ring"]) == (4, 0, 0, 0)
    assert totals["by_status"] == {"200": 1, "400": 1, "401": 1, "502": 1}
    assert totals["by_code"] == {"INVALID_REQUEST": 1, "INVALID_API_KEY": 1, "ALL_PROVIDERS_FAILED": 1}
    assert sum(totals["by_model"].values()) == 1
    assert totals["charged_tokens"] == totals["prompt_tokens"] + totals["completion_tokens"] == usage["total_tokens"]


def test_an_outage_tells_every_attempt(mock: Mock) -> None:
    answer = mock.call(key="sk-test-outage")
    (entry,) = mock.control("requests")["entries"]
    assert [step["result"] for step in entry["attempts"]] == ["error"] * 3
    assert 'attempts;desc="3"' in answer.headers["server-timing"]


def test_a_limit_cuts_the_list_and_nothing_else(mock: Mock) -> None:
    for _ in range(5):
        mock.call(b"{")
    seen = mock.control("requests", limit=2)
    assert (len(seen["entries"]), seen["totals"]["requests"]) == (2, 5)
    assert mock.control("requests", limit=0)["entries"] == []


@pytest.mark.parametrize("limit", ["-1", "x", "1.5", "", "9" * 5_000])
def test_a_limit_that_is_no_number_is_refused_or_ignored(mock: Mock, limit: str) -> None:
    mock.call(b"{")
    answer = mock.http.get("/__mock__/requests", params={"limit": limit})
    assert answer.status_code in (200, 400)
    assert answer.headers["content-type"].startswith("application/json")


def test_the_ring_is_bounded_and_the_counters_are_not(start_mock: StartMock) -> None:
    own, batch = start_mock("--world", "instant"), 250
    pipeline = raw_call(b"{") * batch
    with own.connect() as connection:
        for _ in range(RING_SIZE // batch + 1):
            connection.send(pipeline)
            assert {connection.answer().status for _ in range(batch)} == {400}
    seen = own.control("requests", limit=RING_SIZE * 2)
    totals = seen["totals"]
    assert (len(seen["entries"]), seen["remembered_at_most"]) == (RING_SIZE, RING_SIZE)
    assert (totals["requests"], totals["dropped_from_ring"]) == (RING_SIZE + batch, batch)
    assert totals["by_status"] == {"400": RING_SIZE + batch}


@pytest.mark.parametrize("row", TEST_KEYS, ids=lambda row: row.key)
def test_an_account_shows_its_plan_and_balance_and_only_the_end_of_its_key(mock: Mock, row: object) -> None:
    key = getattr(row, "key", "")
    account = mock.account(key)
    assert account["key"] == "…" + key[-4:]
    assert (account["plan"], account["balance"]) == (getattr(row, "plan", None), getattr(row, "balance", None))
    assert (account["reserved"], account["charged"]) == (0, 0)


@pytest.mark.parametrize("key", ["sk-none", "sk-test-unlimited ", "%00", "密钥", "..%2F..%2Fetc"])
def test_an_unknown_account_is_not_found_and_not_repeated(mock: Mock, key: str) -> None:
    answer = mock.http.get(f"/__mock__/accounts/{key}")
    assert answer.status_code == 404
    document = answer.json()
    assert (document["success"], document["error"]["code"]) == (False, "NOT_FOUND")
    assert key not in answer.text


def test_reset_forgets_limits_balances_and_requests(mock: Mock) -> None:
    mock.call(key="sk-test-limited")
    assert mock.call(key="sk-test-limited").status_code == 429
    assert mock.account("sk-test-limited")["charged"] > 0
    mock.reset()
    assert mock.account("sk-test-limited") == {
        "key": "…ited", "plan": "single", "balance": 1_000_000, "reserved": 0, "charged": 0, "in_flight": 0
    }  # fmt: skip
    assert mock.control("requests")["totals"]["requests"] == 0
    assert mock.control("requests")["entries"] == []
    assert mock.call(key="sk-test-limited").status_code == 200


def test_tests_do_not_see_each_other(mock: Mock) -> None:
    for test in ("one", "two", ""):
        assert mock.call(key="sk-test-limited", test=test).status_code == 200
        assert mock.call(key="sk-test-limited", test=test).status_code == 429
        assert {e["test"] for e in mock.control("requests", test="one")["entries"]} == {"one"}
    assert len(mock.control("requests")["entries"]) == 6
    assert len(mock.control("requests", test="two")["entries"]) == 2
    assert mock.account("sk-test-limited", test="three")["charged"] == 0


def test_reset_of_one_test_leaves_the_others_alone(mock: Mock) -> None:
    for test in ("one", "two", ""):
        mock.call(key="sk-test-limited", test=test)
    mock.reset("one")
    assert mock.call(key="sk-test-limited", test="one").status_code == 200
    assert mock.call(key="sk-test-limited", test="two").status_code == 429
    assert mock.call(key="sk-test-limited").status_code == 429


@pytest.mark.parametrize("kind", [None, "text/plain", "application/x-www-form-urlencoded"])
def test_reset_wants_json_so_that_no_web_page_can_send_it(mock: Mock, kind: str | None) -> None:
    mock.call(key="sk-test-limited")
    answer = mock.http.post("/__mock__/reset", content=b"{}", headers={} if kind is None else {"Content-Type": kind})
    assert answer.status_code == 415
    assert answer.json()["error"]["code"] == "UNSUPPORTED_MEDIA_TYPE"
    assert mock.call(key="sk-test-limited").status_code == 429


def test_a_reset_while_calls_are_in_flight_disturbs_neither(slow_mock: Mock) -> None:
    body = chat(strategy={"models": ["slow/steady"]}, max_tokens=3)
    answers: list[httpx.Response] = []
    thread = threading.Thread(target=lambda: answers.append(slow_mock.call(body, key="sk-test-pro")))
    thread.start()
    while slow_mock.account("sk-test-pro")["in_flight"] == 0:
        assert thread.is_alive()
    slow_mock.reset()
    thread.join()
    assert answers[0].status_code == 200
    account = slow_mock.account("sk-test-pro")
    assert (account["reserved"], account["charged"], account["in_flight"]) == (0, 0, 0)
    assert slow_mock.idle()


def test_no_key_is_ever_shown_or_logged(start_mock: StartMock) -> None:
    own, shown = start_mock("--world", "instant"), ""
    for key in [*KEYS, "sk-secret-of-a-customer"]:
        for body in (chat(f"my key is {key}"), b"{", chat(stream=True)):
            own.call(body, key=key, query=f"?key={key}")
        for answer in (own.http.get(f"/__mock__/accounts/{key}"), own.http.get(f"{PATH}?api_key={key}")):
            shown += f"{answer.headers}{answer.text}"
    shown += json.dumps([own.control("health"), own.control("requests", limit=1_000)])
    _, stdout, stderr = own.stop()
    assert [key for key in [*KEYS, "sk-secret-of-a-customer"] if key in shown + stdout + stderr] == []


def test_the_control_plane_speaks_the_same_envelope(mock: Mock) -> None:
    assert_refused(mock.http.get("/__mock__/nothing"), 404, "NOT_FOUND")
    assert_refused(mock.http.get("/__mock__/accounts/nobody"), 404, "NOT_FOUND", says="no account")


def test_the_openapi_document_is_served_and_shows_where_to_get_keys(mock: Mock) -> None:
    answer = mock.http.get("/openapi.json")
    document = answer.json()
    assert (answer.status_code, document["openapi"]) == (200, "3.1.0")
    assert list(document["paths"]) == [PATH]
    assert UNLIMITED in document["components"]["securitySchemes"]["apiKey"]["description"]
    assert document["paths"][PATH]["post"]["parameters"] == []


def test_the_mocks_own_document_has_its_directives_and_its_control_plane(mock: Mock) -> None:
    own = mock.http.get("/__mock__/openapi.json").json()
    names = {parameter["name"] for parameter in own["paths"][PATH]["post"]["parameters"]}
    assert names == {"Prefer", "X-Mock-Fault", "X-Mock-Test", "__code", "__fault"}
    assert own["paths"]["/__mock__/reset"]["post"]["security"] == []
    assert {"ChatRequest", "Requests"} <= set(own["components"]["schemas"])

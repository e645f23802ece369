"""A test id in the address is the same as one in the header."""

from __future__ import annotations

from typing import Any

import httpx
import pytest

from tests.mock_server.wire import PATH, UNLIMITED, Mock, assert_refused, chat, heads, raw_call


def call(mock: Mock, test: str, key: str = UNLIMITED, header: str = "", **fields: Any) -> httpx.Response:
    return mock.http.post(f"/__test__/{test}{PATH}", json=chat(**fields), headers=heads(key, header))


@pytest.mark.parametrize("stream", [False, True])
def test_a_call_belongs_to_the_test_of_its_address(mock: Mock, stream: bool) -> None:
    by_header = mock.call(chat(stream=stream), test="mine")
    mock.reset()
    by_address = call(mock, "mine", stream=stream)
    assert by_address.text.replace(by_address.headers["x-request-id"], "ID") == by_header.text.replace(
        by_header.headers["x-request-id"], "ID"
    )
    assert mock.call(chat(stream=stream)).text != by_address.text
    assert [entry["test"] for entry in mock.control("requests")["entries"]] == ["", "mine"]


def test_limits_of_tests_are_kept_apart(mock: Mock) -> None:
    statuses = [call(mock, test, "sk-test-limited").status_code for test in ("a", "a", "b")]
    assert statuses == [200, 429, 200]
    assert mock.call(key="sk-test-limited", test="a").status_code == 429
    assert mock.call(key="sk-test-limited").status_code == 200


def test_the_control_plane_is_about_the_test_of_its_address(mock: Mock) -> None:
    mine = f"{mock.url}/__test__/mine/__mock__"
    with httpx.Client() as client:
        assert client.post(f"{mine}/faults", json={"code": 500, "times": 1}).json()["rule"]["match"]["test"] == "mine"
        assert client.put(f"{mine}/accounts/sk-test-pro", json={"balance": 0}).json()["balance"] == 0
        assert mock.call(key="sk-test-pro").status_code == 200
        assert [call(mock, "mine", "sk-test-pro").status_code for _ in range(2)] == [500, 402]
        assert {entry["test"] for entry in client.get(f"{mine}/requests").json()["entries"]} == {"mine"}
        assert client.post(f"{mine}/reset", json={}).json() == {"reset": "mine"}
    assert call(mock, "mine", "sk-test-pro").status_code == 200


@pytest.mark.parametrize("path", ["/openapi.json", "/docs", "/__mock__/openapi.json"])
def test_it_may_stand_before_any_path(mock: Mock, path: str) -> None:
    assert mock.http.get(f"/__test__/mine{path}").content == mock.http.get(path).content


def test_directives_of_the_query_and_path_parameters_work_behind_it(mock: Mock) -> None:
    forced = mock.http.post(f"/__test__/mine{PATH}?__code=429", json=chat(), headers=heads())
    assert_refused(forced, 429, "RATE_LIMIT_EXCEEDED")
    answer = call(mock, "mine")
    route = mock.http.get(f"/__test__/mine/__mock__/requests/{answer.headers['x-request-id']}/route")
    assert route.json()["attempts"][0]["result"] == "ok"
    assert mock.http.get("/__test__/mine/__mock__/providers/openai%2Fgpt-4.1").status_code == 200


def test_any_test_id_can_be_written_in_an_address(mock: Mock) -> None:
    test = "a/b?c#d%e~!"
    answer = mock.http.post(f"/__test__/a%2Fb%3Fc%23d%25e~!{PATH}", json=chat(), headers=heads())
    assert answer.status_code == 200
    assert mock.control("requests/count", test=test) == {"count": 1}


@pytest.mark.parametrize("test", ["t" * 129, "two%20words", "caf%C3%A9", "a%0Ab"])
def test_what_is_no_test_id_is_refused(mock: Mock, test: str) -> None:
    assert_refused(call(mock, test), 400, "INVALID_MOCK_DIRECTIVE", says="X-Mock-Test must be 1 to 128")
    control = mock.http.get(f"/__test__/{test}/__mock__/health")
    assert_refused(control, 400, "INVALID_MOCK_DIRECTIVE", says="X-Mock-Test must be 1 to 128")


def test_address_and_header_must_agree(mock: Mock) -> None:
    assert call(mock, "mine", header="mine").status_code == 200
    assert_refused(call(mock, "mine", header="yours"), 400, "INVALID_MOCK_DIRECTIVE", says="contradict each other")
    health = mock.http.get("/__test__/mine/__mock__/health", headers={"X-Mock-Test": "yours"})
    assert_refused(health, 400, "INVALID_MOCK_DIRECTIVE", says="contradict each other")


@pytest.mark.parametrize(
    "path", ["/__test__", "/__test__/", f"/__test__/{PATH}", "/__test__//docs", "/__test__/mine/nowhere", "/__test__x"]
)
def test_without_an_id_or_with_no_such_path_it_is_not_found(mock: Mock, path: str) -> None:
    assert_refused(mock.http.post(path, json=chat(), headers=heads()), 404, "NOT_FOUND")


def test_calls_of_two_tests_follow_each_other_on_one_connection(mock: Mock) -> None:
    call = raw_call(chat(max_tokens=1))
    with mock.connect() as connection:
        for test in ("", "/__test__/one", "/__test__/two", ""):
            connection.send(call.replace(PATH.encode(), f"{test}{PATH}".encode(), 1))
            assert connection.answer().status == 200
    assert [entry["test"] for entry in mock.control("requests")["entries"]] == ["", "two", "one", ""]

from __future__ import annotations

import asyncio
import threading
import time
from typing import Any

import pytest

from mock_server.edge.journal import Journal, Record
from mock_server.http.control import journal as journal_questions
from mock_server.http.control.journal import RequestFilter, Waiter
from tests.mock_server.control.conftest import Plane
from tests.mock_server.http.test_isolation import all_of, control, of
from tests.mock_server.http.test_protocol import a_call, instant_mock
from tests.mock_server.served import Served
from tests.mock_server.wire import assert_refused, chat


@pytest.mark.parametrize(
    ("wanted", "found"),
    [
        ({}, "abcdef"),
        ({"key": "sk-test-pro"}, "ab"),
        ({"key": "sk-test-limited"}, "c"),
        ({"key": "…ited"}, "cf"),
        ({"test": "one"}, "e"),
        ({"status": 200}, "abcef"),
        ({"status": 401}, "d"),
        ({"code": "INVALID_API_KEY"}, "d"),
        ({"provider": "openai"}, "a"),
        ({"model": "gpt-4.1"}, "a"),
        ({"model": "openai/gpt-4.1"}, "a"),
        ({"stream": True}, "b"),
        ({"stream": False, "key": "sk-test-pro"}, "a"),
        ({"fault": "delay"}, "f"),
        ({"fault": "delay;stage=before_headers"}, "f"),
        ({"ending": "fault"}, ""),
        ({"ending": "complete", "test": "one"}, "e"),
    ],
    ids=str,
)
def test_requests_are_found_by_what_they_were(plane: Plane, wanted: dict[str, Any], found: str) -> None:
    mock, others = plane.mock, {"strategy": {"providers": {"ignore": ["openai"]}}}
    mock.call(chat("a", strategy={"models": ["gpt-4.1"]}), key="sk-test-pro")
    mock.call(chat("b", stream=True, **others), key="sk-test-pro")
    mock.call(chat("c", **others), key="sk-test-limited")
    mock.call(chat("d", **others), key="sk-unknown")
    mock.call(chat("e", **others), test="one", key="sk-test-free")
    last = mock.call(chat("f", **others), headers={"X-Mock-Fault": "delay;for=0"})
    assert plane.get("requests/wait", count=6)["reached"]
    ids = [entry["request_id"] for entry in reversed(plane.get("requests")["entries"])]
    assert ids[-1] == last.headers["x-request-id"]
    answer = plane.get("requests", **{k: str(v).lower() if v in (True, False) else v for k, v in wanted.items()})
    assert "".join("abcdef"[ids.index(entry["request_id"])] for entry in reversed(answer["entries"])) == found
    count = plane.get("requests/count", **{k: str(v).lower() if v in (True, False) else v for k, v in wanted.items()})
    assert count == {"count": len(found)}
    assert answer["matching"] == len(found)


@pytest.mark.parametrize(
    ("path", "params", "says"),
    [
        ("requests", {"limit": "-1"}, "limit: must be an integer >= 0"),
        ("requests", {"limit": ""}, "limit: must be an integer"),
        ("requests", {"limit": "9" * 5_000}, "limit: must be an integer"),
        ("requests", {"status": "2xx"}, "status: must be an integer >= 0 and <= 599, not '2xx'"),
        ("requests", {"status": "600"}, "status"),
        ("requests", {"stream": "yes"}, "stream: must be true or false, not 'yes'"),
        ("requests", {"statsu": "200"}, "statsu: unknown key: did you mean 'status'? allowed are key, test, status"),
        ("requests/count", {"limit": "5"}, "limit: unknown key"),
        ("requests/wait", {"count": "0.5"}, "count: must be an integer"),
        ("requests/wait", {"count": "10001"}, "count: must be an integer >= 0 and <= 10000"),
        (
            "requests/wait",
            {"count": "1001", "test": "t"},
            "count: at most 1,000 calls of a test id are remembered, not",
        ),
        ("requests/wait", {"timeout": "301"}, "timeout: must be a number >= 0 and <= 300"),
        ("requests/wait", {"timeout": "nan"}, "timeout: must be a number"),
        ("requests", {"key": "sk-nobody-has-this"}, "no account has this key"),
        ("requests", {"status": "418"}, "status: no answer has 418; there are 200, 400, 401, 402"),
        ("requests/count", {"status": "503"}, "no answer has 503"),
        ("requests", {"code": "RATE_LIMITED"}, "did you mean 'RATE_LIMIT_EXCEEDED'? there are INVALID_REQUEST, "),
        ("requests", {"provider": "opnai"}, "provider: nothing here is 'opnai': did you mean 'openai'? there are "),
        ("requests/wait", {"model": "gpt-4.2"}, "model: nothing here is 'gpt-4.2': did you mean 'gpt-4.1'? there are "),
        ("requests", {"model": "groq/gpt-5"}, "model: nothing here is 'groq/gpt-5'"),
        ("requests", {"fault": "rest"}, "fault: nothing here is 'rest': did you mean 'reset'? there are reset, fin"),
        ("requests", {"fault": "eof;stage=before_headers"}, "fault: nothing here is 'eof;stage=before_headers'"),
        ("requests", {"fault": "code=418"}, "fault: nothing here is 'code=418'"),
        ("requests", {"fault": "reset;stage=mid_stream;boom=1"}, "fault: nothing here is"),
        ("requests", {"ending": "completed"}, "ending: must be one of abandoned, complete, fault, not 'completed'"),
        ("clock", {"now": "1"}, "no query parameters are known here, but 'now' is given"),
    ],
)
def test_parameters_that_cannot_be_understood_are_refused(
    plane: Plane, path: str, params: dict[str, str], says: str
) -> None:
    message = assert_refused(plane.ask("GET", path, **params), 400, "INVALID_MOCK_DIRECTIVE", says=says)
    assert "nobody" not in message


@pytest.mark.parametrize(
    "wanted",
    [
        *({"status": status} for status in (0, 200, 404, 413, 502)),
        *(
            {"fault": text}
            for text in ("re", "reset", "delay;stage=before_headers;for=3", "code=502", "code", "framing=")
        ),
        {"fault": "reset;stage=mid_stream;after=3;framing=crlf"},
        {"fault": "reset;stage=mid"},
        {"model": "openai/gpt-4.1"},
    ],
    ids=str,
)
def test_what_could_occur_may_be_asked_for(plane: Plane, wanted: dict[str, Any]) -> None:
    assert plane.get("requests/count", **wanted) == {"count": 0}


@pytest.mark.parametrize(
    "wanted",
    [
        {"model": "openai/gemini-2.5-pro"},
        {"provider": "google", "model": "gpt-4.1-mini"},
        {"key": "…zzzz"},
        {"stream": "false", "fault": "eof"},
        {"stream": "true", "fault": "empty"},
        {"stream": "false", "fault": "framing=crlf"},
    ],
    ids=str,
)
def test_what_could_not_occur_together_is_refused(plane: Plane, wanted: dict[str, Any]) -> None:
    assert_refused(plane.ask("GET", "requests/count", **wanted), 400, "INVALID_MOCK_DIRECTIVE")


def test_names_that_only_a_canned_answer_has_may_be_asked_for(plane: Plane) -> None:
    reply = {"text": "a", "provider": "us", "model": "own-1"}
    assert_refused(plane.ask("GET", "requests/count", provider="us"), 400, "INVALID_MOCK_DIRECTIVE")
    plane.post("answers", {"replies": [reply]})
    assert plane.get("requests/count", provider="us") == {"count": 0}
    plane.mock.call()
    plane.delete("answers")
    for wanted in ({"provider": "us"}, {"model": "own-1"}, {"model": "us/own-1"}):
        assert plane.get("requests/count", **wanted) == {"count": 1}


def test_a_question_about_a_test_looks_at_its_own_entries_only(monkeypatch: pytest.MonkeyPatch) -> None:
    served, looked_at = Served(instant_mock()), list[Record]()

    def look(record: Record) -> bool:
        looked_at.append(record)
        return True

    monkeypatch.setattr(journal_questions, "matcher", lambda _wanted: look)
    asks = [of("mine", control("GET", f"requests{path}")) for path in ("", "/count", "/wait?count=2")]
    all_of(served, *[a_call()] * 5, *[of("other", a_call())] * 5, *[of("mine", a_call())] * 2, *asks)
    assert [record.entry.test for record in looked_at] == ["mine"] * 6


def test_a_parameter_given_twice_or_against_the_header_is_refused(plane: Plane) -> None:
    twice = plane.mock.http.get("/__mock__/requests?status=200&status=401")
    assert_refused(twice, 400, "INVALID_MOCK_DIRECTIVE", says="?status= is given twice")
    against = plane.mock.http.get("/__mock__/requests?test=a", headers={"X-Mock-Test": "b"})
    assert_refused(against, 400, "INVALID_MOCK_DIRECTIVE", says="X-Mock-Test and ?test= contradict each other")
    assert plane.get("requests/count", test="a") == {"count": 0}
    impossible = plane.mock.http.get("/__mock__/requests?test=two+words")
    assert_refused(impossible, 400, "INVALID_MOCK_DIRECTIVE", says="test: X-Mock-Test must be 1 to 128 visible")


def test_waiting_ends_with_the_request_that_was_waited_for(slow_plane: Plane) -> None:
    mock = slow_plane.mock
    mock.call(chat("before"), test="mine")
    body = chat(strategy={"models": ["slow/steady"]}, max_tokens=1)
    threads = [threading.Thread(target=mock.call, args=(body,), kwargs={"test": name}) for name in ("mine", "other")]
    began = time.monotonic()
    for thread in threads:
        thread.start()
    waited = slow_plane.get("requests/wait", test="mine", count=2, timeout=20, status=200)
    took = time.monotonic() - began
    for thread in threads:
        thread.join()
    assert waited == {"count": 2, "reached": True}
    assert 0.29 < took < 5.0  # the answer was planned for 300 ms


def test_waiting_ends_with_its_timeout(plane: Plane) -> None:
    plane.mock.call()
    began = time.monotonic()
    assert plane.get("requests/wait", count=2, timeout="0.2") == {"count": 1, "reached": False}
    assert 0.19 < time.monotonic() - began < 5.0
    assert plane.get("requests/wait", count=0, timeout=0) == {"count": 1, "reached": True}


def test_waiting_goes_by_the_wall_clock(plane: Plane) -> None:
    plane.post("clock", {"freeze": True})
    assert plane.get("requests/wait", timeout="0.05") == {"count": 0, "reached": False}


def test_a_reset_makes_those_who_wait_count_anew(plane: Plane) -> None:
    mock, found = plane.mock, list[Any]()
    mock.call()
    thread = threading.Thread(target=lambda: found.append(plane.get("requests/wait", count=2, timeout=20)))
    thread.start()
    while "mock_in_flight" not in mock.http.get("/__mock__/metrics").text:
        assert thread.is_alive()
    mock.reset()
    mock.call()
    mock.call()
    thread.join()
    assert found == [{"count": 2, "reached": True}]


def test_a_wait_that_is_over_already_is_recounted_without_a_word() -> None:
    async def recount() -> int:
        journal = Journal()
        waiter = Waiter(journal, RequestFilter(), 0)
        journal.watchers.add(waiter)
        journal.clear(None)
        await waiter.reached
        return waiter.count

    assert asyncio.run(recount()) == 0


def test_what_no_path_or_method_takes_is_in_the_journal_with_its_test_id(plane: Plane) -> None:
    mine = {"X-Mock-Test": "mine"}
    answers = [
        plane.mock.http.get("/v1/llm/autoo", headers=mine),
        plane.mock.http.post("/docs", headers=mine),
        plane.mock.http.get("/v1/llm/auto", headers=mine),
        plane.mock.http.get("/v1/llm/auto", headers=mine | {"X-Mock-Test": "a b"}),
    ]
    assert [answer.status_code for answer in answers] == [404, 405, 405, 405]
    entries = plane.get("requests", test="mine")["entries"]
    assert [entry["request_id"] for entry in entries] == [a.headers["x-request-id"] for a in reversed(answers[:3])]
    assert [(e["status"], e["code"], e["ending"]) for e in entries] == [
        (405, "METHOD_NOT_ALLOWED", "complete"),
        (405, "METHOD_NOT_ALLOWED", "complete"),
        (404, "NOT_FOUND", "complete"),
    ]
    plane.ask("GET", "nowhere", test="mine")
    assert plane.get("requests/count", test="mine") == {"count": 3}  # the control plane is no part of the API


def test_the_route_tells_every_attempt_and_why(plane: Plane) -> None:
    answer = plane.mock.call(chat(strategy={"mode": "cost"}), key="sk-test-outage")
    route = plane.get(f"requests/{answer.headers['x-request-id']}/route")
    assert (route["mode"], route["task"], route["passed_over"]) == ("cost", "chat", [])
    assert [a["rank"] for a in route["attempts"]] == [1, 2, 3]
    assert [f"{a['provider']}/{a['model']}" for a in route["attempts"]] == route["ranking"][:3]
    prices = [a["price_usd_per_1m"] for a in route["attempts"]]
    assert prices == sorted(prices)
    first = route["attempts"][0]
    assert (first["result"], first["prompt_tokens"], first["completion_tokens"]) == ("error", 0, 0)
    assert first["why"].startswith("place 1 of ")
    assert "USD per million tokens; healthy" in first["why"]


def test_the_route_tells_time_and_tokens(slow_plane: Plane) -> None:
    body = chat(strategy={"models": ["slow/steady"]}, max_tokens=1)
    answer = slow_plane.mock.call(body)
    assert slow_plane.get("requests/wait")["reached"]
    (attempt,) = slow_plane.get(f"requests/{answer.headers['x-request-id']}/route")["attempts"]
    usage = answer.json()["usage"]
    assert (attempt["result"], attempt["healthy"], attempt["rank"]) == ("ok", True, 1)
    assert attempt["ms"] == pytest.approx(300, abs=1)
    assert (attempt["prompt_tokens"], attempt["completion_tokens"]) == (
        usage["prompt_tokens"],
        usage["completion_tokens"],
    )


def test_the_route_tells_who_was_passed_over_and_who_was_known_to_fail(plane: Plane) -> None:
    mock = plane.mock
    best = mock.call(chat(strategy={"mode": "quality"})).json()
    plane.put(f"providers/{best['provider']}", {"breaker": "open"})
    other = mock.call(chat(strategy={"mode": "quality", "providers": {"only": [best["provider"], "groq"]}}))
    route = plane.get(f"requests/{other.headers['x-request-id']}/route")
    assert other.json()["provider"] == "groq"
    assert route["ranking"][-1].startswith(best["provider"])
    alone = mock.call(chat(strategy={"providers": {"only": [best["provider"]]}}))
    assert_refused(alone, 502, "ALL_PROVIDERS_FAILED")


def test_a_call_without_a_route_has_none_and_an_unknown_one_is_not_found(plane: Plane) -> None:
    refused = plane.mock.call(b"{")
    assert plane.get(f"requests/{refused.headers['x-request-id']}/route")["attempts"] == []
    assert_refused(plane.ask("GET", "requests/req_0000000/route"), 404, "NOT_FOUND", says="no finished request")

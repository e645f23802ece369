"""What else matters of faults: what may be asked, what they leave standing, and what it costs."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from mock_server.contract.tokens import estimate
from tests.mock_server.conftest import StartMock
from tests.mock_server.http.conftest import SCALE
from tests.mock_server.tape import Planned, send_call, tape_of
from tests.mock_server.wire import EARLY_MS, Mock, assert_refused, chat, eventually, heads, raw_call

KEY = "sk-test-pro"
STEADY: dict[str, Any] = {"strategy": {"models": ["slow/steady"]}, "max_tokens": 12}


# Why a directive is impossible is decided in `core.faults`, and tested there: one of each way to be wrong.
IMPOSSIBLE = (
    ("boom", True, "unknown fault kind 'boom'; allowed are reset, fin, eof"),
    ("eof;stage=before_headers", True, "it can at before_first_token, mid_stream, before_usage, before_done"),
    ("reset;stage=soon", True, "allowed are before_headers, before_first_token, mid_stream"),
    ("reset;after=0", True, "after= must be a whole number from 1"),
    ("stall;for=-1", True, "for= must be a number of seconds from 0 to 86400"),
    ("delay", True, "delay needs for=SECONDS"),
    ("framing=upside_down", True, "allowed are comments, crlf, coalesced"),
    ("empty", True, "empty cannot strike a stream"),
    ("eof", False, "eof cannot strike a plain answer"),
    ("reset;after=2", False, "it can at before_headers, before_first_token"),
    ("framing=crlf", False, "framing= is about streams"),
)


def test_an_impossible_directive_is_refused_with_what_is_allowed(steady_mock: Mock) -> None:
    for fault, stream, says in IMPOSSIBLE:
        query = f"?__fault={fault.replace(';', '%3B')}"
        for how in ({"headers": {"X-Mock-Fault": fault}}, {"query": query}):
            answer = steady_mock.call(chat(stream=stream), **how)
            assert_refused(answer, 400, "INVALID_MOCK_DIRECTIVE", says=says)


def test_an_empty_fault_in_the_query_is_refused(steady_mock: Mock) -> None:
    assert_refused(steady_mock.call(query="?__fault="), 400, "INVALID_MOCK_DIRECTIVE", says="unknown fault kind ''")


@pytest.mark.parametrize(
    ("query", "headers"),
    [
        ("?__fault=reset", {"X-Mock-Fault": "fin"}),
        ("?__fault=reset&__fault=fin", {}),
        ("?__fault=reset&__code=502", {}),
        ("", {"X-Mock-Fault": "reset", "Prefer": "code=502"}),
        ("?__code=502", {"X-Mock-Fault": "reset"}),
    ],
)
def test_directives_that_contradict_each_other_are_refused(
    steady_mock: Mock, query: str, headers: dict[str, str]
) -> None:
    answer = steady_mock.call(query=query, headers=headers)
    assert_refused(answer, 400, "INVALID_MOCK_DIRECTIVE", says="contradict each other")


def test_the_same_fault_twice_is_no_contradiction(steady_mock: Mock) -> None:
    answer = steady_mock.call(query="?__fault=empty", headers={"X-Mock-Fault": "empty"})
    assert (answer.status_code, answer.content) == (200, b"")


@pytest.mark.parametrize(
    ("key", "body", "status"),
    [
        ("sk-test-empty", chat(), 402),
        ("wrong", chat(), 401),
        ("sk-test-error", chat(), 500),
        (KEY, chat(strategy={"models": ["none"]}), 400),
        (KEY, b"{}", 400),
    ],
    ids=["402", "401", "500", "no-model", "no-messages"],
)
def test_a_call_that_is_refused_anyway_is_not_struck(
    steady_mock: Mock, test: str, key: str, body: Any, status: int
) -> None:
    for fault in ("reset", "reset;stage=before_first_token", "wrong_type", "stall"):
        answer = steady_mock.call(body, key=key, test=test, headers={"X-Mock-Fault": fault})
        assert (answer.status_code, answer.json()["success"]) == (status, False), fault


@pytest.mark.parametrize("fault", ["wrong_type", "reset;stage=before_first_token", "empty"])
def test_an_answer_that_never_comes_about_is_not_struck(steady_mock: Mock, test: str, fault: str) -> None:
    answer = steady_mock.call(key="sk-test-outage", test=test, headers={"X-Mock-Fault": fault})
    assert_refused(answer, 502, "ALL_PROVIDERS_FAILED")


@pytest.mark.parametrize(
    ("fault", "stage_at"),
    [
        ("stall", 0),
        ("stall;stage=before_first_token", 1),
        ("stall;after=2", 3),
        ("stall;stage=before_done", 14),
        ("done_then_hang", 15),
    ],
)
def test_a_stall_lasts_until_the_client_leaves(steady_mock: Mock, test: str, fault: str, stage_at: int) -> None:
    with steady_mock.connect() as connection:
        send_call(connection, chat(**STEADY, stream=True), **heads(KEY, test), **{"X-Mock-Fault": fault})
        received = b""
        while received.count(b"data: ") < stage_at:
            received += connection.socket.recv(65_536)
        connection.socket.settimeout(4 * SCALE)
        with pytest.raises(TimeoutError):
            received += connection.socket.recv(65_536)
        assert received.count(b"data: ") == stage_at
        assert steady_mock.control("health")["in_flight"] == 1
    eventually(lambda: bool(steady_mock.control("requests", test=test)["entries"]))
    (entry,) = steady_mock.control("requests", test=test)["entries"]
    assert (entry["ending"], entry["fault"].partition(";")[0]) == ("fault", fault.partition(";")[0])


@pytest.mark.parametrize("fault", ["eof", "error_event;after=2", "garbage_event", "eof;stage=before_done"])
def test_a_connection_whose_stream_ended_cleanly_serves_the_next_call(steady_mock: Mock, test: str, fault: str) -> None:
    with steady_mock.connect() as connection:
        for _ in range(3):
            tape = tape_of(connection, chat(**STEADY, stream=True), key=KEY, test=test, fault=fault)
            assert (tape.ending, tape.last_chunk) == ("complete", True)
            assert all(data != "[DONE]" for data, _ in tape.events)
        connection.send(raw_call(chat(**STEADY)))
        assert connection.answer().status == 200


@pytest.mark.parametrize("fault", ["empty", "malformed_json", "wrong_type", "dribble;for=1", "delay;for=1"])
def test_a_connection_whose_answer_was_only_spoiled_serves_the_next_call(
    steady_mock: Mock, test: str, fault: str
) -> None:
    with steady_mock.connect() as connection:
        for _ in range(2):
            assert tape_of(connection, chat(**STEADY), key=KEY, test=test, fault=fault).ending == "complete"
        connection.send(raw_call(chat(**STEADY)))
        assert connection.answer().status == 200


def test_a_fault_strikes_one_call_and_not_those_beside_it(steady_mock: Mock, test: str) -> None:
    body = chat(**STEADY, stream=True)
    with steady_mock.connect() as struck, steady_mock.connect() as other:
        first = send_call(struck, body, **heads(KEY, test), **{"X-Mock-Fault": "reset;after=1"})
        second = send_call(other, body, **heads(KEY, test))
        assert first.record().ending == "reset"
        assert second.record().events[-1][0] == "[DONE]"


def test_a_delayed_stream_has_every_piece_as_far_behind_its_time(
    steady_mock: Mock, test: str, plan: Callable[..., Planned]
) -> None:
    body = chat(**STEADY, stream=True)
    expected = plan(body, key=KEY, test=test)
    with steady_mock.connect() as connection:
        tape = tape_of(connection, body, key=KEY, test=test, fault="delay;after=2;for=4")
    late = [at - due for (_, at), (_, due) in zip(tape.events[1:-2], expected.pieces, strict=True)]
    assert min(late[2:]) >= 4 * SCALE - EARLY_MS / 1e3
    assert max(late[:2]) < min(late[2:])


FAILOVER = """
extends = "instant"
[[incidents]]
kind = "outage"
match = "openai"

[[faults]]
match = {{ {match} }}
{strike}
"""


@pytest.mark.parametrize(
    ("match", "strike", "status", "size"),
    [
        ('provider = "groq"', 'fault = "empty"', 200, 0),
        ('model = "llama-3.3-70b"', 'fault = "empty"', 200, 0),
        ('model = "groq/llama-3.3-70b", text = "hell"', 'fault = "empty"', 200, 0),
        ('provider = "groq"', "code = 500", 500, None),
        ('provider = "openai"', "code = 500", 200, None),
        ('model = "gpt-4.1"', 'fault = "empty"', 200, None),
        ('provider = "groq", stream = true', "code = 500", 200, None),
    ],
)
def test_a_fault_of_a_provider_strikes_who_answers_after_failover(
    start_mock: StartMock, tmp_path: Path, match: str, strike: str, status: int, size: int | None
) -> None:
    world = tmp_path / "world.toml"
    world.write_text(FAILOVER.format(match=match, strike=strike))
    mock = start_mock("--world", str(world))
    strategy = {"mode": "quality", "models": ["openai/gpt-4.1", "groq/llama-3.3-70b"]}
    answer = mock.call(chat(strategy=strategy), key=KEY)
    assert (answer.status_code, len(answer.content) if size == 0 else None) == (status, size)
    (entry,) = mock.control("requests")["entries"]
    assert entry["attempts"][0]["provider"] == "openai"
    struck = size == 0 or status == 500
    charged = 0 if struck else answer.json()["usage"]["total_tokens"]
    account = mock.account(KEY)
    assert (account["charged"], account["reserved"], entry["charged"]) == (charged, 0, charged)


def test_a_request_directive_comes_before_the_worlds_faults(start_mock: StartMock, tmp_path: Path) -> None:
    world = tmp_path / "world.toml"
    world.write_text('extends = "instant"\n[[faults]]\ncode = 429\ntimes = 1\n[[faults]]\ncode = 500\n')
    mock = start_mock("--world", str(world))
    assert mock.call().status_code == 429
    assert mock.call(headers={"X-Mock-Fault": "empty"}).content == b""
    assert mock.call(headers={"Prefer": "code=502"}).status_code == 502


def test_a_client_that_leaves_during_a_delay_pays_for_what_was_sent(
    steady_mock: Mock, test: str, plan: Callable[..., Planned]
) -> None:
    body = chat(**STEADY, stream=True)
    expected = plan(body, key=KEY, test=test)
    with steady_mock.connect() as connection:
        send_call(connection, body, **heads(KEY, test), **{"X-Mock-Fault": "delay;stage=before_usage;for=10000"})
        received = b""
        while received.count(b"data: ") < len(expected.pieces) + 1:
            received += connection.socket.recv(65_536)
    eventually(lambda: bool(steady_mock.control("requests", test=test)["entries"]))
    (entry,) = steady_mock.control("requests", test=test)["entries"]
    assert entry["ending"] == "abandoned"
    assert entry["charged"] == expected.usage["prompt_tokens"] + estimate(expected.text)

"""A client that does all right passes every rule, and one that does one thing wrong is blamed for that alone."""

from __future__ import annotations

import sys
import threading
from collections.abc import Iterator
from concurrent.futures import Future, ThreadPoolExecutor

import pytest

from mock_server.judge.finding import Result
from mock_server.judge.manners import P99_CALLS
from mock_server.judge.rules import BY_NAME
from tests.mock_server.conftest import running
from tests.mock_server.wire import Mock
from tests.zoo.conduct import CONDUCT
from tests.zoo.playing import TIMEOUT_S, WITHIN_S, WORLD, Played, Scene, attest, play, ruled
from zoo.programs import ROOT

START_AT_ONCE = 2
PLAYS = 10
SERVER_ERROR = {"code": 500}
SHORT = {"code": 429, "headers": {"Retry-After": "1"}}
LATE = {"replies": [{"text": "late", "delay_s": 1.5}]}


def several(count: int, **more: object) -> tuple[Scene, ...]:
    return tuple(Scene(f"call {number}", **more) for number in range(count))  # type: ignore[arg-type] # names of fields


SCENES: dict[str, tuple[Scene, ...]] = {
    "good": (
        *several(P99_CALLS),
        *(Scene(str(code), strikes={"code": code}) for code in (400, 401, 402, 500, 502)),
        *(Scene(f"outage {number}", strikes=SERVER_ERROR) for number in range(5)),
        Scene("short", strikes=SHORT),
        Scene("long", strikes={"code": 429, "headers": {"Retry-After": "60"}}),
        Scene("reset", strikes={"fault": "reset"}),
        Scene("cut body", strikes={"fault": "truncated_json"}),
        Scene("first token", "stream", {"fault": "reset;stage=mid_stream;after=3"}),
        Scene("error event", "stream", {"fault": "error_event;after=3"}),
        Scene("clean end", "stream", {"fault": "eof;after=3"}),
        *(Scene(framing, "stream", {"fault": f"framing={framing}"}) for framing in ("multiline", "retry_lines")),
        Scene("slow", "slow"),
        Scene("silence", strikes={"fault": "stall"}),
    ),
    "non_retryable_retried": (Scene("400", strikes={"code": 400}),),
    "retry_after_ignored": (Scene("short", strikes=SHORT),),
    "no_backoff": (Scene("down", strikes=SERVER_ERROR, times=5),),
    "no_jitter": several(4, strikes=SERVER_ERROR),
    "retry_storm": (Scene("down", strikes=SERVER_ERROR, times=12),),
    "gave_up_early": several(2, strikes=SERVER_ERROR),
    "retried_after_first_token": (Scene("first token", "stream", {"fault": "reset;stage=mid_stream;after=3"}),),
    "error_event_accepted": (Scene("error event", "stream", {"fault": "error_event;after=3"}),),
    "truncated_stream_accepted": (Scene("clean end", "stream", {"fault": "eof;after=3"}),),
    "slow_stream_abandoned": (Scene("slow", "slow"),),
    "no_read_timeout": (
        Scene("good"),
        Scene("silence", strikes={"fault": "stall"}),
    ),
    "duplicate_charge": (Scene("late", strikes=LATE),),
    "timeout_below_p99": (Scene("late", strikes=LATE),),
    "idempotency_key_misused": several(2),
    "key_outside_header": several(1),
    "wrong_content_type": several(1),
    "connection_per_request": several(5),
    "unknown_event_rejected": (Scene("comments", "stream", {"fault": "framing=comments"}),),
}
BESIDES = {"duplicate_charge": {"timeout_below_p99": "WARN"}}
"""What cannot be done wrong without another thing."""


@pytest.fixture(scope="module")
def conduct_mock(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Mock]:
    path = tmp_path_factory.mktemp("conduct") / "conduct.toml"
    path.write_text(WORLD, encoding="utf-8")
    with running("--world", str(path)) as mock:
        yield mock


def run(mock: Mock, name: str, test: str, starting: threading.Semaphore) -> Played:
    """What a client did under a test id."""
    command = [sys.executable, "-m", "tests.zoo.conduct", name]
    patience_s = 2 * TIMEOUT_S if name == "no_read_timeout" else WITHIN_S
    return play(mock, test, command, SCENES[name], starting, ROOT.parent, patience_s)


@pytest.fixture(scope="module")
def plays(conduct_mock: Mock) -> Iterator[dict[str, Future[Played]]]:
    """What every client did; they wait most of the time."""
    starting = threading.Semaphore(START_AT_ONCE)
    with ThreadPoolExecutor(len(CONDUCT)) as pool:
        yield {name: pool.submit(run, conduct_mock, name, name, starting) for name in CONDUCT if name != "no_jitter"}


def test_there_is_a_client_that_breaks_each_rule() -> None:
    assert set(CONDUCT) == set(SCENES) == {"good", *BY_NAME}


def test_the_good_client_passes_every_rule_and_who_breaks_one_is_blamed_for_that_alone(
    plays: dict[str, Future[Played]], conduct_mock: Mock, subtests: pytest.Subtests
) -> None:
    """All in one test, so that tests that run side by side share what the clients did."""
    for name, play_of in plays.items():
        with subtests.test(client=name):
            played = play_of.result()
            if played.waiting:
                attest(conduct_mock, played.entries["silence"][-1], "killed")
            if name == "good":
                assert ruled(conduct_mock, name) == dict.fromkeys(BY_NAME, "PASS")
            else:
                worst = "WARN" if BY_NAME[name].warns else "FAIL"
                assert blamed(conduct_mock, name) == {name: worst} | BESIDES.get(name, {})


def blamed(mock: Mock, test: str) -> dict[str, Result]:
    return {name: result for name, result in ruled(mock, test).items() if result in ("WARN", "FAIL")}


def test_waits_without_jitter_are_seen_to_be_the_same(conduct_mock: Mock) -> None:
    for number in range(PLAYS):  # of a busy machine, that makes them differ
        run(conduct_mock, "no_jitter", f"no_jitter.{number}", threading.Semaphore())
        if blamed(conduct_mock, f"no_jitter.{number}") == {"no_jitter": "WARN"}:
            return
    pytest.fail("the waits differed each time")

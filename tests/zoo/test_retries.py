"""Real clients send again what the documentation says, and the verdict on each is what its behaviour deserves."""

from __future__ import annotations

import subprocess
import threading
from collections.abc import Iterator, Sequence
from concurrent.futures import Future, ThreadPoolExecutor
from contextlib import suppress
from itertools import pairwise
from typing import NamedTuple, get_args

import pytest

from mock_server.edge.journal import Entry
from mock_server.judge.calls import over_s
from mock_server.judge.finding import Result, worst
from mock_server.judge.rules import BY_NAME
from mock_server.page.snippets import snippets
from tests.mock_server.conftest import running
from tests.mock_server.wire import UNLIMITED, Mock
from tests.zoo.playing import (
    PATIENCE_S,
    WITHIN_S,
    WORLD,
    Played,
    Scene,
    attest,
    entries,
    outwait,
    play,
    post,
    ruled,
    started,
)
from zoo.programs import ROOT
from zoo.retries import Failure, Retrier, retriers

START_AT_ONCE = 2
AT_ONCE_CALLS = 10
"""Of a client that comes back at once so many calls must fail for one to be seen to, on a busy machine."""
EXAMPLE_S = 6.0
"""So long the example waits for nothing."""
EARLY_S, LATE_S = 0.05, 2.0
"""Timers and two ways of measuring may make so much of a wait vanish, and a busy machine add so much."""
QUICK_S = 0.02
"""No wait of a client's own is so short: three of these are what no_backoff FAILs."""
SHORT_S, LONG_S = 2, 130
ASKED_AGAIN = {"X-Should-Retry": "true"}
NOT_ASKED_AGAIN = {"X-Should-Retry": "false"}
RETRIERS = [retrier for retrier in retriers() if retrier.program]
(EXAMPLE,) = (retrier for retrier in retriers() if not retrier.program)
FAILURES: tuple[Failure, ...] = get_args(Failure)


def id_of(retrier: Retrier) -> str:
    """The test id under which a client is judged."""
    return f"{retrier.environment}.{retrier.program}"


def plan(retrier: Retrier) -> tuple[Scene, ...]:
    """What a client meets, one call after the other. Whether it waits for long is seen at the end."""
    told = (
        Scene("told to", strikes={"code": 400, "headers": ASKED_AGAIN}),
        Scene("told not to", strikes={"code": 500, "headers": NOT_ASKED_AGAIN}),
    )
    down = {"code": 500} if "reset" not in retrier.again else {"fault": "reset"}
    return (
        Scene("good"),
        Scene("400", strikes={"code": 400}),
        Scene("401", strikes={"code": 401}),
        Scene("402", strikes={"code": 402}),
        Scene("429", strikes={"code": 429, "headers": {"Retry-After": str(SHORT_S)}}),
        Scene("500", strikes={"code": 500}),
        Scene("502", strikes={"code": 502}),
        Scene("reset", strikes={"fault": "reset"}),
        Scene("outage", strikes={"code": 502}),
        Scene("down", strikes=down, times=retrier.failures),
        *(Scene(f"down {number}", strikes=down, times=4) for number in range(AT_ONCE_CALLS) if retrier.at_once),
        *(told if retrier.counts else ()),
        Scene("cut body", strikes={"fault": "truncated_json"}),
        Scene("good stream", "stream"),
        Scene("first token", "stream", {"fault": "reset;stage=mid_stream;after=3"}),
        Scene("error event", "stream", {"fault": "error_event;after=3"}),
        Scene("clean end", "stream", {"fault": "eof;after=3"}),
        *(Scene(framing, "stream", {"fault": f"framing={framing}"}) for framing in ("comments", "retry_lines")),
        Scene("slow", "slow"),
        Scene("silence", strikes={"fault": "stall"}),
        Scene("long", strikes={"code": 429, "headers": {"Retry-After": str(LONG_S)}}),
    )


PLAIN = [scene for scene in plan(EXAMPLE) if scene.kind == "plain" and scene.name != "down"]
REFUSED = ["400", "401", "402", "429", "500", "502", "outage", "long"]


class Example(NamedTuple):
    """How often the mock was asked, how the example exited and what it printed; neither where it had to be stopped."""

    tries: int
    exit_code: int | None = None
    printed: str = ""


@pytest.fixture(scope="module")
def retries_mock(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Mock]:
    path = tmp_path_factory.mktemp("retries") / "retries.toml"
    path.write_text(WORLD, encoding="utf-8")
    with running("--world", str(path)) as mock:
        yield mock


@pytest.fixture(scope="module")
def examples(retries_mock: Mock) -> Iterator[dict[str, Future[Example]]]:
    """What the documentation's example did, by scene."""
    with ThreadPoolExecutor(1) as pool:
        yield {scene.name: pool.submit(run_example, retries_mock, scene) for scene in PLAIN if EXAMPLE.lacks() is None}


def run(mock: Mock, retrier: Retrier, starting: threading.Semaphore) -> Played:
    """What a client did. Only of one that is said to wait at the end is it asked for how long."""
    patience_s = PATIENCE_S if retrier.long_retry_after == "waits" else WITHIN_S
    return play(mock, id_of(retrier), retrier.command(), plan(retrier), starting, patience_s=patience_s)


@pytest.fixture(scope="module")
def plays(retries_mock: Mock, examples: object) -> Iterator[dict[str, Future[Played]]]:
    """What every client did that runs here, those that wait longest first; they wait most of the time."""
    starting = threading.Semaphore(START_AT_ONCE)
    with ThreadPoolExecutor(len(RETRIERS)) as pool:
        yield {
            id_of(each): pool.submit(run, retries_mock, each, starting)
            for each in sorted(RETRIERS, key=lambda each: -sum(most_s for _, most_s in each.waits_s))
            if each.lacks() is None
        }


def test_every_client_does_what_is_documented_and_the_verdict_says_so(
    plays: dict[str, Future[Played]], retries_mock: Mock, subtests: pytest.Subtests
) -> None:
    """All in one test, so that tests that run side by side share what the programs did."""
    for retrier in RETRIERS:
        with subtests.test(client=id_of(retrier)):
            if lacking := retrier.lacks():
                pytest.skip(f"{id_of(retrier)}: {lacking}")
            played = plays[id_of(retrier)].result()
            it_sends_again_what_is_documented(retrier, played)
            it_does_so_as_often_and_after_such_waits(retrier, played)
            it_obeys_retry_after_or_not_as_documented(retrier, played)
            it_counts_tries_and_lets_the_answer_decide_where_it_says_so(retrier, played)
            it_does_not_notice_by_itself_that_a_stream_lacks_its_end(played)
            downs = [waits_s(tries) for scene, tries in played.entries.items() if scene.startswith("down")]
            assert_ruled(ruled(retries_mock, id_of(retrier)), retrier, downs)


def waits_s(tries: list[Entry]) -> list[float]:
    """The seconds between one try's end and the next one's arrival."""
    return [after.arrived_unix_s - over_s(before) for before, after in pairwise(tries)]


def it_sends_again_what_is_documented(retrier: Retrier, seen: Played) -> None:
    again = {failure for failure in FAILURES if len(seen.entries[failure]) > 1}
    assert again == set(retrier.again)


def it_does_so_as_often_and_after_such_waits(retrier: Retrier, seen: Played) -> None:
    waited = waits_s(seen.entries["down"])
    assert len(waited) == min(retrier.more, retrier.failures)
    for wait_s, (least_s, most_s) in zip(waited, retrier.waits_s, strict=False):
        assert least_s - EARLY_S <= wait_s <= most_s + LATE_S


def it_obeys_retry_after_or_not_as_documented(retrier: Retrier, seen: Played) -> None:
    waited = waits_s(seen.entries["429"])
    assert ["waits" if wait_s >= SHORT_S - EARLY_S else "ignores" for wait_s in waited] == [retrier.retry_after][
        : "429" in retrier.again
    ]
    if not waited:
        assert not seen.waiting
        return
    again = len(seen.entries["long"]) > 1
    assert ("waits" if seen.waiting else "ignores" if again else "gives up") == retrier.long_retry_after


def it_counts_tries_and_lets_the_answer_decide_where_it_says_so(retrier: Retrier, seen: Played) -> None:
    for tries in seen.entries.values():
        counts = list(range(len(tries))) if retrier.counts else [None] * len(tries)
        assert [entry.retry_count for entry in tries] == counts
    if retrier.counts:
        assert [len(seen.entries[scene]) for scene in ("told to", "told not to")] == [2, 1]


def it_does_not_notice_by_itself_that_a_stream_lacks_its_end(seen: Played) -> None:
    assert seen.told["clean end"].outcome == "partial"
    assert len(seen.entries["clean end"]) == 1


def assert_ruled(found: dict[str, Result], retrier: Retrier, waited: Sequence[list[float]] = ()) -> None:
    """Rule by rule. A busy machine adds to waits: those that are alike may not be, nor those that are none be short."""
    expected = retrier.verdict
    late = retrier.at_once and all(max(waits) > QUICK_S for waits in waited)
    unsure = {"no_backoff", "retry_storm"} if late else set()
    if expected["no_jitter"] == "WARN" or retrier.at_once:
        assert found["no_jitter"] in (expected["no_jitter"], "PASS")
        unsure.add("no_jitter")
    assert {rule: result for rule, result in found.items() if rule not in unsure} == {
        rule: result for rule, result in expected.items() if rule not in unsure
    }


def test_the_documented_example_sends_nothing_again_and_waits_for_ever(
    retries_mock: Mock, examples: dict[str, Future[Example]]
) -> None:
    if lacking := EXAMPLE.lacks():
        pytest.skip(f"{EXAMPLE.name}: {lacking}")
    seen = {name: future.result() for name, future in examples.items()}
    assert {name: run.tries for name, run in seen.items() if run.tries != 1} == {}
    assert [name for name, run in seen.items() if run.exit_code is None] == ["silence"]
    assert [name for name, run in seen.items() if (run.exit_code, run.printed) == (0, "undefined")] == REFUSED
    rulings = [ruled(retries_mock, f"example.{number}") for number in range(len(PLAIN))]
    assert_ruled({rule: worst(each[rule] for each in rulings) for rule in BY_NAME}, EXAMPLE)


def run_example(mock: Mock, scene: Scene) -> Example:
    """Run the documentation's example, but for its address and key, and attest what its exit code says."""
    test = f"example.{PLAIN.index(scene)}"
    if scene.strikes is not None:
        post(mock, "faults", {"times": scene.times} | dict(scene.strikes), test)
    url = f"{mock.url}/__test__/{test}"
    (code,) = (each.code for each in snippets(stream=False, base_url=url, key=UNLIMITED) if "node-fetch" in each.code)
    with started(["node", "--input-type=module", "--eval", code], {}, folder=ROOT / "node") as program:
        while scene.strikes is not None and program.poll() is None and not has_struck(mock, test):
            with suppress(subprocess.TimeoutExpired):
                program.wait(timeout=0.1)
        try:
            printed, _ = program.communicate(timeout=EXAMPLE_S)
            exit_code = program.returncode
        except subprocess.TimeoutExpired:
            outwait(mock, test)
            printed, exit_code = b"", None
    mock.control("requests/wait", test=test, count=1)
    tries = entries(mock, test)
    attest(mock, tries[-1], "killed" if exit_code is None else "error" if exit_code else "ok")
    return Example(len(tries), exit_code, printed.decode().strip())


def has_struck(mock: Mock, test: str) -> bool:
    """Whether the fault that is queued for a test has struck, so that its call is under way or over."""
    return bool(mock.control("faults", test=test)["faults"][0]["struck"])

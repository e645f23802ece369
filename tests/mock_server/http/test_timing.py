from __future__ import annotations

import time
from itertools import pairwise
from typing import Any

import pytest

from tests.mock_server.conftest import StartMock
from tests.mock_server.wire import EARLY_MS, Mock, chat, events, eventually, raw_call, text_of, timing

STEADY = {"models": ["slow/steady"]}
TEXTS = ["Tell me of the sea", "写一个产品介绍", "Write a Python function that sorts a list", "Prove that 17 is prime"]
Facts = dict[str, tuple[object, ...]]


def asked(mock: Mock, calls: list[dict[str, Any]]) -> Facts:
    """What came of each call: all that the seed decides."""
    facts: Facts = {}
    for body in calls:
        answer = mock.call(body)
        document, plan = answer.json(), timing(answer)
        what = str((body["messages"][0]["content"], body.get("max_tokens"), body.get("stream")))
        facts[what] = (
            answer.status_code,
            document.get("response"),
            document.get("usage"),
            f"{document.get('provider')}/{document.get('model')}",
            {name: plan[name] for name in ("planned", "first", "attempts", "wasted")},
        )
    return facts


# Half of the attempts are refused upstream; everything runs a thousand times faster, so that queues are empty again
# for each call whatever the order.
QUICK = ("--world", "rate_limited", "--time-scale", "0.001")
CALLS = [chat(f"{text} {number}", max_tokens=20 + number) for text in TEXTS for number in range(10)]


def test_the_same_seed_gives_the_same_in_another_process_and_order(start_mock: StartMock) -> None:
    first = asked(start_mock(*QUICK, "--seed", "7"), CALLS)
    second = asked(start_mock(*QUICK, "--seed", "7"), CALLS[::-1])
    assert first == second
    assert len({str(fact[3]) for fact in first.values()}) > 1
    assert any(fact[4]["attempts"] > 1 for fact in first.values() if isinstance(fact[4], dict))


def test_another_seed_differs_and_zero_is_a_seed_of_its_own(start_mock: StartMock) -> None:
    by_seed = [asked(start_mock(*QUICK, *seed), CALLS) for seed in ((), ("--seed", "0"), ("--seed", "1"))]
    assert by_seed[0] == by_seed[1]
    same = [what for what in by_seed[0] if by_seed[0][what] == by_seed[2][what]]
    assert len(same) < len(CALLS) / 4


def test_a_call_repeated_gets_another_answer_and_so_does_another_test(mock: Mock) -> None:
    answers = [mock.call(test=test).json()["response"] for test in ("", "", "one", "two", "one")]
    assert len(set(answers)) == 5
    mock.reset()
    assert [mock.call(test=test).json()["response"] for test in ("two", "one", "", "one", "")] == [
        answers[n] for n in (3, 2, 0, 4, 1)
    ]


def test_a_plain_answer_comes_when_it_was_planned_and_never_early(slow_mock: Mock) -> None:
    for number in range(3):
        body = chat(f"call {number}", strategy=STEADY, max_tokens=3)
        start = time.monotonic()
        answer = slow_mock.call(body)
        took_ms = (time.monotonic() - start) * 1e3
        assert took_ms >= timing(answer)["planned"] - EARLY_MS
        assert took_ms < 10 * timing(answer)["planned"]


def test_the_pieces_of_a_stream_keep_the_pace_and_none_is_early(slow_mock: Mock) -> None:
    with slow_mock.connect() as connection:
        start = time.monotonic()
        connection.send(raw_call(chat(strategy=STEADY, max_tokens=8, stream=True)))
        _, headers = connection.head()
        moments, received = [], b""
        for chunk in connection.chunks():
            moments.append((time.monotonic() - start) * 1e3)
            received += chunk
    plan = {name: float(part.split("dur=")[1]) for name, part in zip(
        ("planned", "first"), headers["server-timing"].split(", "), strict=False)}  # fmt: skip
    found, _ = events(received)
    assert moments[0] >= plan["first"] - EARLY_MS
    assert moments[-1] >= plan["planned"] - EARLY_MS
    pieces = len(found) - 2
    # Merged where the machine stalls, else one chunk per piece and one for the end.
    assert 3 <= len(moments) <= pieces + 1
    # Each token takes 100 ms, give or take a tenth, which is normal: no gap is shorter than a third.
    assert all(later - earlier > 33 for earlier, later in pairwise(moments[:-1])) or len(moments) < pieces


def test_no_piece_is_ever_sent_before_its_time(slow_mock: Mock) -> None:
    body = chat(strategy=STEADY, max_tokens=8)
    with slow_mock.connect() as connection:
        start = time.monotonic()
        connection.send(raw_call(body | {"stream": True}))
        connection.head()
        arrived: list[float] = []
        for chunk in connection.chunks():
            arrived += [(time.monotonic() - start) * 1e3] * chunk.count(b'"done":false')
    # Token n is due after 300 ms and n gaps of 100 ms, each less a few standard deviations of a tenth.
    for number, at_ms in enumerate(arrived[1:]):
        assert at_ms >= 300 + number * 60 - EARLY_MS


def test_lateness_does_not_add_up(slow_mock: Mock) -> None:
    start = time.monotonic()
    answer = slow_mock.call(chat(strategy=STEADY, max_tokens=12, stream=True))
    late_ms = (time.monotonic() - start) * 1e3 - timing(answer)["planned"]
    assert -EARLY_MS <= late_ms < timing(answer)["planned"]


def test_a_slow_reader_gets_overdue_pieces_together_and_all_of_them(start_mock: StartMock, slow_world: str) -> None:
    quick = start_mock("--world", slow_world, "--time-scale", "0.001")
    body = chat(strategy=STEADY, max_tokens=3_000)
    plain = quick.call(body).json()["response"]
    quick.reset()
    with quick.connect() as connection:
        connection.send(raw_call(body | {"stream": True}))
        eventually(quick.idle)
        found, _ = events(connection.answer().body)
    assert text_of(found) == plain


def test_time_scale_shortens_every_duration_and_what_is_announced_is_wall_time(
    start_mock: StartMock, slow_mock: Mock, slow_world: str
) -> None:
    quick = start_mock("--world", slow_world, "--time-scale", "0.1")
    body = chat(strategy=STEADY, max_tokens=5)
    start = time.monotonic()
    shorter = quick.call(body)
    took_ms = (time.monotonic() - start) * 1e3
    slow_mock.reset()
    longer = slow_mock.call(body)
    assert shorter.json()["response"] == longer.json()["response"]
    for name in ("planned", "first"):
        assert timing(shorter)[name] == pytest.approx(timing(longer)[name] / 10, rel=0.01)
    assert took_ms >= timing(shorter)["planned"] - EARLY_MS
    assert quick.control("health")["time_scale"] == 0.1


def test_time_scale_shortens_the_minute_of_a_plan_too(start_mock: StartMock) -> None:
    quick = start_mock("--world", "instant", "--time-scale", "0.1")
    assert quick.call(key="sk-test-limited").headers["ratelimit-policy"] == '"minute";q=1;w=6'
    refused = quick.call(key="sk-test-limited")
    assert 4 <= int(refused.headers["retry-after"]) <= 6
    assert quick.call(key="sk-test-limited", headers={"Prefer": "code=429"}).headers["retry-after"] == "1"


def test_retry_after_is_never_earlier_than_true(start_mock: StartMock) -> None:
    quick = start_mock("--world", "instant", "--time-scale", "0.015")
    assert quick.call(key="sk-test-limited").status_code == 200
    start = time.monotonic()
    announced = int(quick.call(key="sk-test-limited").headers["retry-after"])
    assert announced == 1
    eventually(lambda: quick.call(key="sk-test-limited").status_code == 200)
    assert time.monotonic() - start <= announced + 1


def test_wasted_time_and_attempts_are_those_of_the_failures(start_mock: StartMock) -> None:
    quick = start_mock(*QUICK, "--seed", "3")
    plans = [timing(quick.call(body)) for body in CALLS]
    assert all((plan["wasted"] > 0) == (plan["attempts"] > 1) for plan in plans)
    assert all(plan["wasted"] <= plan["planned"] for plan in plans)
    assert {plan["attempts"] for plan in plans} == {1, 2, 3}


def test_a_failed_call_says_what_its_attempts_took(slow_mock: Mock) -> None:
    start = time.monotonic()
    plan = timing(slow_mock.call(key="sk-test-outage"))
    took_ms = (time.monotonic() - start) * 1e3
    assert (plan["attempts"], plan["wasted"]) == (3, plan["planned"])
    assert took_ms >= plan["planned"] - EARLY_MS > 0

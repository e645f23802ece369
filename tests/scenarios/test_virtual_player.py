"""Clients in virtual time, in this process: how their tries end, and what stops a run."""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable
from itertools import pairwise
from pathlib import Path
from typing import Any

import msgspec
import pytest

from mock_server.contract.accounts import LOAD_TEST_KEY
from scenarios.model.load import Closed, Open
from scenarios.model.scenario import ClientRules
from scenarios.model.workload import Workload
from scenarios.players.virtual import StandstillError, VirtualPlayer, unplayable
from scenarios.record.notes import Row
from scenarios.record.plan import Plan
from scenarios.record.spool import BatchRecorder, read_notes
from tests.scenarios.ledgers import Kept, plan_of

MODEL = """
[models."a/b"]
ttft = { law = "constant", ms = 1000.0 }
tokens_per_s = 10.0
window = 128_000
price_in = 1.0
price_out = 1.0
quality = 0.5
"""


@pytest.fixture
def play(tmp_path: Path) -> Callable[..., tuple[VirtualPlayer, list[Row]]]:
    """Plays a plan against a world of one model, which answers after a second, and what else the world says."""

    def run(kind: str, world: str = "", key: str = LOAD_TEST_KEY, **changes: Any) -> tuple[VirtualPlayer, list[Row]]:
        path = tmp_path / "world.toml"
        path.write_text(MODEL + world, "utf-8")
        kept = Kept()
        player = VirtualPlayer(a_plan(kind, world=str(path), **changes), kept, key)
        player.play(lambda: False)
        return player, kept.rows

    return run


def a_plan(kind: str, **changes: Any) -> Plan:
    wanted = {"timeout_s": 60.0, "drain_s": 60.0, "max_in_flight": 99, "workload": Workload(max_tokens=16), **changes}
    plan = plan_of(kind, **wanted)
    return msgspec.structs.replace(plan, world=plan.scenario.world)


def took(row: Row) -> float | None:
    return None if row.end_s is None or row.sent_s is None else round(row.end_s - row.sent_s, 6)


@pytest.mark.parametrize(
    ("fault", "streamed", "end"),
    [
        ("reset", 0.0, ("connection", "ConnectionResetError")),
        ("fin", 0.0, ("connection", "NoAnswerError")),
        ("fin;stage=mid_stream;after=2", 1.0, ("stream_broken", "IncompleteBodyError")),
        ("reset;stage=mid_stream;after=2", 1.0, ("stream_broken", "ConnectionResetError")),
        ("eof;stage=mid_stream;after=2", 1.0, ("stream_broken", "NoTerminal")),
        ("error_event;stage=mid_stream;after=2", 1.0, ("stream_broken", "ALL_PROVIDERS_FAILED")),
        ("truncated_json", 0.0, ("connection", "IncompleteBodyError")),
        ("malformed_json", 0.0, ("malformed", "BadJson")),
        ("wrong_type", 0.0, ("malformed", "BadContentType")),
        ("bad_chunk;after=1", 1.0, ("malformed", "BadJson")),
        ("stall", 0.0, ("timeout", "Timeout")),
        ("stall;stage=mid_stream;after=1", 1.0, ("timeout", "Timeout")),
        ("dribble;for=5", 0.0, ("ok", None)),
        ("delay;for=3", 1.0, ("ok", None)),
    ],
)
def test_each_fault_ends_as_on_a_connection(
    play: Callable[..., Any], fault: str, streamed: float, end: tuple[str, str | None]
) -> None:
    workload = Workload(max_tokens=16, streamed=streamed)
    _, rows = play("open", f'[[faults]]\nfault = "{fault}"', workload=workload, timeout_s=20.0)
    assert {(row.outcome.value, row.error_code) for row in rows} == {end}
    assert len(rows) == 20
    if end[0] == "timeout":
        assert {took(row) for row in rows} == {20.0}


def test_a_stream_that_is_over_holds_its_client_no_longer_than_its_connection_may_rest(
    play: Callable[..., Any],
) -> None:
    load = {"load": Closed(users=1), "duration_s": 20.0, "workload": Workload(max_tokens=2, streamed=1.0)}
    _, rows = play("closed", '[[faults]]\nfault = "done_then_hang"', **load)
    assert {row.outcome.value for row in rows} == {"ok"}
    gaps = {round(later.planned_s - (row.end_s or 0.0), 6) for row, later in pairwise(rows)}
    assert gaps == {1.0}


def test_what_is_in_flight_at_the_drains_end_is_cut_off_with_what_was_seen_of_it(play: Callable[..., Any]) -> None:
    fault = '[[faults]]\nfault = "stall;stage=mid_stream;after=2"'
    player, rows = play("open", fault, workload=Workload(streamed=1.0), drain_s=5.0)
    assert {(row.outcome.value, row.chunks, row.end_s) for row in rows} == {("cut_off", 2, 7.0)}
    assert player.agenda.now == 7.0


def test_a_full_pool_sends_no_more(play: Callable[..., Any]) -> None:
    _, rows = play("open", max_in_flight=3)
    counts = Counter((row.outcome.value, row.error_code) for row in rows)
    assert counts["never_sent", "PoolFull"] > 10
    assert counts["ok", None] == 20 - counts["never_sent", "PoolFull"]


def test_a_wrong_key_ends_the_run_after_twenty_answers(play: Callable[..., Any]) -> None:
    player, rows = play("open", key="sk-wrong-key-123", load=Open(rate_per_s=100.0, arrivals="constant"))
    assert player.book.wrong_key
    assert Counter(row.status for row in rows) == {401: 20}


def test_retries_wait_as_their_policy_says_and_think_time_is_spent(play: Callable[..., Any]) -> None:
    world = "[[faults]]\ncode = 429\ntimes = 1"
    rules = {"client": ClientRules("polite"), "load": Closed(users=1, think_s=2.0), "duration_s": 30.0}
    _, rows = play("closed", world, **rules)
    first, again = rows[:2]
    assert [(row.attempt, row.status) for row in (first, again)] == [(0, 429), (1, 200)]
    # `Retry-After` says 1 s, and the back-off is beside it.
    assert 1.0 <= (again.sent_s or 0.0) - (first.end_s or 0.0) <= 1.5
    pauses = [(later.sent_s or 0.0) - (row.end_s or 0.0) for row, later in pairwise(rows[1:])]
    assert 0.2 < sum(pauses) / len(pauses) < 8.0


def test_users_who_would_ask_for_ever_at_one_moment_are_told_of(play: Callable[..., Any]) -> None:
    with pytest.raises(StandstillError, match="at 0 s of virtual time a user was answered 1,000 times in no time"):
        play("closed", "[[faults]]\ncode = 429", load=Closed(users=2), duration_s=5.0, warmup_s=0.0)


def test_a_run_can_be_stopped_from_outside_and_balances(tmp_path: Path) -> None:
    kept = Kept()
    plan = a_plan("open", world="calm", load=Open(rate_per_s=500.0), duration_s=20.0, max_in_flight=9_999)
    looks = iter([False, True])
    ended_s = VirtualPlayer(plan, kept, LOAD_TEST_KEY).play(lambda: next(looks))
    assert 0 < ended_s < 20.0
    assert kept.end.stopped_s == ended_s
    assert len(kept.rows) == kept.end.handed_on
    assert {row.outcome.value for row in kept.rows} == {"ok", "cut_off"}


@pytest.mark.parametrize(
    ("method", "path", "why"),
    [("HEAD", "/v1/llm/auto", "its method is HEAD"), ("GET", "/__mock__/health", "asks for /__mock__/health")],
)
def test_what_only_the_mocks_server_has_is_not_played(method: str, path: str, why: str) -> None:
    plan = plan_of("script")
    call = msgspec.structs.replace(plan.scenario.calls[0], method=method, path=path)
    scenario = msgspec.structs.replace(plan.scenario, calls=(call,))
    assert why in (unplayable(msgspec.structs.replace(plan, scenario=scenario)) or "")
    assert unplayable(plan) is None


def test_notes_written_in_batches_are_all_there_in_order(tmp_path: Path) -> None:
    recorder, kept = BatchRecorder(tmp_path / "worker-0-0.jsonl"), Kept()
    for notes in (recorder, kept):
        VirtualPlayer(a_plan("closed", world="calm", duration_s=200.0), notes, LOAD_TEST_KEY).play(lambda: False)
    recorder.close()
    assert list(read_notes(tmp_path / "worker-0-0.jsonl")) == kept.notes
    assert len(kept.notes) > 100

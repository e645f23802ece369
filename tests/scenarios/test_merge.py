from __future__ import annotations

from collections import Counter
from collections.abc import Callable
from pathlib import Path
from typing import Any

import msgspec
import pyarrow.parquet as pq
import pytest

from reports.sample import HEALTH_SCHEMA, SAMPLE_SCHEMA, Outcome
from scenarios.command.catalogue import find
from scenarios.model.load import Closed, Load, Open, Script
from scenarios.model.script import scripted_calls
from scenarios.record.merge import ENDING, Ending, ending_of, merge
from scenarios.record.notes import Beat, Begun, PartEnd, finished
from scenarios.record.plan import ORIGIN, PLAN, Origin, Plan, begun_by_plan, save, times_of
from scenarios.record.spool import PARTS, Recorder, mock_path, part_path, read_notes
from scenarios.wire.reader import Reading

Rows = Callable[[Path], list[dict[str, Any]]]


def plan(load: Load, processes: int = 2) -> Plan:
    scenario = find("smoke" if isinstance(load, Script) else "steady")
    return Plan(
        run_id="r",
        scenario=msgspec.structs.replace(
            scenario,
            load=load,
            warmup_s=0.0 if isinstance(load, Script) else 1.0,
            duration_s=2.0,
            drain_s=1.0,
            timeout_s=1.0,
        ),
        world=None,
        seed=0,
        target="http://127.0.0.1:1",
        target_kind="external",
        api_key="…1234",
        processes=processes,
        time_scale=1.0,
        max_in_flight=10,
        mock_calls=True,
        labels={"a": "b"},
        argv=("load-test",),
        owner_pid=1,
    )


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    parts = tmp_path / PARTS
    parts.mkdir()
    save(parts, ORIGIN, Origin(1.0, 1_700_000_000.0))
    return parts


def good(recorder: Recorder, note: Begun) -> None:
    recorder.write(finished(note, None, note.planned_s, note.planned_s + 0.5, Reading(Outcome.OK, 200)))


def test_a_dead_workers_calls_are_lost_and_an_ended_ones_rest_was_never_sent(
    folder: Path, rows: Rows, manifest: Callable[[Path], dict[str, Any]]
) -> None:
    made = plan(Open(rate_per_s=10.0))
    save(folder, PLAN, made)
    times = times_of(made).tolist()
    for worker in (0, 1):
        recorder = Recorder(part_path(folder, worker, 100 + worker))
        for call_id in range(worker, 6, 2):
            good(recorder, begun_by_plan(made, call_id, times[call_id]))
        recorder.write(Beat(0.0, 0.25, 0.01, None, (0.1,), 3, 0, 0))
        if worker == 0:
            # It handed on four and recorded three: the fourth is a hole that must show.
            recorder.write(PartEnd(2.5, handed_on=4))
        recorder.close()
    tally = merge(folder.parent, interrupted=True, ended_s=3.0)

    found = rows(folder.parent)
    assert tally.rows == len(found) == len(times) == 30
    assert sorted(row["call_id"] for row in found) == list(range(30))
    assert Counter(row["outcome"] for row in found) == {"ok": 6, "lost": 13, "never_sent": 11}
    assert {row["call_id"] for row in found if row["outcome"] == "never_sent"} == set(range(8, 30, 2))
    assert [row["planned_s"] for row in sorted(found, key=lambda row: row["call_id"])] == times
    assert {row["phase"] for row in found if row["planned_s"] < 1} == {"warmup"}
    assert {row["phase"] for row in found if row["planned_s"] >= 1} == {"measure"}
    document = manifest(folder.parent)
    assert document["workers"] == [
        {"worker": "w0", "pid": 100, "lost": False},
        {"worker": "w1", "pid": 101, "lost": True},
    ]
    assert (document["planned_calls"], document["interrupted"], document["ended_s"]) == (30, True, 3.0)
    assert document["started_at"] == "2023-11-14T22:13:20.000+00:00"
    assert tally.lost_workers == 1
    assert not folder.exists()


def test_a_worker_that_never_began_loses_its_whole_share(folder: Path, rows: Rows) -> None:
    made = plan(Open(rate_per_s=10.0))
    save(folder, PLAN, made)
    recorder = Recorder(part_path(folder, 0, 5))
    recorder.write(PartEnd(0.0, handed_on=0))
    recorder.close()
    merge(folder.parent, interrupted=True)
    found = rows(folder.parent)
    assert Counter((row["worker"], row["outcome"]) for row in found) == {
        ("w0", "never_sent"): 15,
        ("w1", "lost"): 15,
    }


def test_in_a_closed_load_what_was_begun_and_not_recorded_is_lost(folder: Path, rows: Rows) -> None:
    save(folder, PLAN, plan(Closed(users=2), processes=1))
    recorder = Recorder(part_path(folder, 0, 5))
    notes = [Begun(number, 0, "k", 1.0 + number, False, None, None) for number in range(3)]
    for note in notes:
        recorder.write(note)
    good(recorder, notes[0])
    recorder.write(Begun(0, 1, "k", 9.0, False, None, None))
    recorder.close()
    merge(folder.parent, interrupted=False)
    found = {(row["call_id"], row["try"]): row["outcome"] for row in rows(folder.parent)}
    assert found == {(0, 0): "ok", (1, 0): "lost", (2, 0): "lost", (0, 1): "lost"}


def test_an_interrupted_script_accounts_for_every_call(folder: Path, rows: Rows) -> None:
    save(folder, PLAN, plan(Script(), processes=1))
    recorder = Recorder(part_path(folder, 0, 5))
    note = Begun(0, 0, "plain-en", 0.5, False, None, None)
    recorder.write(note)
    good(recorder, note)
    recorder.write(PartEnd(2.0, handed_on=1))
    recorder.close()
    merge(folder.parent, interrupted=True)
    found = rows(folder.parent)
    calls = len(scripted_calls(find("smoke").calls, mock=True))
    assert Counter(row["outcome"] for row in found) == {"ok": 1, "never_sent": calls - 1}
    assert {row["planned_s"] for row in found if row["outcome"] == "never_sent"} == {2.0}
    assert "INVALID_REQUEST" in {row["expected"] for row in found}


def test_a_curtailed_run_ends_where_the_last_worker_stopped(
    folder: Path, rows: Rows, manifest: Callable[[Path], dict[str, Any]]
) -> None:
    made = plan(Open(rate_per_s=10.0, arrivals="constant"))
    save(folder, PLAN, made)
    times = times_of(made).tolist()
    for worker, stopped_s in ((0, 1.75), (1, 1.95)):
        recorder = Recorder(part_path(folder, worker, 100))
        share = range(worker, 30, 2)
        sent = [call_id for call_id in share if times[call_id] < stopped_s]
        for call_id in sent:
            good(recorder, begun_by_plan(made, call_id, times[call_id]))
        recorder.write(PartEnd(2.5, len(sent), stopped_s))
        recorder.close()
    tally = merge(folder.parent, interrupted=False, curtailed=True)
    found = sorted(rows(folder.parent), key=lambda row: row["call_id"])
    # The worker that stopped first owes what was planned until the other one did.
    assert [row["call_id"] for row in found] == list(range(20))
    assert [row["call_id"] for row in found if row["outcome"] == "never_sent"] == [18]
    document = manifest(folder.parent)
    assert (document["stopped_s"], document["duration_s"], document["planned_calls"]) == (1.95, pytest.approx(0.95), 20)
    assert (document["interrupted"], tally.rows) == (False, 20)


def test_an_interrupted_run_says_when_and_keeps_what_was_planned(
    folder: Path, rows: Rows, manifest: Callable[[Path], dict[str, Any]]
) -> None:
    save(folder, PLAN, plan(Open(rate_per_s=10.0), processes=1))
    recorder = Recorder(part_path(folder, 0, 100))
    recorder.write(PartEnd(1.5, 0, 1.4))
    recorder.close()
    merge(folder.parent, interrupted=True)
    document = manifest(folder.parent)
    assert (document["stopped_s"], document["duration_s"], document["planned_calls"]) == (1.4, 2.0, 30)
    assert len(rows(folder.parent)) == 30


def test_a_killed_run_is_taken_to_have_stopped_at_its_last_record(
    folder: Path, manifest: Callable[[Path], dict[str, Any]]
) -> None:
    save(folder, PLAN, plan(Closed(users=1), processes=1))
    recorder = Recorder(part_path(folder, 0, 100))
    good(recorder, Begun(0, 0, "k", 0.7, False, None, None))
    recorder.close()
    merge(folder.parent, interrupted=True)
    assert manifest(folder.parent)["stopped_s"] == 1.2


def test_the_mocks_beats_are_told_on_the_runs_clock_from_its_zero_on(folder: Path) -> None:
    save(folder, PLAN, plan(Open(rate_per_s=5.0)))
    recorder = Recorder(mock_path(folder))
    for from_s in (0.25, 0.5, 0.75, 1.0):
        recorder.write(Beat(from_s, from_s + 0.375, 0.1, 0.0, (0.5,), 0, 0, 3))
    recorder.close()
    merge(folder.parent, interrupted=False)
    found = pq.ParquetFile(folder.parent / "health.parquet").read().to_pylist()
    # The run's zero is at 1 s of the machine's clock.
    assert [(row["worker"], row["from_s"], row["at_s"]) for row in found] == [
        ("mock", -0.25, 0.125),
        ("mock", 0.0, 0.375),
    ]
    assert (found[0]["lag_ms"], found[0]["in_flight"]) == ([0.5], 3)


def test_a_merge_of_what_nobody_explained_is_of_an_interrupted_run(folder: Path) -> None:
    assert ending_of(folder) == Ending(interrupted=True, curtailed=False)
    save(folder, ENDING, Ending(interrupted=False, curtailed=True))
    assert ending_of(folder) == Ending(interrupted=False, curtailed=True)


def test_a_torn_last_line_is_left_out(folder: Path) -> None:
    path = part_path(folder, 0, 5)
    recorder = Recorder(path)
    recorder.write(Beat(0.0, 0.25, 0.01, None, (0.1,), 3, 0, 0))
    recorder.close()
    with path.open("ab") as file:
        file.write(b'["row",1,0,"k",0.')
    assert list(read_notes(path)) == [Beat(0.0, 0.25, 0.01, None, (0.1,), 3, 0, 0)]


def test_files_have_the_shared_schemas(folder: Path) -> None:
    save(folder, PLAN, plan(Open(rate_per_s=5.0)))
    merge(folder.parent, interrupted=False)
    assert pq.ParquetFile(folder.parent / "samples.parquet").schema_arrow.equals(SAMPLE_SCHEMA, check_metadata=True)
    assert pq.ParquetFile(folder.parent / "health.parquet").schema_arrow.equals(HEALTH_SCHEMA)
    assert {path.name for path in folder.parent.iterdir()} == {"samples.parquet", "health.parquet", "manifest.json"}


def test_a_merge_that_fails_keeps_the_parts(folder: Path) -> None:
    (folder / PLAN).write_bytes(b"{")
    part_path(folder, 0, 5).write_bytes(b"")
    with pytest.raises(msgspec.DecodeError):
        merge(folder.parent, interrupted=False)
    assert part_path(folder, 0, 5).exists()

"""From the workers' parts to the files of a run directory: one row per planned request, whatever happened.

A worker whose part has no closing note died; what it was to send and did not record becomes a ``lost`` row.
Every file is written beside its final name first and renamed, so that none is ever seen half-written.
"""

from __future__ import annotations

import shutil
from collections.abc import Iterable, Iterator
from itertools import islice
from pathlib import Path
from typing import Any, Final

import msgspec
import pyarrow as pa
import pyarrow.parquet as pq

from reports.sample import HEALTH, HEALTH_SCHEMA, SAMPLE_SCHEMA, SAMPLES, Outcome, Phase
from scenarios.model.arrivals import Times
from scenarios.record.manifest import WorkerFate, write_manifest
from scenarios.record.plan import Plan, begun_by_plan, load_origin, load_plan, script_of, times_of
from scenarios.record.spool import PARTS, Beat, Begun, Ended, Record, part_owner, part_path, read_notes, unsent

_BATCH: Final = 50_000


class Merged(msgspec.Struct):
    """What the merge saw: rows written, tries handed on, answers, those with an unexpected 401, dead workers."""

    rows: int = 0
    handed_on: int = 0
    answers: int = 0
    denied: int = 0
    lost_workers: int = 0
    last_s: float = 0.0


class _Part:
    """One worker's notes, read once; keeps what is needed to tell what is missing."""

    def __init__(self, path: Path) -> None:
        self.path = path
        self.worker, self.pid = part_owner(path)
        self.beats: list[Beat] = []
        self.ended: Ended | None = None
        self.last_s = 0.0
        self.recorded: set[tuple[int, int]] = set()
        self._begun: dict[tuple[int, int], Begun] = {}

    def records(self) -> Iterator[Record]:
        """The finished rows; the rest of what the notes say is kept aside."""
        for note in read_notes(self.path):
            match note:
                case Record():
                    self.recorded.add((note.call_id, note.attempt))
                    self.last_s = max(self.last_s, note.end_s or 0.0)
                    yield note
                case Begun():
                    self._begun[note.call_id, note.attempt] = note
                case Beat():
                    self.beats.append(note)
                    self.last_s = max(self.last_s, note.at_s)
                case Ended():
                    self.ended = note
                    self.last_s = max(self.last_s, note.at_s)

    def missing(self, foreseen: dict[int, Begun]) -> Iterator[Record]:
        """A row for each try this worker planned or began, and did not record.

        ``foreseen`` are its calls by number, in the order of the plan. A worker that ended knows how many of
        them it had handed on: the rest was never sent. All else is lost.
        """
        kept = self.ended.dispatched if self.ended is not None else len(foreseen)
        for index, note in enumerate(foreseen.values()):
            if (note.call_id, 0) not in self.recorded and (note.call_id, 0) not in self._begun:
                yield unsent(note, Outcome.LOST if index < kept else Outcome.NEVER_SENT)
        for key in sorted(self._begun.keys() - self.recorded):
            yield unsent(self._begun[key], Outcome.LOST)


def _foreseen(plan: Plan, times: Times, worker: int, last_s: float) -> dict[int, Begun]:
    """The first tries the plan itself gives to a worker; none in a closed load."""
    if calls := script_of(plan):
        return {
            index: Begun(index, 0, call.kind, last_s, call.stream, call.expected)
            for index, call in enumerate(calls if worker == 0 else ())
        }
    return {
        call_id: begun_by_plan(plan, call_id, float(times[call_id]))
        for call_id in range(worker, len(times), plan.processes)
    }


def merge(run_dir: Path, *, interrupted: bool, ended_s: float | None = None, mock_died: bool = False) -> Merged:
    """Write samples, health and manifest of a run whose workers are done, then remove the parts.

    ``ended_s`` is when everything had stopped, on the run's clock; without it, the last moment in the notes
    is taken. Raises ``OSError`` when the folder cannot be read or written; the parts are still there then.
    """
    folder = run_dir / PARTS
    plan, origin = load_plan(folder), load_origin(folder)
    parts = _parts(plan, folder)
    tally = Merged()
    _write(run_dir / SAMPLES, SAMPLE_SCHEMA, _sample_batches(plan, parts, tally))
    _write(run_dir / HEALTH, HEALTH_SCHEMA, (_health_columns(part) for part in parts))
    tally.lost_workers = sum(part.ended is None for part in parts)
    tally.last_s = max((part.last_s for part in parts), default=0.0)
    write_manifest(
        run_dir,
        plan,
        origin,
        ended_s=tally.last_s if ended_s is None else ended_s,
        interrupted=interrupted,
        planned_calls=_planned_calls(plan, parts),
        workers=[WorkerFate(f"w{part.worker}", part.pid, part.ended is None) for part in parts],
        last_s=tally.last_s,
        mock_died=mock_died,
    )
    shutil.rmtree(folder)
    return tally


def _planned_calls(plan: Plan, parts: Iterable[_Part]) -> int:
    """How many calls the plan holds; a closed load plans each when the one before it is over."""
    planned = len(times_of(plan)) or len(script_of(plan))
    return planned or len({call_id for part in parts for call_id, _ in part.recorded})


def _parts(plan: Plan, folder: Path) -> list[_Part]:
    """Every worker's part; one that died before it could open its file has an empty one made for it."""
    paths = {part_owner(path)[0]: path for path in sorted(folder.glob("worker-*.jsonl"))}
    for worker in range(plan.processes):
        if worker not in paths:
            paths[worker] = part_path(folder, worker, 0)
            paths[worker].touch()
    return [_Part(paths[worker]) for worker in sorted(paths)]


def _sample_batches(plan: Plan, parts: Iterable[_Part], tally: Merged) -> Iterator[dict[str, list[Any]]]:
    times = times_of(plan)
    for part in parts:
        for rows in (part.records(), _missing(plan, times, part)):
            while batch := list(islice(rows, _BATCH)):
                for row in batch:
                    part.recorded.add((row.call_id, row.attempt))
                    tally.handed_on += row.outcome != Outcome.NEVER_SENT
                    unexpected = row.expected is None and row.status is not None
                    tally.answers += unexpected
                    tally.denied += unexpected and row.status == 401
                tally.rows += len(batch)
                yield _sample_columns(plan, f"w{part.worker}", batch)


def _missing(plan: Plan, times: Times, part: _Part) -> Iterator[Record]:
    # A generator, so that it looks at the part only after its records have been read.
    yield from part.missing(_foreseen(plan, times, part.worker, part.last_s))


def _sample_columns(plan: Plan, worker: str, rows: list[Record]) -> dict[str, list[Any]]:
    renamed = {"attempt": "try"}
    columns = {renamed.get(name, name): [getattr(row, name) for row in rows] for name in Record.__struct_fields__}
    columns["scenario"] = [plan.scenario.name] * len(rows)
    columns["phase"] = [Phase.WARMUP if row.planned_s < plan.warmup_s else Phase.MEASURE for row in rows]
    columns["worker"] = [worker] * len(rows)
    return columns


def _health_columns(part: _Part) -> dict[str, list[Any]]:
    return {
        "worker": [f"w{part.worker}"] * len(part.beats),
        **{name: [getattr(beat, name) for beat in part.beats] for name in HEALTH_SCHEMA.names if name != "worker"},
    }


def _write(path: Path, schema: pa.Schema, batches: Iterable[dict[str, list[Any]]]) -> None:
    temporary = path.with_name(f".{path.name}.tmp")
    try:
        with pq.ParquetWriter(temporary, schema) as writer:
            for columns in batches:
                arrays = [pa.array(columns[field.name], field.type) for field in schema]
                writer.write_table(pa.Table.from_arrays(arrays, schema=schema))
        temporary.replace(path)
    finally:
        temporary.unlink(missing_ok=True)

"""From the workers' parts to the files of a run directory: one row per planned request, whatever happened.

A worker whose part has no closing note died; what it was to send and did not record becomes a ``lost`` row.
Every file is written beside its final name first and renamed, so that none is ever seen half-written.
"""

from __future__ import annotations

import math
import shutil
from collections.abc import Iterable, Iterator
from itertools import islice
from pathlib import Path
from typing import Any, Final

import msgspec
import pyarrow as pa
import pyarrow.parquet as pq

from reports.sample import HEALTH, HEALTH_SCHEMA, MOCK_WORKER, SAMPLE_SCHEMA, SAMPLES, Outcome, Phase
from scenarios.model.arrivals import Times
from scenarios.model.client import Ask
from scenarios.record.manifest import WorkerFate, write_manifest
from scenarios.record.notes import Beat, Begun, PartEnd, Row, begun, unsent
from scenarios.record.plan import Origin, Plan, begun_by_plan, load_origin, load_plan, script_of, times_of
from scenarios.record.spool import PARTS, mock_path, part_owner, part_path, read_notes

ENDING: Final = "ending.json"
_BATCH: Final = 50_000


class Ending(msgspec.Struct, frozen=True):
    """How a run ended, as far as its notes cannot tell; what `merge` takes."""

    interrupted: bool
    curtailed: bool


def ending_of(folder: Path) -> Ending:
    """What whoever planned the run left in its folder of parts; a run that was killed left nothing."""
    try:
        return msgspec.json.decode((folder / ENDING).read_bytes(), type=Ending)
    except (FileNotFoundError, msgspec.MsgspecError):
        return Ending(interrupted=True, curtailed=False)


class Merged(msgspec.Struct):
    """What the merge saw: rows written, calls, tries handed on, answers, those with an unexpected 401, dead workers.

    ``last_s`` is the last moment anything was recorded; ``stopped_s`` when the last worker began no further call
    though there were some, ``None`` where none was stopped.
    """

    rows: int = 0
    calls: int = 0
    handed_on: int = 0
    answers: int = 0
    denied: int = 0
    lost_workers: int = 0
    last_s: float = 0.0
    stopped_s: float | None = None

    def count(self, row: Row) -> None:
        """Take in one row."""
        self.rows += 1
        self.calls += row.attempt == 0
        self.handed_on += row.outcome != Outcome.NEVER_SENT
        if row.expected is None and row.status is not None:
            self.answers += 1
            self.denied += row.status == 401

    def take_end(self, end: PartEnd | None, last_s: float) -> None:
        """Take in how one worker ended."""
        self.last_s = max(self.last_s, last_s)
        if end is None:
            self.lost_workers += 1
        elif end.stopped_s is not None:
            self.stopped_s = max(self.stopped_s or 0.0, end.stopped_s)


class _Share:
    """The first tries that the plan itself gives to a worker, by their place in its order; none in a closed load."""

    def __init__(self, plan: Plan, times: Times, worker: int) -> None:
        self._plan = plan
        self._times = times
        self._script = script_of(plan) if worker == 0 else ()
        self.ids = range(worker, len(times), plan.processes) if len(times) else range(len(self._script))

    def index(self, call_id: int) -> int | None:
        """Where in the order a call stands; ``None`` for one that the plan does not know."""
        return self.ids.index(call_id) if call_id in self.ids else None

    def planned_s(self, index: int) -> float:
        """When a call was to be made; at once, in a script."""
        return 0.0 if self._script else float(self._times[self.ids[index]])

    def note(self, index: int, last_s: float) -> Begun:
        """What is known of a call that was never made; a script's was planned for when all had ended."""
        call_id: int = self.ids[index]
        if self._script:
            return begun(Ask(call_id, 0, last_s, self._script[call_id]), last_s)
        return begun_by_plan(self._plan, call_id, float(self._times[call_id]))


class _Part:
    """One worker's notes, read once; keeps what is needed to tell what is missing."""

    def __init__(self, path: Path, share: _Share) -> None:
        self.path = path
        self.worker, self.pid = part_owner(path)
        self.beats: list[Beat] = []
        self.ended: PartEnd | None = None
        self.last_s = 0.0
        self._share = share
        # Which calls of the share are accounted for, and which tries were begun and have no row.
        self._seen = bytearray(len(share.ids))
        self._begun: dict[tuple[int, int], Begun] = {}

    def rows(self) -> Iterator[Row]:
        """The finished rows; the rest of what the notes say is kept aside."""
        for note in read_notes(self.path):
            match note:
                case Row():
                    self._begun.pop((note.call_id, note.attempt), None)
                    self._see(note)
                    self.last_s = max(self.last_s, note.end_s or 0.0)
                    yield note
                case Begun():
                    self._begun[note.call_id, note.attempt] = note
                    self._see(note)
                case Beat():
                    self.beats.append(note)
                    self.last_s = max(self.last_s, note.at_s)
                case PartEnd():
                    self.ended = note
                    self.last_s = max(self.last_s, note.at_s)

    def _see(self, note: Row | Begun) -> None:
        if note.attempt == 0 and (index := self._share.index(note.call_id)) is not None:
            self._seen[index] = True

    def missing(self, until_s: float) -> Iterator[Row]:
        """A row for each try this worker planned for before ``until_s`` or began, and did not record.

        A worker that ended knows how many of its share it had handed on: the rest was never sent. All else is lost.
        """
        kept = self.ended.handed_on if self.ended is not None else len(self._seen)
        index = self._seen.find(0)
        while index >= 0 and self._share.planned_s(index) < until_s:
            yield unsent(self._share.note(index, self.last_s), Outcome.LOST if index < kept else Outcome.NEVER_SENT)
            index = self._seen.find(0, index + 1)
        for key in sorted(self._begun):
            yield unsent(self._begun[key], Outcome.LOST)


def merge(
    run_dir: Path,
    *,
    interrupted: bool,
    curtailed: bool = False,
    ended_s: float | None = None,
    mock_died: bool = False,
) -> Merged:
    """Write samples, health and manifest of a run whose workers are done, then remove the parts.

    ``curtailed`` says that the run was ended on purpose before its time, and is complete: its window is until then,
    and what was planned for later is no part of it. ``ended_s`` is when everything had stopped, on the run's clock;
    without it, the last moment in the notes is taken. Raises ``OSError`` when the folder cannot be read or written;
    the parts are still there then.
    """
    folder = run_dir / PARTS
    plan, origin = load_plan(folder), load_origin(folder)
    parts = _parts(plan, folder)
    merged = Merged()
    _write(run_dir / SAMPLES, SAMPLE_SCHEMA, _sample_batches(plan, parts, merged, curtailed=curtailed))
    if not plan.virtual:  # where nothing can be late, nothing is read
        _write(run_dir / HEALTH, HEALTH_SCHEMA, _health_batches(parts, folder, origin))
    if merged.stopped_s is None and interrupted:
        merged.stopped_s = merged.last_s
    write_manifest(
        run_dir,
        plan,
        origin,
        ended_s=merged.last_s if ended_s is None else ended_s,
        interrupted=interrupted,
        planned_calls=merged.calls,
        workers=[WorkerFate(f"w{part.worker}", part.pid, part.ended is None) for part in parts],
        last_s=merged.last_s,
        stopped_s=merged.stopped_s,
        curtailed=curtailed,
        mock_died=mock_died,
    )
    shutil.rmtree(folder)
    return merged


def _parts(plan: Plan, folder: Path) -> list[_Part]:
    """Every worker's part; one that died before it could open its file has an empty one made for it."""
    paths = {part_owner(path)[0]: path for path in sorted(folder.glob("worker-*.jsonl"))}
    for worker in range(plan.processes):
        if worker not in paths:
            paths[worker] = part_path(folder, worker, 0)
            paths[worker].touch()
    times = times_of(plan)
    return [_Part(paths[worker], _Share(plan, times, worker)) for worker in sorted(paths)]


def _sample_batches(
    plan: Plan, parts: list[_Part], merged: Merged, *, curtailed: bool
) -> Iterator[dict[str, list[Any]]]:
    for part in parts:
        yield from _worker_batches(plan, part, part.rows(), merged)
        merged.take_end(part.ended, part.last_s)
    # Only now is it known when the last of them stopped.
    until_s = merged.stopped_s if curtailed and merged.stopped_s is not None else math.inf
    for part in parts:
        yield from _worker_batches(plan, part, part.missing(until_s), merged)


def _worker_batches(plan: Plan, part: _Part, rows: Iterator[Row], merged: Merged) -> Iterator[dict[str, list[Any]]]:
    while batch := list(islice(rows, _BATCH)):
        for row in batch:
            merged.count(row)
        yield _sample_columns(plan, f"w{part.worker}", batch)


def _sample_columns(plan: Plan, worker: str, rows: list[Row]) -> dict[str, list[Any]]:
    renamed = {"attempt": "try"}
    columns = {renamed.get(name, name): [getattr(row, name) for row in rows] for name in Row.__struct_fields__}
    columns["scenario"] = [plan.scenario.name] * len(rows)
    columns["phase"] = [Phase.WARMUP if row.planned_s < plan.warmup_s else Phase.MEASURE for row in rows]
    columns["worker"] = [worker] * len(rows)
    return columns


def _health_batches(parts: Iterable[_Part], folder: Path, origin: Origin | None) -> Iterator[dict[str, list[Any]]]:
    for part in parts:
        yield _health_columns(f"w{part.worker}", part.beats)
    if origin is not None:
        yield _health_columns(MOCK_WORKER, _mock_beats(folder, origin))


def _mock_beats(folder: Path, origin: Origin) -> list[Beat]:
    """The beats of the run's own mock from the run's zero on, which came in seconds of this machine's clock."""
    path, zero_s = mock_path(folder), origin.monotonic_s
    beats = [note for note in read_notes(path) if isinstance(note, Beat)] if path.exists() else []
    return [
        msgspec.structs.replace(beat, from_s=beat.from_s - zero_s, at_s=beat.at_s - zero_s)
        for beat in beats
        if beat.at_s > zero_s
    ]


def _health_columns(worker: str, beats: list[Beat]) -> dict[str, list[Any]]:
    return {
        "worker": [worker] * len(beats),
        **{name: [getattr(beat, name) for beat in beats] for name in HEALTH_SCHEMA.names if name != "worker"},
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

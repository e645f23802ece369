"""What a worker writes down, at once, into a file of its own: nothing it recorded can be lost with it.

A part file holds one JSON line per note, each written with a single ``write`` on a file opened for appending.
A line torn by a kill can only be the last one and is left out. The merge (`scenarios.record.merge`) makes Parquet of
the parts once all workers are done.
"""

from __future__ import annotations

import os
from collections.abc import Iterator
from pathlib import Path
from typing import Final, TypeAlias

import msgspec

from reports.sample import Outcome
from scenarios.model.client import Ask
from scenarios.wire.reader import Reading

PARTS: Final = ".parts"
# How a worker tells that its first answers were all 401; no signal and no error of Locust's has this number.
WRONG_KEY_EXIT: Final = 21


class Begun(msgspec.Struct, frozen=True, tag="begun", array_like=True):
    """A try the open plan does not know of is about to be sent: a retry, or a call of a closed load."""

    call_id: int
    attempt: int
    kind: str
    planned_s: float
    stream: bool
    expected: str | None


class Record(msgspec.Struct, frozen=True, tag="record", array_like=True):
    """One finished row of the samples; the columns are described in ``reports.sample``."""

    call_id: int
    attempt: int
    kind: str
    planned_s: float
    ready_s: float | None
    sent_s: float | None
    first_byte_s: float | None
    end_s: float | None
    outcome: Outcome
    status: int | None
    error_code: str | None
    provider: str | None
    model: str | None
    attempts: int | None
    prompt_tokens: int | None
    completion_tokens: int | None
    stream: bool
    chunks: int | None
    max_gap_s: float | None
    planned_ms: float | None
    planned_first_ms: float | None
    overhead_ms: float | None
    wasted_ms: float | None
    connect_ms: float | None
    request_id: str | None
    key: str | None
    expected: str | None


class Beat(msgspec.Struct, frozen=True, tag="beat", array_like=True):
    """A worker's health from ``from_s`` to ``at_s``, as in ``reports.sample``, and how far it is."""

    from_s: float
    at_s: float
    cpu_s: float
    wait_s: float | None
    lag_ms: tuple[float, ...]
    done: int
    failed: int
    in_flight: int


class Ended(msgspec.Struct, frozen=True, tag="ended", array_like=True):
    """The worker is done; a part without this note is a dead worker's.

    It handed on the first ``dispatched`` of its planned arrivals, or of the script's calls.
    """

    at_s: float
    dispatched: int


Note: TypeAlias = Begun | Record | Beat | Ended


def begun(ask: Ask, planned_s: float) -> Begun:
    """The note to write before a try that no plan knows of is sent."""
    call = ask.call
    return Begun(ask.call_id, ask.attempt, call.kind, planned_s, call.stream, call.expected)


def unsent(note: Begun, outcome: Outcome) -> Record:
    """The row of a try that has no times: ``never_sent`` or ``lost``."""
    return finished(note, None, None, Reading(outcome))


def finished(note: Begun, sent_s: float | None, end_s: float | None, reading: Reading) -> Record:
    """The row of a try that ended at ``end_s`` with ``reading``."""
    announced = reading.announced
    return Record(
        call_id=note.call_id,
        attempt=note.attempt,
        kind=note.kind,
        planned_s=note.planned_s,
        ready_s=None,
        sent_s=sent_s,
        first_byte_s=reading.first_byte_s,
        end_s=end_s,
        outcome=reading.outcome,
        status=reading.status,
        error_code=reading.error_code,
        provider=reading.provider,
        model=reading.model,
        attempts=announced.attempts,
        prompt_tokens=reading.prompt_tokens,
        completion_tokens=reading.completion_tokens,
        stream=note.stream,
        chunks=reading.chunks,
        max_gap_s=reading.max_gap_s,
        planned_ms=announced.planned_ms,
        planned_first_ms=announced.planned_first_ms,
        overhead_ms=announced.overhead_ms,
        wasted_ms=announced.wasted_ms,
        connect_ms=reading.connect_ms,
        request_id=reading.request_id,
        key=None,
        expected=note.expected,
    )


def part_path(folder: Path, worker: int, pid: int) -> Path:
    """The part file of one worker process."""
    return folder / f"worker-{worker}-{pid}.jsonl"


def part_owner(path: Path) -> tuple[int, int]:
    """Worker number and pid from a part file's name."""
    _, worker, pid = path.stem.split("-")
    return int(worker), int(pid)


def ready_path(folder: Path, worker: int) -> Path:
    """The file whose existence says that the worker waits for the run's zero."""
    return folder / f"ready-{worker}"


class Recorder:
    """Appends notes to one part file; each is in the kernel's hands when `write` returns."""

    def __init__(self, path: Path) -> None:
        self._file = os.open(path, os.O_WRONLY | os.O_CREAT | os.O_APPEND, 0o644)
        self._encoder = msgspec.json.Encoder()
        self._buffer = bytearray()

    def write(self, note: Note) -> None:
        """Append one note; raises ``OSError`` when the disk is full."""
        self._encoder.encode_into(note, self._buffer)
        self._buffer += b"\n"
        os.write(self._file, self._buffer)

    def close(self) -> None:
        """Nothing can be written afterwards."""
        os.close(self._file)


_decoder: Final[msgspec.json.Decoder[Note]] = msgspec.json.Decoder(Note)


def read_line(line: bytes) -> Note | None:
    """The note in a line, ``None`` for a torn one."""
    try:
        return _decoder.decode(line)
    except (msgspec.DecodeError, UnicodeDecodeError):
        return None


def read_notes(path: Path) -> Iterator[Note]:
    """The notes of a part file in the order they were written."""
    with path.open("rb") as file:
        for line in file:
            note = read_line(line)
            if note is not None:
                yield note

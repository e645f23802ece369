"""What a worker writes down, at once, into a file of its own: nothing it recorded can be lost with it.

A part file holds one JSON line per note, each written with a single ``write`` on a file opened for appending.
A line torn by a kill can only be the last one and is left out. The merge (`scenarios.record.merge`) makes Parquet of
the parts once all workers are done.
"""

from __future__ import annotations

import os
from collections.abc import Iterator
from pathlib import Path
from typing import Final

import msgspec

from reports.sample import MOCK_WORKER
from scenarios.record.notes import Note

PARTS: Final = ".parts"
# How a worker tells that its first answers were all 401; no signal and no error of Locust's has this number.
WRONG_KEY_EXIT: Final = 21
_BATCH_BYTES: Final = 1 << 18


def part_path(folder: Path, worker: int, pid: int) -> Path:
    """The part file of one worker process."""
    return folder / f"worker-{worker}-{pid}.jsonl"


def part_owner(path: Path) -> tuple[int, int]:
    """Worker number and pid from a part file's name."""
    _, worker, pid = path.stem.split("-")
    return int(worker), int(pid)


def mock_path(folder: Path) -> Path:
    """The file of what the run's own mock told of its health; its moments are readings of CLOCK_MONOTONIC."""
    return folder / f"{MOCK_WORKER}.jsonl"


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


class BatchRecorder(Recorder):
    """Appends notes many at a time: of a run that anyone can play again, a kill may lose the last of them."""

    def write(self, note: Note) -> None:
        """Append one note; raises ``OSError`` when the disk is full."""
        self._encoder.encode_into(note, self._buffer, -1)
        self._buffer += b"\n"
        if len(self._buffer) >= _BATCH_BYTES:
            self._flush()

    def _flush(self) -> None:
        left = memoryview(self._buffer)
        while left:
            left = left[os.write(self._file, left) :]
        left.release()
        self._buffer = bytearray()

    def close(self) -> None:
        """Append what is left; raises ``OSError`` when the disk is full. Nothing can be written afterwards."""
        try:
            self._flush()
        finally:
            super().close()


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

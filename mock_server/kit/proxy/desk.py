"""Where records are looked at: in a process of its own, so that the relay's times are not those of the judge.

A thread beside the relay would make it wait for the interpreter at every read and write, some milliseconds for each
call. The process reads records from stdin, tells on stderr what is new, and writes the tally to stdout once stdin ends.
It gives way to the relay where both want the same core.
"""

from __future__ import annotations

import os
import struct
import subprocess
import sys
import threading
import traceback
from queue import SimpleQueue
from typing import IO, Final

import msgspec

from mock_server.exits import complain
from mock_server.kit.proxy.record import Record
from mock_server.kit.proxy.tally import Drift, Tally
from mock_server.launch import own_environment

PROGRAM: Final = "mock-server proxy"
MOST_WAITING_BYTES: Final = 256 << 20
"""Of records that wait to be looked at; what comes beyond is passed on as ever, and counted as not judged."""
_OVERHEAD_BYTES: Final = 4_096  # of a record besides its bodies
_LENGTH: Final = struct.Struct("<I")
_RECORDS: Final = msgspec.msgpack.Decoder(Record)


class DeskError(RuntimeError):
    """The judging process failed; the message is its traceback, or how it ended."""


class Desk:
    """Hands records to the judging process, which begins with it and ends with `close`, or when this process does.

    Mutable: how many bytes wait, and how many records found no place.
    """

    def __init__(self, most_bytes: int = MOST_WAITING_BYTES) -> None:
        self._most_bytes = most_bytes
        self._waiting: SimpleQueue[Record | None] = SimpleQueue()
        self._taken_bytes = 0  # by the relay's thread
        self._done_bytes = 0  # by the one that hands over
        self._unjudged = 0
        self._process = subprocess.Popen(
            [sys.executable, "-P", "-m", "mock_server.kit.proxy.desk"],
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            env=own_environment(),
            start_new_session=True,  # Ctrl-C is for this process, which ends that one
        )
        self._thread = threading.Thread(target=self._hand_over, name="desk", daemon=True)
        self._thread.start()

    def take(self, record: Record) -> None:
        """Let a record be looked at when there is time."""
        size = _size(record)
        if self._taken_bytes - self._done_bytes + size > self._most_bytes:
            self._unjudged += 1
            return
        self._taken_bytes += size
        self._waiting.put(record)

    def close(self) -> Tally:
        """Look at all that waits; what was seen in all. Raises :class:`DeskError` should something have gone wrong."""
        self._waiting.put(None)
        stdout = self._process.stdout
        assert stdout is not None
        with self._process:
            said = stdout.read()
            self._thread.join()
        if self._process.returncode:
            raise DeskError(said.decode("utf-8", "replace") or f"it ended with {self._process.returncode}")
        tally = msgspec.msgpack.decode(said, type=Tally)
        tally.unjudged = self._unjudged
        return tally

    def _hand_over(self) -> None:
        stdin = self._process.stdin
        assert stdin is not None
        try:
            with stdin:
                while (record := self._waiting.get()) is not None:
                    data = msgspec.msgpack.encode(record)
                    stdin.write(_LENGTH.pack(len(data)) + data)
                    if self._waiting.empty():
                        stdin.flush()
                    self._done_bytes += _size(record)
        except OSError:  # `close` says how it ended; what comes from now on finds no place sooner or later
            complain(PROGRAM, "what passes is not looked at any more: the judging process has ended")


def _size(record: Record) -> int:
    return len(record.body) + len(record.answer) + _OVERHEAD_BYTES


def judge(records: IO[bytes], result: IO[bytes]) -> int:
    """What the process does: the exit code. A traceback takes the place of the tally should something go wrong."""
    tally = Tally()
    try:
        while head := records.read(_LENGTH.size):
            for drift in tally.add(_RECORDS.decode(records.read(_LENGTH.unpack(head)[0]))):
                _say(drift)
        tally.ids.clear()  # of no use to anybody else
        result.write(msgspec.msgpack.encode(tally))
    except Exception:
        result.write(traceback.format_exc().encode("utf-8", "replace"))
        return 1
    return 0


def _say(drift: Drift) -> None:
    number = f" ({drift.request_id})" if drift.request_id else ""
    complain(PROGRAM, f"the {drift.side} breaks {drift.clause}: {drift.said}{number}")


if __name__ == "__main__":
    if sys.platform != "win32":
        os.nice(5)
    sys.exit(judge(sys.stdin.buffer, sys.stdout.buffer))

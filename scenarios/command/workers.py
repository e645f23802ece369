"""The worker processes of a run: start, wait, watch, stop."""

from __future__ import annotations

import contextlib
import os
import signal
import subprocess
import sys
from pathlib import Path
from typing import Final

import msgspec

from scenarios.command.options import API_KEY_VARIABLE
from scenarios.command.target import python_path
from scenarios.model.load import Closed
from scenarios.record.notes import Beat
from scenarios.record.plan import Plan
from scenarios.record.spool import part_path, read_line, ready_path

_LOCUSTFILE: Final = Path(__file__).parents[1] / "locustfile.py"
_TAIL_BYTES: Final = 1 << 14


class Progress(msgspec.Struct, frozen=True):
    """How far a run is, over all workers."""

    done: int = 0
    failed: int = 0
    in_flight: int = 0


class Workers:
    """The run's worker processes, each leading a group of its own so that Ctrl-C reaches only `run`."""

    def __init__(self, plan: Plan, folder: Path, api_key: str) -> None:
        self._folder = folder
        environment = {**python_path(), "LOAD_TEST_PARTS": str(folder), API_KEY_VARIABLE: api_key}
        self.processes = [
            self._start(plan, worker, {**environment, "LOAD_TEST_WORKER": str(worker)})
            for worker in range(plan.processes)
        ]

    def _start(self, plan: Plan, worker: int, environment: dict[str, str]) -> subprocess.Popen[bytes]:
        load = plan.load
        users = len(range(worker, load.users, plan.processes)) if isinstance(load, Closed) else 1
        command = [sys.executable, "-m", "locust", "-f", str(_LOCUSTFILE), "--headless", "--only-summary"]
        command += ["--host", plan.target, "--users", str(users), "--spawn-rate", str(users)]
        command += ["--loglevel", "ERROR"]
        with self.log_path(worker).open("wb") as log:
            return subprocess.Popen(  # noqa: S603 - our own locustfile
                command,
                cwd=self._folder,
                stdin=subprocess.DEVNULL,
                stdout=log,
                stderr=subprocess.STDOUT,
                env=environment,
                start_new_session=True,
            )

    def log_path(self, worker: int) -> Path:
        """Where a worker's own output goes."""
        return self._folder / f"worker-{worker}.log"

    @property
    def ready(self) -> bool:
        """Whether every worker waits for the run's zero."""
        return all(ready_path(self._folder, worker).exists() for worker in range(len(self.processes)))

    @property
    def running(self) -> int:
        """How many still run."""
        return sum(process.poll() is None for process in self.processes)

    @property
    def codes(self) -> list[int]:
        """Exit codes of those that have ended."""
        return [process.returncode for process in self.processes if process.poll() is not None]

    def last_words(self) -> str:
        """The last line that a worker which failed said."""
        for worker, process in enumerate(self.processes):
            if process.poll():
                lines = self.log_path(worker).read_text("utf-8", "replace").strip().splitlines()
                return lines[-1] if lines else f"exit code {process.returncode}"
        return "no reason given"

    def signal(self, number: signal.Signals) -> None:
        """Signal every worker that still runs."""
        for process in self.processes:
            if process.poll() is None:
                with contextlib.suppress(ProcessLookupError):
                    os.killpg(process.pid, number)

    def wait(self, timeout_s: float) -> bool:
        """Wait for all, in turn, at most ``timeout_s`` for each; whether all have ended."""
        for process in self.processes:
            with contextlib.suppress(subprocess.TimeoutExpired):
                process.wait(timeout_s)
        return self.running == 0

    def progress(self) -> Progress:
        """The sum of the workers' last beats."""
        beats = [
            beat
            for worker, process in enumerate(self.processes)
            if (beat := last_beat(part_path(self._folder, worker, process.pid))) is not None
        ]
        return Progress(
            sum(beat.done for beat in beats),
            sum(beat.failed for beat in beats),
            sum(beat.in_flight for beat in beats),
        )


def last_beat(path: Path) -> Beat | None:
    """The latest beat near the end of a part file; ``None`` while there is none."""
    try:
        with path.open("rb") as file:
            file.seek(max(0, path.stat().st_size - _TAIL_BYTES))
            lines = file.read().splitlines()
    except OSError:
        return None
    for line in reversed(lines):
        if line.startswith(b'["beat"') and isinstance(note := read_line(line), Beat):
            return note
    return None

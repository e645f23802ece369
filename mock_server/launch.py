"""Starts a mock in a process of its own, waits until it is ready, and stops it, leaving nothing behind.

    with launch("--world", "instant") as mock:
        client = Client(mock.url)

The process is in a session of its own, so that Ctrl-C at the terminal reaches whoever started it and not the mock. It
holds the reading end of a pipe as its stdin and ends when that is closed: should this process be killed, the mock ends
as well.
"""

from __future__ import annotations

import contextlib
import os
import queue
import re
import signal
import subprocess
import sys
import tempfile
import threading
import time
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Final

READY_WITHIN_S: Final = 30.0
STOPPED_WITHIN_S: Final = 10.0
STOP_WITH_STDIN: Final = "--stop-with-stdin"
_READY: Final = re.compile(rb".* ready on (https?://\S+:([0-9]+))\s*")
_ROOT: Final = Path(__file__).resolve().parents[1]


class LaunchError(RuntimeError):
    """It did not start; the message is one line that says why, in the words of the process itself if it had any."""


def serve_command(*options: str) -> list[str]:
    """The command line of a mock on a free port, with further options of `mock-server serve`."""
    # -P: a file of the caller's folder that is named like a module must not take that one's place.
    return [sys.executable, "-P", "-m", "mock_server", "serve", "--port", "0", STOP_WITH_STDIN, *options]


def launch(*options: str, environment: Mapping[str, str] | None = None) -> Launched:
    """A running mock on a free port. Raises :class:`LaunchError`.

    ``options`` are those of `mock-server serve`; ``environment`` is this process's own unless given.
    """
    return Launched(serve_command(*options), environment)


class Launched:
    """A server that runs in a process of its own; a context manager that stops it.

    ``command`` starts one that prints `… ready on URL` once it accepts connections. ``ready_after_s`` is the time from
    its start to this line. Raises :class:`LaunchError`; then, too, nothing is left behind.
    """

    def __init__(
        self,
        command: Sequence[str],
        environment: Mapping[str, str] | None = None,
        within_s: float = READY_WITHIN_S,
    ) -> None:
        began = time.perf_counter()
        self._stopped = False
        self._stderr = tempfile.TemporaryFile()  # noqa: SIM115 - closed by stop
        self._process = subprocess.Popen(  # noqa: S603 - the caller's own command
            command,
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            stderr=self._stderr,
            env=_with_this_package(os.environ if environment is None else environment),
            start_new_session=True,
        )
        try:
            self.url, self.port = self._wait_until_ready(within_s)
        except BaseException:
            self.stop(signal.SIGTERM)
            raise
        self.ready_after_s = time.perf_counter() - began

    def __enter__(self) -> Launched:
        return self

    def __exit__(self, *_: object) -> None:
        self.stop()

    @property
    def pid(self) -> int:
        """Of the process, which leads a group of its own."""
        return self._process.pid

    def death(self, within_s: float = 0.0) -> str | None:
        """How it ended by itself, or does so ``within_s`` seconds; None while it runs, and when `stop` ended it."""
        with contextlib.suppress(subprocess.TimeoutExpired):
            self._process.wait(within_s)
        code = self._process.returncode
        if code is None or self._stopped:
            return None
        return f"signal {-code}" if code < 0 else f"exit code {code}"

    def complaints(self) -> str:
        """All that it has written to stderr."""
        if self._stderr.closed:
            return self._complaints
        size = os.fstat(self._stderr.fileno()).st_size
        return os.pread(self._stderr.fileno(), size, 0).decode("utf-8", "replace")

    def send_signal(self, number: signal.Signals) -> None:
        """Send the process a signal."""
        self._process.send_signal(number)

    def stop(self, how: signal.Signals = signal.SIGTERM) -> tuple[int, str]:
        """End it, by force if it does not follow the signal; may be called twice.

        Gives its exit code, negative for a signal, and what else it wrote to stdout.
        """
        process = self._process
        for number in (how, signal.SIGKILL):
            if process.poll() is not None:
                break
            self._stopped = True
            process.send_signal(number)
            with contextlib.suppress(subprocess.TimeoutExpired):
                process.wait(STOPPED_WITHIN_S)
        self._close()
        return process.returncode, self._rest

    def _close(self) -> None:
        """Read what is left of a process that has ended, and let go of its pipes."""
        stdin, stdout = self._process.stdin, self._process.stdout
        assert stdin is not None
        assert stdout is not None
        if not self._stderr.closed:
            self._rest = stdout.read().decode("utf-8", "replace")
            self._complaints = self.complaints()
            for file in (stdin, stdout, self._stderr):
                file.close()

    def _wait_until_ready(self, within_s: float) -> tuple[str, int]:
        lines: queue.Queue[bytes] = queue.Queue()
        stdout = self._process.stdout
        assert stdout is not None
        reader = threading.Thread(target=lambda: lines.put(stdout.readline()), daemon=True)
        reader.start()
        try:
            line = lines.get(timeout=within_s)
        except queue.Empty:
            self._process.kill()
            reader.join()
            raise LaunchError(f"it was not ready within {within_s:.0f} s{self._last_words()}") from None
        if match := _READY.fullmatch(line):
            return match[1].decode(), int(match[2])
        if line:
            raise LaunchError(f"it said {line.decode('utf-8', 'replace').strip()[:200]!r} instead of where it is")
        code = self._process.wait(STOPPED_WITHIN_S)
        raise LaunchError(f"it ended with exit code {code} before it was ready{self._last_words()}")

    def _last_words(self) -> str:
        lines = self.complaints().strip().splitlines()
        return f": {lines[-1]}" if lines else ""


def own_environment() -> dict[str, str]:
    """This process's environment, with which this package is found, installed or not."""
    return _with_this_package(os.environ)


def _with_this_package(environment: Mapping[str, str]) -> dict[str, str]:
    """The environment with which this package is found, installed or not."""
    paths = [str(_ROOT), *filter(None, [environment.get("PYTHONPATH")])]
    return {**environment, "PYTHONPATH": os.pathsep.join(paths)}

"""The other end of a run: a gateway someone else runs, or a mock of the run's own."""

from __future__ import annotations

import os
import select
import signal
import socket
import subprocess
import sys
import tempfile
import time
import urllib.request
from pathlib import Path
from typing import IO, Final
from urllib.parse import urlsplit

from scenarios.command.options import UsageError

_START_S: Final = 30.0
_STOP_S: Final = 5.0
_PROBE_S: Final = 5.0
_READY: Final = "mock-server ready on "


def probe(url: str) -> None:
    """Raise `UsageError` unless something accepts TCP connections there; sends nothing."""
    parts = urlsplit(url)
    port = parts.port or (443 if parts.scheme == "https" else 80)
    try:
        socket.create_connection((parts.hostname, port), timeout=_PROBE_S).close()
    except OSError as error:
        why = error.strerror or str(error) or type(error).__name__
        raise UsageError(f"cannot reach {url}: {why}; is the gateway running?") from None


def python_path() -> dict[str, str]:
    """The environment for a child that must find these packages, installed or not; without Locust's settings."""
    root = str(Path(__file__).resolve().parents[2])
    environment = {name: value for name, value in os.environ.items() if not name.startswith("LOCUST_")}
    paths = [root, *filter(None, [environment.get("PYTHONPATH")])]
    return {**environment, "PYTHONPATH": os.pathsep.join(paths)}


class OwnMock:
    """A mock on a free port, in a process group of its own; a context manager that stops it."""

    def __init__(self, world: str, seed: int, time_scale: float) -> None:
        self._stopped = False
        self._log: IO[bytes] = tempfile.TemporaryFile()  # noqa: SIM115 - closed by stop
        command = [sys.executable, "-m", "mock_server", "serve", "--port", "0"]
        command += ["--world", world, "--seed", str(seed), "--time-scale", str(time_scale)]
        self._said, write_end = os.pipe()
        self._process = subprocess.Popen(  # noqa: S603 - our own module
            command,
            stdin=subprocess.DEVNULL,
            stdout=write_end,
            stderr=self._log,
            env=python_path(),
            start_new_session=True,
        )
        os.close(write_end)
        try:
            self.url = self._wait_until_ready()
        except BaseException:
            self.stop()
            raise

    @property
    def pid(self) -> int:
        """Of the mock's process, which leads its group."""
        return self._process.pid

    def death(self) -> str | None:
        """How it ended by itself; ``None`` while it runs, and when `stop` ended it."""
        code = self._process.poll()
        if code is None or self._stopped:
            return None
        return f"signal {-code}" if code < 0 else f"exit code {code}"

    def begin_world(self) -> float:
        """Start its world's timeline anew; the monotonic moment at which it did."""
        request = urllib.request.Request(  # noqa: S310 - our own mock's address
            f"{self.url}/__mock__/reset", b"{}", {"Content-Type": "application/json"}
        )
        with urllib.request.urlopen(request, timeout=_START_S):  # noqa: S310 - our own mock's address
            return time.monotonic()

    def _wait_until_ready(self) -> str:
        deadline = time.monotonic() + _START_S
        said = b""
        while not said.endswith(b"\n"):
            left = deadline - time.monotonic()
            if left <= 0:
                raise UsageError(f"the mock was not ready within {_START_S:.0f} s")
            if not select.select([self._said], [], [], min(left, 0.5))[0]:
                continue
            piece = os.read(self._said, 4096)
            if not piece:
                raise UsageError(f"the mock did not start: {self._last_words()}")
            said += piece
        for line in said.decode("utf-8", "replace").splitlines():
            if line.startswith(_READY):
                return line.removeprefix(_READY).strip()
        raise UsageError(f"the mock said {said!r} instead of where it is")

    def _last_words(self) -> str:
        self._process.wait(_STOP_S)
        self._log.seek(0)
        lines = self._log.read().decode("utf-8", "replace").strip().splitlines()
        return lines[-1] if lines else f"it ended with code {self._process.returncode}"

    def stop(self) -> None:
        """End it, politely first; safe to call twice."""
        for how in (signal.SIGTERM, signal.SIGKILL):
            if self._process.poll() is not None:
                break
            self._stopped = True
            os.killpg(self._process.pid, how)
            try:
                self._process.wait(_STOP_S)
            except subprocess.TimeoutExpired:
                continue
        if not self._log.closed:
            self._log.close()
            os.close(self._said)

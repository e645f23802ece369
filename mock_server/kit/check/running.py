"""Runs the command in a process group of its own, and leaves nothing of that group behind."""

from __future__ import annotations

import contextlib
import os
import re
import signal
import subprocess
import threading
import time
from collections.abc import Callable, Mapping, Sequence
from typing import IO, Final

from msgspec import Struct

from mock_server.core.account import shown
from mock_server.kit.options import UnusableError

SHOWN_BYTES: Final = 4_000
_READ_WITHIN_S: Final = 0.5  # what a pipe holds is read in no time; who has left the group may hold it for ever
_CHUNK: Final = 65_536
_SECRET_NAME: Final = re.compile(r"KEY|TOKEN|SECRET|PASSW", re.IGNORECASE)
_SHORTEST_SECRET: Final = 8
_BEARER: Final = re.compile(r"(?i)(bearer\s+|\bsk-)([^\s\"',;]{8,})")


class StoppedError(Exception):
    """The check is being ended; nothing more is started."""


class Ran(Struct, frozen=True):
    """How a run of the command went. ``killed``: it had to be stopped. ``output`` is the end of it, keys masked.

    ``code`` is what a shell would show: 128 and the number of a signal that ended it.
    """

    code: int
    killed: bool
    took_s: float
    output: str


class Runner:
    """Starts the command, several at once if asked. Mutable: which of its processes run. Threads may share it."""

    def __init__(self, command: Sequence[str], environment: Mapping[str, str], timeout_s: float) -> None:
        self._command = list(command)
        self._environment = dict(environment)
        self._timeout_s = timeout_s
        self._running: set[subprocess.Popen[bytes]] = set()
        self._lock = threading.Lock()
        self._stopped = False

    @property
    def proxies(self) -> list[str]:
        """The variables by which the command's environment sends calls to this machine to a proxy."""
        given = {name.lower(): value for name, value in self._environment.items()}
        spared = [host.strip() for host in given.get("no_proxy", "").split(",")]
        if any(host in ("*", "127.0.0.1") for host in spared):
            return []
        wanted = ("http_proxy", "all_proxy")
        return sorted(name for name, value in self._environment.items() if name.lower() in wanted and value)

    def run(self, handed_over: Mapping[str, str], late: Callable[[], None]) -> Ran:
        """Run it to its end; ``late`` is called when it has used up its time, before it is stopped.

        Raises :class:`UnusableError` where it cannot be started, and :class:`StoppedError`.
        """
        environment = {**self._environment, **handed_over}
        began = time.perf_counter()
        process, killed = self._start(environment), False
        tail = _Tail(process.stdout)
        try:
            process.wait(self._timeout_s)
        except subprocess.TimeoutExpired:
            killed = True
            late()
        finally:
            _end(process)
            with self._lock:
                self._running.discard(process)
            said = tail.end()
        if self._stopped:
            raise StoppedError
        code = process.returncode if process.returncode >= 0 else 128 - process.returncode
        return Ran(code, killed, time.perf_counter() - began, masked(said, environment))

    def stop(self) -> None:
        """End all that runs, and start nothing more."""
        with self._lock:
            self._stopped = True
            for process in self._running:
                _signal_group(process)

    def _start(self, environment: Mapping[str, str]) -> subprocess.Popen[bytes]:
        with self._lock:
            if self._stopped:
                raise StoppedError
            try:
                process = subprocess.Popen(  # noqa: S603 - the user's own command
                    self._command,
                    stdin=subprocess.DEVNULL,
                    stdout=subprocess.PIPE,
                    stderr=subprocess.STDOUT,
                    env=environment,
                    start_new_session=True,
                )
            except (OSError, ValueError) as error:
                reason = (getattr(error, "strerror", None) or str(error)).lower()
                raise UnusableError(f"cannot run {self._command[0][:100]!r}: {reason}") from None
            self._running.add(process)
            return process


class _Tail:
    """Reads a process's output and keeps the end of it. Mutable: what is kept."""

    def __init__(self, pipe: IO[bytes] | None) -> None:
        assert pipe is not None
        self._pipe = pipe
        self._kept = b""
        self._thread = threading.Thread(target=self._read, daemon=True)
        self._thread.start()

    def _read(self) -> None:
        while piece := os.read(self._pipe.fileno(), _CHUNK):
            self._kept = (self._kept + piece)[-_CHUNK:]

    def end(self) -> str:
        """What was kept, once the process has ended; one that left its group may hold the pipe, and is not awaited."""
        self._thread.join(_READ_WITHIN_S)
        if not self._thread.is_alive():
            self._pipe.close()
        return self._kept.decode("utf-8", "replace")


def _end(process: subprocess.Popen[bytes]) -> None:
    """End the group: what a command has started and forgotten goes with it."""
    _signal_group(process)
    process.wait()


def _signal_group(process: subprocess.Popen[bytes]) -> None:
    with contextlib.suppress(ProcessLookupError, PermissionError):
        os.killpg(process.pid, signal.SIGKILL)


def masked(text: str, environment: Mapping[str, str]) -> str:
    """The end of ``text``, without the secrets of the environment and what looks like a key."""
    secrets = {v for name, v in environment.items() if _SECRET_NAME.search(name) and len(v) >= _SHORTEST_SECRET}
    for secret in sorted(secrets, key=len, reverse=True):
        text = text.replace(secret, shown(secret))
    text = _BEARER.sub(lambda found: found[1] + shown(found[2]), text)
    return text if len(text) <= SHOWN_BYTES else "…" + text[-SHOWN_BYTES:]

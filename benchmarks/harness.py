"""What the benchmarks share: servers on one core, clients on another, and the facts of the machine.

A core is chosen by affinity, which only Linux offers; elsewhere nothing is pinned and the result says so.
"""

from __future__ import annotations

import json
import os
import platform
import queue
import subprocess
import sys
import threading
import time
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from importlib.metadata import version
from typing import IO, Final

KEY: Final = "sk-test-unlimited"
PATH: Final = "/v1/llm/auto"
READY_WITHIN_S: Final = 30.0
STOPPED_WITHIN_S: Final = 10.0

WRONG_USAGE: Final = 2
INVALID: Final = 3


class BenchmarkError(Exception):
    """Something that keeps the benchmark from being measured; the message is one line."""


@dataclass(frozen=True)
class Cores:
    """Which core the server and which the client runs on; None where it cannot be chosen."""

    server: int | None
    client: int | None

    def __str__(self) -> str:
        if self.server is None:
            return "not pinned"
        return f"server on core {self.server}, client on core {self.client}"


@dataclass(frozen=True)
class Server:
    """A started server: where it listens, its process id and the seconds from its start to its ready line."""

    url: str
    port: int
    pid: int
    ready_after_s: float


def choose_cores() -> Cores:
    """Two cores of those this process may use, or none when there are fewer or the system cannot pin."""
    usable = sorted(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else []
    return Cores(usable[0], usable[1]) if len(usable) > 1 else Cores(None, None)


@contextmanager
def on_core(core: int | None) -> Iterator[None]:
    """Run the block, and the processes it starts, on one core; the calling thread only."""
    if core is None:
        yield
        return
    before = os.sched_getaffinity(0)
    os.sched_setaffinity(0, {core})
    try:
        yield
    finally:
        os.sched_setaffinity(0, before)


def mock_command(world: str) -> list[str]:
    """The command line of the mock on a free port."""
    return [sys.executable, "-m", "mock_server", "serve", "--port", "0", "--world", world]


@contextmanager
def running(command: Sequence[str], core: int | None, stderr: IO[str] | None = None) -> Iterator[Server]:
    """Start a server that prints `… ready on http://127.0.0.1:PORT`, wait for that line, stop it afterwards.

    What it complains of goes to `stderr`, or to this process's own.
    """
    started = time.perf_counter()
    with on_core(core):
        process = subprocess.Popen(command, stdout=subprocess.PIPE, stderr=stderr, text=True)
    assert process.stdout is not None
    try:
        url = _ready_url(process.stdout)
        yield Server(url, int(url.rpartition(":")[2]), process.pid, time.perf_counter() - started)
    finally:
        process.terminate()
        try:
            process.wait(STOPPED_WITHIN_S)
        except subprocess.TimeoutExpired:
            process.kill()
            process.wait()
        process.stdout.close()


def _ready_url(stdout: IO[str]) -> str:
    lines: queue.Queue[str] = queue.Queue()
    threading.Thread(target=lambda: lines.put(stdout.readline()), daemon=True).start()
    try:
        line = lines.get(timeout=READY_WITHIN_S)
    except queue.Empty:
        raise BenchmarkError(f"the server did not get ready within {READY_WITHIN_S:.0f} s") from None
    _, found, url = line.strip().partition(" ready on ")
    if not found:
        raise BenchmarkError("the server stopped before it was ready; its own message is above")
    return url


def call_body(prompt: str, max_tokens: int) -> bytes:
    """The JSON body of one plain call."""
    call = {"messages": [{"role": "user", "content": prompt}], "max_tokens": max_tokens}
    return json.dumps(call, separators=(",", ":")).encode()


def machine() -> dict[str, str]:
    """What a reader needs to judge the numbers by."""
    load = f"{os.getloadavg()[0]:.2f}" if hasattr(os, "getloadavg") else "unknown"
    return {
        "python": platform.python_version(),
        "system": f"{platform.system()} {platform.machine()}",
        "cores": str(os.cpu_count()),
        "load_1min_before": load,
        "uvicorn": version("uvicorn"),
        "starlette": version("starlette"),
    }


def describe(facts: dict[str, str]) -> str:
    """The machine's facts in one line."""
    return ", ".join(f"{name} {value}" for name, value in facts.items())

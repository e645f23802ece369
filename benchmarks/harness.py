"""What the benchmarks share: servers on one core, clients on another, and the facts of the machine.

A core is chosen by affinity, which only Linux offers; elsewhere nothing is pinned and the result says so.
"""

from __future__ import annotations

import json
import os
import platform
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from importlib.metadata import version
from typing import Any, Final

from mock_server.launch import Launched, LaunchError, serve_command

KEY: Final = "sk-test-unlimited"
PATH: Final = "/v1/llm/auto"

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
    return serve_command("--world", world)


@contextmanager
def running(command: Sequence[str], core: int | None) -> Iterator[Launched]:
    """Start a server that prints `… ready on http://127.0.0.1:PORT`, wait for that line, stop it afterwards."""
    try:
        with on_core(core):  # the process stays on it
            server = Launched(command)
    except LaunchError as error:
        raise BenchmarkError(f"the server did not start: {error}") from None
    with server:
        yield server


def call_body(prompt: str, max_tokens: int, **fields: Any) -> bytes:
    """The JSON body of one call, in UTF-8; ``fields`` are more of its fields."""
    call = {"messages": [{"role": "user", "content": prompt}], "max_tokens": max_tokens, **fields}
    return json.dumps(call, separators=(",", ":"), ensure_ascii=False).encode()


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

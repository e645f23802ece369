"""How long the mock takes from its start to its ready line, and whether its memory stays flat under load.

Every request is a different one: what the mock remembers of calls it has seen fills up too, as it would in a long
load test. Memory is the process's resident set. Run as `python -m benchmarks.startup_memory`.

Exit codes: 0 measured · 1 above `--start-at-most` or `--memory-at-most` · 2 nothing could be measured · 3 some answer
was not a 200.
"""

from __future__ import annotations

import argparse
import json
import statistics
import sys
from collections.abc import Sequence
from typing import Any, Final

import psutil

from benchmarks.client import Load, refused
from benchmarks.harness import (
    INVALID,
    WRONG_USAGE,
    BenchmarkError,
    Cores,
    call_body,
    choose_cores,
    describe,
    machine,
    mock_command,
    on_core,
    running,
)

WORLD: Final = "instant"
CONNECTIONS: Final = 64
WITHIN_S: Final = 300.0
PER_LOAD: Final = 10_000
MB: Final = 1e6


def start_times(starts: int, cores: Cores) -> list[float]:
    """Seconds from starting the command to its ready line, once per start."""
    seconds = []
    for _ in range(starts):
        with running(mock_command(WORLD), cores.server) as server:
            seconds.append(server.ready_after_s)
    return seconds


def memory(requests: int, cores: Cores) -> tuple[list[float], int]:
    """Resident MB at the start, after `requests` and after twice as many, and how many answers were not a 200."""
    with running(mock_command(WORLD), cores.server) as server:
        process = psutil.Process(server.pid)
        resident, bad = [process.memory_info().rss / MB], 0
        for first in (0, requests):
            for at in range(first, first + requests, PER_LOAD):
                total = min(PER_LOAD, first + requests - at)
                bad += _load(server.port, at, total, cores)
            resident.append(process.memory_info().rss / MB)
    return resident, bad


def _load(port: int, first: int, total: int, cores: Cores) -> int:
    """Send requests number `first` to `first + total`; returns how many answers were not a 200."""

    def body(number: int) -> bytes:
        return call_body(f"Question {first + number}: describe the weather in one sentence.", max_tokens=24)

    with on_core(cores.client):
        return refused(Load(port, min(CONNECTIONS, total), total, body).run(WITHIN_S))


def measure(starts: int, requests: int) -> dict[str, Any]:
    """Everything this benchmark finds, as plain values."""
    facts, cores = machine(), choose_cores()
    seconds = start_times(starts, cores)
    resident, bad = memory(requests, cores)
    return {
        "start_median_s": statistics.median(seconds),
        "start_max_s": max(seconds),
        "starts": starts,
        "requests": requests,
        "resident_at_start_mb": resident[0],
        "resident_after_mb": resident[1],
        "resident_after_twice_mb": resident[2],
        "growth_mb": resident[2] - resident[1],
        "not_200": bad,
        "pinned": str(cores),
        "machine": facts,
    }


def text(found: dict[str, Any]) -> str:
    """The result for a reader."""
    return "\n".join(
        [
            f"start     {found['start_median_s']:.2f} s to the ready line (median of {found['starts']};"
            f" max {found['start_max_s']:.2f})",
            f"memory    {found['resident_after_mb']:.1f} MB after {found['requests']:,} requests,"
            f" {found['resident_after_twice_mb']:.1f} MB after twice as many ({found['growth_mb']:+.1f}),"
            f" {found['resident_at_start_mb']:.1f} MB at the start",
            f"load      {CONNECTIONS} keep-alive connections, all calls different, world {WORLD}, {found['pinned']};"
            f" {found['not_200']} answers were not a 200",
            f"machine   {describe(found['machine'])}",
        ]
    )


def main(argv: Sequence[str] | None = None) -> int:
    """Measure and print; returns the exit code."""
    parser = argparse.ArgumentParser(
        "python -m benchmarks.startup_memory", description=(__doc__ or "").split("\n\n")[0]
    )
    parser.add_argument("--starts", type=int, default=5, help="how often to start the mock (default 5)")
    parser.add_argument("--requests", type=int, default=100_000, help="requests between two looks (default 100000)")
    parser.add_argument("--start-at-most", type=float, default=float("inf"), metavar="S", help="exit with 1 above")
    parser.add_argument("--memory-at-most", type=float, default=float("inf"), metavar="MB", help="exit with 1 above")
    parser.add_argument("--json", action="store_true", help="print the result as JSON")
    args = parser.parse_args(argv)
    if args.starts < 1 or args.requests < 1:
        parser.error("--starts and --requests must be at least 1")
    try:
        found = measure(args.starts, args.requests)
    except BenchmarkError as error:
        print(f"startup_memory: {error}", file=sys.stderr)
        return WRONG_USAGE
    print(json.dumps(found, indent=2) if args.json else text(found))
    if found["not_200"]:
        print(f"startup_memory: invalid, {found['not_200']} answers were not a 200", file=sys.stderr)
        return INVALID
    most_resident = max(found["resident_after_mb"], found["resident_after_twice_mb"])
    return int(found["start_median_s"] > args.start_at_most or most_resident > args.memory_at_most)


if __name__ == "__main__":
    sys.exit(main())

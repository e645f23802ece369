"""Whether the mock keeps the latency it planned while 1,000 requests are in flight.

Every connection sends its next request as soon as it has its answer, so the number in flight stays what was asked.
Lateness is the client's wall time, from sending to the last byte, minus `planned` in the answer's `Launched-Timing`:
it holds the mock's own work, its timers, both sockets and the client's own delay.
Run as `python -m benchmarks.latency`.

Exit codes: 0 measured · 1 p99 above `--at-most` · 2 nothing could be measured · 3 some answer was not a 200.
"""

from __future__ import annotations

import argparse
import json
import statistics
import sys
from collections.abc import Sequence
from typing import Any, Final

from benchmarks.client import Answer, Load, percentile, refused
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

WORLD: Final = "calm"
WITHIN_S: Final = 180.0
SPREAD_S: Final = 2.0


def body(number: int) -> bytes:
    """The n-th call; each is a different one, and so has a latency of its own."""
    return call_body(f"Question {number}: describe the weather in one sentence.", max_tokens=100)


def measure(in_flight: int, requests: int, cores: Cores) -> list[Answer]:
    """The answers in the order they came, without those sent while the load was still building up."""
    with running(mock_command(WORLD), cores.server) as server, on_core(cores.client):
        answers = Load(server.port, in_flight, requests + 2 * in_flight, body, SPREAD_S).run(WITHIN_S)
    last_start = answers[0].sent_at + SPREAD_S
    last_sent = max(answer.sent_at for answer in answers)
    steady = [answer for answer in answers if last_start <= answer.sent_at <= last_sent]
    if not steady:
        raise BenchmarkError("no request was sent after the load had built up; use more --requests")
    return steady


def summarise(answers: list[Answer], cores: Cores, facts: dict[str, str]) -> dict[str, Any]:
    """Milliseconds throughout; `in_flight` is the time-weighted mean over the steady window."""
    late = [(answer.elapsed_s - answer.planned_s) * 1e3 for answer in answers]
    overhead = [answer.overhead_s * 1e3 for answer in answers]
    window = max(answer.sent_at for answer in answers) - min(answer.sent_at for answer in answers)
    return {
        "requests": len(answers),
        "not_200": refused(answers),
        "in_flight": sum(answer.elapsed_s for answer in answers) / window if window else 0.0,
        "per_s": len(answers) / window if window else 0.0,
        "planned_p50_ms": percentile([answer.planned_s * 1e3 for answer in answers], 0.5),
        "late_min_ms": min(late),
        "late_mean_ms": statistics.fmean(late),
        "late_p50_ms": percentile(late, 0.5),
        "late_p99_ms": percentile(late, 0.99),
        "late_p999_ms": percentile(late, 0.999),
        "late_max_ms": max(late),
        "overhead_p50_ms": percentile(overhead, 0.5),
        "overhead_p99_ms": percentile(overhead, 0.99),
        "world": WORLD,
        "pinned": str(cores),
        "machine": facts,
    }


def text(found: dict[str, Any]) -> str:
    """The result for a reader."""
    return "\n".join(
        [
            f"lateness  p99 {found['late_p99_ms']:.2f} ms (p50 {found['late_p50_ms']:.2f}, p99.9"
            f" {found['late_p999_ms']:.2f}, max {found['late_max_ms']:.2f}, earliest {found['late_min_ms']:.2f})",
            f"overhead  p99 {found['overhead_p99_ms']:.2f} ms by the mock's own account (p50"
            f" {found['overhead_p50_ms']:.2f})",
            f"load      {found['in_flight']:,.0f} in flight, {found['per_s']:,.0f} requests/s, planned p50"
            f" {found['planned_p50_ms']:,.0f} ms in world {found['world']}, {found['pinned']}",
            f"answers   {found['requests']:,} measured; {found['not_200']} were not a 200",
            f"machine   {describe(found['machine'])}",
        ]
    )


def main(argv: Sequence[str] | None = None) -> int:
    """Measure and print; returns the exit code."""
    parser = argparse.ArgumentParser("python -m benchmarks.latency", description=(__doc__ or "").split("\n\n")[0])
    parser.add_argument("--in-flight", type=int, default=1_000, help="requests in flight (default 1000)")
    parser.add_argument("--requests", type=int, default=10_000, help="requests to measure (default 10000)")
    parser.add_argument("--at-most", type=float, default=float("inf"), metavar="MS", help="exit with 1 above this p99")
    parser.add_argument("--json", action="store_true", help="print the result as JSON")
    args = parser.parse_args(argv)
    if args.in_flight < 1 or args.requests < 1:
        parser.error("--in-flight and --requests must be at least 1")
    facts, cores = machine(), choose_cores()
    try:
        found = summarise(measure(args.in_flight, args.requests, cores), cores, facts)
    except BenchmarkError as error:
        print(f"latency: {error}", file=sys.stderr)
        return WRONG_USAGE
    print(json.dumps(found, indent=2) if args.json else text(found))
    if found["not_200"]:
        print(f"latency: invalid, {found['not_200']} answers were not a 200", file=sys.stderr)
        return INVALID
    return int(found["late_p99_ms"] > args.at_most)


if __name__ == "__main__":
    sys.exit(main())

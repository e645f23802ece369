"""Whether the mock keeps its times under many streams, and under many plain requests that all wait.

Streams: every connection reads one stream after the other, each at 20 tokens/s, so that as many are open as asked
for. A piece's lateness is the client's clock at its arrival, minus the moment at which its request was sent, minus
the moment that the seed plans for it, which the pure core is asked for afterwards; its end of each stream must be what
the answer itself announced. Plain: every request waits one second; lateness is wall time minus `planned` in
`Launched-Timing`. Arrivals are spread over the first seconds, which are not counted, so that no burst is measured.
Run as `python -m benchmarks.streams`.

Exit codes: 0 measured · 1 above a limit · 2 nothing could be measured · 3 an answer was not a 200, or not as planned.
"""

from __future__ import annotations

import argparse
import json
import re
import sys
import tempfile
import threading
import time
import urllib.request
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import Any, Final

import msgspec
import psutil

from benchmarks.client import Load, percentile, refused
from benchmarks.harness import (
    INVALID,
    KEY,
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
from benchmarks.stream_client import Stream, Streams
from mock_server.config import load_world
from mock_server.contract.messages import ChatRequest
from mock_server.core.account import Account
from mock_server.core.engine import Engine
from mock_server.core.faults import Fault
from mock_server.core.session import Session
from mock_server.edge.timeline import Timeline
from mock_server.launch import Launched

SPREAD_S: Final = 2.0
WITHIN_S: Final = 120.0
TOKENS_PER_S: Final = 20.0
PLANNED_S: Final = 1.0
MAX_TOKENS: Final = 240
SAMPLE_S: Final = 0.05
APART_S: Final = 1_000.0
"""Simulated seconds between the calls the core is asked about: longer than any of them, so that none meets another."""

# Enough replicas that none is shared: the pace of a stream does not depend on the others.
WORLD: Final = """
extends = "instant"
latency_scale = 1.0

[models."steady/steady"]
ttft = {{ law = "constant", ms = {first_ms} }}
tokens_per_s = {pace}
window = 1_000_000
price_in = 0.0
price_out = 0.0
quality = 1.0
replicas = {replicas}
"""
_PLANNED: Final = re.compile(rb"planned;dur=([\d.]+)")


@contextmanager
def world_file(first_ms: float, pace: float, replicas: int) -> Iterator[str]:
    """The path of a world with one constant model, ranked first."""
    with tempfile.TemporaryDirectory() as folder:
        path = Path(folder) / "steady.toml"
        path.write_text(WORLD.format(first_ms=first_ms, pace=pace, replicas=replicas))
        yield str(path)


def stream_body(number: int) -> bytes:
    """The n-th stream; proofs are long, so most are cut at the limit."""
    call = json.loads(call_body(f"Prove step by step that {number} is even or odd.", MAX_TOKENS))
    return json.dumps(call | {"stream": True, "strategy": {"models": ["steady/steady"]}}).encode()


def plain_body(number: int) -> bytes:
    """The n-th plain call."""
    call = json.loads(call_body(f"Question {number}: describe the weather in one sentence.", 20))
    return json.dumps(call | {"strategy": {"models": ["steady/steady"]}}).encode()


class Usage:
    """What a server used while the block ran, and what others took of the machine. Mutable.

    `cpu_share` is of one core; `other_share` is of all cores, by processes but the server and this one.
    """

    def __init__(self, pid: int) -> None:
        self._process, self._own = psutil.Process(pid), psutil.Process()
        self._over = threading.Event()
        self._thread = threading.Thread(target=self._sample, daemon=True)
        self.before = self.largest = 0

    def __enter__(self) -> Usage:
        self._began, self._cpu, self._busy = time.monotonic(), _spent(self._process), self._machine()
        self.before = self.largest = self._process.memory_info().rss
        self._thread.start()
        return self

    def __exit__(self, *_: object) -> None:
        self._over.set()
        self._thread.join()
        passed = time.monotonic() - self._began
        self.cpu_share = (_spent(self._process) - self._cpu) / passed
        self.other_share = max(0.0, self._machine() - self._busy) / passed / (psutil.cpu_count() or 1)

    def _machine(self) -> float:
        """CPU seconds of all processes but the two that are meant to run."""
        times = psutil.cpu_times()
        return float(times.user + times.system + times.nice) - _spent(self._process) - _spent(self._own)

    def _sample(self) -> None:
        while not self._over.wait(SAMPLE_S):
            self.largest = max(self.largest, self._process.memory_info().rss)


def _spent(process: psutil.Process) -> float:
    times = process.cpu_times()
    return float(times.user + times.system)


def pieces_of(engine: Engine, number: int) -> tuple[list[float], float]:
    """When the pieces of the n-th stream are due, and when it ends; seconds from its arrival."""
    now = number * APART_S
    scope = engine.scope("", now)
    account = engine.authenticate(scope, KEY, now)
    request = msgspec.json.decode(stream_body(number), type=ChatRequest)
    assert isinstance(account, Account)
    session = engine.start(scope, account, request, now)
    assert isinstance(session, Session)
    timeline = Timeline(engine.planner, session.attempt, Fault())
    moments: list[float] = []
    while not timeline.finished:
        at = timeline.next_at
        moments += [at - now] * len(timeline.due(at))
    session.settle(session.attempt.ends_at)
    return moments, session.attempt.ends_at - now


def lateness(stream: Stream, moments: list[float]) -> Iterator[tuple[float, float]]:
    """Of every piece: when it was due on the client's clock, and how many seconds late it came."""
    due = iter(moments)
    place = 0
    for at, events in stream.arrivals:
        for number in range(place, place + events):
            if 0 < number <= len(moments):  # the opening event comes before the pieces, the closing ones after
                planned = stream.sent_at + next(due)
                yield planned, at - planned
        place += events


def measure_streams(count: int, window_s: float, cores: Cores) -> dict[str, Any]:
    """Lateness in milliseconds of the pieces planned for the window."""
    with world_file(200.0, TOKENS_PER_S, 2 * count) as world:
        with running(mock_command(world), cores.server) as server, on_core(cores.client):
            load = Streams(server.port, count, stream_body, SPREAD_S, SPREAD_S + window_s)
            with Usage(server.pid) as usage:
                streams = load.run(WITHIN_S)
            own = own_lateness_ms(server.port)
        engine = Engine(load_world(world), 0, 0.0)
    starts, ends = load.begun_at + SPREAD_S, load.begun_at + SPREAD_S + window_s
    late, odd = [], 0
    for stream in sorted(streams, key=lambda stream: stream.number):
        moments, ends_at = pieces_of(engine, stream.number)
        announced = _PLANNED.search(stream.head)
        if not stream.head.startswith(b"HTTP/1.1 200") or announced is None:
            odd += 1
            continue
        odd += abs(float(announced[1]) / 1e3 - ends_at) > 1e-5
        late += [seconds * 1e3 for planned, seconds in lateness(stream, moments) if starts <= planned < ends]
    if not late:
        raise BenchmarkError("no piece was due after all streams had started; use a longer --window")
    return {
        "streams": count,
        "odd": odd,
        "pieces": len(late),
        "per_s": len(late) / window_s,
        "own_p99_ms": own,
    } | shares(late, usage)


def own_lateness_ms(port: int) -> float:
    """The p99 of lateness over the last minute, as the mock itself says, in milliseconds."""
    with urllib.request.urlopen(f"http://127.0.0.1:{port}/__mock__/load", timeout=WITHIN_S) as answer:
        return float(json.load(answer)["lateness"]["p99_ms"])


def measure_plain(count: int, window_s: float, cores: Cores) -> dict[str, Any]:
    """Lateness in milliseconds of the answers to requests sent in the window; memory per request in flight."""
    total = round(count * (SPREAD_S + window_s) / PLANNED_S)
    with world_file(PLANNED_S * 1e3, 1e9, 2 * count) as world, running(mock_command(world), cores.server) as server:
        _warm_up(server, cores)
        with on_core(cores.client):
            load = Load(server.port, count, total, plain_body, SPREAD_S)
            with Usage(server.pid) as usage:
                answers = load.run(WITHIN_S)
        own = own_lateness_ms(server.port)
    first, last = answers[0].sent_at + SPREAD_S, max(answer.sent_at for answer in answers)
    steady = [answer for answer in answers if first <= answer.sent_at <= last]
    if not steady:
        raise BenchmarkError("no request was sent after the load had built up; use a longer --window")
    late = [(answer.elapsed_s - answer.planned_s) * 1e3 for answer in steady]
    flight = sum(answer.elapsed_s for answer in steady) / (last - first)
    found = {
        "in_flight": flight,
        "odd": refused(answers),
        "requests": len(steady),
        "per_s": len(steady) / window_s,
        "own_p99_ms": own,
    }
    kilobytes = (usage.largest - usage.before) / count / 1e3
    return found | shares(late, usage) | {"rss_before_mb": usage.before / 1e6, "kb_each": kilobytes}


def _warm_up(server: Launched, cores: Cores) -> None:
    """Calls enough to have loaded what the first calls load."""
    with on_core(cores.client):
        Load(server.port, 50, 200, plain_body).run(WITHIN_S)


def shares(late: list[float], usage: Usage) -> dict[str, Any]:
    """The percentiles of lateness, and shares of the CPU."""
    named = {"p50": 0.5, "p90": 0.9, "p99": 0.99, "p999": 0.999}
    found: dict[str, Any] = {f"late_{name}_ms": percentile(late, share) for name, share in named.items()}
    cpu = {"cpu_share": usage.cpu_share, "other_share": usage.other_share}
    return found | {"late_min_ms": min(late), "late_max_ms": max(late)} | cpu


def text(found: dict[str, Any]) -> str:
    """The results for a reader."""
    lines = [f"{'':9}{'p50':>8}{'p90':>8}{'p99':>8}{'p99.9':>8}{'max':>8}   lateness in ms; CPU of the server's core"]
    names = ("late_p50_ms", "late_p90_ms", "late_p99_ms", "late_p999_ms", "late_max_ms")
    if streams := found.get("streams"):
        row = "".join(f"{streams[name]:8.1f}" for name in names)
        load = f"{streams['streams']:,} streams, {streams['per_s']:,.0f} pieces/s"
        lines.append(f"streams  {row}   {streams['cpu_share']:.0%}; {load}, {streams['pieces']:,} pieces counted")
    if plain := found.get("plain"):
        row = "".join(f"{plain[name]:8.1f}" for name in names)
        load = f"{plain['in_flight']:,.0f} in flight, {plain['per_s']:,.0f} requests/s"
        memory = f"{plain['kb_each']:.1f} KB each"
        lines.append(f"plain    {row}   {plain['cpu_share']:.0%}; {load}, {plain['requests']:,} counted; {memory}")
    own = ", ".join(f"{kind} {found[kind]['own_p99_ms']:.1f} ms" for kind in ("streams", "plain") if kind in found)
    lines.append(f"itself   the mock's own p99 over the last minute, the building up of the load included: {own}")
    others = max(found[kind]["other_share"] for kind in ("streams", "plain") if kind in found)
    lines.append(f"others   took {others:.0%} of the machine's cores; above some 10 % the tails are theirs")
    ramp = f"arrivals spread over {SPREAD_S:.0f} s, which are not counted"
    return "\n".join([*lines, f"load     {ramp}; {found['pinned']}", f"machine  {describe(found['machine'])}"])


def main(argv: Sequence[str] | None = None) -> int:
    """Measure and print; returns the exit code."""
    parser = argparse.ArgumentParser("python -m benchmarks.streams", description=(__doc__ or "").split("\n\n")[0])
    parser.add_argument("--streams", type=int, default=1_000, help="streams open at once (default 1000; 0: none)")
    parser.add_argument("--plain", type=int, default=5_000, help="requests in flight (default 5000; 0: none)")
    parser.add_argument("--window", type=float, default=10.0, metavar="S", help="seconds to measure each (default 10)")
    limit: dict[str, Any] = {"type": float, "default": float("inf")}
    parser.add_argument("--streams-at-most", metavar="MS", help="exit with 1 above this p99", **limit)
    parser.add_argument("--plain-at-most", metavar="MS", help="exit with 1 above this p99", **limit)
    parser.add_argument("--kb-at-most", metavar="KB", help="exit with 1 above this memory per request", **limit)
    parser.add_argument("--json", action="store_true", help="print the result as JSON")
    args = parser.parse_args(argv)
    if args.streams < 0 or args.plain < 0 or not args.streams + args.plain or args.window <= 0:
        parser.error("give a --window above 0 and --streams or --plain above 0")
    cores = choose_cores()
    found: dict[str, Any] = {"pinned": str(cores), "machine": machine()}
    try:
        if args.streams:
            found["streams"] = measure_streams(args.streams, args.window, cores)
        if args.plain:
            found["plain"] = measure_plain(args.plain, args.window, cores)
    except BenchmarkError as error:
        print(f"streams: {error}", file=sys.stderr)
        return WRONG_USAGE
    print(json.dumps(found, indent=2) if args.json else text(found))
    streams, plain = found.get("streams", {}), found.get("plain", {})
    if odd := streams.get("odd", 0) + plain.get("odd", 0):
        print(f"streams: invalid, {odd} answers were not a 200 or not as planned", file=sys.stderr)
        return INVALID
    return int(
        streams.get("late_p99_ms", 0) > args.streams_at_most
        or plain.get("late_p99_ms", 0) > args.plain_at_most
        or plain.get("kb_each", 0) > args.kb_at_most
    )


if __name__ == "__main__":
    sys.exit(main())

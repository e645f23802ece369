"""What the load generator can do, and what it adds: throughput, punctuality, bias and memory.

Mock and generator run on one core each. `load-test run` plays the scenario `short_calls.toml`, everything recorded:
in turn with plain Locust whose `FastHttpUser`s send the same bodies; as an open load at 60 % of that throughput; at
1,000 requests/s beside a blocking socket that times its own calls; and for a long time, watching its memory.
Run as `python -m benchmarks.generator`.

Exit codes: 0 measured · 1 a limit of `--check` was missed · 2 nothing could be measured · 3 some answer was not good.
"""

from __future__ import annotations

import argparse
import json
import os
import statistics
import subprocess
import sys
import tempfile
import time
from collections import Counter
from collections.abc import Sequence
from pathlib import Path
from typing import Any, Final

import psutil
import pyarrow.compute as pc
import pyarrow.parquet as pq

from benchmarks.client import percentile
from benchmarks.harness import (
    INVALID,
    KEY,
    WRONG_USAGE,
    BenchmarkError,
    choose_cores,
    describe,
    machine,
    mock_command,
    on_core,
    running,
)

SCENARIO: Final = Path(__file__).with_name("short_calls.toml")
SHARE: Final = 0.6
BIAS_RATE: Final = 1_000.0
LIMITS: Final = {"ratio": 1.0, "dispatch_p99_ms": 3.0, "bias_ms": 1.0, "growth_mb": 5.0}
# The command without its last step: the report is not what is measured.
_RUN: Final = (
    "import sys, scenarios.command.run as run, scenarios.__main__ as command;"
    "run.judge = lambda out, **options: 0; sys.exit(command.main())"
)


class Generator:
    """Runs `load-test` against one server on one core; a folder keeps its run directories."""

    def __init__(self, url: str, core: int | None, folder: Path, users: int) -> None:
        self.url, self.core, self.users = url, core, users
        self._folder = folder
        self._runs = 0

    def start(self, *options: str) -> tuple[subprocess.Popen[str], Path]:
        """A run that was begun, and its directory."""
        self._runs += 1
        out = self._folder / str(self._runs)
        words = ["run", str(SCENARIO), "--target", self.url, "--target-is-mock", "--out", str(out), *options]
        environment = {**os.environ, "LOAD_TEST_API_KEY": KEY}
        with on_core(self.core):
            process = subprocess.Popen(
                [sys.executable, "-c", _RUN, *words],
                env=environment,
                stdout=subprocess.DEVNULL,
                stderr=subprocess.PIPE,
                text=True,
            )
        return process, out

    def rows(self, process: subprocess.Popen[str], out: Path) -> Any:
        """The rows of a run's window once it is over."""
        _, err = process.communicate()
        if process.returncode:
            raise BenchmarkError(f"load-test failed: {(err.strip().splitlines() or ['no reason given'])[-1]}")
        columns = ["phase", "planned_s", "sent_s", "end_s", "outcome", "connect_ms"]
        table = pq.read_table(out / "samples.parquet", columns=columns)
        return table.filter(pc.equal(table["phase"].cast("string"), "measure"))

    def yardstick(self, seconds: float) -> dict[str, float]:
        """What plain Locust does in so many seconds."""
        words = [self.url, str(self.users), str(seconds)]
        with on_core(self.core):
            done = subprocess.run(
                [sys.executable, "-m", "benchmarks.fast_http_user", *words], capture_output=True, text=True, check=False
            )
        if done.returncode:
            raise BenchmarkError(f"plain Locust failed: {done.stderr.strip().splitlines()[-1]}")
        counted: dict[str, float] = json.loads(done.stdout.splitlines()[-1])
        return counted


def cpu_per_row(run_dir: Path) -> float:
    """CPU seconds of the worker for each request, warm-up included."""
    health = pq.read_table(run_dir / "health.parquet", columns=["cpu_s"])
    cpu_s, rows = pc.sum(health["cpu_s"]).as_py(), pq.read_metadata(run_dir / "samples.parquet").num_rows
    return float(cpu_s) / int(rows)


def bad(table: Any) -> Counter[str]:
    """How many rows are not good answers, by what became of them."""
    return Counter(
        {name: n for name, n in Counter(table["outcome"].cast("string").to_pylist()).items() if name != "ok"}
    )


def throughput(generator: Generator, rounds: int, seconds: float) -> dict[str, Any]:
    """Answers per second of our users and of plain Locust's, in turn."""
    pairs, cpu, not_ok, opened = [], [], Counter[str](), 0
    for _ in range(rounds):
        process, out = generator.start("--users", str(generator.users), "--duration", f"{seconds}s")
        table = generator.rows(process, out)
        theirs = generator.yardstick(seconds)
        ends = table["end_s"]
        ours = len(table) / (pc.max(ends).as_py() - pc.min(table["sent_s"]).as_py())
        pairs.append((ours, theirs["requests"] / theirs["took_s"]))
        cpu.append(theirs["cpu_s"] / theirs["requests"] / cpu_per_row(out))
        not_ok += bad(table) + Counter({"failed in plain Locust": int(theirs["failed"])})
        opened += int(pc.sum(pc.is_valid(table["connect_ms"])).as_py())
    return {
        "ratio": statistics.median(ours / theirs for ours, theirs in pairs),
        "ratio_min": min(ours / theirs for ours, theirs in pairs),
        "ratio_max": max(ours / theirs for ours, theirs in pairs),
        "cpu_ratio": statistics.median(cpu),
        "per_s": statistics.median(ours for ours, _ in pairs),
        "yardstick_per_s": statistics.median(theirs for _, theirs in pairs),
        "opened_in_window": opened,
        "not_ok": not_ok,
    }


def punctuality(generator: Generator, rate: float, seconds: float) -> dict[str, Any]:
    """How late an open load of one rate leaves."""
    process, out = generator.start("--rate", f"{rate:.0f}", "--duration", f"{seconds}s")
    table = generator.rows(process, out)
    delays = pc.multiply(pc.subtract(table["sent_s"], table["planned_s"]), 1e3).drop_null().to_pylist()
    return {
        "rate_per_s": rate,
        "dispatch_p50_ms": percentile(delays, 0.5),
        "dispatch_p99_ms": percentile(delays, 0.99),
        "not_ok": bad(table),
    }


def bias(generator: Generator, port: int, server_core: int | None, seconds: float) -> dict[str, Any]:
    """How much longer calls take by the generator's account than by that of a socket beside it."""
    process, out = generator.start("--rate", f"{BIAS_RATE:.0f}", "--duration", f"{seconds}s")
    # The socket is on the mock's core: it sleeps nearly always, and must not wait for the generator.
    with on_core(server_core):
        raw = subprocess.run(
            [sys.executable, "-m", "benchmarks.raw_socket", str(port), str(seconds)],
            capture_output=True,
            text=True,
            check=False,
        )
    table = generator.rows(process, out)
    if raw.returncode:
        raise BenchmarkError(f"the socket failed: {raw.stderr.strip().splitlines()[-1]}")
    took_ms = pc.multiply(pc.subtract(table["end_s"], table["sent_s"]), 1e3)
    ours, theirs = pc.mean(took_ms).as_py(), statistics.fmean(json.loads(raw.stdout))
    return {"bias_ms": ours - theirs, "generator_ms": ours, "socket_ms": theirs, "not_ok": bad(table)}


def memory(generator: Generator, requests: int, per_s: float) -> dict[str, Any]:
    """The worker's resident memory when a tenth of so many requests are done, and when all are."""
    seconds = max(requests / per_s, 2.0)
    process, out = generator.start("--users", str(generator.users), "--duration", f"{seconds:.0f}s", "--warmup", "0")
    resident: list[tuple[float, float]] = []
    began = time.monotonic()
    while process.poll() is None:
        time.sleep(min(0.25, seconds / 20))
        for part in (out / ".parts").glob("worker-0-*.jsonl"):
            try:
                megabytes = psutil.Process(int(part.stem.split("-")[2])).memory_info().rss / 1e6
            except psutil.Error:
                continue
            resident.append((time.monotonic() - began, megabytes))
    table = generator.rows(process, out)
    if len(resident) < 2:
        raise BenchmarkError("the run was too short to look at its memory; use more --requests")
    first = next(megabytes for at, megabytes in resident if at >= resident[-1][0] / 4)
    return {
        "requests": len(table),
        "early_mb": first,
        "late_mb": resident[-1][1],
        "growth_mb": resident[-1][1] - first,
        "not_ok": bad(table),
    }


def text(found: dict[str, Any]) -> str:
    """The result for a reader."""
    a, b, c, d = (found[name] for name in ("closed", "open", "bias", "memory"))
    return "\n".join(
        [
            f"closed    {a['ratio']:.2f} of plain FastHttpUser (min {a['ratio_min']:.2f}, max {a['ratio_max']:.2f}): "
            f"{a['per_s']:,.0f} against {a['yardstick_per_s']:,.0f} requests/s, {a['opened_in_window']} connections "
            "opened in the window",
            f"by CPU    {a['cpu_ratio']:.2f}, from the CPU time per request, which other work hardly disturbs",
            f"open      dispatch delay p99 {b['dispatch_p99_ms']:.2f} ms (p50 {b['dispatch_p50_ms']:.2f}) at "
            f"{b['rate_per_s']:,.0f} requests/s",
            f"bias      {c['bias_ms']:+.2f} ms in the mean at {BIAS_RATE:,.0f} requests/s: {c['generator_ms']:.2f} "
            f"against {c['socket_ms']:.2f} ms of a raw socket",
            f"memory    {d['growth_mb']:+.1f} MB between a quarter and all of {d['requests']:,} requests "
            f"({d['early_mb']:.0f} to {d['late_mb']:.0f} MB)",
            f"pinned    {found['pinned']}",
            f"machine   {describe(found['machine'])}",
        ]
    )


def measure(args: argparse.Namespace) -> dict[str, Any]:
    """All four, against one mock."""
    cores = choose_cores()
    with tempfile.TemporaryDirectory() as folder, running(mock_command("instant"), cores.server) as mock:
        generator = Generator(mock.url, cores.client, Path(folder), args.users)
        closed = throughput(generator, args.rounds, args.seconds)
        return {
            "closed": closed,
            "open": punctuality(generator, SHARE * closed["per_s"], args.seconds),
            "bias": bias(generator, mock.port, cores.server, args.seconds),
            "memory": memory(generator, args.requests, closed["per_s"]),
            "pinned": str(cores),
            "machine": machine(),
        }


def main(argv: Sequence[str] | None = None) -> int:
    """Measure and print; returns the exit code."""
    parser = argparse.ArgumentParser("python -m benchmarks.generator", description=(__doc__ or "").split("\n\n")[0])
    parser.add_argument("--rounds", type=int, default=5, help="pairs of closed runs, ours then theirs (default 5)")
    parser.add_argument("--seconds", type=int, default=8, help="length of one run (default 8)")
    parser.add_argument("--users", type=int, default=50, help="users of the closed load (default 50)")
    parser.add_argument("--requests", type=int, default=1_000_000, help="of the memory test (default 1000000)")
    parser.add_argument("--check", action="store_true", help="exit with 1 where a limit of the README is missed")
    parser.add_argument("--json", action="store_true", help="print the result as JSON")
    args = parser.parse_args(argv)
    if min(args.rounds, args.seconds, args.users, args.requests) < 1:
        parser.error("--rounds, --seconds, --users and --requests must be at least 1")
    try:
        found = measure(args)
    except BenchmarkError as error:
        print(f"generator: {error}", file=sys.stderr)
        return WRONG_USAGE
    print(json.dumps(found, indent=2) if args.json else text(found))
    parts = [found[name] for name in ("closed", "open", "bias", "memory")]
    not_ok = sum((Counter(part["not_ok"]) for part in parts), Counter[str]())
    if not_ok:
        print(f"generator: invalid, some answers were not good: {dict(not_ok)}", file=sys.stderr)
        return INVALID
    got = {name: part[name] for part in parts for name in LIMITS if name in part}
    missed = got["ratio"] < LIMITS["ratio"] or any(got[name] > LIMITS[name] for name in LIMITS if name != "ratio")
    return int(args.check and missed)


if __name__ == "__main__":
    sys.exit(main())

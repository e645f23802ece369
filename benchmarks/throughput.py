"""How much of a bare ASGI app's throughput the mock keeps, with everything on that a real call passes.

World `instant`, a key without limits, so authentication, limits, ledger, routing and journal all run. Mock and bare
app answer the same number of bytes on the same core; wrk drives them in turn from another core. Only the ratio means
something: absolute numbers belong to the machine. Run as `python -m benchmarks.throughput`.

Exit codes: 0 measured · 1 below `--at-least` · 2 wrk is missing or nothing could be measured · 3 the ratio is
invalid: some answer was not a 200, or a server was not busy enough to be what limited it.
"""

from __future__ import annotations

import argparse
import json
import shutil
import statistics
import subprocess
import sys
from collections.abc import Sequence
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any, Final

import psutil

from benchmarks.client import Load, refused
from benchmarks.harness import (
    INVALID,
    PATH,
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
from mock_server.launch import Launched

CONNECTIONS: Final = 64
BODY: Final = call_body("Write one sentence about the weather in spring.", max_tokens=24)
SAMPLED: Final = 200
WARM_UP_S: Final = 2
# Below this share of its core a server was not what limited the throughput.
SATURATED: Final = 0.9
HOW_TO_GET_WRK: Final = "needs wrk; Debian or Ubuntu: apt-get install wrk, macOS: brew install wrk"


@dataclass(frozen=True)
class Round:
    """One run of wrk against one server.

    `refused` counts 4xx and 5xx, `broken` socket errors; `cpu_s` is the server's own CPU time meanwhile.
    """

    requests: int
    bytes: int
    duration_s: float
    refused: int
    broken: int
    p50_ms: float
    p99_ms: float
    cpu_s: float

    @property
    def cpu_us(self) -> float:
        """The server's CPU time per answer in microseconds."""
        return self.cpu_s / self.requests * 1e6

    @property
    def per_s(self) -> float:
        """Answers per second."""
        return self.requests / self.duration_s


@dataclass(frozen=True)
class Result:
    """All rounds, in pairs measured one directly after the other, and the answer's size they share."""

    mock: list[Round]
    bare: list[Round]
    body_bytes: int

    @property
    def ratios(self) -> list[float]:
        """Mock over bare app, one per pair."""
        return [mock.per_s / bare.per_s for mock, bare in zip(self.mock, self.bare, strict=True)]

    @property
    def cpu_ratio(self) -> float:
        """Bare app over mock in CPU time per answer: what the ratio would be on a machine with no other work."""
        mock, bare = (statistics.median(each.cpu_us for each in rounds) for rounds in (self.mock, self.bare))
        return bare / mock

    @property
    def busy(self) -> float:
        """Share of its core that the less busy of the two servers used."""
        return min(
            statistics.median(each.cpu_s / each.duration_s for each in rounds) for rounds in (self.mock, self.bare)
        )

    @property
    def invalid(self) -> str:
        """Why the ratio of throughputs means nothing, or nothing."""
        if self.bad:
            return f"{self.bad} answers were not a 200"
        if self.busy < SATURATED:
            return (
                f"a server used only {self.busy:.0%} of its core, so the client or other work set the pace;"
                " repeat it on a quiet machine, until then go by CPU"
            )
        return ""

    @property
    def bad(self) -> int:
        """Answers that were not a 200, or never came."""
        return sum(each.refused + each.broken for each in [*self.mock, *self.bare])

    def as_json(self, facts: dict[str, str], cores: Cores) -> dict[str, Any]:
        """The whole result as plain values."""
        return {
            "ratio_median": statistics.median(self.ratios),
            "ratio_min": min(self.ratios),
            "ratio_max": max(self.ratios),
            "cpu_ratio": self.cpu_ratio,
            "busy": self.busy,
            "invalid": self.invalid,
            "mock_per_s": statistics.median(each.per_s for each in self.mock),
            "bare_per_s": statistics.median(each.per_s for each in self.bare),
            "body_bytes": self.body_bytes,
            "not_200": self.bad,
            "connections": CONNECTIONS,
            "pinned": str(cores),
            "machine": facts,
            "mock_rounds": [asdict(each) for each in self.mock],
            "bare_rounds": [asdict(each) for each in self.bare],
        }


def wrk(server: Launched, seconds: int, core: int | None) -> Round:
    """One run of wrk from its own core."""
    script = str(Path(__file__).with_name("post.lua"))
    command = ["wrk", "-t1", f"-c{CONNECTIONS}", f"-d{seconds}s", "-s", script, server.url, "--", PATH, BODY.decode()]
    before = _cpu_s(server)
    with on_core(core):
        done = subprocess.run(command, capture_output=True, text=True, timeout=seconds + 30, check=False)
    if done.returncode:
        raise BenchmarkError(f"wrk failed: {(done.stderr or done.stdout).strip().splitlines()[-1]}")
    counted = json.loads(done.stdout.strip().splitlines()[-1])
    if not counted["requests"]:
        raise BenchmarkError(f"{server.url} gave no answer in {seconds} s")
    return Round(**counted, cpu_s=_cpu_s(server) - before)


def _cpu_s(server: Launched) -> float:
    times = psutil.Process(server.pid).cpu_times()
    return times.user + times.system


def body_bytes(server: Launched, core: int | None) -> int:
    """The mean size of the mock's answers to the benchmark's call."""
    with on_core(core):
        answers = Load(server.port, 4, SAMPLED, lambda _n: BODY).run(within_s=30)
    if refused(answers):
        raise BenchmarkError("the mock refuses the benchmark's call; try it by hand first")
    return round(statistics.fmean(answer.body_bytes for answer in answers))


def measure(rounds: int, seconds: int, cores: Cores) -> Result:
    """Start both servers on one core and drive them in turn: A B A B …"""
    with running(mock_command("instant"), cores.server) as mock:
        size = body_bytes(mock, cores.client)
        bare_command = [sys.executable, "-m", "benchmarks.bare_app", str(size)]
        with running(bare_command, cores.server) as bare:
            for server in (mock, bare):
                wrk(server, WARM_UP_S, cores.client)
            pairs = [(wrk(mock, seconds, cores.client), wrk(bare, seconds, cores.client)) for _ in range(rounds)]
    return Result([mine for mine, _ in pairs], [yardstick for _, yardstick in pairs], size)


def text(result: Result, facts: dict[str, str], cores: Cores) -> str:
    """The result for a reader."""
    mock, bare = ([each.per_s for each in rounds] for rounds in (result.mock, result.bare))
    tails = [statistics.median(each.p99_ms for each in rounds) for rounds in (result.mock, result.bare)]
    cpu = [statistics.median(each.cpu_us for each in rounds) for rounds in (result.mock, result.bare)]
    return "\n".join(
        [
            f"ratio     {statistics.median(result.ratios):.3f} of the bare app's throughput (median of {len(mock)}"
            f" pairs; min {min(result.ratios):.3f}, max {max(result.ratios):.3f})",
            f"by CPU    {result.cpu_ratio:.3f}, from the CPU time per answer, which other work hardly disturbs",
            f"mock      {statistics.median(mock):,.0f} requests/s, p99 {tails[0]:.1f} ms, {cpu[0]:.1f} µs of CPU each",
            f"bare app  {statistics.median(bare):,.0f} requests/s, p99 {tails[1]:.1f} ms, {cpu[1]:.1f} µs of CPU each",
            f"answers   {result.body_bytes} bytes each; {result.bad} were not a 200",
            f"load      {CONNECTIONS} keep-alive connections, {cores}",
            f"machine   {describe(facts)}",
        ]
    )


def main(argv: Sequence[str] | None = None) -> int:
    """Measure and print; returns the exit code."""
    parser = argparse.ArgumentParser("python -m benchmarks.throughput", description=(__doc__ or "").split("\n\n")[0])
    parser.add_argument("--rounds", type=int, default=5, help="pairs of runs, mock then bare app (default 5)")
    parser.add_argument("--seconds", type=int, default=5, help="length of one run (default 5)")
    parser.add_argument("--at-least", type=float, default=0.0, metavar="RATIO", help="exit with 1 below this ratio")
    parser.add_argument("--json", action="store_true", help="print the result as JSON")
    args = parser.parse_args(argv)
    if args.rounds < 1 or args.seconds < 1:
        parser.error("--rounds and --seconds must be at least 1")
    if shutil.which("wrk") is None:
        print(f"throughput: {HOW_TO_GET_WRK}", file=sys.stderr)
        return WRONG_USAGE
    facts, cores = machine(), choose_cores()
    try:
        result = measure(args.rounds, args.seconds, cores)
    except BenchmarkError as error:
        print(f"throughput: {error}", file=sys.stderr)
        return WRONG_USAGE
    print(json.dumps(result.as_json(facts, cores), indent=2) if args.json else text(result, facts, cores))
    if result.invalid:
        print(f"throughput: the ratio is invalid: {result.invalid}", file=sys.stderr)
        return INVALID
    return int(statistics.median(result.ratios) < args.at_least)


if __name__ == "__main__":
    sys.exit(main())

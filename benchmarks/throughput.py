"""How much of a bare ASGI app's throughput the mock keeps, with everything on that a real call passes.

World `instant`, a key without limits, so authentication, limits, ledger, routing and journal all run. The bare app
reads the same requests and answers as many bytes, on the same core; wrk drives both in turn from another core. Only the
ratio means something: absolute numbers belong to the machine. Run as `python -m benchmarks.throughput`.

Exit codes: 0 measured · 1 below an `--at-least` or `--events-at-least`, or above `--per-kb-at-most` · 2 wrk is missing
or nothing could be measured · 3 a result is invalid: some answer was not the one wanted, or a server was not busy
enough to set the pace.
"""

from __future__ import annotations

import argparse
import json
import shutil
import statistics
import subprocess
import sys
from collections.abc import Callable, Sequence
from contextlib import closing
from dataclasses import asdict, dataclass, field
from http.client import HTTPConnection
from itertools import count
from pathlib import Path
from typing import Any, Final

import psutil

from benchmarks.cases import CASES, NUMBER, Case
from benchmarks.harness import (
    INVALID,
    KEY,
    PATH,
    WRONG_USAGE,
    BenchmarkError,
    Cores,
    choose_cores,
    describe,
    machine,
    mock_command,
    on_core,
    running,
)
from mock_server.launch import Launched

CONNECTIONS: Final = 64
SAMPLED: Final = 200
WARM_UP_S: Final = 2
# Below this share of its core a server was not what limited the throughput.
SATURATED: Final = 0.9
HOW_TO_GET_WRK: Final = "needs wrk; Debian or Ubuntu: apt-get install wrk, macOS: brew install wrk"

_numbers: Final = count(1, 100_000_000)  # where each run begins to number its requests


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


@dataclass
class Result:
    """The rounds of one case, in pairs measured one directly after the other, and what an answer's body holds."""

    case: Case
    answer_bytes: int
    answer_events: float
    mock: list[Round] = field(default_factory=list)
    bare: list[Round] = field(default_factory=list)

    @property
    def ratios(self) -> list[float]:
        """Mock over bare app, one per pair."""
        return [mock.per_s / bare.per_s for mock, bare in zip(self.mock, self.bare, strict=True)]

    @property
    def ratio(self) -> float:
        """The median of the pairs' ratios."""
        return statistics.median(self.ratios)

    def cpu_us(self, rounds: list[Round]) -> float:
        """CPU time per answer, median of the rounds."""
        return statistics.median(each.cpu_us for each in rounds)

    @property
    def cpu_ratio(self) -> float:
        """Bare app over mock in CPU time per answer: what the ratio would be on a machine with no other work."""
        return self.cpu_us(self.bare) / self.cpu_us(self.mock)

    @property
    def events_per_cpu_s(self) -> float:
        """Events of streams that the mock sends in one second of CPU time, the taking of their requests included."""
        return self.answer_events / self.cpu_us(self.mock) * 1e6

    @property
    def busy(self) -> float:
        """Share of its core that the less busy of the two servers used."""
        shares = ([each.cpu_s / each.duration_s for each in rounds] for rounds in (self.mock, self.bare))
        return min(map(statistics.median, shares))

    @property
    def unwanted(self) -> int:
        """Answers that never came, or were refused where they should not be, or the other way round."""
        refusals = sum(each.requests - each.refused if self.case.refused else each.refused for each in self.mock)
        return refusals + sum(each.refused for each in self.bare) + sum(r.broken for r in [*self.mock, *self.bare])

    @property
    def invalid(self) -> str:
        """Why the ratio of throughputs means nothing, or nothing."""
        if self.unwanted:
            return f"{self.unwanted} answers were not the one wanted"
        if self.busy < SATURATED:
            return (
                f"a server used only {self.busy:.0%} of its core, so the client or other work set the pace;"
                " repeat it on a quiet machine, until then go by CPU"
            )
        return ""

    def as_json(self) -> dict[str, Any]:
        """All of it as plain values."""
        return {
            "ratio_median": self.ratio,
            "ratio_min": min(self.ratios),
            "ratio_max": max(self.ratios),
            "cpu_ratio": self.cpu_ratio,
            "mock_cpu_us": self.cpu_us(self.mock),
            "bare_cpu_us": self.cpu_us(self.bare),
            "busy": self.busy,
            "invalid": self.invalid,
            "request_bytes": len(self.case.body()),
            "answer_bytes": self.answer_bytes,
            "answer_events": self.answer_events,
            "events_per_cpu_s": self.events_per_cpu_s,
            "mock_rounds": [asdict(each) for each in self.mock],
            "bare_rounds": [asdict(each) for each in self.bare],
        }


def wrk(server: Launched, path: str, case: Case, seconds: int, core: int | None) -> Round:
    """One run of wrk from its own core."""
    script = str(Path(__file__).with_name("post.lua"))
    command = ["wrk", "-t1", f"-c{CONNECTIONS}", f"-d{seconds}s", "-s", script, server.url, "--", path]
    command += [case.body().decode(), NUMBER, str(next(_numbers)), "0" if case.again else "1"]
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


def answers(server: Launched, case: Case) -> tuple[int, float]:
    """Of the bodies of the mock's answers the mean size, and the mean number of events."""
    bodies = []
    headers = {"Authorization": f"Bearer {KEY}", "Content-Type": "application/json"}
    with closing(HTTPConnection("127.0.0.1", server.port, timeout=30)) as connection:
        for number in range(SAMPLED):
            body = case.body().replace(NUMBER.encode(), b"%010d" % number)
            connection.request("POST", PATH, body, headers)
            answer = connection.getresponse()
            bodies.append(answer.read())
            if (answer.status != 200) is not case.refused:
                raise BenchmarkError(f"the mock answers a call of the case {case.name!r} with {answer.status}")
    return round(statistics.fmean(map(len, bodies))), statistics.fmean(body.count(b"\n\n") for body in bodies)


def measure(cases: Sequence[Case], rounds: int, seconds: int, cores: Cores) -> list[Result]:
    """Start both servers on one core and drive them in turn: every case on A and B, then all again."""
    bare_command = [sys.executable, "-m", "benchmarks.bare_app"]
    with running(mock_command("instant"), cores.server) as mock, running(bare_command, cores.server) as bare:
        results = [Result(case, *answers(mock, case)) for case in cases]
        paths = [f"{'/stream' if result.case.stream else ''}/{result.answer_bytes}" for result in results]
        for server, path in ((mock, PATH), (bare, paths[0])):
            wrk(server, path, cases[0], WARM_UP_S, cores.client)
        for _ in range(rounds):
            for result, path in zip(results, paths, strict=True):
                result.mock.append(wrk(mock, PATH, result.case, seconds, cores.client))
                result.bare.append(wrk(bare, path, result.case, seconds, cores.client))
    return results


def per_kb(results: list[Result], rounds_of: Callable[[Result], list[Round]]) -> dict[str, float]:
    """CPU time in microseconds for each KB of prompt: what a case of long prompts costs beyond `short`, per KB."""
    short = next((result for result in results if result.case.name == "short"), None)
    if short is None:
        return {}
    return {
        result.case.name: (result.cpu_us(rounds_of(result)) - short.cpu_us(rounds_of(short)))
        / (result.case.prompt_bytes / 1024)
        for result in results
        if result.case.prompt_bytes
    }


def text(results: list[Result], facts: dict[str, str], cores: Cores) -> str:
    """The results for a reader."""
    mock_kb, bare_kb = per_kb(results, lambda result: result.mock), per_kb(results, lambda result: result.bare)
    lines = [
        f"{'':14}{'ratio':>7}{'min':>7}{'max':>7}{'by CPU':>8}{'mock/s':>9}{'bare/s':>9}{'µs CPU':>8}{'bare':>7}"
        f"{'µs/KB':>8}{'bare':>7}"
    ]
    for each in results:
        rates = [statistics.median(r.per_s for r in rounds) for rounds in (each.mock, each.bare)]
        slopes = [f"{kb[each.case.name]:.1f}" if each.case.name in kb else "" for kb in (mock_kb, bare_kb)]
        lines.append(
            f"{each.case.name:14}{each.ratio:7.3f}{min(each.ratios):7.3f}{max(each.ratios):7.3f}{each.cpu_ratio:8.3f}"
            f"{rates[0]:9,.0f}{rates[1]:9,.0f}{each.cpu_us(each.mock):8.1f}{each.cpu_us(each.bare):7.1f}"
            f"{slopes[0]:>8}{slopes[1]:>7}"
        )
    lines += [
        f"{each.case.name}: {each.events_per_cpu_s:,.0f} events per CPU second, {each.answer_events:,.0f} in each"
        for each in results
        if each.case.stream
    ]
    lines += [
        f"{len(results[0].mock)} pairs of runs; µs/KB: CPU time for each KB of prompt beyond the short one's",
        f"{CONNECTIONS} keep-alive connections, {cores}; {describe(facts)}",
    ]
    return "\n".join(lines)


def missed(
    results: list[Result], at_least: dict[str, float], per_kb_at_most: float | None, events_at_least: float
) -> bool:
    """Whether a limit was missed."""
    if any(result.events_per_cpu_s < events_at_least for result in results if result.case.stream):
        return True
    if any(result.ratio < at_least.get(result.case.name, 0.0) for result in results):
        return True
    slopes = per_kb(results, lambda result: result.mock).values()
    return per_kb_at_most is not None and any(slope > per_kb_at_most for slope in slopes)


def _limit(given: str) -> tuple[str, float]:
    name, _, ratio = given.rpartition("=")
    if name not in CASES:
        raise argparse.ArgumentTypeError(f"want CASE=RATIO, a case being one of {', '.join(CASES)}")
    return name, float(ratio)


def _options(argv: Sequence[str] | None) -> argparse.Namespace:
    parser = argparse.ArgumentParser("python -m benchmarks.throughput", description=(__doc__ or "").split("\n\n")[0])
    parser.add_argument("--rounds", type=int, default=3, help="pairs of runs, mock then bare app (default 3)")
    parser.add_argument("--seconds", type=int, default=3, help="length of one run (default 3)")
    parser.add_argument("--only", action="append", choices=list(CASES), help="this case; may be repeated (default all)")
    parser.add_argument(
        "--at-least",
        action="append",
        default=[],
        type=_limit,
        metavar="CASE=RATIO",
        help="exit with 1 below this ratio",
    )
    parser.add_argument(
        "--per-kb-at-most", type=float, metavar="µs", help="exit with 1 where a KB of prompt takes more CPU time"
    )
    parser.add_argument(
        "--events-at-least", type=float, default=0.0, metavar="N", help="exit with 1 below this per CPU second"
    )
    parser.add_argument("--json", action="store_true", help="print the result as JSON")
    args = parser.parse_args(argv)
    if args.rounds < 1 or args.seconds < 1:
        parser.error("--rounds and --seconds must be at least 1")
    return args


def main(argv: Sequence[str] | None = None) -> int:
    """Measure and print; returns the exit code."""
    args = _options(argv)
    if shutil.which("wrk") is None:
        print(f"throughput: {HOW_TO_GET_WRK}", file=sys.stderr)
        return WRONG_USAGE
    facts, cores = machine(), choose_cores()
    try:
        results = measure([CASES[name] for name in args.only or CASES], args.rounds, args.seconds, cores)
    except BenchmarkError as error:
        print(f"throughput: {error}", file=sys.stderr)
        return WRONG_USAGE
    if args.json:
        cases = {result.case.name: result.as_json() for result in results}
        slopes = per_kb(results, lambda result: result.mock)
        print(json.dumps({"cases": cases, "mock_us_per_kb": slopes, "pinned": str(cores), "machine": facts}, indent=2))
    else:
        print(text(results, facts, cores))
    for result in results:
        if result.invalid:
            print(f"throughput: {result.case.name}: the ratio is invalid: {result.invalid}", file=sys.stderr)
    if any(result.invalid for result in results):
        return INVALID
    return int(missed(results, dict(args.at_least), args.per_kb_at_most, args.events_at_least))


if __name__ == "__main__":
    sys.exit(main())

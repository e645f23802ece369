"""Does `make demo` stay valid on a busy machine? Records a long run beside niced CPU hogs, and judges every demo in it.

Each stretch of the record as long as the demo, one beginning each second, is judged by the checks on generator and mock
as if it had been a run of its own: hundreds of demos for the price of one. `--runs N` makes N real ones as well. Given
RUN_DIRs, it judges these instead of recording.
"""

from __future__ import annotations

import argparse
import contextlib
import re
import shlex
import subprocess
import sys
import tempfile
from collections import Counter
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Final

import msgspec
import numpy as np

from benchmarks.harness import WRONG_USAGE, BenchmarkError, describe, machine
from mock_server.exits import Exit
from reports.frame import Run, load_run
from reports.generator import generator
from reports.health import readings
from reports.lateness import Limits
from reports.measured import Measured
from reports.mock import mock
from reports.problem import Unusable
from reports.sample import MOCK_WORKER, Phase
from reports.values import Check, Result

_WANTED: Final = 0.99
_MAKEFILE: Final = Path(__file__).parent.parent / "Makefile"
_MOMENTS: Final = ("planned_s", "ready_s", "sent_s", "first_byte_s", "end_s")
_INTERRUPTED_AFTER_S: Final = 900.0


@dataclass(frozen=True)
class Judged:
    """What the checks came to over all demos that a record holds: which were spoilt, and by what."""

    demos: int
    spoilt: int
    by: Counter[str]
    example: dict[str, str]

    @property
    def good(self) -> float:
        """Share of the demos that every check lets stand."""
        return 1 - self.spoilt / self.demos if self.demos else 0.0


def demo_options() -> list[str]:
    """What `make demo` passes to `load-test run`."""
    found = re.search(r"load-test run (.+)", _MAKEFILE.read_text(encoding="utf-8"))
    if found is None:
        raise BenchmarkError(f"{_MAKEFILE}: no demo is there")
    return shlex.split(found[1])


def demo_s() -> float:
    """The demo's window, s."""
    options = demo_options()
    return float(options[options.index("--duration") + 1].removesuffix("s"))


def judge(run: Run, length_s: float) -> Judged:
    """Judge each stretch of a run as if it were a run of its own, one beginning each second after the warm-up."""
    first, last = run.manifest.warmup_s, run.manifest.warmup_s + run.manifest.duration_s - length_s
    spoilt, by = 0, Counter[str]()
    example: dict[str, str] = {}
    begins = np.arange(first, last + 1e-9, 1.0)
    for begin in begins:
        broken = [check for check in checks_between(run, float(begin), length_s) if check.result is not Result.PASS]
        broken = [check for check in broken if check.result is Result.INVALID or check.vital]
        spoilt += bool(broken)
        by.update(check.name for check in broken)
        example |= {check.name: check.said for check in broken}
    return Judged(len(begins), spoilt, by, example)


def checks_between(run: Run, begin: float, length_s: float) -> tuple[Check, ...]:
    """The checks on generator and mock over the calls planned within a stretch, and until the last of these ended."""
    planned = run.samples.numbers("planned_s")
    phase = run.samples.words("phase").put(np.ones(len(planned), dtype=bool), Phase.MEASURE)
    samples = run.samples.holding(phase=phase).where((planned >= begin) & (planned < begin + length_s))
    ended_s = float(np.nanmax([samples.numbers(name) for name in _MOMENTS]))
    manifest = msgspec.structs.replace(run.manifest, warmup_s=begin, duration_s=length_s, ended_s=ended_s)
    measured = Measured.of(replace(run, samples=samples, manifest=manifest))
    limits = Limits.of(measured.window_s, ended_s, manifest.gates)
    found = readings(run.health)
    workers = None if found is None else {name: seen for name, seen in found.items() if name != MOCK_WORKER}
    return (*generator(measured, workers, limits), *mock(measured, found, limits))


@contextlib.contextmanager
def hogs(count: int, niceness: int) -> Iterator[None]:
    """Processes that do nothing but compute, while this lasts."""
    command = ["nice", "-n", str(niceness), sys.executable, "-c", "while True: pass"]
    running = [subprocess.Popen(command) for _ in range(count)]
    try:
        yield
    finally:
        for hog in running:
            hog.kill()
            hog.wait()


def load_test(options: Sequence[str], out: Path) -> int:
    """Run the scenario and say nothing but its exit code."""
    command = [sys.executable, "-m", "scenarios", "run", *options, "--out", str(out)]
    return subprocess.run(command, capture_output=True, timeout=_INTERRUPTED_AFTER_S, check=False).returncode


def record(seconds: float, out: Path) -> Path:
    """A run of the demo's load that is longer than the demo."""
    options = demo_options()
    options[options.index("--duration") + 1] = f"{seconds:g}s"
    code = load_test(options, out)
    if code not in (Exit.PASSED, Exit.FAILED, Exit.INVALID, Exit.UNDECIDED):
        raise BenchmarkError(f"the run to judge ended with {code}")
    return out


def show(name: str, found: Judged) -> bool:
    """Print what was found; whether it is good enough."""
    print(f"{name}: {found.demos - found.spoilt} of {found.demos} demos valid ({found.good:.1%}, wanted {_WANTED:.0%})")
    for check, count in found.by.most_common():
        print(f"  {check}: {count} spoilt, such as {found.example[check]}")
    return found.good >= _WANTED


def measure(arguments: argparse.Namespace) -> bool:
    """Record or read, judge and print; whether all was good enough."""
    print(describe(machine()))
    good = True
    with tempfile.TemporaryDirectory() as folder, hogs(0 if arguments.run_dir else arguments.hogs, arguments.nice):
        recorded = arguments.run_dir or [record(arguments.record, Path(folder) / "record")]
        for run_dir in recorded:
            good &= show(run_dir.name, judge(load_run(run_dir), demo_s()))
        codes = Counter(load_test(demo_options(), Path(folder) / f"demo-{at}") for at in range(arguments.runs))
    if arguments.runs:
        print(f"real demos: {codes[Exit.PASSED]} of {arguments.runs} passed; exit codes {dict(codes)}")
        good &= codes[Exit.PASSED] >= _WANTED * arguments.runs
    return good


def main() -> int:
    """Run the benchmark; 1 where fewer demos stay valid than wanted."""
    parser = argparse.ArgumentParser(prog="busy_machine", description=__doc__)
    parser.add_argument(
        "run_dir", nargs="*", type=Path, metavar="RUN_DIR", help="records to judge instead of a new one"
    )
    parser.add_argument("--record", type=float, default=300.0, metavar="S", help="length of the run to record (300)")
    parser.add_argument("--hogs", type=int, default=2, metavar="N", help="CPU hogs beside it (2)")
    parser.add_argument("--nice", type=int, default=19, metavar="N", help="niceness of the hogs (19)")
    parser.add_argument("--runs", type=int, default=0, metavar="N", help="real demos to run as well (0)")
    try:
        return 0 if measure(parser.parse_args()) else 1
    except (BenchmarkError, Unusable) as problem:
        print(f"busy_machine: {problem}", file=sys.stderr)
        return WRONG_USAGE


if __name__ == "__main__":
    sys.exit(main())

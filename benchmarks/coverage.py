"""How often the report's 95 % intervals hold the truth, and how often a gate at the truth is judged wrongly.

Simulated runs of 20 requests per second go through the report's own functions: latencies that are independent, come in
waves or meet incidents; errors that come in bursts; tries that are refused at once or hang. Run it with
`python -m benchmarks.coverage`; it takes some minutes of one core, and the same seed gives the same figures.
"""

from __future__ import annotations

import argparse
import json
import math
import sys
import time
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from functools import partial
from typing import Final

import numpy as np
import numpy.typing as npt
from scipy.optimize import brentq
from scipy.signal import lfilter
from scipy.special import ndtr, ndtri

from reports.dependence import Floats, Timeline, per_block
from reports.gate import Gate
from reports.gates import side
from reports.percentiles import percentile
from reports.rates import share
from reports.stats import observe
from reports.values import Estimate, Result

Mask = npt.NDArray[np.bool_]

RATE_PER_S: Final = 20.0
LENGTHS_S: Final = (300.0, 1800.0)
_SIGMA: Final = 0.5
_PARETO: Final = 1.5  # its variance is infinite
_STEP_S: Final = 0.1
_INCIDENT: Final = (60.0, 3.0, 4.0)  # one about so often, so long, so many times the latency
_BAD: Final = 0.02  # share of tries that fail, are refused or hang
_BAD_IN_BURST: Final = 0.5
_TIMEOUT_S: Final = 60.0
_SHARES: Final = {"p50": 0.5, "p95": 0.95, "p99": 0.99}
# What is wanted at least, by length in seconds, and where requests are independent also at most.
_LEAST: Final = {300.0: 0.85, 1800.0: 0.90}
_AIM: Final = {300.0: 0.90, 1800.0: 0.93}
_INDEPENDENT: Final = (0.945, 0.975)
_MOST_WRONG: Final = 0.05


@dataclass(frozen=True)
class Played:
    """One run: when tries were planned, how long each was seen to take (s), whether it ended ok, whether it failed."""

    planned: Floats
    seconds: Floats
    ok: Mask


Play = Callable[[np.random.Generator, float], Played]


@dataclass(frozen=True)
class Case:
    """A gateway to simulate. `truth` gives what each metric, p50 to p99 or `rate`, would be in an endless run."""

    name: str
    play: Play
    truth: dict[str, float]
    independent: bool = False


@dataclass
class Tally:
    """What came of all runs of one case, length and metric."""

    runs: int = 0
    held: int = 0
    wrong_pass: int = 0
    wrong_fail: int = 0
    bursty: int = 0

    def add(self, seen: Estimate, truth: float) -> None:
        """Count one run: whether its interval holds the truth, and gates just on either side of it."""
        self.runs += 1
        low = -math.inf if seen.low is None else seen.low
        high = math.inf if seen.high is None else seen.high
        self.held += low <= truth <= high
        self.wrong_pass += side(seen, Gate("", max=truth * (1 - 1e-9))) is Result.PASS
        self.wrong_fail += side(seen, Gate("", max=truth * (1 + 1e-9))) is Result.FAIL
        self.bursty += bool(seen.note)


def arrivals(dice: np.random.Generator, length_s: float) -> Floats:
    """Poisson arrivals, as many as were asked for."""
    return np.sort(dice.uniform(0, length_s, round(RATE_PER_S * length_s)))


def spells(dice: np.random.Generator, at: Floats, length_s: float, every_s: float, lasts_s: float) -> Mask:
    """Which moments lie within spells that begin by chance about every so many seconds and may overlap."""
    steps = round(lasts_s / _STEP_S)
    begun = dice.random(math.ceil(length_s / _STEP_S) + steps) < _STEP_S / every_s
    going = np.cumsum(begun)
    within = going[steps:] > going[:-steps]
    found: Mask = within[np.minimum((at / _STEP_S).astype(int), len(within) - 1)]
    return found


def spell_share(every_s: float, lasts_s: float) -> float:
    """Share of time within such spells."""
    return 1 - (1 - _STEP_S / every_s) ** round(lasts_s / _STEP_S)


def _fine(at: Floats, seconds: Floats) -> Played:
    return Played(at, seconds, np.ones(len(at), dtype=bool))


def _lognormal(dice: np.random.Generator, length_s: float) -> Played:
    at = arrivals(dice, length_s)
    return _fine(at, np.exp(_SIGMA * dice.standard_normal(len(at))))


def _pareto(dice: np.random.Generator, length_s: float) -> Played:
    at = arrivals(dice, length_s)
    return _fine(at, 1 + dice.pareto(_PARETO, len(at)))


def _waves(lasts_s: float, part: float, dice: np.random.Generator, length_s: float) -> Played:
    """Log-latency of which a `part` of the variance is an Ornstein-Uhlenbeck process with this correlation time."""
    at = arrivals(dice, length_s)
    kept = math.exp(-_STEP_S / lasts_s)
    noise = dice.standard_normal(math.ceil(length_s / _STEP_S) + 1) * math.sqrt(1 - kept * kept)
    noise[0] /= math.sqrt(1 - kept * kept)
    wave = lfilter([1.0], [1.0, -kept], noise)[(at / _STEP_S).astype(int)]
    own = dice.standard_normal(len(at))
    return _fine(at, np.exp(_SIGMA * (math.sqrt(part) * wave + math.sqrt(1 - part) * own)))


def _incidents(dice: np.random.Generator, length_s: float) -> Played:
    at = arrivals(dice, length_s)
    every, lasts, times = _INCIDENT
    slow = spells(dice, at, length_s, every, lasts)
    return _fine(at, np.exp(_SIGMA * dice.standard_normal(len(at))) * np.where(slow, times, 1))


def _bad(dice: np.random.Generator, at: Floats, length_s: float, lasts_s: float) -> Mask:
    """Which tries go wrong: 2 %, by chance or in bursts in which every second one does."""
    if lasts_s == 0:
        return np.asarray(dice.random(len(at)) < _BAD)
    every = _STEP_S / (1 - (1 - _BAD / _BAD_IN_BURST) ** (_STEP_S / lasts_s))
    return spells(dice, at, length_s, every, lasts_s) & (dice.random(len(at)) < _BAD_IN_BURST)


def _spoilt(lasts_s: float, seen_s: float, dice: np.random.Generator, length_s: float) -> Played:
    """Independent latencies, of which some are spoilt and seen to end after `seen_s`."""
    played = _lognormal(dice, length_s)
    bad = _bad(dice, played.planned, length_s, lasts_s)
    return Played(played.planned, np.where(bad, seen_s, played.seconds), ~bad)


def _normal_truth(stretch: float = 1.0) -> dict[str, float]:
    return {word: math.exp(_SIGMA * ndtri(p * stretch)) for word, p in _SHARES.items() if p * stretch < 1}


def _incident_truth() -> dict[str, float]:
    every, lasts, times = _INCIDENT
    slow = spell_share(every, lasts)

    def over(log_s: float, p: float) -> float:
        return float((1 - slow) * ndtr(log_s / _SIGMA) + slow * ndtr((log_s - math.log(times)) / _SIGMA) - p)

    return {word: math.exp(brentq(over, -9, 9, args=(p,))) for word, p in _SHARES.items()}


def cases() -> tuple[Case, ...]:
    """Every gateway that is simulated."""
    pareto = {word: (1 - p) ** (-1 / _PARETO) for word, p in _SHARES.items()}
    rate = {"rate": _BAD}
    return (
        Case("independent, lognormal", _lognormal, _normal_truth(), independent=True),
        Case("independent, Pareto", _pareto, pareto, independent=True),
        Case("waves of 2 s", partial(_waves, 2.0, 1.0), _normal_truth()),
        Case("waves of 10 s", partial(_waves, 10.0, 1.0), _normal_truth()),
        Case("waves of 10 s, half the variance", partial(_waves, 10.0, 0.5), _normal_truth()),
        Case("incidents of 3 s", _incidents, _incident_truth()),
        Case("refused at once, bursts of 1 s", partial(_spoilt, 1.0, 0.005), _normal_truth()),
        Case("hanging, by chance", partial(_spoilt, 0.0, _TIMEOUT_S), _normal_truth(1 / (1 - _BAD))),
        Case("hanging, bursts of 1 s", partial(_spoilt, 1.0, _TIMEOUT_S), _normal_truth(1 / (1 - _BAD))),
        Case("errors by chance", partial(_spoilt, 0.0, 0.005), rate, independent=True),
        Case("errors in bursts of 0.4 s", partial(_spoilt, 0.4, 0.005), rate),
        Case("errors in bursts of 1 s", partial(_spoilt, 1.0, 0.005), rate),
        Case("errors in bursts of 4 s", partial(_spoilt, 4.0, 0.005), rate),
    )


def seen(case: Case, played: Played, length_s: float) -> Iterator[tuple[str, Estimate]]:
    """What the report says of one run."""
    block = Timeline(0.0, length_s).block(played.planned)
    if "rate" in case.truth:
        yield "rate", share(per_block(block[~played.ok]), per_block(block), length_s)
        return
    observed = observe(played.seconds, played.ok, block, length_s)
    for word in case.truth:
        yield word, percentile(observed, _SHARES[word], "ms")


def simulate(case: Case, length_s: float, runs: int, seed: int) -> dict[str, Tally]:
    """Play a case so many times; the same seed gives the same tallies, whatever else is played."""
    dice = np.random.default_rng([seed, round(length_s), *case.name.encode()])
    tallies = {word: Tally() for word in case.truth}
    for _ in range(runs):
        for word, estimate in seen(case, case.play(dice, length_s), length_s):
            tallies[word].add(estimate, case.truth[word])
    return tallies


def _problems(case: Case, length_s: float, found: Tally) -> list[str]:
    """Which of the wanted figures a tally misses, by more than chance may do in so many runs."""
    slack = 2 * math.sqrt(0.05 * 0.95 / found.runs)
    held = found.held / found.runs
    problems = []
    low, high = _INDEPENDENT if case.independent else (_LEAST.get(length_s, 0.0), 1.0)
    if not low - slack <= held <= high + slack:
        problems.append(f"held {held:.3f}")
    if max(found.wrong_pass, found.wrong_fail) / found.runs > _MOST_WRONG + slack:
        problems.append("wrong verdicts")
    return problems


def _parser() -> argparse.ArgumentParser:
    parser = argparse.ArgumentParser(prog="coverage", description=__doc__)
    parser.add_argument("--runs", type=int, default=2000, help="runs of each case (default: 2000)")
    parser.add_argument("--seed", type=int, default=0, help="of all dice (default: 0)")
    parser.add_argument("--length", type=float, action="append", help="seconds of a run (default: 300 and 1800)")
    parser.add_argument("--only", default="", help="only cases whose name contains this")
    parser.add_argument("--json", action="store_true", help="one JSON list instead of the table")
    return parser


def main(argv: Sequence[str] | None = None) -> int:
    """Print a row for each case, length and metric; return 1 where one misses what is wanted."""
    options = _parser().parse_args(argv)
    rows, bad, begun = [], 0, time.process_time()
    heads = ("case", "length", "metric", "held", "wrong PASS", "wrong FAIL", "too bursty")
    if not options.json:
        print(f"| {' | '.join(heads)} |\n|{'---|' * len(heads)}", flush=True)
    for length_s in options.length or LENGTHS_S:
        for case in (case for case in cases() if options.only in case.name):
            for word, found in simulate(case, length_s, options.runs, options.seed).items():
                shares = [
                    count / found.runs for count in (found.held, found.wrong_pass, found.wrong_fail, found.bursty)
                ]
                row = (case.name, f"{length_s:g} s", word, *(f"{value:.3f}" for value in shares))
                rows.append(dict(zip(heads, row, strict=True)))
                problems = _problems(case, length_s, found)
                bad += bool(problems)
                if not options.json:
                    print(f"| {' | '.join(row)} |{' <- ' + ', '.join(problems) if problems else ''}", flush=True)
    if options.json:
        print(json.dumps(rows))
    else:
        print(f"\n{options.runs:,} runs each, seed {options.seed}, {time.process_time() - begun:.0f} s of CPU time")
    return 1 if bad else 0


if __name__ == "__main__":
    sys.exit(main())

"""A short simulation; `benchmarks/coverage.py` has the whole one, and docs/reports.md its figures."""

import math
import re
from pathlib import Path

import pytest

from benchmarks.coverage import Case, cases, simulate
from reports import dependence

RUNS = 150
CASES = {case.name: case for case in cases()}
# Three standard deviations of chance below the least that is promised.
LEAST = 0.85 - 3 * math.sqrt(0.85 * 0.15 / RUNS)


@pytest.mark.parametrize("name", sorted(CASES))
def test_intervals_hold_the_truth_and_gates_are_seldom_judged_wrongly(name: str) -> None:
    for word, found in simulate(CASES[name], 300.0, RUNS, seed=1).items():
        assert found.held / RUNS > LEAST, word
        assert max(found.wrong_pass, found.wrong_fail) / RUNS < 0.05 + 3 * math.sqrt(0.05 * 0.95 / RUNS), word
        if CASES[name].independent:
            assert found.bursty == 0, word


@pytest.mark.parametrize("name", ["errors in bursts of 1 s", "waves of 10 s", "incidents of 3 s"])
def test_without_the_design_effect_they_would_not(name: str, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(dependence, "_EVIDENT", math.inf)
    found = simulate(CASES[name], 300.0, RUNS, seed=1)
    assert min(tally.held for tally in found.values()) / RUNS < 0.6


def test_the_documentation_has_a_row_for_every_gateway() -> None:
    page = (Path(__file__).parents[2] / "docs" / "reports.md").read_text(encoding="utf-8")
    assert re.findall(r"^\| ([\w ,.]+) \| (?:p50|error rate)", page, flags=re.MULTILINE) == [
        case.name for case in cases()
    ]


def test_a_case_is_the_same_whatever_else_is_played() -> None:
    def tallies(case: Case) -> list[tuple[int, ...]]:
        return [(t.held, t.wrong_pass, t.wrong_fail) for t in simulate(case, 300.0, 5, seed=0).values()]

    first = tallies(CASES["waves of 2 s"])
    tallies(CASES["errors by chance"])
    assert tallies(CASES["waves of 2 s"]) == first

"""docs/reports.md says what the code does."""

import re
from collections.abc import Callable
from pathlib import Path
from typing import Any

import msgspec
import pytest

from reports.build import judged
from reports.lateness import beyond
from reports.manifest import load_gates
from reports.metrics import METRICS
from reports.render.plots import plots
from reports.sample import Outcome
from reports.stats import least_samples
from reports.values import Summary
from reports.verdict import EXIT_CODES

PAGE = Path(__file__).parents[2] / "docs" / "reports.md"


@pytest.fixture(scope="module")
def page() -> str:
    return PAGE.read_text(encoding="utf-8")


def test_the_table_of_metrics_is_the_one_in_the_code(page: str) -> None:
    wanted = [f"| `{m.name}` | {m.unit} | {m.better} | {m.meaning} |" for m in METRICS.values()]
    assert [line for line in page.splitlines() if re.match(r"\| `\w+` \| (ms|share|count|per_s) \|", line)] == wanted


def test_exit_codes_and_outcomes_are_all_explained(page: str) -> None:
    for verdict, code in EXIT_CODES.items():
        assert f"| {code} | {verdict} |" in page
    for outcome in Outcome:
        assert f"`{outcome}`" in page


def test_the_schema_of_the_summary_is_listed(page: str) -> None:
    wanted = [field.name for field in msgspec.structs.fields(Summary)]
    section = page.split("## summary.json")[1]
    assert re.findall(r"^\| `(\w+)` \|", section, flags=re.MULTILINE) == wanted


def test_the_sample_sizes_are_right(page: str) -> None:
    assert f"{least_samples(0.95)} for p95, {least_samples(0.99)} for p99, {least_samples(0.999):,} for p99.9" in page


def test_the_example_gates_file_can_be_used(page: str, tmp_path: Path) -> None:
    example = page.split("```toml\n")[1].split("```")[0]
    path = tmp_path / "gates.toml"
    path.write_text(example, encoding="utf-8")
    gates = load_gates(path)
    assert len(gates) == 3
    assert {gate.metric for gate in gates} <= set(METRICS)


def test_every_check_and_every_plot_is_explained(page: str, make_run: Callable[..., Any]) -> None:
    summary = judged(make_run().write())
    section = page.split("## INVALID")[1].split("## Gates")[0]
    assert re.findall(r"^\| ([a-zA-Z ]+) \|", section, flags=re.MULTILINE)[1:] == [c.name for c in summary.checks]
    section = page.split("## Plots")[1].split("## Residuals")[0]
    titles = [plot.title for plot in plots(summary)]
    assert re.findall(r"^\| ([\w ]+) \|", section, flags=re.MULTILINE)[1:] == titles


def test_how_many_late_requests_spoil_a_run_is_right(page: str) -> None:
    said = " ".join(page.split())
    for n, late in ((30, 3), (600, 12), (10_000, 121)):
        assert not beyond(late - 1, n)
        assert beyond(late, n)
    assert "for 30 requests that is from 3 late ones on, for 600 requests that is from 12 late ones (2 %) on, " in said
    assert "for 10,000 from 121 (1.2 %)" in said

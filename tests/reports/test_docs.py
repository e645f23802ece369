"""docs/reports.md says what the code does."""

import re
from pathlib import Path

import msgspec
import pytest

from reports.gates import EXIT_CODES
from reports.manifest import load_gates
from reports.metrics import METRICS
from reports.sample import Outcome
from reports.stats import least_samples
from reports.values import Summary

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

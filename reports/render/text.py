"""The verdict as a few lines on a terminal."""

from __future__ import annotations

from pathlib import Path
from typing import Final

from reports.format import estimate_text, interval_text, number
from reports.values import Result, Summary

KEY_METRICS: Final = (
    "scheduled_p50_ms",
    "scheduled_p95_ms",
    "scheduled_p99_ms",
    "ttft_p50_ms",
    "error_rate",
    "unexpected_rate",
    "achieved_rate_per_s",
    "goodput_per_s",
)
MARKS: Final = {
    Result.PASS: "pass",
    Result.FAIL: "FAIL",
    Result.INCONCLUSIVE: "undecided",
    Result.NOT_APPLICABLE: "n/a",
    Result.NOT_JUDGED: "not judged",
    Result.INVALID: "INVALID",
    Result.UNKNOWN: "unknown",
}


def render(summary: Summary, report: Path) -> str:
    """Return verdict, why, gates, key numbers and where the report is."""
    lines = [f"{summary.verdict.verdict}  {summary.verdict.why}", ""]
    lines += [f"  {MARKS[gate.result]:<10} {gate.said}" for gate in summary.gates]
    broken = [check for check in summary.checks if check.result in (Result.INVALID, Result.UNKNOWN)]
    lines += [f"  {MARKS[check.result]:<10} {check.name}: {check.said}" for check in broken]
    lines.append("")
    for name in KEY_METRICS:
        seen = summary.metrics[name]
        interval = interval_text(seen)
        shown = f"{estimate_text(seen):<24} {f'({interval})' if interval else '':<24} n={number(seen.n)}"
        lines.append(f"  {name:<22} {shown}")
    ledger = summary.ledger
    kept = ", ".join(f"{row.outcome} {number(row.total)}" for row in ledger.rows if row.total)
    lines += [f"  {'ledger':<22} {number(ledger.total)} tries of {number(ledger.calls)} calls: {kept}", ""]
    lines.append(f"report: {report}")
    return "\n".join(lines)

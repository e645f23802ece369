"""The verdict as a few lines on a terminal."""

from __future__ import annotations

from pathlib import Path
from typing import Final

from reports.format import estimate_text, interval_text, number, printable
from reports.values import ErrorRow, Result, Summary, Verdict

_KEY_METRICS: Final = (
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


_MOST_CAUSES: Final = 3


def key_metrics(summary: Summary) -> tuple[str, ...]:
    """Names of the headline numbers; where failures are provoked, those that were not come before the error rate."""
    if not any(row.expected for row in summary.errors):
        return _KEY_METRICS
    rates = {"error_rate": "unexpected_rate", "unexpected_rate": "error_rate"}
    return tuple(rates.get(name, name) for name in _KEY_METRICS)


def causes(summary: Summary) -> tuple[str, ...]:
    """What went wrong most often in a run that failed or is invalid, what was provoked on purpose last."""
    if summary.verdict.verdict not in (Verdict.FAIL, Verdict.INVALID):
        return ()
    worst = sorted(summary.errors, key=lambda row: (row.expected - row.count, -row.count))
    return tuple(_cause(row) for row in worst[:_MOST_CAUSES])


def _cause(row: ErrorRow) -> str:
    named = " ".join(str(part) for part in (row.outcome, row.status, row.error_code) if part is not None)
    provoked = f", {number(row.expected)} of them provoked" if row.expected else ""
    return f"{named}: {number(row.count)}{provoked}"


def render(summary: Summary, report: Path) -> str:
    """Return verdict, why, gates, most frequent errors, key numbers and where the report is."""
    lines = [f"{summary.verdict.verdict}  {summary.verdict.why}", ""]
    if summary.manifest.virtual:
        lines.insert(1, "in virtual time: the world's own moments, nothing of which was timed")
    lines += [f"  {MARKS[gate.result]:<10} {gate.said}" for gate in summary.gates]
    broken = [check for check in summary.checks if check.result in (Result.INVALID, Result.UNKNOWN)]
    lines += [f"  {MARKS[check.result]:<10} {check.name}: {check.said}" for check in broken]
    lines += [f"  {'error':<10} {cause}" for cause in causes(summary)]
    lines.append("")
    for name in key_metrics(summary):
        seen = summary.metrics[name]
        interval = interval_text(seen)
        shown = f"{estimate_text(seen):<24} {f'({interval})' if interval else '':<24} n={number(seen.n)}"
        lines.append(f"  {name:<22} {shown}")
    ledger = summary.ledger
    kept = ", ".join(f"{row.outcome} {number(row.total)}" for row in ledger.rows if row.total)
    lines += [f"  {'ledger':<22} {number(ledger.total)} tries of {number(ledger.calls)} calls: {kept}", ""]
    lines.append(f"report: {report}")
    # Names come from the run and the gateway: none of them may end a line and write the next.
    return "\n".join(printable(line.replace("\n", "\ufffd")) for line in lines)

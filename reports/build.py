"""From a run directory to its four report files: read, measure, judge, render, and only then write."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path

from reports.format import printable
from reports.frame import load_run
from reports.manifest import load_gates, own_gates
from reports.output import write_together
from reports.render import html, json, junit, markdown, text
from reports.sample import JUNIT_XML, REPORT_HTML, SUMMARY_JSON, SUMMARY_MD
from reports.summary import summarise
from reports.values import Summary


@dataclass(frozen=True)
class Built:
    """What the command prints and exits with."""

    text: str
    exit_code: int


def build(run_dir: Path, gates_file: Path | None = None) -> Built:
    """Write the reports of a run; raise Unusable where that cannot be done, having changed nothing."""
    summary = judged(run_dir, gates_file)
    pages = {
        SUMMARY_MD: markdown.render(summary),
        REPORT_HTML: html.render(summary),
        JUNIT_XML: junit.render(summary),
    }
    # JSON escapes what is not printable by itself, and keeps it.
    contents = {SUMMARY_JSON: json.render(summary)} | {name: printable(page) for name, page in pages.items()}
    write_together(run_dir, contents)
    return Built(text.render(summary, run_dir / REPORT_HTML), summary.verdict.exit_code)


def judged(run_dir: Path, gates_file: Path | None = None) -> Summary:
    """Judge a run by the gates of a file, else by its own; raise Unusable where it cannot be measured."""
    gates = load_gates(gates_file) if gates_file else None
    run = load_run(run_dir)
    return summarise(run, own_gates(run_dir, run.manifest) if gates is None else gates)

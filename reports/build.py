"""From a run directory to its four report files: read, measure, judge, render, and only then write."""

from __future__ import annotations

import os
import tempfile
from dataclasses import dataclass
from pathlib import Path

from reports.frame import load_run
from reports.gate import check_gates
from reports.manifest import load_gates
from reports.problem import Unusable
from reports.render import html, json, junit, markdown, text
from reports.sample import JUNIT_XML, MANIFEST, REPORT_HTML, SUMMARY_JSON, SUMMARY_MD
from reports.summary import summarise
from reports.values import Summary


@dataclass(frozen=True)
class Built:
    """What the command prints and exits with."""

    text: str
    exit_code: int


def build(run_dir: Path, gates_file: Path | None = None) -> Built:
    """Write the reports of a run; raise Unusable where that cannot be done, having written nothing."""
    summary = judged(run_dir, gates_file)
    files = {
        SUMMARY_JSON: json.render(summary),
        SUMMARY_MD: markdown.render(summary),
        REPORT_HTML: html.render(summary),
        JUNIT_XML: junit.render(summary),
    }
    for name, content in files.items():
        write(run_dir / name, content)
    return Built(text.render(summary, run_dir / REPORT_HTML), summary.verdict.exit_code)


def judged(run_dir: Path, gates_file: Path | None = None) -> Summary:
    """Judge a run by the gates of a file, else by its own; raise Unusable where it cannot be measured."""
    gates = load_gates(gates_file) if gates_file else None
    run = load_run(run_dir)
    if gates is None:
        gates = run.manifest.gates
        try:
            check_gates(gates)
        except ValueError as error:
            raise Unusable(f"{run_dir / MANIFEST}: {error}; --gates FILE judges by others") from None
    return summarise(run, gates)


def write(path: Path, content: str) -> None:
    """Write a file whole or not at all; raise Unusable where the folder does not let us."""
    try:
        with tempfile.NamedTemporaryFile(
            "w", encoding="utf-8", newline="\n", dir=path.parent, prefix=f".{path.name}.", delete=False
        ) as handle:
            try:
                handle.write(content)
                handle.flush()
                os.fchmod(handle.fileno(), 0o644)
                Path(handle.name).replace(path)
            except BaseException:
                Path(handle.name).unlink(missing_ok=True)
                raise
    except OSError as error:
        raise Unusable(f"{path}: cannot be written ({error.strerror}); the samples are untouched") from None

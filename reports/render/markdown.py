"""summary.md: the verdict and the main tables, good on a CI page."""

from __future__ import annotations

import re
from collections.abc import Iterable
from typing import Final

from reports.format import number
from reports.render import rows
from reports.render.rows import Cell, Table
from reports.render.text import causes
from reports.values import Summary

_SPECIAL: Final = re.compile(r"([\\`*_{}\[\]<>#|~&])")


def render(summary: Summary) -> str:
    """Return the Markdown page."""
    verdict = summary.verdict
    parts = [f"## {verdict.verdict}: {escape(summary.manifest.scenario)}", escape(verdict.why)]
    parts += [f"> {escape(note)}" for note in summary.notes]
    if len(verdict.reasons) > 1:
        parts.append("\n".join(f"- {escape(reason)}" for reason in verdict.reasons))
    if causes(summary):
        parts.append("\n".join(["Most frequent errors:", "", *(f"- {escape(cause)}" for cause in causes(summary))]))
    parts += _section("Gates", rows.gates(summary), "No gate was set.")
    parts += _section("Latency, measure phase", rows.spreads(summary.latency), "")
    parts += _section("Errors, measure phase", rows.errors(summary), "None.")
    parts += _section("Ledger", rows.ledger(summary), "")
    parts += _section("Validity", rows.checks(summary), "")
    parts += _section("Routes", rows.groups(summary.routes, "Route", summary.cut.get("routes")), "Nobody answered.")
    if summary.residuals:
        parts += _section("Residuals: measured - planned", rows.spreads(summary.residuals), "")
    parts += _section("Run", rows.facts(summary), "")
    parts.append(f"{number(summary.ledger.measure)} tries measured; intervals are 95 %. More in `report.html`.")
    return "\n\n".join(parts) + "\n"


def escape(text: str) -> str:
    """Neutralise what Markdown or HTML would act on, and keep to one line."""
    return _SPECIAL.sub(r"\\\1", " ".join(text.split())).replace("\\<", "&lt;").replace("\\>", "&gt;")


def _section(title: str, table: Table, empty: str) -> list[str]:
    if not table.rows:
        return [f"### {title}", empty]
    marks = ["---" if column < table.words else "---:" for column in range(len(table.heads))]
    lines = [_line(escape(head) for head in table.heads), _line(marks)]
    lines += [_line(_cell(cell) for cell in row) for row in table.rows]
    return [f"### {title}", "\n".join(lines), *([table.more] if table.more else [])]


def _line(cells: Iterable[str]) -> str:
    return f"| {' | '.join(cells)} |"


def _cell(cell: Cell) -> str:
    small = f"<br><sub>{escape(cell.small)}</sub>" if cell.small else ""
    return escape(cell.text) + small

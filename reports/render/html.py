"""report.html: one file, no script, no network."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Final

from jinja2 import Environment, PackageLoader, StrictUndefined
from markupsafe import Markup

from reports.format import number
from reports.metrics import METRICS
from reports.render import rows
from reports.render.plots import plots
from reports.render.rows import Table
from reports.render.text import key_metrics
from reports.values import Summary, Verdict

_TONES: Final = {
    Verdict.PASS: "good",
    Verdict.FAIL: "bad",
    Verdict.INVALID: "bad",
    Verdict.INCONCLUSIVE: "open",
}


@dataclass(frozen=True)
class _Key:
    label: str
    value: str
    small: str


@dataclass(frozen=True)
class _Section:
    name: str
    title: str
    lead: str
    table: Table | None = None
    empty: str = ""


def render(summary: Summary) -> str:
    """Return the page; everything in it that came from a run is escaped by the template."""
    environment = Environment(
        loader=PackageLoader("reports.render", "templates"),
        autoescape=True,
        undefined=StrictUndefined,
        trim_blocks=True,
        lstrip_blocks=True,
    )
    return environment.get_template("report.html.j2").render(
        summary=summary,
        tone=_TONES[summary.verdict.verdict],
        keys=[_key(summary, name) for name in key_metrics(summary)],
        measured=number(summary.ledger.measure),
        sections=_sections(summary),
        details=_details(summary),
        plots=[(plot, Markup(plot.svg)) for plot in plots(summary)],  # noqa: S704 - drawn by us, text escaped by matplotlib
    )


def _key(summary: Summary, name: str) -> _Key:
    value = rows.narrow(summary.metrics[name])
    n = f"n={number(summary.metrics[name].n)}"
    small = value.small if value.small.startswith("(n=") else " · ".join(filter(None, (value.small, n)))
    return _Key(METRICS[name].label, value.text, small)


def _sections(summary: Summary) -> list[_Section]:
    return [
        _Section(
            "gates",
            "Gates",
            "A gate passes or fails only when its whole 95 % interval is on one side of the limit.",
            rows.gates(summary),
            "No gate was set.",
        ),
        _Section(
            "validity",
            "Can this measurement be believed?",
            "One broken check makes the run INVALID: neither passed nor failed.",
            rows.checks(summary),
        ),
        _Section(
            "ledger",
            "Ledger",
            "Where every planned request went. The outcomes sum to what was planned.",
            rows.ledger(summary),
        ),
        _Section(
            "latency",
            "Latency",
            "Of the measure phase, with 95 % intervals. n/a where too few samples exist. Where tries did not end ok, "
            "Kaplan-Meier takes each of them as lasting at least as long as it was seen to.",
            rows.spreads(summary.latency),
        ),
        _Section(
            "errors",
            "Errors",
            "Tries of the measure phase that were not ok, by outcome, status and code.",
            rows.errors(summary),
            "Every measured request was ok.",
        ),
    ]


def _details(summary: Summary) -> list[_Section]:
    found = [
        _Section(
            "by-route",
            "Routes",
            "Service latency of ok requests by who answered.",
            rows.groups(summary.routes, "Route", summary.cut.get("routes")),
            "Nobody answered.",
        ),
        _Section(
            "kinds",
            "Kinds of call",
            "Service latency of ok requests by kind of call.",
            rows.groups(summary.kinds, "Kind", summary.cut.get("kinds"), expectations=True),
        ),
        _Section(
            "ways", "Streamed and plain", "The same, by how the answer was asked for.", rows.groups(summary.ways, "Way")
        ),
        _Section(
            "health",
            "Generator health",
            "The load generator's own processes during the measure phase.",
            rows.health(summary),
            "Generator health was not recorded.",
        ),
    ]
    if summary.residuals:
        found.append(
            _Section(
                "residual",
                "Residuals",
                "Measured minus what the mock had planned: what network, mock and generator added.",
                rows.spreads(summary.residuals),
            )
        )
    found.append(
        _Section(
            "slowest", "Slowest requests", "Ok requests, by scheduled latency.", rows.slowest(summary), "None was ok."
        )
    )
    found.append(_Section("run", "How it was run", "", rows.facts(summary)))
    return found

"""Tables as titles, headings and text cells, so that HTML and Markdown say the same."""

from __future__ import annotations

from dataclasses import dataclass, replace
from typing import Final

from reports.format import (
    FORMATS,
    duration,
    estimate_text,
    gate_limit,
    interval_text,
    moment,
    number,
    per_second,
    percent,
)
from reports.manifest import Incident
from reports.render.text import MARKS
from reports.values import Connections, Cut, Estimate, GroupRow, Result, Spread, Summary

_MOST_INCIDENTS: Final = 20


@dataclass(frozen=True)
class Cell:
    """Text, with a smaller second line where there is one; `tone` is a result to colour by."""

    text: str
    small: str = ""
    tone: str = ""


@dataclass(frozen=True)
class Table:
    """Headings and rows; `words` says how many leading columns are text and stand on the left.

    `folded` are the numbers of rows that say nothing new: a page may fold them away below `folded_as`.
    `cards` says that a narrow page may show each row as a card, with its headings beside its cells. `more` says what
    the table leaves out.
    """

    heads: tuple[str, ...]
    rows: tuple[tuple[Cell, ...], ...]
    words: int = 1
    folded: frozenset[int] = frozenset()
    folded_as: str = ""
    cards: bool = False
    more: str = ""

    def part(self, *, folded: bool) -> Table:
        """Return the same table with only its folded rows, or only the others."""
        rows = tuple(row for at, row in enumerate(self.rows) if (at in self.folded) == folded)
        return replace(self, rows=rows, folded=frozenset())


TONES: Final = {Result.PASS: "good", Result.FAIL: "bad", Result.INVALID: "bad", Result.INCONCLUSIVE: "open"}


def _estimate(seen: Estimate) -> Cell:
    return Cell(estimate_text(seen), interval_text(seen))


def narrow(seen: Estimate) -> Cell:
    """Return an estimate; the reason why a number is missing stands below it, as the interval would."""
    if seen.known or not seen.n:
        return _estimate(seen)
    return Cell("n/a", estimate_text(seen).removeprefix("n/a "))


def _ms(value: float | None) -> Cell:
    return Cell("n/a" if value is None else duration(value))


def gates(summary: Summary) -> Table:
    """Gates beside what was measured."""
    rows = tuple(
        (
            Cell(MARKS[gate.result], tone=TONES.get(gate.result, "")),
            Cell(gate.label, f"{gate.gate.metric}: {gate.gate.why}" if gate.gate.why else gate.gate.metric),
            Cell(gate_limit(gate.gate, gate.estimate.unit)),
            Cell(estimate_text(gate.estimate)),
            Cell(interval_text(gate.estimate) or "n/a"),
            Cell(number(gate.estimate.n)),
            Cell(number(gate.enough) if gate.enough else "–"),
        )
        for gate in summary.gates
    )
    heads = ("Result", "Gate", "Limit", "Measured", "95 % interval", "n", "n that would decide")
    return Table(heads, rows, 2, cards=True)


def checks(summary: Summary) -> Table:
    """Whether the measurement may be believed."""
    rows = tuple(
        (
            Cell(MARKS[check.result], tone=TONES.get(check.result, "")),
            Cell(check.name),
            Cell(check.said, f"rule: {check.rule}"),
        )
        for check in summary.checks
    )
    fine = frozenset(
        at for at, check in enumerate(summary.checks) if check.result in (Result.PASS, Result.NOT_APPLICABLE)
    )
    said = f"{number(len(fine))} of {number(len(rows))} checks are in order"
    return Table(("Result", "Check", "Seen"), rows, 3, folded=fine, folded_as=said, cards=True)


def ledger(summary: Summary) -> Table:
    """Every outcome, with its meaning and the sums below."""
    book = summary.ledger
    rows = [
        (
            Cell(row.outcome, row.meaning),
            Cell(number(row.warmup)),
            Cell(number(row.measure)),
            Cell(number(row.total)),
            Cell(number(row.calls)),
        )
        for row in book.rows
    ]
    warmup, measure, total, calls = map(number, (book.warmup, book.measure, book.total, book.calls))
    rows.append((Cell("planned", "the sum"), Cell(warmup), Cell(measure), Cell(total), Cell(calls)))
    heads = ("Outcome", "Tries in warm-up", "Tries measured", "Tries in all", "Calls, by last try")
    none = frozenset(at for at, row in enumerate(book.rows) if not row.total)
    said = f"{number(len(none))} of {number(len(book.rows))} outcomes did not occur"
    return Table(heads, tuple(rows), folded=none, folded_as=said, cards=True)


def spreads(found: tuple[Spread, ...]) -> Table:
    """Percentiles with their intervals; the plain ones on a row of their own where some were censored."""
    rows: list[tuple[Cell, ...]] = []
    for spread in found:
        show = FORMATS[spread.unit]
        most = Cell("n/a" if spread.max is None else show(spread.max))
        name = f"{spread.label}, Kaplan-Meier" if spread.plain else spread.label
        four = (spread.p50, spread.p95, spread.p99, spread.p999)
        rows.append((Cell(name, spread.meaning), Cell(number(spread.n)), *map(_estimate, four), most))
        if spread.plain:
            plain = spread.plain
            four = (plain.p50, plain.p95, plain.p99, plain.p999)
            small = Cell(f"{spread.label}, plain", "finished requests alone")
            rows.append((small, Cell(number(plain.n)), *map(_estimate, four), most))
    return Table(("Quantity", "n", "p50", "p95", "p99", "p99.9", "max"), tuple(rows))


def _more(cut: Cut | None) -> str:
    if cut is None:
        return ""
    tries = "1 try" if cut.tries == 1 else f"{number(cut.tries)} tries"
    return f"and {number(cut.rows)} more {'row' if cut.rows == 1 else 'rows'}, {tries} in all"


def groups(found: tuple[GroupRow, ...], name: str, cut: Cut | None = None, *, expectations: bool = False) -> Table:
    """Routes, kinds or ways beside one another; `expectations` adds how many did what was asked for."""
    rows = tuple(
        (
            Cell(row.name),
            Cell(number(row.tries)),
            *((Cell(number(row.as_expected)),) if expectations else ()),
            *map(narrow, (row.ok_rate, row.p50, row.p95, row.p99, row.ttft_p50, row.tpot_p50)),
        )
        for row in found
    )
    middle = ("as expected",) if expectations else ()
    heads = (name, "tries", *middle, "ok", "p50", "p95", "p99", "TTFT p50", "TPOT p50")
    return Table(heads, rows, more=_more(cut))


def errors(summary: Summary) -> Table:
    """Failures by outcome, status and code."""
    rows = tuple(
        (
            Cell(row.outcome),
            Cell(str(row.status) if row.status is not None else "none"),
            Cell(row.error_code or "none"),
            Cell(number(row.count)),
            _estimate(row.rate),
            Cell(number(row.expected)),
            Cell(f"{number(round(row.first_s, 1))} s – {number(round(row.last_s, 1))} s"),
            _ms(row.p50_ms),
        )
        for row in summary.errors
    )
    heads = ("Outcome", "Status", "Code", "Tries", "Share", "Provoked", "First – last", "Service p50")
    return Table(heads, rows, 3, cards=True, more=_more(summary.cut.get("errors")))


def health(summary: Summary) -> Table:
    """CPU, waiting for a core and event-loop lag of each worker and of the run's own mock."""

    def share(value: float | None) -> Cell:
        return Cell("n/a" if value is None else percent(value))

    rows = tuple(
        (
            Cell(row.worker),
            Cell(number(row.sent)),
            Cell(number(row.rows)),
            *map(share, (row.cpu_mean, row.cpu_5s, row.wait_5s)),
            _ms(row.lag_p99_ms),
            _ms(row.lag_max_ms),
            share(row.stalled),
        )
        for row in summary.health
    )
    heads = ("Worker", "Sent", "Readings", "CPU mean", "CPU, worst 5 s", "Waiting for a core, worst 5 s")
    return Table((*heads, "Lag p99", "Lag max", "Stalled"), rows)


def slowest(summary: Summary) -> Table:
    """The slowest ok requests, to be found again by id."""
    rows = tuple(
        (
            Cell(row.request_id or "none"),
            Cell(row.kind),
            Cell(row.route),
            Cell(f"{row.planned_s:,.1f} s"),
            _ms(row.scheduled_ms),
            _ms(row.service_ms),
        )
        for row in summary.slowest
    )
    return Table(("Request", "Kind", "Route", "Planned at", "Scheduled", "Service"), rows, 3)


def _connections(found: Connections) -> str:
    if found.each is None:
        return f"none was opened, of what is recorded, for {number(found.sent)} sent tries"
    return f"{number(found.opened)} opened for {number(found.sent)} sent tries, {number(round(found.each, 1))} each"


def _incidents(incidents: tuple[Incident, ...]) -> str:
    listed = [f"{each.kind} {each.what} {each.start_s:g}–{each.end_s:g} s" for each in incidents[:_MOST_INCIDENTS]]
    if left := len(incidents) - len(listed):
        listed.append(f"and {number(left)} more")
    return "; ".join(listed)


def facts(summary: Summary) -> Table:
    """How the run was made."""
    manifest = summary.manifest
    load = manifest.load
    driven = {
        "open": f"open, {per_second(load.rate_per_s or 0)}, {load.arrivals} arrivals",
        "closed": f"closed, {number(load.users or 0)} users",
        "script": f"script of {number(load.calls or 0)} calls",
    }[load.kind]
    pairs = {
        "Run": manifest.run_id,
        "Scenario": f"{manifest.scenario}: {manifest.description}" if manifest.description else manifest.scenario,
        "Load": driven,
        "Target": f"{manifest.target} ({manifest.target_kind})",
        "World": manifest.world or "none",
        "Seed": "none" if manifest.seed is None else str(manifest.seed),
        "API key": manifest.api_key or "none",
        "Started": "in virtual time, which has no date" if manifest.virtual else moment(manifest.started_at),
        "Windows": f"warm-up {manifest.warmup_s:g} s, measured {manifest.duration_s:g} s, "
        f"drain up to {manifest.drain_s:g} s, ended at {manifest.ended_s:.1f} s",
        "Client timeout": "none" if manifest.timeout_s is None else f"{manifest.timeout_s:g} s",
        "In flight": f"mean {number(round(summary.in_flight_mean, 1))}, "
        f"at most {number(summary.in_flight_max)} (weighted by time)",
        "Connections": "" if manifest.virtual else _connections(summary.connections),
        "Processes": number(manifest.processes),
        "Command": " ".join(manifest.argv),
        "Machine": ", ".join(f"{name} {value}" for name, value in manifest.machine.items()),
        "Versions": ", ".join(f"{name} {version}" for name, version in manifest.versions.items()),
        "Incidents": _incidents(manifest.incidents),
        "Labels": ", ".join(f"{name}={value}" for name, value in manifest.labels.items()),
    }
    rows = tuple((Cell(name), Cell(value)) for name, value in pairs.items() if value)
    return Table(("Fact", "Value"), rows, 2)

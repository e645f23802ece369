"""Puts a run's numbers, gates and verdict into one value that every renderer reads."""

from __future__ import annotations

from typing import Final

import numpy as np

from reports import health, tables, validity
from reports.curves import InFlight, curves
from reports.frame import Run
from reports.gate import Gate
from reports.gates import judge_gates
from reports.ledger import balance
from reports.measured import Measured
from reports.metrics import METRICS
from reports.values import SUMMARY_VERSION, Ledger, Result, Summary
from reports.verdict import judge_run, offered_load

VIRTUAL_NOTE: Final = (
    "Virtual time: nothing was timed. Every moment is what the mock's world plans; network, connections, and the speed "
    "of machines have no part in it."
)


def summarise(run: Run, gates: tuple[Gate, ...]) -> Summary:
    """Compute everything about a run, judged by `gates`."""
    measured = Measured.of(run)
    ledger = balance(run)
    readings = health.readings(run.health)
    checks = validity.checks(run, measured, ledger, readings, gates)
    checks += (offered_load(run, measured, gates, checks),)
    valid = not any(check.result is Result.INVALID for check in checks)
    judged = judge_gates(measured, gates, valid=valid)
    # What needs much room for a moment comes before the distributions are made, and after they are forgotten.
    errors, routes, kinds = tables.errors(measured), tables.by_route(measured), tables.by_kind(measured)
    ways, slowest = tables.by_way(measured), tables.slowest(measured)
    flight = InFlight.of(measured.whole)
    cut = {
        name: rest
        for name, (_, rest) in zip(("errors", "routes", "kinds"), (errors, routes, kinds), strict=True)
        if rest
    }
    unscoped = tuple(gate for gate in gates if not gate.scope)
    return Summary(
        schema_version=SUMMARY_VERSION,
        verdict=judge_run(checks, judged, answered=answered(measured), virtual=run.manifest.virtual),
        gates=judged,
        checks=checks,
        metrics={name: metric.estimate(measured, unscoped) for name, metric in METRICS.items()},
        ledger=ledger,
        latency=tables.latency(measured),
        errors=errors[0],
        routes=routes[0],
        kinds=kinds[0],
        ways=ways,
        cut=cut,
        connections=tables.connections(measured),
        in_flight_mean=flight.mean(*measured.window_s),
        in_flight_max=flight.highest(*measured.window_s),
        health=health.table(readings, run.samples, measured.window_s[0]),
        residuals=tables.residuals(measured),
        slowest=slowest,
        incidents=run.manifest.incidents,
        notes=tuple(_notes(measured, ledger)),
        window_s=measured.window_s,
        curves=curves(measured, flight),
        manifest=run.manifest,
    )


def answered(measured: Measured) -> bool:
    """Whether anything ended ok, or all calls were to provoke an error."""
    return bool(measured.ok.any() or measured.provoked.all())


def _notes(measured: Measured, ledger: Ledger) -> list[str]:
    notes = []
    if measured.manifest.virtual:
        notes.append(VIRTUAL_NOTE)
    scheduled = measured.observed("scheduled")
    if scheduled.censored:
        notes.append(
            f"{scheduled.censored:,} tries did not end ok: percentiles are Kaplan-Meier's, which take each of them "
            "as lasting at least as long as it was seen to."
        )
    provoked = int(np.count_nonzero(measured.provoked))
    if provoked:
        notes.append(
            f"{provoked:,} tries provoked an error on purpose; unexpected_rate does not count those that got it."
        )
    if ledger.retried_calls:
        notes.append(f"{ledger.retried_calls:,} calls were retried; the ledger counts every try.")
    if measured.manifest.time_scale != 1:
        notes.append(f"The mock ran at time scale {measured.manifest.time_scale:g}: its latencies are scaled.")
    if measured.manifest.load.kind == "closed":
        notes.append("Closed load: users wait for their answers, so a slow gateway is asked less often.")
    return notes

"""Whether a measurement may be believed at all: one broken check makes the run INVALID."""

from __future__ import annotations

from typing import Final

import numpy as np

from reports import coherence
from reports.frame import Run
from reports.gate import Gate
from reports.generator import generator
from reports.health import Readings
from reports.lateness import Limits
from reports.measured import Measured
from reports.mock import mock
from reports.rules import VIRTUAL, check, judged
from reports.sample import HEALTH, MOCK_WORKER, Outcome
from reports.values import Check, Ledger, Result

_MOST_SAID: Final = 3


def checks(
    run: Run, measured: Measured, ledger: Ledger, readings: dict[str, Readings] | None, gates: tuple[Gate, ...]
) -> tuple[Check, ...]:
    """Every check, as a reader should look at them, but that on the offered load: it needs the gates judged."""
    limits = Limits.of(measured.window_s, measured.manifest.ended_s, gates)
    workers = None if readings is None else {name: seen for name, seen in readings.items() if name != MOCK_WORKER}
    return (
        _balance(ledger),
        _lost(measured, ledger),
        _sent(measured),
        _finished(measured),
        _alive(measured),
        _coherent("moments", coherence.moments(run), "each try's moments are in order"),
        _coherent("plan", coherence.plan(run), "the calls are those of the plan"),
        _workers(run, readings, limits.begin),
        *generator(measured, workers, limits),
        *mock(measured, readings, limits),
    )


def _balance(ledger: Ledger) -> Check:
    said = "; ".join(ledger.problems) or f"{ledger.total:,} tries of {ledger.calls:,} calls, all accounted for"
    return judged("ledger", not ledger.problems, said)


def _lost(measured: Measured, ledger: Ledger) -> Check:
    lost = next(row.total for row in ledger.rows if row.outcome is Outcome.LOST)
    died = [worker.worker for worker in measured.manifest.workers if worker.lost]
    said = f"{lost:,} in all" + (f"; workers that died: {', '.join(died)}" if died else "")
    return judged("lost requests", not lost and not died, said)


def _sent(measured: Measured) -> Check:
    sent = int(np.count_nonzero(~np.isnan(measured.column("sent_s"))))
    return judged("requests sent", sent > 0, f"{sent:,} in the measure phase")


def _finished(measured: Measured) -> Check:
    manifest = measured.manifest
    said = f"it ran for {manifest.ended_s:.0f} s" + (", then was interrupted" if manifest.interrupted else "")
    return judged("run completed", not manifest.interrupted, said)


def _alive(measured: Measured) -> Check:
    if measured.manifest.mock_died:
        return check("mock alive", Result.INVALID, "the run's own mock died")
    if measured.manifest.target_kind != "mock":
        return check("mock alive", Result.NOT_APPLICABLE, "the target is not the mock")
    return check("mock alive", Result.PASS, "no death of it was recorded")


def _coherent(name: str, problems: list[str], good: str) -> Check:
    more = f"; and {len(problems) - _MOST_SAID} more" if len(problems) > _MOST_SAID else ""
    return judged(name, not problems, "; ".join(problems[:_MOST_SAID]) + more or good)


def _workers(run: Run, readings: dict[str, Readings] | None, begin: float) -> Check:
    problems = coherence.strangers(run, readings)
    if run.manifest.virtual:
        problems += coherence.real(run, readings)
        return _coherent("workers", problems, VIRTUAL)
    if readings is not None:
        problems += coherence.unread(run, readings, begin)
    if readings is None and not problems:
        return check("workers", Result.UNKNOWN, f"{HEALTH} is missing, so a saturated generator cannot be ruled out")
    return _coherent("workers", problems, f"{len(run.manifest.workers):,} of them, known and read without gaps")

"""The conditions under which a measurement may be believed at all; one broken makes the run INVALID."""

from __future__ import annotations

import numpy as np

from reports.measured import Measured
from reports.sample import Outcome
from reports.stats import Floats, rank, tail
from reports.values import Check, Ledger, Result, Tail, WorkerHealth

_HOT_S = 5.0
_LAG_MS = 50.0
_FLOOR_MS = 10.0
_DISPATCH_SHARE = 0.10
_LATENESS_SHARE = 0.05
# With few samples a p99 is no more than the longest of them, which one pause of the machine decides.
_TAIL_RULE = " p99 (p95 below 368 samples, median below 72), by the lower end of its 95 % interval,"


def checks(measured: Measured, ledger: Ledger, health: tuple[WorkerHealth, ...]) -> tuple[Check, ...]:
    """Every check, in the order a reader should look at them."""
    return (
        _balance(ledger),
        _lost(measured, ledger),
        _sent(measured),
        _finished(measured),
        _alive(measured),
        _order(measured),
        _dispatch(measured),
        _cpu(health),
        _lag(health),
        _mock(measured),
    )


def _check(name: str, good: bool, said: str, rule: str) -> Check:
    return Check(name=name, result=Result.PASS if good else Result.INVALID, said=said, rule=rule)


def _balance(ledger: Ledger) -> Check:
    said = "; ".join(ledger.problems) or f"{ledger.total:,} tries of {ledger.calls:,} calls, all accounted for"
    return _check("ledger", not ledger.problems, said, "every planned call is recorded, each try once")


def _lost(measured: Measured, ledger: Ledger) -> Check:
    lost = next(row.total for row in ledger.rows if row.outcome is Outcome.LOST)
    died = [worker.worker for worker in measured.manifest.workers if worker.lost]
    said = f"{lost:,} in all" + (f"; workers that died: {', '.join(died)}" if died else "")
    return _check("lost requests", not lost and not died, said, "no worker dies with its requests")


def _sent(measured: Measured) -> Check:
    sent = int(measured.frame["sent_s"].notna().sum())
    return _check("requests sent", sent > 0, f"{sent:,} in the measure phase", "at least one was sent")


def _finished(measured: Measured) -> Check:
    manifest = measured.manifest
    said = f"it ran for {manifest.ended_s:.0f} s" + (", then was interrupted" if manifest.interrupted else "")
    return _check("run completed", not manifest.interrupted, said, "the run was not interrupted")


def _alive(measured: Measured) -> Check:
    name, rule = "mock alive", "the run's own mock runs until it is stopped"
    if measured.manifest.mock_died:
        return Check(name=name, result=Result.INVALID, said="the run's own mock died", rule=rule)
    if measured.manifest.target_kind != "mock":
        return Check(name=name, result=Result.NOT_APPLICABLE, said="the target is not the mock", rule=rule)
    return Check(name=name, result=Result.PASS, said="no death of it was recorded", rule=rule)


def _order(measured: Measured) -> Check:
    moments = [measured.column(name) for name in ("sent_s", "first_byte_s", "end_s")]
    pairs = [(moments[0], moments[1]), (moments[0], moments[2]), (moments[1], moments[2])]
    wrong = int(np.count_nonzero(np.logical_or.reduce([late < early for early, late in pairs])))
    unended = int(np.count_nonzero(measured.ok & np.isnan(measured.service_ms)))
    said = f"{wrong:,} tries end before they begin, {unended:,} ok ones have no time"
    return _check("clock", not wrong and not unended, said, "sent, first byte and end in this order")


def _median(values: Floats) -> float:
    known = np.sort(values[~np.isnan(values)])
    return float(known[rank(len(known), 0.5) - 1]) if len(known) else 0.0


def _late(name: str, seen: Tail, limit: float, rule: str, where: str = "") -> Check:
    """Broken only when the whole interval of the tail is above the limit, ms."""
    said = f"{seen.percentile} {seen.value:,.1f} ms{where} (at least {seen.low:,.1f} ms, n={seen.n:,})"
    return _check(name, seen.low <= limit, f"{said}, limit {limit:,.1f} ms", rule)


def _dispatch(measured: Measured) -> Check:
    rule = f"dispatch delay{_TAIL_RULE} at most 10 ms or 10 % of the service median, whichever is more"
    late = tail(measured.dispatch_ms)
    if late is None:
        return Check(name="dispatch delay", result=Result.UNKNOWN, said="nothing was sent", rule=rule)
    limit = max(_FLOOR_MS, _DISPATCH_SHARE * _median(measured.service_ms[measured.ok]))
    return _late("dispatch delay", late, limit, rule)


def _cpu(health: tuple[WorkerHealth, ...]) -> Check:
    rule = "no worker above 90 % of a core for 5 s"
    known = [(row.hot_s, row.cpu_max, row.worker) for row in health if row.cpu_max is not None]
    if not known:
        return _unrecorded("generator CPU", rule)
    hot, _, worker = max(known)
    said = f"highest reading {max(cpu for _, cpu, _ in known):.0f} %"
    if hot > 0:
        said += f"; worker {worker} stayed above 90 % for {hot:.1f} s"
    return _check("generator CPU", hot < _HOT_S, said, rule)


def _lag(health: tuple[WorkerHealth, ...]) -> Check:
    rule = f"event hub lag{_TAIL_RULE} at most 50 ms, in each worker"
    known = [(row.lag_tail_ms.low, row.worker, row.lag_tail_ms) for row in health if row.lag_tail_ms is not None]
    if not known:
        return _unrecorded("generator lag", rule)
    _, worker, worst = max(known, key=lambda row: row[0])
    return _late("generator lag", worst, _LAG_MS, rule, f" in worker {worker}")


def _unrecorded(name: str, rule: str) -> Check:
    said = "not recorded, so a saturated generator cannot be ruled out"
    return Check(name=name, result=Result.UNKNOWN, said=said, rule=rule)


def _mock(measured: Measured) -> Check:
    name = "mock lateness"
    rule = f"the mock's overhead{_TAIL_RULE} at most 10 ms or 5 % of the planned median, whichever is more"
    if measured.manifest.target_kind != "mock":
        return Check(name=name, result=Result.NOT_APPLICABLE, said="the target is not the mock", rule=rule)
    late = tail(measured.column("overhead_ms"))
    if late is None:
        return Check(name=name, result=Result.UNKNOWN, said="no answer said what it had planned", rule=rule)
    limit = max(_FLOOR_MS, _LATENESS_SHARE * _median(measured.column("planned_ms")))
    return _late(name, late, limit, rule)

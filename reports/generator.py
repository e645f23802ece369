"""Whether the generator kept up: each of its processes on time, never stalled, never starved."""

from __future__ import annotations

import numpy as np

from reports.health import Readings
from reports.lateness import UNREAD, Limits, late, stalls
from reports.measured import Measured
from reports.rules import CPU_SHARE, SPAN_S, TOLD_SHARE, VIRTUAL, WAIT_SHARE, check, judged, percent
from reports.values import Check, Result


def generator(measured: Measured, found: dict[str, Readings] | None, limits: Limits) -> tuple[Check, ...]:
    """Its checks, from the readings of each worker; None where nothing was recorded."""
    if measured.manifest.virtual:
        names = ("generator stalls", "generator CPU", "generator waiting")
        return _dispatch(measured, limits.late_ms), *(check(name, Result.NOT_APPLICABLE, VIRTUAL) for name in names)
    return (
        _dispatch(measured, limits.late_ms),
        stalls("generator stalls", found, limits),
        _cpu(found, limits),
        _waiting(found, limits),
    )


def _dispatch(measured: Measured, limit_ms: float) -> Check:
    sent, ready = measured.column("sent_s"), measured.column("ready_s")
    was_sent = ~np.isnan(sent)
    if not was_sent.any():
        return check("dispatch delay", Result.UNKNOWN, "nothing was sent")
    if measured.manifest.load.kind != "open":
        told, sent_n = (int(np.count_nonzero(rows)) for rows in (was_sent & ~np.isnan(ready), was_sent))
        if told < TOLD_SHARE * sent_n:
            said = f"when its client was ready was recorded for {told:,} of {sent_n:,} tries"
            return check("dispatch delay", Result.UNKNOWN, said)
    due = np.where(np.isnan(ready), measured.column("planned_s"), ready)
    return late("dispatch delay", (sent - due) * 1e3, int(np.count_nonzero(was_sent)), limit_ms, "the delay is")


def _cpu(found: dict[str, Readings] | None, limits: Limits) -> Check:
    seen = [(part.busiest, worker) for worker, part in _at_work(found, limits)]
    if not seen:
        return check("generator CPU", Result.UNKNOWN, UNREAD)
    most, worker = max(seen)
    said = f"{worker}: at most {percent(most)} of a core over {SPAN_S:g} s, limit {percent(CPU_SHARE)}"
    return judged("generator CPU", most <= CPU_SHARE, said)


def _waiting(found: dict[str, Readings] | None, limits: Limits) -> Check:
    rows = _at_work(found, limits)
    if not rows:
        return check("generator waiting", Result.UNKNOWN, UNREAD)
    told = [not np.isnan(part.wait_s).any() for _, part in rows]
    if not all(told):
        nowhere = all(np.isnan(part.wait_s).all() for _, part in rows)
        said = "this system does not tell it" if nowhere else "told for a part of the time only"
        return check("generator waiting", Result.UNKNOWN, said, vital=not nowhere)
    most, worker = max((part.waited, worker) for worker, part in rows)
    said = f"{worker}: at most {percent(most)} of {SPAN_S:g} s, limit {percent(WAIT_SHARE)}"
    return judged("generator waiting", most <= WAIT_SHARE, said)


def _at_work(found: dict[str, Readings] | None, limits: Limits) -> list[tuple[str, Readings]]:
    """Each worker's readings from the measure phase to the run's end, where there are any."""
    parts = [(worker, whole.within(limits.begin, limits.end)) for worker, whole in (found or {}).items()]
    return [(worker, part) for worker, part in parts if len(part.at_s)]

"""Whether the mock kept up: its own lateness, its loop's stalls, and what it took beyond its own plan."""

from __future__ import annotations

import numpy as np
import numpy.typing as npt

from reports import coherence
from reports.dependence import Floats
from reports.health import Readings
from reports.lateness import Limits, late, stalls
from reports.measured import Measured
from reports.rules import RESIDUAL_MS, RESIDUAL_SHARE, TOLD_SHARE, VIRTUAL, check, judged
from reports.sample import MOCK_WORKER
from reports.stats import smallest
from reports.values import Check, Result


def mock(measured: Measured, found: dict[str, Readings] | None, limits: Limits) -> tuple[Check, ...]:
    """Its checks, from the readings of each process, the run's own mock among them; None where nothing was recorded."""
    names = ("mock lateness", "mock stalls", "mock plan")
    if measured.manifest.target_kind != "mock":
        return tuple(check(name, Result.NOT_APPLICABLE, "the target is not the mock") for name in names)
    own = measured.manifest.world is not None
    stalled = (
        check("mock stalls", Result.NOT_APPLICABLE, VIRTUAL)
        if measured.manifest.virtual
        else _stalls(found, limits, own=own)
    )
    return _lateness(measured, limits.late_ms), stalled, _residual(measured)


def _told(measured: Measured, values: Floats) -> tuple[npt.NDArray[np.bool_], str]:
    """Which ok answers told a value, and what to say where they are too few to know, or nothing."""
    told, ok = int(np.count_nonzero(measured.ok & ~np.isnan(values))), int(np.count_nonzero(measured.ok))
    short = f"told for {told:,} of {ok:,} ok answers"
    return measured.ok & ~np.isnan(values), short if not ok or told < TOLD_SHARE * ok else ""


def _lateness(measured: Measured, limit_ms: float) -> Check:
    overhead = measured.column("overhead_ms")
    answered = ~np.isnan(overhead)
    _, short = _told(measured, overhead)
    if not answered.any():
        return check("mock lateness", Result.UNKNOWN, short)
    # Answers that did not tell count as in time: what others told is enough to be sure, or it is unknown.
    n = int(np.count_nonzero(answered | measured.ok))
    found = late("mock lateness", overhead, n, limit_ms, "its overhead is")
    if short and found.result is Result.PASS:
        return check("mock lateness", Result.UNKNOWN, short)
    return found


def _stalls(found: dict[str, Readings] | None, limits: Limits, *, own: bool) -> Check:
    """Of the run's own mock readings must cover the window: one that stands still answers nobody who reads it."""
    seen = (found or {}).get(MOCK_WORKER)
    if seen is None:
        silent = own and found is not None and limits.window_end - limits.begin > coherence.BEAT_S
        return check("mock stalls", Result.INVALID if silent else Result.UNKNOWN, "its loop's lag was not recorded")
    problem = coherence.broken(seen) or coherence.uncovered(seen, limits.begin, limits.window_end)
    if problem:
        return check("mock stalls", Result.INVALID if own else Result.UNKNOWN, problem)
    return stalls("mock stalls", {MOCK_WORKER: seen}, limits)


def _residual(measured: Measured) -> Check:
    planned = measured.column("planned_ms")
    told, short = _told(measured, planned)
    if short:
        return check("mock plan", Result.UNKNOWN, short)
    residual = measured.service_ms[told] - planned[told]
    middle = smallest(residual, 0.5)
    limit = max(RESIDUAL_MS, RESIDUAL_SHARE * smallest(planned[told], 0.5))
    said = f"median of service latency - plan {middle:,.1f} ms, limit {limit:,.1f} ms (n={len(residual):,})"
    return judged("mock plan", abs(middle) <= limit, said)

"""Judges gates on what was measured."""

from __future__ import annotations

from typing import Final

import msgspec

from reports.format import estimate_text, gate_limit, interval_text, number
from reports.gate import Gate
from reports.measured import Measured
from reports.metrics import METRICS, Metric
from reports.sample import UNKNOWN, Outcome
from reports.values import Estimate, GateResult, Result


def judge_gates(measured: Measured, gates: tuple[Gate, ...], *, valid: bool) -> tuple[GateResult, ...]:
    """Judge each gate by its whole interval; in an invalid measurement none is judged."""
    return tuple(_judge(measured, gate, gates, valid=valid) for gate in gates)


def _judge(measured: Measured, gate: Gate, gates: tuple[Gate, ...], *, valid: bool) -> GateResult:
    metric = METRICS[gate.metric]
    scope = _wanted(gate)
    scoped = measured.within(scope) if scope else measured
    alike = tuple(other for other in gates if _wanted(other) in ({}, scope))
    seen = metric.estimate(scoped, alike)
    label = f"{metric.label}{_about(scope)}"
    shown = f"{label} is {estimate_text(seen)}, limit {gate_limit(gate, seen.unit)}"
    enough = None
    if metric.mock_only and measured.manifest.target_kind != "mock":
        result, said = Result.NOT_APPLICABLE, f"{label}: only the mock announces its plan"
    elif not valid:
        result, said = Result.NOT_JUDGED, f"{shown}: not judged"
    elif not len(scoped):
        result, said = Result.INCONCLUSIVE, f"{label}: no try of the measure phase is of this scope"
    elif not seen.known:
        result, said, enough = Result.INCONCLUSIVE, f"{label} is {estimate_text(seen)}: {_missing(seen)}", seen.needed
    else:
        result = side(seen, gate)
        if result is Result.INCONCLUSIVE:
            why, enough = _undecided(metric, scoped, seen, gate, alike)
            said = f"{shown}: {why}"
        else:
            said = f"{shown}: {'kept' if result is Result.PASS else 'broken'}"
    return GateResult(gate=gate, label=label, result=result, estimate=seen, said=said, enough=enough)


def _wanted(gate: Gate) -> dict[str, str | bool]:
    """Return what the rows of a gate's scope hold, by column; nothing where it is about all of them."""
    found: dict[str, str | bool] = msgspec.to_builtins(gate.scope) if gate.scope else {}
    return found


def _about(scope: dict[str, str | bool]) -> str:
    """Say which tries a gate is about; who would have answered is known only where somebody did."""
    if not scope:
        return ""
    parts = [f"{name} {str(wanted).lower() if isinstance(wanted, bool) else wanted}" for name, wanted in scope.items()]
    answered = "answered tries of " if scope.keys() & {"provider", "model"} else ""
    return f" ({answered}{', '.join(parts)})"


def side(seen: Estimate, gate: Gate) -> Result:
    """PASS or FAIL where the whole interval is on one side of the limit, else INCONCLUSIVE."""
    low = float("-inf") if seen.low is None else seen.low
    high = float("inf") if seen.high is None else seen.high
    if gate.max is not None:
        good, bad = high <= gate.max, low > gate.max
    else:
        good, bad = low >= gate.limit, high < gate.limit
    return Result.PASS if good else Result.FAIL if bad else Result.INCONCLUSIVE


def _missing(seen: Estimate) -> str:
    if seen.needed is None or seen.n == 0:
        return seen.note or "there was nothing to measure"
    return f"{number(seen.needed)} samples would do"


def _undecided(
    metric: Metric, measured: Measured, seen: Estimate, gate: Gate, gates: tuple[Gate, ...]
) -> tuple[str, int | None]:
    """Why the interval holds the limit, and how many samples would decide it, where more would."""
    if measured.unknown.any():
        without = metric.estimate(measured.known(), gates)
        if without.known and side(without, gate) is not Result.INCONCLUSIVE:
            kept = "kept" if side(without, gate) is Result.PASS else "broken"
            return f"{_unknown(measured)}; {kept} without them", None
    why = seen.note or f"its interval, {interval_text(seen)}, holds the limit"
    enough = metric.enough(measured, seen, gate.limit)
    if enough is None:
        return f"{why}, and more samples alike would not decide it", None
    rounded = _round_up(enough)
    return f"{why}; about {number(rounded)} samples would do (n={number(seen.n)})", rounded


_UNDONE: Final = {
    Outcome.NEVER_SENT: ("never sent", "more workers would tell"),
    Outcome.CUT_OFF: ("cut off", "a longer drain would tell"),
    Outcome.LOST: ("lost", "a worker that lives would tell"),
}


def _unknown(measured: Measured) -> str:
    counts = {outcome: int(measured.ended_as(outcome).sum()) for outcome in UNKNOWN}
    found = [
        (f"{number(count)} {_UNDONE[outcome][0]}", _UNDONE[outcome][1]) for outcome, count in counts.items() if count
    ]
    return f"it hangs on {' and '.join(what for what, _ in found)}: {' and '.join(cure for _, cure in found)}"


def _round_up(count: int) -> int:
    """Keep two digits: how many samples would do is an estimate."""
    step: int = 10 ** max(0, len(str(count)) - 2)
    return -(-count // step) * step

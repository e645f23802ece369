"""Judges gates on what was measured, and the run on its gates and validity checks."""

from __future__ import annotations

from typing import Final

import msgspec

from reports.format import estimate_text, gate_limit, interval_text, number
from reports.gate import Gate
from reports.measured import Measured
from reports.metrics import METRICS, Metric
from reports.sample import UNKNOWN, Outcome
from reports.values import Check, Estimate, GateResult, Judgement, Result, Verdict

EXIT_CODES: Final = {Verdict.PASS: 0, Verdict.FAIL: 1, Verdict.INVALID: 3, Verdict.INCONCLUSIVE: 4}


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
    elif scoped.frame.empty:
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


def judge_run(checks: tuple[Check, ...], gates: tuple[GateResult, ...], *, answered: bool = True) -> Judgement:
    """The verdict: INVALID before FAIL before INCONCLUSIVE before PASS, with all its reasons.

    `answered`: whether anything went well; a run in which nothing did never passes.
    """
    invalid = tuple(f"{c.name}: {c.said}" for c in checks if c.result is Result.INVALID)
    failed = tuple(g.said for g in gates if g.result is Result.FAIL)
    undecided = tuple(g.said for g in gates if g.result is Result.INCONCLUSIVE)
    passed = [g for g in gates if g.result is Result.PASS]
    if invalid:
        return _judgement(Verdict.INVALID, f"The measurement cannot be believed: {invalid[0]}", invalid)
    if failed:
        count = f"{len(failed)} of {len(gates)} gates failed" if len(gates) > 1 else "The gate failed"
        return _judgement(Verdict.FAIL, f"{count}: {failed[0]}", failed)
    if undecided:
        count = (
            f"{len(undecided)} of {len(gates)} gates {'is' if len(undecided) == 1 else 'are'}"
            if len(gates) > 1
            else "The gate is"
        )
        return _judgement(Verdict.INCONCLUSIVE, f"{count} undecided: {undecided[0]}", undecided)
    if not passed:
        why = "No gate was set that this run can be judged by; give some with --gates"
        return _judgement(Verdict.INCONCLUSIVE, why, (why,))
    if not answered:
        why = "Not one answer was ok, so no gate that was kept says anything good"
        return _judgement(Verdict.INCONCLUSIVE, why, (why,))
    what = "The one gate was" if len(passed) == 1 else f"All {len(passed)} gates were"
    unseen = [check.name for check in checks if check.result is Result.UNKNOWN]
    sound = f"but nothing was recorded of {' and '.join(unseen)}" if unseen else "and the measurement is sound"
    return _judgement(Verdict.PASS, f"{what} kept, {sound}", ())


def _judgement(verdict: Verdict, why: str, reasons: tuple[str, ...]) -> Judgement:
    more = f" (and {len(reasons) - 1} more)" if len(reasons) > 1 else ""
    return Judgement(verdict=verdict, why=f"{why}{more}.", exit_code=EXIT_CODES[verdict], reasons=reasons)

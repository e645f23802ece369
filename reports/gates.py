"""Judges gates on what was measured, and the run on its gates and validity checks."""

from __future__ import annotations

from typing import Final

from reports.format import estimate_text, gate_limit, number
from reports.gate import Gate
from reports.measured import Measured
from reports.metrics import METRICS, Metric
from reports.values import Check, Estimate, GateResult, Judgement, Result, Verdict

EXIT_CODES: Final = {Verdict.PASS: 0, Verdict.FAIL: 1, Verdict.INVALID: 3, Verdict.INCONCLUSIVE: 4}


def judge_gates(measured: Measured, gates: tuple[Gate, ...], *, valid: bool) -> tuple[GateResult, ...]:
    """Judge each gate by its whole interval; in an invalid measurement none is judged."""
    return tuple(_judge(measured, gate, gates, valid=valid) for gate in gates)


def _judge(measured: Measured, gate: Gate, gates: tuple[Gate, ...], *, valid: bool) -> GateResult:
    metric = METRICS[gate.metric]
    seen = metric.estimate(measured, gates)
    enough = None
    if metric.mock_only and measured.manifest.target_kind != "mock":
        result, said = Result.NOT_APPLICABLE, f"{metric.label}: only the mock announces its plan"
    elif not valid:
        result, said = Result.NOT_JUDGED, f"{_shown(metric, seen, gate)}: not judged"
    elif not seen.known:
        enough = seen.needed
        result, said = Result.INCONCLUSIVE, f"{metric.label} is {estimate_text(seen)}: {_missing(seen)}"
    else:
        result = side(seen, gate)
        if result is Result.INCONCLUSIVE:
            enough = _round_up(metric.enough(measured, seen, gate.limit))
        said = _said(metric, seen, gate, result, enough)
    return GateResult(gate=gate, label=metric.label, result=result, estimate=seen, said=said, enough=enough)


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


def _said(metric: Metric, seen: Estimate, gate: Gate, result: Result, enough: int | None) -> str:
    shown = _shown(metric, seen, gate)
    if result is Result.PASS:
        return f"{shown}: kept"
    if result is Result.FAIL:
        return f"{shown}: broken"
    if enough is None:
        return f"{shown}: the interval holds the limit, and more samples alike would not decide it"
    would_do = f"about {number(enough)} samples would do (n={number(seen.n)})"
    return f"{shown}: the interval holds the limit; {would_do}"


def _shown(metric: Metric, seen: Estimate, gate: Gate) -> str:
    return f"{metric.label} is {estimate_text(seen)}, limit {gate_limit(gate, seen.unit)}"


def _round_up(count: int | None) -> int | None:
    """Keep two digits: how many samples would do is an estimate."""
    if count is None:
        return None
    step: int = 10 ** max(0, len(str(count)) - 2)
    return -(-count // step) * step


def judge_run(checks: tuple[Check, ...], gates: tuple[GateResult, ...]) -> Judgement:
    """The verdict: INVALID before FAIL before INCONCLUSIVE before PASS, with all its reasons."""
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
    what = "The one gate was" if len(passed) == 1 else f"All {len(passed)} gates were"
    unseen = [check.name for check in checks if check.result is Result.UNKNOWN]
    sound = f"but nothing was recorded of {' and '.join(unseen)}" if unseen else "and the measurement is sound"
    return _judgement(Verdict.PASS, f"{what} kept, {sound}", ())


def _judgement(verdict: Verdict, why: str, reasons: tuple[str, ...]) -> Judgement:
    more = f" (and {len(reasons) - 1} more)" if len(reasons) > 1 else ""
    return Judgement(verdict=verdict, why=f"{why}{more}.", exit_code=EXIT_CODES[verdict], reasons=reasons)

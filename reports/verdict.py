"""The verdict of a run from its checks and gates, and whose fault it is where the load asked for was not offered."""

from __future__ import annotations

from dataclasses import replace
from typing import Final

import numpy as np

from mock_server.exits import Exit
from reports.frame import Run
from reports.gate import Gate
from reports.gates import judge_gates
from reports.measured import Measured
from reports.rules import FULL_SHARE, UNSENT_SHARE, check, judged, percent
from reports.sample import POOL_FULL, Outcome
from reports.values import Check, GateResult, Judgement, Result, Verdict

EXIT_CODES: Final = {
    Verdict.PASS: Exit.PASSED,
    Verdict.FAIL: Exit.FAILED,
    Verdict.INVALID: Exit.INVALID,
    Verdict.INCONCLUSIVE: Exit.UNDECIDED,
}


def offered_load(run: Run, measured: Measured, gates: tuple[Gate, ...], others: tuple[Check, ...]) -> Check:
    """Whether what was asked for was offered; `others` are all other checks.

    Where it was not, the gateway is to blame only if everything else is in order, each try that was not sent found its
    worker's pool full of calls that the gateway kept waiting, and a gate fails even had all of them been good.
    """
    unsent = measured.ended_as(Outcome.NEVER_SENT)
    count, n = int(np.count_nonzero(unsent)), len(unsent)
    said = f"{count:,} of {n:,} tries ({percent(count / max(n, 1))}) were never sent, limit {percent(UNSENT_SHARE)}"
    if count <= UNSENT_SHARE * n:
        return check("offered load", Result.PASS, said)
    if not measured.samples.words("error_code")[unsent].among(POOL_FULL).all():
        return judged("offered load", False, f"{said}; not all of them because the gateway kept their worker waiting")
    doubtful = [c.name for c in others if c.result is Result.INVALID or (c.vital and c.result is Result.UNKNOWN)]
    if doubtful:
        return judged("offered load", False, f"{said}; is the generator to blame? See {', '.join(doubtful)}")
    if not _pools_were_full(run):
        return judged("offered load", False, f"{said}; but the pools were not full of calls under way then")
    best = judge_gates(Measured.of(_all_good(run)), gates, valid=True)
    broken = [gate.label for gate in best if gate.result is Result.FAIL]
    if not broken:
        return judged("offered load", False, f"{said}; had they been good, no gate would fail")
    blamed = f"the gateway kept every worker's pool full, and {broken[0]} fails even had all of them been good"
    return check("offered load", Result.PASS, f"{said}; {blamed}")


def _pools_were_full(run: Run) -> bool:
    """Whether each worker had as many calls under way as it may whenever it could not send one.

    A call is under way from its planned moment to the end of its last try.
    """
    if run.manifest.max_in_flight is None:
        return False
    samples, workers = run.samples, run.samples.words("worker")
    planned, sent, end = (samples.numbers(name) for name in ("planned_s", "sent_s", "end_s"))
    first, under_way = samples.whole_numbers("try") == 0, ~np.isnan(sent)
    unsent = samples.words("outcome").among(Outcome.NEVER_SENT)
    calls, which = np.unique(samples.whole_numbers("call_id"), return_inverse=True)
    over = np.full(len(calls), -np.inf)
    np.maximum.at(over, which, np.where(np.isnan(end), run.manifest.ended_s, end))
    least = FULL_SHARE * run.manifest.max_in_flight
    for name in workers.used:
        mine = workers.among(name) & first
        begins, ends = np.sort(planned[mine & under_way]), np.sort(over[which[mine & under_way]])
        refused = planned[mine & unsent]
        count = np.searchsorted(begins, refused, "right") - np.searchsorted(ends, refused, "right")
        if (count < least).any():
            return False
    return True


def _all_good(run: Run) -> Run:
    """The same run, had every try that was never sent been answered well and at once."""
    samples = run.samples
    unsent = samples.words("outcome").among(Outcome.NEVER_SENT)
    moments = {
        name: np.where(unsent, samples.numbers("planned_s"), samples.numbers(name))
        for name in ("sent_s", "first_byte_s", "end_s")
    }
    words = {
        name: samples.words(name).put(unsent, word)
        for name, word in (("outcome", Outcome.OK), ("error_code", None), ("expected", None))
    }
    return replace(run, samples=samples.holding(**moments, **words))


def judge_run(
    checks: tuple[Check, ...], gates: tuple[GateResult, ...], *, answered: bool = True, virtual: bool = False
) -> Judgement:
    """The verdict: INVALID before FAIL before INCONCLUSIVE before PASS, with all its reasons.

    `answered`: whether anything went well; a run in which nothing did never passes. `virtual`: nothing was timed.
    """
    invalid = tuple(f"{c.name}: {c.said}" for c in checks if c.result is Result.INVALID)
    unknown = _unknown(checks)
    failed = tuple(g.said for g in gates if g.result is Result.FAIL)
    undecided = tuple(g.said for g in gates if g.result is Result.INCONCLUSIVE)
    passed = sum(g.result is Result.PASS for g in gates)
    if invalid:
        return _judgement(Verdict.INVALID, f"The measurement cannot be believed: {invalid[0]}", invalid)
    if failed:
        count = f"{len(failed)} of {len(gates)} gates failed" if len(gates) > 1 else "The gate failed"
        doubt = "; whether the generator was healthy is unknown" if unknown else ""
        return _judgement(Verdict.FAIL, f"{count}: {failed[0]}{doubt}", failed, unknown)
    if undecided:
        are = "is" if len(undecided) == 1 else "are"
        count = f"{len(undecided)} of {len(gates)} gates {are}" if len(gates) > 1 else "The gate is"
        return _judgement(Verdict.INCONCLUSIVE, f"{count} undecided: {undecided[0]}", undecided, unknown)
    if not passed:
        why = "No gate was set that this run can be judged by; give some with --gates"
        return _judgement(Verdict.INCONCLUSIVE, why, (why,), unknown)
    if not answered:
        why = "Not one answer was ok, so no gate that was kept says anything good"
        return _judgement(Verdict.INCONCLUSIVE, why, (why,), unknown)
    what = "The one gate was" if passed == 1 else f"All {passed} gates were"
    if unknown:
        why = f"{what} kept, but whether the generator was healthy is unknown: {unknown[0]}"
        return _judgement(Verdict.INCONCLUSIVE, why, unknown)
    unseen = [c.name for c in checks if c.result is Result.UNKNOWN]
    good = f"and the {'simulation' if virtual else 'measurement'} is sound"
    sound = f"but nothing was recorded of {' and '.join(unseen)}" if unseen else good
    return _judgement(Verdict.PASS, f"{what} kept, {sound}", ())


def _unknown(checks: tuple[Check, ...]) -> tuple[str, ...]:
    """What is not known of the generator, in one sentence, or nothing."""
    found = [check for check in checks if check.result is Result.UNKNOWN and check.vital]
    more = f" (nor known: {', '.join(check.name for check in found[1:])})" if len(found) > 1 else ""
    return (f"{found[0].name}: {found[0].said}{more}",) if found else ()


def _judgement(verdict: Verdict, why: str, reasons: tuple[str, ...], also: tuple[str, ...] = ()) -> Judgement:
    more = f" (and {len(reasons) - 1} more)" if len(reasons) > 1 else ""
    code = int(EXIT_CODES[verdict])
    return Judgement(verdict=verdict, why=f"{why}{more}.", exit_code=code, reasons=(*reasons, *also))

"""The ledger: where every planned request went, and whether that adds up."""

from __future__ import annotations

import numpy as np
import pandas as pd

from reports.columns import Integers
from reports.frame import Run
from reports.sample import OUTCOMES, Outcome, Phase
from reports.values import Ledger, LedgerRow


def balance(run: Run) -> Ledger:
    """Count tries by outcome and phase, and calls by their last try; list whatever does not add up."""
    samples = run.samples
    outcomes, measure, last = samples.words("outcome"), samples.words("phase").among(Phase.MEASURE), samples.last
    counted = [outcomes[rows].counts for rows in (~measure, measure, last)]
    rows = tuple(_row(outcome, outcomes.names, counted) for outcome in Outcome)
    more = samples.repeated
    calls = int(np.count_nonzero(last))
    return Ledger(
        rows=rows,
        warmup=sum(row.warmup for row in rows),
        measure=sum(row.measure for row in rows),
        total=sum(row.total for row in rows),
        calls=calls,
        planned_calls=run.manifest.planned_calls,
        retried_calls=int((more.loc[last[more.index], "try"] > 0).sum()),
        problems=tuple(_problems(more, calls, run.manifest.planned_calls)),
    )


def _row(outcome: Outcome, names: tuple[str, ...], counted: list[Integers]) -> LedgerRow:
    at = names.index(outcome) if outcome in names else None
    warmup, measure, calls = (0 if at is None else int(counts[at]) for counts in counted)
    return LedgerRow(
        outcome=outcome,
        meaning=OUTCOMES[outcome],
        warmup=warmup,
        measure=measure,
        total=warmup + measure,
        calls=calls,
    )


def _problems(more: pd.DataFrame, calls: int, planned: int) -> list[str]:
    """`more` are the tries of calls that have not just the one numbered 0: of the others nothing can be missing."""
    problems = []
    if calls != planned:
        problems.append(f"{planned:,} calls were planned, {calls:,} are recorded")
    duplicates = int(more.duplicated().sum())
    if duplicates:
        problems.append(f"rows that repeat another's (call_id, try): {duplicates:,}")
    # Tries are numbered 0, 1, 2, … so without gaps their number is the last number plus one.
    tries = more.groupby("call_id", sort=False)["try"].agg(["nunique", "max", "min"])
    gaps = int(np.count_nonzero((tries["nunique"] != tries["max"] + 1) | (tries["min"] != 0)))
    if gaps:
        problems.append(f"calls with tries missing: {gaps:,}")
    return problems

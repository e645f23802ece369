"""The ledger: where every planned request went, and whether that adds up."""

from __future__ import annotations

import numpy as np
import pandas as pd

from reports.frame import Run
from reports.sample import OUTCOMES, Outcome, Phase
from reports.values import Ledger, LedgerRow


def balance(run: Run) -> Ledger:
    """Count tries by outcome and phase, and calls by their last try; list whatever does not add up."""
    samples = run.samples[["call_id", "try", "outcome", "phase"]]
    table = pd.crosstab(samples["outcome"], samples["phase"])
    again = (samples["try"] != 0).any()
    ordered = samples.sort_values(["call_id", "try"], kind="stable") if again else samples
    last = ordered.drop_duplicates("call_id", keep="last")
    calls = last["outcome"].value_counts()
    rows = tuple(_row(outcome, table, int(calls.get(outcome, 0))) for outcome in Outcome)
    return Ledger(
        rows=rows,
        warmup=sum(row.warmup for row in rows),
        measure=sum(row.measure for row in rows),
        total=sum(row.total for row in rows),
        calls=len(last),
        planned_calls=run.manifest.planned_calls,
        retried_calls=int((last["try"] > 0).sum()),
        problems=tuple(_problems(samples, len(last), run.manifest.planned_calls)),
    )


def _row(outcome: Outcome, table: pd.DataFrame, calls: int) -> LedgerRow:
    def cell(phase: Phase) -> int:
        return int(table[phase].get(outcome, 0)) if phase in table else 0

    warmup, measure = cell(Phase.WARMUP), cell(Phase.MEASURE)
    return LedgerRow(
        outcome=outcome,
        meaning=OUTCOMES[outcome],
        warmup=warmup,
        measure=measure,
        total=warmup + measure,
        calls=calls,
    )


def _problems(samples: pd.DataFrame, calls: int, planned: int) -> list[str]:
    problems = []
    if calls != planned:
        problems.append(f"{planned:,} calls were planned, {calls:,} are recorded")
    duplicates = int(samples.duplicated(["call_id", "try"]).sum())
    if duplicates:
        problems.append(f"rows that repeat another's (call_id, try): {duplicates:,}")
    # Tries are numbered 0, 1, 2, … so without gaps their number is the last number plus one. Most calls have the one.
    more = samples["call_id"].isin(samples.loc[samples["try"] != 0, "call_id"].unique())
    tries = samples[more].groupby("call_id", sort=False)["try"].agg(["nunique", "max", "min"])
    gaps = int(np.count_nonzero((tries["nunique"] != tries["max"] + 1) | (tries["min"] != 0)))
    if gaps:
        problems.append(f"calls with tries missing: {gaps:,}")
    return problems

"""How the generator itself was doing during the measure phase."""

from __future__ import annotations

import numpy as np
import pandas as pd

from reports.measured import Measured
from reports.stats import Floats, least_samples, rank, tail
from reports.values import WorkerHealth

HOT_PERCENT = 90.0


def workers(measured: Measured, health: pd.DataFrame | None) -> tuple[WorkerHealth, ...]:
    """One row per worker, from the measure phase to the last answer; none where health was not recorded."""
    if health is None:
        return ()
    begin = measured.window_s[0]
    sent = measured.frame.loc[measured.frame["sent_s"].notna(), "worker"].astype(str).value_counts()
    named = health.assign(worker=health["worker"].astype(str)).sort_values("at_s", kind="stable")
    return tuple(
        _worker(str(name), rows, begin, int(sent.get(str(name), 0)))
        for name, rows in named.groupby("worker", sort=True)
    )


def _worker(name: str, rows: pd.DataFrame, begin: float, sent: int) -> WorkerHealth:
    at = rows["at_s"].to_numpy(dtype=float)
    span = at - rows["from_s"].to_numpy(dtype=float)
    measure = (at > begin) & (span > 0)
    cpu = rows["cpu_s"].to_numpy(dtype=float)[measure] / span[measure] * 100
    lag = np.sort(np.concatenate([*rows["lag_ms"][measure], np.empty(0)]).astype(float))
    return WorkerHealth(
        worker=name,
        rows=len(cpu),
        cpu_mean=float(cpu.mean()) if len(cpu) else None,
        cpu_max=float(cpu.max()) if len(cpu) else None,
        hot_s=longest_hot(cpu, span[measure]),
        lag_p99_ms=float(lag[rank(len(lag), 0.99) - 1]) if len(lag) >= least_samples(0.99) else None,
        lag_max_ms=float(lag[-1]) if len(lag) else None,
        sent=sent,
        lag_tail_ms=tail(lag),
    )


def longest_hot(cpu: Floats, span: Floats) -> float:
    """Longest time, s, in a row above 90 % CPU; each reading covers the span, s, before it."""
    longest = current = 0.0
    for percent, seconds in zip(cpu, span, strict=True):
        current = current + float(seconds) if percent > HOT_PERCENT else 0.0
        longest = max(longest, current)
    return longest

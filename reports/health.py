"""Health readings of the generator's processes and of the run's own mock, and what they come to over any stretch."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
import numpy.typing as npt
import pandas as pd

from reports.columns import Samples
from reports.dependence import Floats
from reports.rules import SHORTEST_S, SPAN_S, STALL_MS
from reports.sample import MOCK_WORKER, TICK_S
from reports.stats import rank
from reports.values import WorkerHealth

_ROUNDED_MS = 1.0  # two ticks of one pause are 10 ms apart, as far as rounding lets them


@dataclass(frozen=True)
class Readings:
    """One process's readings by time. Row i tells of `from_s[i]` to `at_s[i]` and holds `ticks[i]` of `lag_ms`."""

    from_s: Floats
    at_s: Floats
    cpu_s: Floats
    wait_s: Floats
    ticks: npt.NDArray[np.int64]
    lag_ms: Floats

    @classmethod
    def of(cls, rows: pd.DataFrame) -> Readings:
        """From the rows of one worker, in any order."""
        rows = rows.sort_values("from_s", kind="stable")
        from_s, at_s, cpu_s, wait_s = (
            rows[name].to_numpy(dtype=float) for name in ("from_s", "at_s", "cpu_s", "wait_s")
        )
        lags = list(rows["lag_ms"])
        ticks = np.array([len(row) for row in lags], dtype=np.int64)
        return cls(from_s, at_s, cpu_s, wait_s, ticks, np.concatenate([*lags, np.empty(0)]).astype(float))

    def within(self, begin: float, end: float) -> Readings:
        """Those that tell of any moment between two."""
        rows = (self.at_s > begin) & (self.from_s < end)
        return Readings(
            self.from_s[rows],
            self.at_s[rows],
            self.cpu_s[rows],
            self.wait_s[rows],
            self.ticks[rows],
            self.lag_ms[np.repeat(rows, self.ticks)],
        )

    @property
    def seconds(self) -> float:
        """How long they tell of."""
        return float((self.at_s - self.from_s).sum())

    def most(self, spent_s: Floats, least_s: float) -> float:
        """Largest share of any 5 s in a row that was `spent_s`, given per row; of all there is where that is less.

        What is shorter than `least_s` counts as so long. What was spent within a row is spread evenly over it, so that
        rows cut by the 5 s count by their part.
        """
        if not len(self.at_s):
            return 0.0
        edges = np.concatenate((self.from_s[:1], self.at_s))
        total = np.concatenate(([0.0], np.cumsum(spent_s)))
        length = min(SPAN_S, float(edges[-1] - edges[0]))
        if length <= 0:
            return 0.0
        # The sum over a moving stretch is largest where one of its ends meets the edge of a row.
        begins = np.clip(np.concatenate((edges, edges - length)), edges[0], max(edges[0], edges[-1] - length))
        spent = np.interp(begins + length, edges, total) - np.interp(begins, edges, total)
        return float(spent.max(initial=0.0) / max(length, least_s))

    @property
    def busiest(self) -> float:
        """Largest share of any 5 s that it computed; a run of less than a second is nothing to judge a core by."""
        return self.most(self.cpu_s, SHORTEST_S)

    @property
    def waited(self) -> float:
        """Largest share of any 5 s that it waited for a core; in a shorter run, the same time of waiting is as much."""
        return self.most(self.wait_s, SPAN_S)

    @property
    def pauses_ms(self) -> Floats:
        """Length of each pause of the loop: of the ticks it missed, the first was the latest by all of it."""
        descends = np.abs(np.diff(self.lag_ms) + TICK_S * 1e3) <= _ROUNDED_MS
        return self.lag_ms[np.concatenate(([True], ~descends))[: len(self.lag_ms)]]

    @property
    def stalled(self) -> float:
        """Share of the time spent in pauses that count as stalls."""
        pauses = self.pauses_ms
        stalled_s = float(pauses[pauses > STALL_MS].sum()) / 1e3
        return min(1.0, stalled_s / self.seconds) if self.seconds > 0 else 0.0


def readings(health: pd.DataFrame | None) -> dict[str, Readings] | None:
    """Readings by worker, the mock's among them; None where nothing was recorded."""
    if health is None:
        return None
    return {str(name): Readings.of(rows) for name, rows in health.groupby("worker", observed=True, sort=True)}


def table(found: dict[str, Readings] | None, samples: Samples, begin: float) -> tuple[WorkerHealth, ...]:
    """One row per worker, then the mock, from the measure phase to the run's end."""
    workers = samples.words("worker")
    sent = dict(zip(workers.names, workers[~np.isnan(samples.numbers("sent_s"))].counts, strict=True))
    names = sorted(found or {}, key=lambda name: (name == MOCK_WORKER, name))
    return tuple(_row(name, (found or {})[name].within(begin, np.inf), int(sent.get(name, 0))) for name in names)


def _row(name: str, seen: Readings, sent: int) -> WorkerHealth:
    span = seen.at_s - seen.from_s
    cpu = seen.cpu_s[span > 0] / span[span > 0] * 100
    lag = np.sort(seen.lag_ms)
    waited = len(cpu) and not np.isnan(seen.wait_s).any()
    return WorkerHealth(
        worker=name,
        rows=len(seen.at_s),
        sent=sent,
        cpu_mean=float(seen.cpu_s.sum() / seen.seconds * 100) if len(cpu) else None,
        cpu_max=float(cpu.max()) if len(cpu) else None,
        cpu_5s=seen.busiest * 100 if len(cpu) else None,
        wait_5s=seen.waited * 100 if waited else None,
        lag_p99_ms=float(lag[rank(len(lag), 0.99) - 1]) if len(lag) else None,
        lag_max_ms=float(lag[-1]) if len(lag) else None,
        stalled=seen.stalled * 100 if len(cpu) else None,
    )

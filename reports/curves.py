"""What the plots show, reduced to a few hundred numbers however many samples there are."""

from __future__ import annotations

import math
from dataclasses import dataclass
from itertools import pairwise
from typing import Final

import numpy as np

from reports.dependence import Floats
from reports.frame import Run
from reports.measured import Mask, Measured, Tries
from reports.sample import Outcome
from reports.stats import Observed, observe
from reports.tables import route_names
from reports.values import Curve, Curves, Heat, Histogram, Series

_BINS_S: Final = (1, 2, 5, 10, 15, 30, 60, 120, 300, 600, 900, 1800, 3600, 7200, 14400, 43200, 86400)
_MOST_BINS: Final = 120
_POINTS: Final = 160
_ROUTES: Final = 6
_HEAT_COLUMNS: Final = 48
_HEAT_ROWS: Final = 24


def curves(run: Run, measured: Measured) -> Curves:
    """Return the data of every plot."""
    return Curves(
        series=_series(run, measured.whole),
        percentiles=tuple(
            _tail(name, measured.observed[name]) for name in ("scheduled", "service") if measured.observed[name].n
        ),
        routes=_routes(measured),
        heat=_heat(measured),
        residuals=_residuals(measured.observed["residual"]),
    )


@dataclass(frozen=True)
class InFlight:
    """Requests in flight over time: a sweep over the moments they began and ended."""

    begin: Floats
    end: Floats

    @classmethod
    def of(cls, run: Run) -> InFlight:
        """From every sent try of the run; one that never ended is in flight until the run's end."""
        sent = run.samples["sent_s"].to_numpy(dtype=float)
        end = run.samples["end_s"].to_numpy(dtype=float)
        was = ~np.isnan(sent)
        over = np.where(np.isnan(end[was]), run.manifest.ended_s, end[was])
        return cls(np.sort(sent[was]), np.sort(np.maximum(over, sent[was])))

    def integral(self, at: Floats) -> Floats:
        """Request-seconds spent in flight before each moment."""
        return self._since(self.begin, at) - self._since(self.end, at)

    @staticmethod
    def _since(moments: Floats, at: Floats) -> Floats:
        count = np.searchsorted(moments, at)
        total = np.concatenate(([0.0], np.cumsum(moments)))
        return count * at - total[count]

    def mean(self, begin: float, end: float) -> float:
        """Mean over a span of time, weighted by time."""
        if end <= begin:
            return 0.0
        area = self.integral(np.array([begin, end]))
        return max(0.0, float(area[1] - area[0]) / (end - begin))

    def highest(self, begin: float, end: float) -> int:
        """Most at once within a span of time."""
        moments = self.begin[(self.begin >= begin) & (self.begin <= end)]
        moments = np.append(moments, begin)
        # A request that ends at the very moment another begins is no longer in flight.
        level = np.searchsorted(self.begin, moments, "right") - np.searchsorted(self.end, moments, "right")
        return int(level.max())


def _series(run: Run, whole: Tries) -> Series:
    planned, finish = whole.column("planned_s"), whole.column("end_s")
    last = max(run.manifest.ended_s, float(np.nanmax(np.append(finish, planned.max()))), 1e-3)
    width = next((size for size in _BINS_S if last / size <= _MOST_BINS), math.ceil(last / _MOST_BINS))
    edges = np.arange(math.ceil(last / width) + 1, dtype=float) * width
    answered = whole.ended_as(Outcome.OK, Outcome.REFUSED)
    failed = _unfinished(whole)
    failed_at = np.where(np.isnan(finish), planned, finish)[failed]
    middle, high = _per_bin(planned[whole.ok], whole.scheduled_ms[whole.ok], edges)
    return Series(
        bin_s=float(width),
        start_s=_rounded(edges[:-1]),
        offered=_rounded(np.histogram(planned, edges)[0] / width),
        answered=_rounded(np.histogram(finish[answered], edges)[0] / width),
        failed=_rounded(np.histogram(failed_at, edges)[0] / width),
        in_flight=_rounded(np.maximum(np.diff(InFlight.of(run).integral(edges)) / width, 0)),
        p50_ms=middle,
        p95_ms=high,
        unfinished=tuple(int(count) for count in np.histogram(planned[failed], edges)[0]),
        waited_ms=_longest(planned[failed], whole.scheduled_ms[failed], edges),
    )


def _unfinished(tries: Tries) -> Mask:
    """Which tries did not end ok, though nobody meant them to fail."""
    return ~tries.ok & tries.frame["expected"].isna().to_numpy(dtype=bool)


def _longest(at: Floats, ms: Floats, edges: Floats) -> tuple[float | None, ...]:
    """The longest time per bin, None for bins without any."""
    longest = np.full(len(edges) - 1, -np.inf)
    known = ~np.isnan(ms)
    where = np.clip(np.digitize(at[known], edges) - 1, 0, len(longest) - 1)
    np.maximum.at(longest, where, ms[known])
    return tuple(None if value < 0 else round(float(value), 3) for value in longest)


def _per_bin(at: Floats, ms: Floats, edges: Floats) -> tuple[tuple[float | None, ...], tuple[float | None, ...]]:
    """Median and 95th percentile per bin, None for bins without requests."""
    where = np.digitize(at, edges) - 1
    order = np.lexsort((ms, where))
    where, ms = where[order], ms[order]
    starts = np.searchsorted(where, np.arange(len(edges)))
    middle: list[float | None] = []
    high: list[float | None] = []
    for begin, end in pairwise(starts):
        found = observe(ms[begin:end])
        for into, p in ((middle, 0.5), (high, 0.95)):
            index = found.index(p) if found.n else None
            into.append(None if index is None else round(float(found.time[index]), 3))
    return tuple(middle), tuple(high)


def _tail(name: str, found: Observed) -> Curve:
    """Percentiles towards the tail, evenly spaced in log(1 / (1 - p)), up to the last sample's own."""
    beyond = [float(x) for x in np.geomspace(1.0, max(2, found.n), _POINTS)]
    points = [(1 - 1 / x, found.index(max(1 - 1 / x, 1 / found.n))) for x in beyond]
    defined = [(share, index) for share, index in points if index is not None]
    return Curve(
        name=name,
        n=found.n,
        share=tuple(round(share, 7) for share, _ in defined),
        ms=_rounded(found.time[[index for _, index in defined]]) if defined else (),
    )


def _routes(measured: Measured) -> tuple[Curve, ...]:
    names = route_names(measured.frame)[measured.ok]
    service = measured.service_ms[measured.ok]
    busiest = names[names != ""].value_counts().head(_ROUTES)
    made = []
    for name in busiest.index:
        time = np.sort(service[(names == name).to_numpy(dtype=bool)])
        share = np.linspace(0, 1, min(_POINTS, len(time)) + 1)[1:]
        made.append(
            Curve(
                name=str(name),
                n=len(time),
                share=_rounded(share),
                ms=_rounded(time[np.ceil(share * len(time) - 1e-9).astype(int) - 1]),
            )
        )
    return tuple(made)


def _heat(measured: Measured) -> Heat | None:
    begin, end = measured.window_s
    bad = _unfinished(measured) & ~np.isnan(measured.scheduled_ms)
    if not (measured.ok | bad).any() or end <= begin:
        return None
    ms = measured.scheduled_ms[measured.ok | bad]
    lowest = max(float(ms.min()), 0.1)
    highest = max(float(ms.max()), lowest * 1.5)
    ms_edges = np.geomspace(lowest * 0.999, highest * 1.001, _HEAT_ROWS + 1)
    at_edges = np.linspace(begin, end, _HEAT_COLUMNS + 1)

    def cells(rows: Mask) -> tuple[tuple[int, ...], ...]:
        at = np.clip(measured.column("planned_s")[rows], begin, end)
        counts = np.histogram2d(np.maximum(measured.scheduled_ms[rows], lowest), at, (ms_edges, at_edges))[0]
        return tuple(tuple(int(cell) for cell in row) for row in counts)

    return Heat(time_s=_rounded(at_edges), ms=_rounded(ms_edges), counts=cells(measured.ok), unfinished=cells(bad))


def _residuals(found: Observed) -> Histogram | None:
    """Histogram between the 0.5 % and 99.5 % order statistics, so that one straggler does not flatten it."""
    if found.n < 2:
        return None
    low = float(found.time[int(0.005 * found.n)])
    high = float(found.time[min(found.n - 1, int(0.995 * found.n))])
    edges = np.linspace(low, high if high > low else low + 1, 41)
    counts = np.histogram(found.time, edges)[0]
    return Histogram(
        edges=_rounded(edges),
        counts=tuple(int(count) for count in counts),
        below=int(np.count_nonzero(found.time < edges[0])),
        beyond=int(np.count_nonzero(found.time > edges[-1])),
    )


def _rounded(values: Floats) -> tuple[float, ...]:
    return tuple(round(float(value), 4) for value in values)

"""What the plots show, reduced to a few hundred numbers however many samples there are."""

from __future__ import annotations

import math
from dataclasses import dataclass
from itertools import pairwise
from typing import Final

import numpy as np

from reports.columns import Mask
from reports.dependence import Floats
from reports.measured import Measured, Tries
from reports.sample import Outcome
from reports.stats import Observed, smallest
from reports.values import Curve, Curves, Heat, Histogram, Series

_BINS_S: Final = (1, 2, 5, 10, 15, 30, 60, 120, 300, 600, 900, 1800, 3600, 7200, 14400, 43200, 86400)
_MOST_BINS: Final = 120
_POINTS: Final = 160
_ROUTES: Final = 6
_HEAT_COLUMNS: Final = 48
_HEAT_ROWS: Final = 24


def curves(measured: Measured, flight: InFlight) -> Curves:
    """Return the data of every plot; the last to ask for distributions, it forgets them for the room they take."""
    percentiles = tuple(_tail(name, found) for name in ("scheduled", "service") if (found := measured.observed(name)).n)
    residuals = _residuals(measured.observed("residual"))
    measured.forget()
    return Curves(
        series=_series(measured.whole, flight),
        percentiles=percentiles,
        routes=_routes(measured),
        heat=_heat(measured),
        residuals=residuals,
    )


@dataclass(frozen=True)
class InFlight:
    """Requests in flight over time: a sweep over the moments they began and ended."""

    begin: Floats
    end: Floats

    @classmethod
    def of(cls, tries: Tries) -> InFlight:
        """From every try that was sent; one that never ended is in flight until the run's end."""
        sent, end = tries.column("sent_s"), tries.column("end_s")
        was = ~np.isnan(sent)
        sent, end = sent[was], end[was]
        over = np.where(np.isnan(end), tries.manifest.ended_s, end)
        return cls(np.sort(sent), np.sort(np.maximum(over, sent)))

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
        first, last = np.searchsorted(self.begin, begin, "right"), np.searchsorted(self.begin, end, "right")
        # A request that ends at the very moment another begins is no longer in flight.
        ended = np.searchsorted(self.end, np.concatenate(([begin], self.begin[first:last])), "right")
        return int((np.arange(first, max(first, last) + 1) - ended).max())


def _series(whole: Tries, flight: InFlight) -> Series:
    planned, finish, scheduled = whole.column("planned_s"), whole.column("end_s"), whole.scheduled_ms
    last = max(whole.manifest.ended_s, float(np.nanmax(np.append(finish, planned.max()))), 1e-3)
    width = next((size for size in _BINS_S if last / size <= _MOST_BINS), math.ceil(last / _MOST_BINS))
    edges = np.arange(math.ceil(last / width) + 1, dtype=float) * width
    answered = whole.ended_as(Outcome.OK, Outcome.REFUSED)
    failed = _unfinished(whole)
    failed_at = np.where(np.isnan(finish), planned, finish)[failed]
    middle, high = _per_bin(planned[whole.ok], scheduled[whole.ok], edges)
    return Series(
        bin_s=float(width),
        start_s=_rounded(edges[:-1]),
        offered=_rounded(np.histogram(planned, edges)[0] / width),
        answered=_rounded(np.histogram(finish[answered], edges)[0] / width),
        failed=_rounded(np.histogram(failed_at, edges)[0] / width),
        in_flight=_rounded(np.maximum(np.diff(flight.integral(edges)) / width, 0)),
        p50_ms=middle,
        p95_ms=high,
        unfinished=tuple(int(count) for count in np.histogram(planned[failed], edges)[0]),
        waited_ms=_longest(planned[failed], scheduled[failed], edges),
    )


def _unfinished(tries: Tries) -> Mask:
    """Which tries did not end ok, though nobody meant them to fail."""
    return ~tries.ok & ~tries.provoked


def _longest(at: Floats, ms: Floats, edges: Floats) -> tuple[float | None, ...]:
    """The longest time per bin, None for bins without any."""
    longest = np.full(len(edges) - 1, -np.inf)
    known = ~np.isnan(ms)
    where = np.clip(np.digitize(at[known], edges) - 1, 0, len(longest) - 1)
    np.maximum.at(longest, where, ms[known])
    return tuple(None if value < 0 else round(float(value), 3) for value in longest)


def _per_bin(at: Floats, ms: Floats, edges: Floats) -> tuple[tuple[float | None, ...], tuple[float | None, ...]]:
    """Median and 95th percentile per bin, None for bins without requests."""
    where = (np.digitize(at, edges) - 1).astype(np.int16)
    ms = ms[np.argsort(where, kind="stable")]
    ends = np.cumsum(np.bincount(where + 1, minlength=len(edges) + 1))
    bins = [ms[begin:end] for begin, end in pairwise(ends[: len(edges)])]
    middle, high = (tuple(round(smallest(found, p), 3) if len(found) else None for found in bins) for p in (0.5, 0.95))
    return middle, high


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
    routes, service = measured.routes[measured.ok], measured.service_ms[measured.ok]
    made = []
    for code in routes.busiest[:_ROUTES]:
        time = np.sort(service[routes.codes == code])
        share = np.linspace(0, 1, min(_POINTS, len(time)) + 1)[1:]
        made.append(
            Curve(
                name=routes.names[code],
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
    planned, scheduled = measured.column("planned_s"), measured.scheduled_ms
    ms = scheduled[measured.ok | bad]
    lowest = max(float(ms.min()), 0.1)
    highest = max(float(ms.max()), lowest * 1.5)
    ms_edges = np.geomspace(lowest * 0.999, highest * 1.001, _HEAT_ROWS + 1)
    at_edges = np.linspace(begin, end, _HEAT_COLUMNS + 1)

    def cells(rows: Mask) -> tuple[tuple[int, ...], ...]:
        # What lies outside the edges goes to the nearest cell.
        column = np.searchsorted(at_edges[1:-1], planned[rows], "right").astype(np.int16)
        row = np.searchsorted(ms_edges[1:-1], scheduled[rows], "right").astype(np.int16)
        counts = np.bincount(row * _HEAT_COLUMNS + column, minlength=_HEAT_ROWS * _HEAT_COLUMNS)
        return tuple(tuple(cells) for cells in counts.reshape(_HEAT_ROWS, _HEAT_COLUMNS).tolist())

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

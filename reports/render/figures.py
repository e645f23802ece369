"""Draws the curves of a summary, one function to a figure. Nothing is computed beyond placing what is given."""

from __future__ import annotations

from math import isnan, nan
from typing import Final

from matplotlib.axes import Axes
from matplotlib.collections import PathCollection
from matplotlib.figure import Figure
from matplotlib.path import Path
from matplotlib.ticker import FixedFormatter, FixedLocator, FuncFormatter, MaxNLocator, NullLocator

from reports.format import number, tick
from reports.render.axes import canvas, columns, drawable, legend, ms_axis, panel, shade, short
from reports.render.svg import GRID, INK, MUTED, SERIES
from reports.values import Curve, Heat, Histogram, Summary

_SIDE_BY_SIDE: Final = 27
_BLUE, _ORANGE, _GREEN, _PURPLE, _PINK, _GREY = SERIES
_DASHES: Final = ("-", (0, (5, 1.6)), (0, (1.5, 1.2)), (0, (6, 1.5, 1.5, 1.5)), "-", (0, (3, 1)))
_LEVELS: Final = (0.12, 0.25, 0.4, 0.55, 0.7, 0.85, 1.0)


def load(summary: Summary) -> Figure:
    """Rates per second above requests in flight, with warm-up and incidents."""
    series = summary.curves.series
    figure = canvas(3.8)
    grid = figure.add_gridspec(2, 1, height_ratios=(1.5, 1))
    rates = figure.add_subplot(grid[0])
    flight = figure.add_subplot(grid[1], sharex=rates)
    edges = [*series.start_s, series.start_s[-1] + series.bin_s]
    shade(rates, summary, named=True)
    shade(flight, summary, named=False)
    rates.stairs(series.offered, edges, color=_GREY, lw=1.3, label="offered", baseline=None)
    rates.stairs(series.answered, edges, color=_BLUE, lw=1.8, label="answered", baseline=None)
    if any(series.failed):
        rates.stairs(series.failed, edges, color=_ORANGE, fill=True, alpha=0.8, label="failed")
    flight.stairs(series.in_flight, edges, color=_GREEN, lw=1.6, baseline=None)
    for axes in (rates, flight):
        axes.patch.set_visible(False)
        axes.set_xlim(0, edges[-1])
        axes.set_ylim(bottom=0)
        axes.yaxis.set_major_locator(MaxNLocator(4))
    rates.tick_params(labelbottom=False)
    rates.set_ylabel("requests per second")
    flight.set_ylabel("in flight")
    flight.set_xlabel("seconds since the run's start")
    legend(figure, rates, 5)
    return figure


def time(summary: Summary) -> Figure:
    """Median and 95th percentile of scheduled latency per bin of time, and how long what failed was waited for."""
    series = summary.curves.series
    figure = canvas()
    axes = panel(figure)
    at = [start + series.bin_s / 2 for start in series.start_s]
    # Where nothing ended ok the lines break off.
    middle, high, longest = (
        drawable(nan if ms is None else ms for ms in values)
        for values in (series.p50_ms, series.p95_ms, series.waited_ms)
    )
    seen = [known for known in middle if not isnan(known)]
    shade(axes, summary, named=True)
    if seen:
        axes.fill_between(at, middle, high, color=_BLUE, alpha=0.2, lw=0, label="p50 to p95")
        axes.plot(at, high, color=_BLUE, lw=0.9, ls=_DASHES[1])
        dot = "o" if len(seen) < 3 else "." if len(seen) < len(at) else ""
        axes.plot(at, middle, color=_BLUE, lw=1.9, label="p50", marker=dot)
    if any(series.unfinished):
        axes.plot(at, longest, color=_ORANGE, ls="", marker="x", ms=5, label="not ok: waited up to")
    axes.set_yscale("log")
    ms_axis(axes.yaxis, [known for known in (*middle, *high, *longest) if not isnan(known)])
    axes.set_xlim(0, at[-1] + series.bin_s / 2)
    axes.set_xlabel("seconds since the run's start")
    axes.set_ylabel("scheduled latency")
    legend(figure, axes)
    return figure


def tail(summary: Summary) -> Figure:
    """Percentile curves of scheduled and service latency, towards the tail."""
    figure = canvas()
    axes = panel(figure)
    looks = {"scheduled": (_ORANGE, _DASHES[0], 2.6), "service": (_BLUE, _DASHES[1], 1.7)}
    values: list[float] = []
    for curve in summary.curves.percentiles:
        colour, dash, width = looks[curve.name]
        beyond = [1 / (1 - share) for share in curve.share]
        axes.plot(
            beyond, drawable(curve.ms), color=colour, ls=dash, lw=width, label=f"{curve.name} (n={number(curve.n)})"
        )
        values += drawable(curve.ms)
    axes.set_xscale("log")
    axes.set_yscale("log")
    marks = {1: "0 %", 2: "50 %", 10: "90 %", 100: "99 %", 1000: "99.9 %", 1e4: "99.99 %", 1e5: "99.999 %"}
    most = max(curve.n for curve in summary.curves.percentiles)
    shown = {at: text for at, text in marks.items() if at <= max(10, most)}
    axes.xaxis.set_major_locator(FixedLocator(list(shown)))
    axes.xaxis.set_major_formatter(FixedFormatter(list(shown.values())))
    axes.xaxis.set_minor_locator(NullLocator())
    ms_axis(axes.yaxis, values)
    axes.set_xlabel("percentile")
    axes.set_ylabel("latency")
    legend(figure, axes)
    return figure


def routes(summary: Summary) -> Figure:
    """ECDF of service latency by route."""
    figure = canvas(3.8)
    axes = panel(figure)
    found: tuple[Curve, ...] = summary.curves.routes
    for curve, colour, dash in zip(found, SERIES, _DASHES, strict=False):
        axes.step(
            drawable(curve.ms),
            [share * 100 for share in curve.share],
            where="post",
            color=colour,
            ls=dash,
            label=f"{short(curve.name)} (n={number(curve.n)})",
        )
    axes.set_xscale("log")
    ms_axis(axes.xaxis, drawable(value for curve in found for value in curve.ms))
    axes.set_ylim(0, 101)
    axes.set_xlabel("service latency")
    axes.set_ylabel("share of ok requests, %")
    wide = any(columns(curve.name) > _SIDE_BY_SIDE for curve in found)
    legend(figure, axes, 1 if wide else 2)
    return figure


def heat(summary: Summary) -> Figure:
    """Requests by time and scheduled latency; what did not end ok lies over it by how long it was waited for."""
    heat = summary.curves.heat
    figure = canvas()
    axes = panel(figure)
    if heat is not None:
        most = max(max(row) for row in heat.counts)
        for level, alpha in enumerate(_LEVELS):
            cells = _cells(heat, heat.counts, level / len(_LEVELS) * most, (level + 1) / len(_LEVELS) * most)
            _paint(axes, cells, _BLUE, alpha)
        failed = max(max(row) for row in heat.unfinished)
        _paint(axes, _cells(heat, heat.unfinished, 0, failed), _ORANGE, 0.8)
        axes.set_xlim(heat.time_s[0], heat.time_s[-1])
        axes.set_yscale("log")
        axes.set_ylim(heat.ms[0], heat.ms[-1])
        ms_axis(axes.yaxis, [heat.ms[0], heat.ms[-1]])
        said = f"darkest: {number(most)} requests in one cell"
        said += f"; orange: not ok, up to {number(failed)} in one cell" if failed else ""
        axes.set_title(said, fontsize=9.5, color=MUTED, loc="left")
    axes.set_xlabel("seconds since the run's start")
    axes.set_ylabel("scheduled latency")
    return figure


def _paint(axes: Axes, cells: list[Path], colour: str, alpha: float) -> None:
    if cells:
        path = Path.make_compound_path(*cells)
        axes.add_collection(PathCollection([path], facecolors=[colour], alpha=alpha, linewidths=0), autolim=False)


def _cells(heat: Heat, counts: tuple[tuple[int, ...], ...], over: float, most: float) -> list[Path]:
    return [
        Path([(left, low), (right, low), (right, high), (left, high), (left, low)], closed=True)
        for low, high, row in zip(heat.ms, heat.ms[1:], counts, strict=False)
        for left, right, count in zip(heat.time_s, heat.time_s[1:], row, strict=False)
        if over < count <= most
    ]


def residuals(summary: Summary) -> Figure:
    """Histogram of measured minus planned latency."""
    found: Histogram | None = summary.curves.residuals
    figure = canvas()
    axes = panel(figure)
    if found is not None:
        axes.stairs(found.counts, found.edges, fill=True, color=_BLUE, alpha=0.75)
        axes.axvline(0, color=INK, lw=1, ls=_DASHES[1])
        outside = found.below + found.beyond
        axes.set_title(f"{number(outside)} more lie outside this range", fontsize=9.5, color=MUTED, loc="left")
    axes.xaxis.set_major_locator(MaxNLocator(6))
    axes.xaxis.set_major_formatter(FuncFormatter(lambda value, _at: tick(value)))
    axes.set_xlabel("measured - planned service latency")
    axes.set_ylabel("requests")
    axes.grid(visible=False, axis="x")
    axes.spines["bottom"].set_color(GRID)
    return figure

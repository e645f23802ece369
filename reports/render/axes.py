"""Figures, panels, ticks and legends that all plots share."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from typing import Final
from unicodedata import east_asian_width

from matplotlib.axes import Axes
from matplotlib.axis import Axis
from matplotlib.figure import Figure
from matplotlib.ticker import FixedLocator, FuncFormatter, NullLocator

from reports.format import tick
from reports.render.svg import SERIES, SHADE
from reports.values import Summary

_WIDTH: Final = 5.6
_LEAST_MS: Final = 1e-3
_LONGEST_NAME: Final = 50
# Ticks of a logarithmic axis, per decade, from coarse to fine.
_STEPS: Final = ((1,), (1, 3), (1, 2, 5), (1, 1.5, 2, 3, 4, 5, 6, 8), tuple(1 + at / 5 for at in range(45)))


def canvas(height: float = 3.2) -> Figure:
    """Return an empty transparent figure, `height` in inches."""
    figure = Figure(figsize=(_WIDTH, height), layout="constrained")
    figure.patch.set_visible(False)
    return figure


def panel(figure: Figure) -> Axes:
    """Add the one plot of a figure."""
    axes: Axes = figure.add_subplot()
    axes.patch.set_visible(False)
    axes.xaxis.set_minor_locator(NullLocator())
    return axes


def legend(figure: Figure, axes: Axes, across: int = 4) -> None:
    """Put the legend above the plot, where it hides nothing; `across` entries to a line."""
    figure.legend(*axes.get_legend_handles_labels(), loc="outside upper left", ncols=across, borderaxespad=0.2)


def ms_axis(axis: Axis, values: Sequence[float]) -> None:
    """Tick a logarithmic time axis, ms, at round durations, as fine as gives three ticks or more."""
    low, high = min(values), max(values)
    for steps in _STEPS:
        ticks = [step * 10.0**decade for decade in range(-3, 8) for step in steps]
        inside = [value for value in ticks if low <= value <= high]
        if len(inside) >= 3:
            break
    axis.set_major_locator(FixedLocator(inside))
    axis.set_major_formatter(FuncFormatter(lambda value, _at: tick(value)))
    axis.set_minor_locator(NullLocator())


def drawable(values: Iterable[float]) -> list[float]:
    """Times as a logarithmic axis can show them: a microsecond at least."""
    return [max(value, _LEAST_MS) for value in values]


def columns(text: str) -> int:
    """Columns a text takes: Chinese characters take two."""
    return sum(1 + (east_asian_width(letter) in "WF") for letter in text)


def short(name: str) -> str:
    """Cut a name that would not fit the figure."""
    kept = name
    while columns(kept) > _LONGEST_NAME:
        kept = kept[:-1]
    return name if kept == name else f"{kept}…"


def shade(axes: Axes, summary: Summary, *, named: bool) -> None:
    """Shade the warm-up and hatch the incidents; `named` gives them a place in the legend."""
    warmup = summary.window_s[0]
    if warmup > 0:
        axes.axvspan(0, warmup, color=SHADE, lw=0, label="warm-up" if named else None)
    spans = merged([(incident.start_s, incident.end_s) for incident in summary.incidents])
    if spans:
        axes.broken_barh(
            [(begin, end - begin) for begin, end in spans],
            (0, 1),
            transform=axes.get_xaxis_transform(),
            facecolor="none",
            edgecolor=SERIES[4],
            hatch="///",
            lw=0,
            alpha=0.7,
            label="incident" if named else None,
        )


def merged(spans: list[tuple[float, float]]) -> list[tuple[float, float]]:
    """Stretches of time in order, those that touch or overlap as one."""
    found: list[tuple[float, float]] = []
    for begin, end in sorted(spans):
        if found and begin <= found[-1][1]:
            begin, end = found[-1][0], max(end, found.pop()[1])
        found.append((begin, end))
    return found

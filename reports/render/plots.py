"""Which plots a report has, and what is said below each."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from typing import Final

from matplotlib.figure import Figure

from reports.render import figures
from reports.render.svg import inline, style
from reports.values import Summary


@dataclass(frozen=True)
class Plot:
    """A drawn plot. `svg` is empty where there was no data, and `caption` then says so."""

    name: str
    title: str
    caption: str
    svg: str


@dataclass(frozen=True)
class _Kind:
    """A plot to draw; `there` says whether the summary has what it shows."""

    name: str
    title: str
    caption: str
    draw: Callable[[Summary], Figure]
    there: Callable[[Summary], bool]


_KINDS: Final = (
    _Kind(
        "load",
        "Offered and achieved load",
        "Offered and answered rate should lie on each other; in-flight that keeps climbing means the "
        "gateway falls behind. Grey is the warm-up, hatching an incident of the world.",
        figures.load,
        lambda summary: bool(summary.curves.series.start_s),
    ),
    _Kind(
        "time",
        "Latency over time",
        "Scheduled latency of ok requests by the moment they were planned: the line is the median, "
        "the band reaches up to the 95th percentile of each bin. A cross is how long the longest of those that did "
        "not end ok was waited for: high crosses are a gateway that hangs.",
        figures.time,
        lambda summary: any(
            value is not None for value in (*summary.curves.series.p50_ms, *summary.curves.series.waited_ms)
        ),
    ),
    _Kind(
        "tail",
        "Scheduled against service latency",
        "Each step to the right is a rarer request. Where the lines part, requests waited "
        "before they could be sent. The far right rests on few samples.",
        figures.tail,
        lambda summary: any(len(curve.ms) > 1 for curve in summary.curves.percentiles),
    ),
    _Kind(
        "routes",
        "Latency by route",
        "The share of ok requests answered within a time, for the busiest routes. Further left is faster; "
        "a long flat shoulder is a heavy tail.",
        figures.routes,
        lambda summary: bool(summary.curves.routes),
    ),
    _Kind(
        "heat",
        "Where requests fell",
        "Every ok request by the moment it was planned and its scheduled latency; darker holds more. "
        "Stripes are pauses, two bands are two kinds of request. Orange is what did not end ok, by how long it was "
        "waited for.",
        figures.heat,
        lambda summary: summary.curves.heat is not None,
    ),
    _Kind(
        "residuals",
        "Measured minus planned latency",
        "The mock said how long each answer was to take; what lies right of zero was added by the network, "
        "the mock and the generator. It is this run's own accuracy.",
        figures.residuals,
        lambda summary: summary.curves.residuals is not None,
    ),
)


def plots(summary: Summary) -> tuple[Plot, ...]:
    """Draw every plot of a report; residuals only against the mock."""
    return tuple(_plot(kind, summary) for kind in _KINDS if kind.name != "residuals" or summary.residuals)


def _plot(kind: _Kind, summary: Summary) -> Plot:
    if not kind.there(summary):
        return Plot(kind.name, kind.title, "There was no data to draw.", "")
    with style(kind.name):
        return Plot(kind.name, kind.title, kind.caption, inline(kind.draw(summary), f"plot-{kind.name}"))

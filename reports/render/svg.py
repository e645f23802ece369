"""Turns a matplotlib figure into inline SVG whose colours are CSS variables, so that it follows the page."""

from __future__ import annotations

import io
import re
import warnings
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any, Final

import matplotlib as mpl
from matplotlib.figure import Figure

# Figures are drawn in these; the page's style sheet says what each looks like in light and in dark.
INK: Final = "#010101"
MUTED: Final = "#010102"
GRID: Final = "#010103"
SHADE: Final = "#010104"
SERIES: Final = ("#010111", "#010112", "#010113", "#010114", "#010115", "#010116")
VARIABLES: Final = {
    INK: "var(--ink)",
    MUTED: "var(--muted)",
    GRID: "var(--grid)",
    SHADE: "var(--shade)",
} | {colour: f"var(--series-{number})" for number, colour in enumerate(SERIES, 1)}

_STYLE: Final[dict[str, Any]] = {
    "svg.fonttype": "none",
    "font.family": "sans-serif",
    "font.sans-serif": ["DejaVu Sans"],
    "font.size": 10.5,
    "text.color": INK,
    "text.parse_math": False,
    "axes.edgecolor": GRID,
    "axes.labelcolor": MUTED,
    "axes.labelsize": 10,
    "axes.linewidth": 0.8,
    "axes.spines.top": False,
    "axes.spines.right": False,
    "axes.grid": True,
    "axes.axisbelow": True,
    "grid.color": GRID,
    "grid.linewidth": 0.6,
    "xtick.color": GRID,
    "ytick.color": GRID,
    "xtick.labelcolor": MUTED,
    "ytick.labelcolor": MUTED,
    "xtick.labelsize": 9.5,
    "ytick.labelsize": 9.5,
    "xtick.minor.bottom": False,
    "ytick.minor.left": False,
    "legend.frameon": False,
    "legend.fontsize": 9.5,
    "legend.handlelength": 1.6,
    "legend.columnspacing": 1.2,
    "lines.linewidth": 1.6,
    "lines.solid_capstyle": "round",
    "path.simplify": True,
}


@contextmanager
def style(name: str) -> Iterator[None]:
    """Draw and save a figure within this; `name` seeds matplotlib's ids, so that output is reproducible."""
    settings: Any = {**_STYLE, "svg.hashsalt": name}
    with mpl.rc_context(settings), warnings.catch_warnings():
        # The browser has the glyphs that the font used for measuring lacks, Chinese ones for instance.
        warnings.filterwarnings("ignore", message="Glyph ")
        yield


def inline(figure: Figure, name: str) -> str:
    """Return the figure as an `<svg>` element with ids of its own; the same figure gives the same bytes."""
    out = io.StringIO()
    with style(name):
        figure.savefig(out, format="svg", metadata={"Date": None, "Creator": None})
    drawn = out.getvalue()
    svg = drawn[drawn.index("<svg") :]
    svg = re.sub(r"\s*<metadata>.*?</metadata>|<!--.*?-->", "", svg, flags=re.DOTALL)
    svg = re.sub(r' (?:xmlns(?::xlink)?|version)="[^"]*"', "", svg)
    svg = re.sub(r'(<svg[^>]*?) width="[^"]*"', r"\1", svg, count=1)
    svg = re.sub(r'(<svg[^>]*?) height="[^"]*"', r'\1 aria-hidden="true" focusable="false"', svg, count=1)
    svg = re.sub(r'\bid="([^"]+)"', rf'id="{name}-\1"', svg)
    svg = re.sub(r"url\(#", f"url(#{name}-", svg)
    svg = re.sub(r'href="#', f'href="#{name}-', svg)
    svg = re.sub(r"'DejaVu Sans', sans-serif", "inherit", svg)
    for colour, variable in VARIABLES.items():
        svg = svg.replace(colour, variable)
    return svg

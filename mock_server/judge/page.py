"""The coverage as one HTML file that opens anywhere: no script, no network."""

from __future__ import annotations

from collections.abc import Iterable
from html import escape
from typing import Final

from mock_server.judge.cells import COLUMNS
from mock_server.judge.coverage import Coverage, Met
from mock_server.judge.words import printable

_STYLE: Final = """
:root { color-scheme: light dark; }
body { font: 15px/1.45 system-ui, sans-serif; margin: 2rem auto; max-width: 70rem; padding: 0 1rem; }
table { border-collapse: collapse; width: 100%; }
th, td { text-align: left; padding: .25rem .6rem; border-bottom: 1px solid #8884; vertical-align: top; }
.scroll { overflow-x: auto; }
.met { color: light-dark(#0a6b2d, #6fd08c); }
.never { color: light-dark(#a8200d, #ff9a8a); font-weight: 600; }
progress { width: 100%; height: 1rem; }
code { font-size: .92em; overflow-wrap: anywhere; }
th:last-child { min-width: 12rem; }
"""
_HEAD: Final = (*COLUMNS, "met", "first request, or how to meet it")


def coverage_page(coverage: Coverage) -> str:
    """The coverage as a document."""
    share = f"{coverage.percent:g} % of {coverage.total} cells met"
    rows = "".join(map(_row, sorted(coverage.cells, key=lambda each: each.count > 0)))
    head = "".join(f'<th scope="col">{escape(name)}</th>' for name in _HEAD)
    return (
        '<!doctype html>\n<html lang="en"><meta charset="utf-8">'
        '<meta name="viewport" content="width=device-width, initial-scale=1">'
        f"<title>Fault coverage: {escape(share)}</title><style>{_STYLE}</style>\n"
        f"<h1>Fault coverage: {escape(share)}</h1>\n"
        f'<progress max="{coverage.total}" value="{coverage.met}" aria-label="{escape(share)}"></progress>\n'
        f"<p>By {coverage.requests:,} requests. What was never met stands first.</p>\n{_unfit(coverage)}"
        f"{''.join(f'<p>Note: {escape(note)}</p>' for note in coverage.notes)}"
        f'<div class="scroll" tabindex="0"><table><thead><tr>{head}</tr></thead>\n'
        f"<tbody>{rows}</tbody></table></div>\n</html>\n"
    )


def _unfit(coverage: Coverage) -> str:
    return f'<p class="never">{escape(coverage.unfit)}</p>\n' if coverage.unfit else ""


def _row(met: Met) -> str:
    cell = met.cell
    count = f'<td class="met">{met.count:,}</td>' if met.count else '<td class="never">never</td>'
    last = met.request_id if met.count else cell.how
    return f"<tr>{_cells(cell.words)}{count}<td><code>{escape(printable(last))}</code></td></tr>\n"


def _cells(words: Iterable[str]) -> str:
    return "".join(f"<td>{escape(word)}</td>" for word in words)

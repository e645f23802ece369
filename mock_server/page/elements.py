"""HTML as values: what is not markup already is text, and is escaped."""

from __future__ import annotations

import re
from collections.abc import Iterable, Sequence
from html import escape
from typing import Final

from mock_server.contract.clauses import Clause
from mock_server.contract.provenance import Provenance, Source

_SHORT: Final = 24
_VOID: Final = frozenset({"br", "input", "link", "meta", "wbr"})
_LINES: Final = frozenset({"body", "dl", "figure", "form", "h3", "head", "li", "section", "table", "tbody", "tr"})
_CHINESE: Final = re.compile(r"[\u3000-\u303f\u3400-\u9fff\uff00-\uffef]+")
_CODE: Final = re.compile(r"`([^`]+)`")


class Html(str):
    """Markup. Any other string is text."""

    __slots__ = ()


def tag(name: str, /, *content: str, **attributes: str | bool) -> Html:
    """An element. Attribute names lose a trailing underscore and get hyphens for the others; False leaves one out."""
    shown = "".join(
        f" {key.rstrip('_').replace('_', '-')}" + ("" if value is True else f'="{escape(value)}"')
        for key, value in attributes.items()
        if value is not False
    )
    if name in _VOID:
        return Html(f"<{name}{shown}>")
    end = "\n" if name in _LINES else ""  # so that a change of the page reads well as a difference of lines
    return Html(f"<{name}{shown}>{join(*content)}</{name}>{end}")


def join(*content: str) -> Html:
    """Pieces one after the other, text escaped."""
    return Html("".join(piece if isinstance(piece, Html) else text(piece) for piece in content))


def text(plain: str) -> Html:
    """Escaped text; runs of Chinese say that they are."""
    return Html(_CHINESE.sub(lambda run: f'<span lang="zh">{run[0]}</span>', escape(plain)))


def breakable(name: str) -> Html:
    """Escaped text that may go on in a new line after each of its underscores."""
    return Html(text(name).replace("_", f"_{tag('wbr')}"))


def prose(plain: str) -> Html:
    """Escaped text in which `backticks` mark code."""
    return Html(_CODE.sub(lambda found: f"<code>{found[1]}</code>", text(plain)))


def sentence(plain: str) -> Html:
    """Prose with a capital at its start and a full stop at its end."""
    return prose(plain[:1].upper() + plain[1:].rstrip(".") + ".")


def mark(provenance: Provenance, knob: str = "") -> Html:
    """Who says so. An assumption opens to its reason, by mouse, touch or keyboard."""
    source = provenance.source.value
    if provenance.source is not Source.ASSUMED:
        return tag("span", source, class_=f"mark {source}")
    switch = join(" Switch: ", tag("code", knob), " in the world file.") if knob else Html("")
    return tag(
        "details",
        tag("summary", tag("span", source, class_=f"mark {source}")),
        tag("p", sentence(provenance.reason), switch),
        class_="why",
    )


def literal(value: str) -> Html:
    """Code in running text; what is short stays on one line."""
    return tag("code", value, class_="whole" if len(value) <= _SHORT else False)


def clause_list(clauses: Iterable[Clause]) -> Html:
    """Clauses, each with its mark."""
    items = (tag("li", tag("p", prose(row.text)), mark(row.provenance, row.knob)) for row in clauses)
    return tag("ul", *items, class_="clauses")


def slug(title: str) -> str:
    """The anchor of a title."""
    return re.sub(r"[^a-z0-9]+", "-", title.lower()).strip("-")


def section(title: str, *content: str) -> Html:
    """A chapter of the page, with an anchor."""
    anchor = slug(title)
    heading = tag("h2", tag("a", title, href=f"#{anchor}"), id=f"{anchor}-title")
    return tag("section", heading, *content, id=anchor, aria_labelledby=f"{anchor}-title")


def table(caption: str, columns: tuple[str, ...], rows: Sequence[tuple[str, ...]], **attributes: str) -> Html:
    """A table whose first column names the row. On narrow screens each row becomes a block with labelled cells."""
    head = tag("tr", *(tag("th", column, scope="col", role="columnheader") for column in columns), role="row")
    body = [
        tag("tr", tag("th", first, scope="row", role="rowheader"), *_cells(columns[1:], rest), role="row")
        for first, *rest in rows
    ]
    return tag(
        "table",
        tag("caption", caption),
        tag("thead", head, role="rowgroup"),
        tag("tbody", *body, role="rowgroup"),
        role="table",
        **attributes,
    )


def _cells(labels: tuple[str, ...], cells: list[str]) -> list[Html]:
    return [
        tag("td", tag("div", cell) if cell else "", role="cell", data_label=label)
        for label, cell in zip(labels, cells, strict=True)
    ]

"""The API's documentation page, one HTML file that needs no network; no fact is stated here that a table states."""

from __future__ import annotations

from base64 import b64encode
from collections.abc import Sequence
from functools import cache
from hashlib import sha256
from importlib.resources import files
from typing import Final

from mock_server.contract.endpoints import SUBTITLE, TITLE
from mock_server.core.faults import FRAMING_MEANINGS, STAGE_MEANINGS, STAGES, TABLE, Stage
from mock_server.page.elements import Html, tag
from mock_server.page.guide import (
    code_examples,
    endpoints,
    error_scenarios,
    panel_rules,
    quick_start,
    quick_tips,
    response_examples,
    status_reference,
)
from mock_server.page.reference import (
    Words,
    limits_and_balance,
    mock_directives,
    request,
    response,
    streaming,
)
from mock_server.page.tryit import try_it


def _stages(stages: tuple[Stage, ...]) -> str:
    if stages == STAGES:
        return "any stage"
    return ", ".join(f"`{stage}`" for stage in stages) or "never"


FAULT_WORDS: Final = (
    Words(
        "Kinds of fault for X-Mock-Fault, and where they can strike",
        ("Kind", "What happens", "In a plain answer", "In a stream"),
        tuple((kind, row.meaning, _stages(row.plain), _stages(row.stream)) for kind, row in TABLE.items()),
    ),
    Words("Stages at which a fault strikes", ("Stage", "When"), tuple(STAGE_MEANINGS.items())),
    Words("Framings: unusual, but no failure", ("Framing", "What is unusual"), tuple(FRAMING_MEANINGS.items())),
)


@cache
def documentation() -> bytes:
    """The whole page as UTF-8, built when it is first asked for: a mock that only answers calls never pays for it."""
    folder = files("mock_server.page")
    colours, style, copy, script = (
        (folder / name).read_text("utf-8") for name in ("colours.css", "page.css", "copy.js", "page.js")
    )
    chapters = (
        quick_start(),
        endpoints(),
        code_examples(),
        quick_tips(),
        try_it(),
        response_examples(),
        error_scenarios(),
        status_reference(),
        request(),
        response(),
        streaming(),
        limits_and_balance(),
        mock_directives(FAULT_WORDS),
    )
    style, script = colours + style + panel_rules(), copy + script
    page = tag("html", _head(style, script), _body(chapters, script), lang="en")
    return f"<!DOCTYPE html>\n{page}\n".encode()


def _head(style: str, script: str) -> Html:
    """Only this style and this script may run, and only the form may reach the network."""
    policy = "; ".join(
        (
            "default-src 'none'",
            f"style-src '{_digest(style)}'",
            f"script-src '{_digest(script)}'",
            "connect-src 'self' http: https:",
            "img-src data:",
            "base-uri 'none'",
            "form-action 'none'",
        )
    )
    return tag(
        "head",
        tag("meta", charset="utf-8"),
        tag("meta", http_equiv="Content-Security-Policy", content=policy),
        tag("meta", name="viewport", content="width=device-width, initial-scale=1"),
        tag("meta", name="color-scheme", content="light dark"),
        tag("meta", name="description", content=SUBTITLE),
        tag("link", rel="icon", href="data:,"),
        tag("title", f"{TITLE} – APIFlowX"),
        tag("style", Html(style)),
    )


def _digest(source: str) -> str:
    return "sha256-" + b64encode(sha256(source.encode()).digest()).decode()


def _body(chapters: Sequence[Html], script: str) -> Html:
    return tag(
        "body",
        tag("a", "Skip to the content", href="#content", class_="skip"),
        tag("header", tag("p", "APIFlowX", class_="brand"), tag("h1", TITLE), tag("p", SUBTITLE, class_="subtitle")),
        tag("div", _contents(chapters), tag("main", *chapters, id="content", tabindex="-1"), class_="columns"),
        tag(
            "footer",
            tag(
                "p",
                "Made from the contract's own tables. The machine-readable form is at ",
                tag("code", "/openapi.json"),
                " of the mock; with the mock's own directives and its control plane it is at ",
                tag("code", "/__mock__/openapi.json"),
                ". Its control room, to watch and to steer, is at ",
                tag("code", "/__mock__/"),
                ".",
            ),
        ),
        tag("p", id="announcer", class_="unseen", role="status"),
        tag("script", Html(script)),
    )


def _contents(chapters: Sequence[Html]) -> Html:
    """Links to the chapters, read off their headings."""
    return tag("nav", tag("ul", *(tag("li", _heading(chapter)) for chapter in chapters)), aria_label="Contents")


def _heading(chapter: Html) -> Html:
    opening = chapter.index("<a ")
    return Html(chapter[opening : chapter.index("</a>", opening) + len("</a>")])

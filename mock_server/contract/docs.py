"""The API's documentation page, one HTML file that needs no network; no fact is stated here that a table states."""

from __future__ import annotations

from base64 import b64encode
from collections.abc import Sequence
from hashlib import sha256

from msgspec import Struct

from mock_server.contract.endpoints import SUBTITLE, TITLE
from mock_server.contract.page.elements import Html, tag
from mock_server.contract.page.guide import (
    code_examples,
    endpoints,
    error_scenarios,
    panel_rules,
    quick_start,
    quick_tips,
    response_examples,
    status_reference,
)
from mock_server.contract.page.reference import (
    Words,
    limits_and_balance,
    mock_directives,
    request,
    response,
    streaming,
)
from mock_server.contract.page.tryit import try_it


class Assets(Struct, frozen=True):
    """The page's style sheet and script."""

    style: str
    script: str


def docs_page(assets: Assets, vocabulary: Sequence[Words] = ()) -> bytes:
    """The whole page as UTF-8. ``vocabulary`` explains the mock's own words, which the contract does not know."""
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
        mock_directives(vocabulary),
    )
    style = assets.style + panel_rules()
    page = tag("html", _head(style, assets.script), _body(chapters, assets.script), lang="en")
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
                " of the mock.",
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

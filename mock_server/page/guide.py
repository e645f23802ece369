"""The chapters the original page has, in its order: quick start to status reference."""

from __future__ import annotations

from typing import Final

import msgspec

from mock_server.contract.accounts import LOAD_TEST_KEY
from mock_server.contract.clauses import ENVELOPE, VALIDATION
from mock_server.contract.endpoints import (
    AUTHENTICATION,
    BASE_URL,
    ENDPOINTS,
    INTRODUCTION,
    PLACEHOLDER_KEY,
    QUICK_TIPS,
    RESPONSE_FORMAT,
)
from mock_server.contract.errors import COMMON_ERRORS, ERRORS, STATUSES, ErrorKind
from mock_server.contract.examples import EXAMPLE_ERROR, EXAMPLE_RESPONSE
from mock_server.contract.provenance import DOCUMENTED, MOCK, Source, assumed
from mock_server.page.code import code_block
from mock_server.page.elements import Html, clause_list, join, mark, prose, section, slug, table, tag
from mock_server.page.snippets import Snippet, snippets

_LEGEND: Final = {
    Source.DOCUMENTED: (DOCUMENTED, "APIFlowX's public documentation says so."),
    Source.ASSUMED: (
        assumed("this is where the reason for the choice is"),
        "The documentation is silent. This is the choice most faithful to comparable gateways; open the mark for the "
        "reason.",
    ),
    Source.MOCK: (MOCK, MOCK.reason.capitalize() + "."),
}


def quick_start() -> Html:
    """What to know before the first call."""
    facts = (("Base URL", BASE_URL, True), ("Authentication", AUTHENTICATION, False))
    rows = [*facts, ("Response format", RESPONSE_FORMAT, False)]
    return section(
        "Quick start",
        tag("p", INTRODUCTION, " ", mark(DOCUMENTED)),
        tag(
            "dl",
            *(
                tag("div", tag("dt", name), tag("dd", tag("code", value) if code else value, " ", mark(DOCUMENTED)))
                for name, value, code in rows
            ),
            class_="facts",
        ),
        tag("h3", "Who says so", id="who-says-so"),
        tag("p", "Every clause on this page carries one of three marks."),
        tag(
            "dl",
            *(tag("div", tag("dt", mark(sample)), tag("dd", meaning)) for sample, meaning in _LEGEND.values()),
            class_="legend",
        ),
    )


def endpoints() -> Html:
    """Every endpoint of the API."""
    rows: list[tuple[str, ...]] = [
        (
            join(tag("span", row.method, class_="method"), " ", tag("code", row.path)),
            row.name,
            row.summary,
            mark(row.provenance),
        )
        for row in ENDPOINTS
    ]
    return section("Endpoints", table("All endpoints", ("Endpoint", "Name", "What it does", "Source"), rows))


def code_examples() -> Html:
    """The examples by language: radio buttons choose, so that arrow keys do too and no script is needed."""
    pairs = list(zip(snippets(stream=False), snippets(stream=True), strict=True))
    names = [plain.language for plain, _ in pairs]
    choices = [
        join(
            tag("input", type="radio", name="language", id=f"choose-{slug(name)}", checked=name == names[0]),
            tag("label", name, for_=f"choose-{slug(name)}"),
        )
        for name in names
    ]
    return section(
        "Code examples",
        _addresses(),
        tag(
            "fieldset",
            tag("legend", "Language", class_="unseen"),
            tag("div", *choices, class_="tabs"),
            *(_panel(plain, streamed) for plain, streamed in pairs),
            class_="examples",
        ),
    )


def _addresses() -> Html:
    """The switch between the mock that shows the page and the real address; the script makes it work."""
    return tag(
        "p",
        tag("span", "They call this mock with a test key, and run as they stand.", id="examples-say"),
        " ",
        tag("label", tag("input", type="checkbox", id="examples-real"), f" Call {BASE_URL} instead", class_="check"),
        id="examples-switch",
        data_base=BASE_URL,
        data_key=PLACEHOLDER_KEY,
        data_test_key=LOAD_TEST_KEY,
        hidden=True,
    )


def _panel(plain: Snippet, streamed: Snippet) -> Html:
    return tag(
        "div",
        code_block(plain.language, plain.code, plain.syntax, mark(plain.provenance)),
        code_block(f"{plain.language}, streamed", streamed.code, plain.syntax, mark(streamed.provenance)),
        class_="panel",
        id=f"example-{slug(plain.language)}",
    )


def panel_rules() -> str:
    """The style rules by which a chosen language shows its panel and hides the others."""
    names = [slug(row.language) for row in snippets(stream=False)]
    return "".join(
        f".examples:has(#choose-{name}:checked) .panel:not(#example-{name}) {{ display: none }}\n" for name in names
    )


def quick_tips() -> Html:
    """The documented tips."""
    return section("Quick tips", tag("ul", *(tag("li", tip, " ", mark(DOCUMENTED)) for tip in QUICK_TIPS)))


def response_examples() -> Html:
    """One good answer and one error."""
    documented = mark(DOCUMENTED)
    return section(
        "Response examples",
        code_block("200", _pretty(EXAMPLE_RESPONSE), "json", documented),
        code_block("4xx/5xx", _pretty(EXAMPLE_ERROR), "json", documented),
    )


def _pretty(value: object) -> str:
    return msgspec.json.format(msgspec.json.encode(value), indent=2).decode()


def error_scenarios() -> Html:
    """The documented common errors, then every error there is."""
    common: list[tuple[str, ...]] = [(str(status), message, mark(DOCUMENTED)) for status, message in COMMON_ERRORS]
    return section(
        "Error scenarios",
        tag("h3", "Common errors", id="common-errors"),
        table("What the documentation names", ("Status", "Message", "Source"), common),
        tag("h3", "All errors", id="all-errors"),
        clause_list((ENVELOPE, VALIDATION)),
        table(
            "Every code, with when it is sent and whether the same call may succeed later",
            ("Code", "Status", "When", "Retry", "Source"),
            [_error(kind) for kind in ERRORS],
            class_="wide",
        ),
    )


def _error(kind: ErrorKind) -> tuple[str, ...]:
    message = tag("p", f"“{kind.message}”", class_="message")
    extra = [tag("p", "with ", tag("code", name)) for name in kind.headers]
    when = join(tag("p", prose(kind.when)), message, *extra)
    return (
        tag("code", kind.code),
        str(kind.status),
        when,
        "yes" if kind.retry else "no",
        mark(kind.provenance, kind.knob),
    )


def status_reference() -> Html:
    """What each HTTP status means here."""
    rows: list[tuple[str, ...]] = [(str(row.status), row.phrase, row.meaning, mark(row.provenance)) for row in STATUSES]
    return section("Status reference", table("Every status", ("Status", "Name", "Meaning", "Source"), rows))

"""The control room as files: its document, style and scripts, which `GET /__mock__/` and what is below serve.

No fact is stated here that a table states; what can be asked and done is given as forms, made from the control plane's
own table. All that is shown of requests the scripts put in as text.
"""

from __future__ import annotations

import json
from importlib.resources import files
from typing import Final

from mock_server.contract.accounts import LOAD_TEST_KEY, PLANS, TEST_KEYS
from mock_server.contract.endpoints import LLM_AUTO
from mock_server.contract.examples import EXAMPLE_REQUESTS
from mock_server.contract.headers import REQUEST_HEADERS
from mock_server.page.elements import Html, breakable, join, tag
from mock_server.page.room.forms import KEYS, MODELS, PLAN_NAMES, PROVIDERS, TESTS, labelled
from mock_server.page.room.panels import Room, panels

SHOWN: Final = ("arrived_unix_s", "status", "ending", "test", "key", "model", "took_ms")
"""The fields of an entry by which the list shows a request."""
LISTED: Final = 300
"""So many requests are listed at most."""
ASKED: Final = 100
"""So many are asked for at once."""
MODULES: Final = ("room", "plane", "elements", "journal", "opened", "timeline", "judged", "steer", "state", "load")
POLICY: Final = "; ".join(
    (
        "default-src 'none'",
        "style-src 'self'",
        "script-src 'self'",
        "connect-src 'self'",
        "img-src data:",
        "base-uri 'none'",
        "form-action 'none'",
        "frame-ancestors 'none'",
        "require-trusted-types-for 'script'",
        "trusted-types 'none'",
    )
)
"""The Content-Security-Policy to serve every file with: only its own files, and nobody may frame it."""


def room_files(room: Room) -> dict[str, tuple[str, bytes]]:
    """Every file by its path below the page, with its media type; the page itself has the empty path."""
    folder = files("mock_server.page")
    style = "".join((folder / name).read_text("utf-8") for name in ("colours.css", "room/room.css"))
    scripts = {f"room/{name}.js": folder / "room" / f"{name}.js" for name in MODULES}
    scripts["room/copy.js"] = folder / "copy.js"
    return {
        "": ("text/html", _document(room)),
        "room/room.css": ("text/css", style.encode()),
        **{path: ("text/javascript", script.read_bytes()) for path, script in scripts.items()},
    }


def _document(room: Room) -> bytes:
    head = tag(
        "head",
        tag("meta", charset="utf-8"),
        tag("meta", name="viewport", content="width=device-width, initial-scale=1"),
        tag("meta", name="color-scheme", content="light dark"),
        tag("link", rel="icon", href="data:,"),
        tag("link", rel="stylesheet", href="room/room.css"),
        tag("title", "Control room – the mock of APIFlowX"),
        tag("script", src="room/copy.js", defer=True),
        tag("script", src="room/room.js", type="module"),
    )
    body = tag(
        "body",
        tag("a", "Skip to the requests", href="#requests", class_="skip"),
        _header(),
        _token(),
        _load(),
        tag("main", _requests(room), panels(room)),
        _lists(),
        tag("p", id="announcer", class_="unseen", role="status"),
        data_operations=json.dumps(room.operations),
    )
    return f"<!DOCTYPE html>\n{tag('html', head, body, lang='en')}\n".encode()


def _header() -> Html:
    test = tag(
        "input",
        id="test",
        list=TESTS,
        pattern=next(row.pattern for row in REQUEST_HEADERS if row.name == "X-Mock-Test") or False,
        placeholder="all tests",
        autocomplete="off",
        autocapitalize="none",
        spellcheck="false",
        aria_describedby="test-hint",
    )
    hint = "Whose requests are shown, and what is steered."
    return tag(
        "header",
        tag(
            "div",
            tag("p", "APIFlowX mock", class_="brand"),
            tag("h1", "Control room"),
            tag("p", tag("noscript", "This page needs JavaScript."), id="world"),
        ),
        tag(
            "form",
            tag("label", tag("code", "X-Mock-Test"), for_="test"),
            tag("div", test, tag("button", "Show", type="submit"), class_="joined"),
            tag("p", hint, class_="hint", id="test-hint"),
            id="test-form",
        ),
        tag("p", tag("span", class_="lamp"), tag("span", "Connecting…", id="state-text"), id="state", role="status"),
    )


def _token() -> Html:
    control = tag("input", id="token", type="password", autocomplete="off", required=True, spellcheck="false")
    return tag(
        "form",
        tag("h2", "The control plane wants its admin token"),
        tag(
            "p",
            "It is what the mock was started with as ",
            tag("code", "--admin-token"),
            " or ",
            tag("code", "$MOCK_ADMIN_TOKEN"),
            ". This tab keeps it until it is closed, and sends it in ",
            tag("code", "X-Mock-Admin-Token"),
            " alone.",
        ),
        tag("label", "Admin token", for_="token"),
        tag("div", control, tag("button", "Enter", type="submit", class_="primary"), class_="joined"),
        tag("p", id="token-said", class_="said", role="alert"),
        id="token-form",
        hidden=True,
    )


_TILES: Final = (
    ("requests/s", "rate", True),
    ("in_flight", "in_flight", False),
    ("loop_lag p99", "loop_lag", True),
    ("lateness p99", "lateness", True),
    ("saturated", "saturated", False),
    ("dropped_journal_entries", "dropped_journal_entries", False),
    ("clock", "clock", False),
)


def _load() -> Html:
    tiles = (
        tag(
            "div",
            tag("dt", breakable(name)),
            tag(
                "dd", tag("span", "–", data_value=value), tag("span", class_="spark", data_spark=value) if drawn else ""
            ),
        )
        for name, value, drawn in _TILES
    )
    return tag("section", tag("dl", *tiles, id="load"), aria_label="Load and lateness of the mock itself")


def _requests(room: Room) -> Html:
    first = ("key", "status")
    shown = [field for field in room.filters if field.name in first]
    more = [field for field in room.filters if field.name not in first]
    filters = tag(
        "form",
        *(labelled(field, f"filter-{field.name}") for field in shown),
        tag(
            "details",
            tag("summary", "More filters"),
            tag("div", *(labelled(field, f"filter-{field.name}") for field in more), class_="fields"),
        ),
        tag(
            "div",
            tag("button", "Filter", type="submit"),
            tag("button", "Clear", type="reset", class_="plain"),
            class_="actions",
        ),
        tag("p", id="filter-said", class_="said", role="alert"),
        id="filters",
        aria_label="Filter the requests",
    )
    columns = tag("tr", *(tag("th", name, scope="col", data_field=name) for name in SHOWN))
    table = tag(
        "table",
        tag("caption", "Requests, the newest first", class_="unseen"),
        tag("thead", columns),
        tag("tbody", id="rows"),
        data_most=str(LISTED),
        data_asked=str(ASKED),
    )
    return tag(
        "section",
        tag(
            "div",
            tag("h2", "Requests", id="requests-title"),
            tag("p", id="counted", class_="counted"),
            tag("button", "Pause", type="button", id="pause", aria_pressed="false"),
            class_="bar",
        ),
        filters,
        tag("div", table, id="list", class_="scroll"),
        _nothing_yet(),
        id="requests",
        tabindex="-1",
        aria_labelledby="requests-title",
    )


def _nothing_yet() -> Html:
    copy = tag("button", "Copy", type="button", class_="copy", aria_label="Copy the curl line of a first call")
    line = tag("pre", tag("code"), tabindex="0", role="region", aria_label="curl line of a first call")
    return tag(
        "div",
        tag("p", "No request has come yet.", id="nothing-title"),
        tag("p", "Point your client at ", tag("code", id="base-url"), ", or send a first call:", id="nothing-hint"),
        tag("div", line, copy, class_="curl"),
        id="nothing",
        hidden=True,
        data_method=LLM_AUTO.method,
        data_path=LLM_AUTO.path,
        data_key=LOAD_TEST_KEY,
        data_body=json.dumps(EXAMPLE_REQUESTS["streamed"]),
    )


def _lists() -> Html:
    keys = (tag("option", row.use, value=row.key) for row in TEST_KEYS)
    plans = (tag("option", value=name) for name in PLANS)
    return join(
        tag("datalist", *keys, id=KEYS),
        tag("datalist", *plans, id=PLAN_NAMES),
        *(tag("datalist", id=name) for name in (PROVIDERS, MODELS, TESTS)),
    )

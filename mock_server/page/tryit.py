"""The form that sends a real call to the mock; `page.js` makes it work."""

from __future__ import annotations

import json
from html import escape
from typing import Final

from mock_server.contract.accounts import LOAD_TEST_KEY, TEST_KEYS
from mock_server.contract.endpoints import LLM_AUTO
from mock_server.contract.errors import FORCED, STATUSES
from mock_server.contract.examples import DOCUMENTED_REQUEST
from mock_server.contract.headers import RESPONSE_HEADERS
from mock_server.contract.messages import MODES
from mock_server.core.faults import TABLE
from mock_server.page.elements import Html, join, prose, section, tag

_FOR: Final = ";for=3"
DEFAULT_ADDRESS: Final = "http://127.0.0.1:8080"


def try_it() -> Html:
    """Form and result."""
    shown = ["Content-Type", *(row.name for row in RESPONSE_HEADERS)]
    form = tag(
        "form",
        _address(),
        tag("div", _key(), _mode(), class_="row"),
        tag("div", _force(), _fault(), class_="row"),
        _field(
            "Message", "try-message", tag("textarea", _message(), id="try-message", rows="3", required=True, lang="zh")
        ),
        tag(
            "div",
            tag("label", tag("input", type="checkbox", id="try-stream"), " Stream the answer", class_="check"),
            tag("button", "Send", type="submit", id="try-send", class_="primary"),
            tag("button", "Stop", type="button", id="try-stop", hidden=True),
            class_="row actions",
        ),
        id="try-form",
        data_path=LLM_AUTO.path,
        data_headers=json.dumps(shown),
    )
    return section(
        "Try it",
        tag(
            "p",
            "Sends a real call to the mock. No model is asked; only the key's simulated balance is charged.",
        ),
        tag("noscript", tag("p", "The form needs JavaScript.")),
        form,
        _result(),
    )


def _field(label: str, name: str, control: str, hint: str = "", **attributes: str | bool) -> Html:
    note = tag("p", prose(hint), class_="hint", id=f"{name}-hint") if hint else ""
    return tag("div", tag("label", label, for_=name), control, note, class_="field", **attributes)


def _address() -> Html:
    """Shown when the page is a file: only then is the mock elsewhere."""
    control = tag(
        "input", id="try-address", type="url", value=DEFAULT_ADDRESS, required=True, aria_describedby="try-address-hint"
    )
    hint = "This page was opened as a file, so the mock must allow calls from other pages: start it with `--cors`."
    return _field("Address of the mock", "try-address", control, hint, id="try-elsewhere", hidden=True)


def _key() -> Html:
    control = tag(
        "input",
        id="try-key",
        value=LOAD_TEST_KEY,
        list="test-key-names",
        autocomplete="off",
        spellcheck="false",
        autocapitalize="none",
        required=True,
    )
    choices = (tag("option", row.use, value=row.key) for row in TEST_KEYS)
    return _field("API key", "try-key", join(control, tag("datalist", *choices, id="test-key-names")))


def _mode() -> Html:
    return _field("Mode", "try-mode", tag("select", *(tag("option", mode) for mode in MODES), id="try-mode"))


def _force() -> Html:
    phrases = {row.status: row.phrase for row in STATUSES}
    options = (tag("option", f"{status} {phrases[status]}", value=str(status)) for status in sorted(FORCED))
    control = tag("select", tag("option", "none", value=""), *options, id="try-force")
    return _field("Force an error", "try-force", control)


def _fault() -> Html:
    """Every kind, at its usual place; one that needs a time gets a short one."""
    options = (tag("option", kind, value=kind + (_FOR if row.takes_for else "")) for kind, row in TABLE.items())
    control = tag("select", tag("option", "none", value=""), *options, id="try-fault")
    return _field("Break the answer", "try-fault", control)


def _message() -> Html:
    return Html(escape(DOCUMENTED_REQUEST["messages"][0]["content"]))


def _result() -> Html:
    return tag(
        "div",
        tag("p", id="try-status", role="status"),
        tag(
            "div",
            tag("h3", "Answer"),
            tag("pre", id="try-text", tabindex="0", role="region", aria_label="Answer"),
            id="try-answer",
            hidden=True,
        ),
        tag(
            "div",
            tag("h3", "Headers"),
            tag("dl", id="try-headers", class_="facts"),
            tag("h3", "Body"),
            tag("pre", id="try-body", tabindex="0", role="region", aria_label="Body"),
            id="try-details",
            hidden=True,
        ),
        id="try-result",
    )

"""The control room's panels: one request opened, the verdict, the coverage, and what steers."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from typing import Final

from msgspec import Struct

from mock_server.judge.cells import COLUMNS
from mock_server.judge.finding import WORST_FIRST
from mock_server.judge.rules import RULES
from mock_server.page.elements import Html, join, prose, sentence, tag
from mock_server.page.room.forms import Field, Form, rendered


class Room(Struct, frozen=True):
    """What the page is made of besides the tables below it.

    ``filters`` are what requests can be asked for by, ``entry`` the fields of a request with their meanings, in order.
    ``forms`` are by the chapter they stand in; ``attest`` stands where a request is opened.
    ``operations`` are the methods and paths of what the scripts ask, by name.
    """

    filters: tuple[Field, ...]
    entry: Mapping[str, str]
    forms: Mapping[str, tuple[Form, ...]]
    attest: Form
    operations: Mapping[str, tuple[str, str]]


_PANELS: Final = ("Request", "Verdict", "Coverage", "Steer")


def panels(room: Room) -> Html:
    """The panels, one shown at a time."""
    contents = (_opened(room), _verdict(), _coverage(), _steer(room.forms))
    tabs = (
        tag(
            "button",
            name,
            type="button",
            role="tab",
            id=f"tab-{name.lower()}",
            aria_controls=f"panel-{name.lower()}",
            aria_selected="true" if name == "Steer" else "false",
            tabindex="0" if name == "Steer" else "-1",
        )
        for name in _PANELS
    )
    panels = (
        tag(
            "div",
            content,
            role="tabpanel",
            id=f"panel-{name.lower()}",
            aria_labelledby=f"tab-{name.lower()}",
            tabindex="0",
            hidden=name != "Steer",
        )
        for name, content in zip(_PANELS, contents, strict=True)
    )
    return tag(
        "section", tag("div", *tabs, role="tablist", aria_label="Watch and steer"), *panels, id="panels",
        aria_label="Watch and steer",
    )  # fmt: skip


def _opened(room: Room) -> Html:
    fields = (
        tag("div", tag("dt", tag("code", name)), tag("dd", data_field=name), tag("dd", prose(meaning), class_="hint"))
        for name, meaning in room.entry.items()
    )
    return join(
        tag(
            "p",
            "Choose a request in the list: what came, who answered, what was planned and what became of it.",
            id="unopened",
        ),
        tag(
            "div",
            tag("h2", tag("span", class_="badge", id="opened-status"), " ", tag("code", id="opened-id")),
            tag("p", id="opened-said"),
            tag("p", id="opened-fault", hidden=True),
            tag("h3", "Timeline"),
            tag("div", id="timeline"),
            tag("h3", "Route"),
            tag("div", id="route"),
            tag("h3", "What the application made of it"),
            rendered(room.attest),
            tag("h3", "Journal entry"),
            tag("dl", *fields, id="entry"),
            tag("details", tag("summary", "As JSON"), tag("pre", tag("code", id="entry-json"), tabindex="0")),
            id="opened",
            hidden=True,
        ),
    )


def _verdict() -> Html:
    rules = (
        tag(
            "li",
            tag(
                "details",
                tag("summary", tag("span", class_="badge"), tag("code", rule.name), tag("span", class_="said")),
                tag("p", sentence(rule.asks), class_="asks"),
                tag("div", class_="found"),
            ),
            data_rule=rule.name,
        )
        for rule in RULES
    )
    return join(
        tag("h2", "Verdict on the client"),
        _due("verdict"),
        tag("p", tag("span", class_="badge", id="verdict-result"), " ", tag("span", id="verdict-counted")),
        tag("div", id="verdict-notes"),
        tag("ol", *rules, id="rules", data_worst_first=" ".join(WORST_FIRST)),
        tag("div", id="verdict-tests"),
    )


def _coverage() -> Html:
    names = (" · ".join(COLUMNS), "met", "how to meet it, or who met it first")
    head = tag("tr", *(tag("th", name, scope="col") for name in names))
    table = tag("table", tag("caption", class_="unseen"), tag("thead", head), tag("tbody"), class_="cells")
    return join(
        tag("h2", "Fault coverage of its tests"),
        _due("coverage"),
        tag("p", tag("strong", id="coverage-percent"), " ", tag("span", id="coverage-counted")),
        tag("progress", id="coverage-bar", max="1", value="0", aria_labelledby="coverage-percent"),
        tag("div", id="coverage-map", aria_hidden="true"),
        tag("div", table, id="coverage-cells", class_="scroll", tabindex="0", role="region", aria_label="Cells"),
    )


def _due(what: str) -> Html:
    """When it was asked for, and a button to ask at once; thousands of requests a second make it wait."""
    button = tag(
        "button", "Ask now", type="button", data_ask=what, class_="plain", aria_label=f"Ask for the {what} now"
    )
    return tag("p", tag("span", data_asked=what, class_="hint"), " ", button, class_="due")


def _steer(forms: Mapping[str, tuple[Form, ...]]) -> Html:
    chapters = (
        tag(
            "section",
            tag("h2", title, id=f"steer-{title.lower()}"),
            tag("div", id=f"now-{title.lower()}", class_="now"),
            *_in_order(each),
            class_="chapter",
            aria_labelledby=f"steer-{title.lower()}",
        )
        for title, each in forms.items()
    )
    return join(*chapters)


def _in_order(forms: Iterable[Form]) -> Iterable[Html]:
    """Forms that say the same of themselves say it once."""
    said = set[str]()
    for form in forms:
        yield rendered(form, bare=form.meaning in said)
        said.add(form.meaning)

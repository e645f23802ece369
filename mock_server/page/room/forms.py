"""The control room's forms: each is one request to the control plane, and shows the `curl` line that does the same.

What a form asks for is given to it; `steer.js` makes the request of what was filled in.
"""

from __future__ import annotations

from collections.abc import Iterable
from itertools import groupby
from typing import Final, Literal

from msgspec import Struct

from mock_server.core.faults import FRAMING_MEANINGS, STAGE_MEANINGS, TABLE
from mock_server.page.elements import Html, join, prose, sentence, tag

FieldKind = Literal["text", "integer", "number", "switch", "choice", "lines", "fault"]
Part = Literal["path", "body", "query"]


KEYS: Final = "known-keys"
PLAN_NAMES: Final = "known-plans"
PROVIDERS: Final = "known-providers"
MODELS: Final = "known-models"
TESTS: Final = "known-tests"
"""Ids of the lists that fields may suggest from."""


class Field(Struct, frozen=True):
    """One value of a request; ``name`` is its path there, as `match.text`. What is left empty is absent.

    ``choices`` are all there is to choose, ``suggests`` is the id of a list of what could be meant. ``least`` and
    ``most`` bound a number. ``nullable``: null means something. ``default`` is what holds where it is absent.
    """

    name: str
    kind: FieldKind
    meaning: str = ""
    part: Part = "body"
    required: bool = False
    nullable: bool = False
    choices: tuple[str, ...] = ()
    suggests: str = ""
    least: float | None = None
    most: float | None = None
    default: str = ""

    @property
    def group(self) -> str:
        """What it is a part of; empty where it stands by itself."""
        return self.name.rpartition(".")[0]


class Form(Struct, frozen=True):
    """One operation: its method, its path with fields in braces, what it does, and what it takes.

    ``without_test`` is what it is about without a test id. ``label`` names the button; ``fixed`` is a body, as JSON,
    that leaves nothing to fill in. ``twice`` wants the button pressed twice.
    """

    name: str
    method: str
    path: str
    meaning: str
    without_test: str
    label: str
    fields: tuple[Field, ...] = ()
    fixed: str = ""
    twice: bool = False


def rendered(form: Form, *, bare: bool = False) -> Html:
    """The form, its `curl` line, and a place for what it was answered; ``bare``: without its meaning."""
    reach = tag("span", f" Without a test id it is about {form.without_test}.", class_="reach")
    main = form.method == "POST" and bool(form.fields)
    return tag(
        "form",
        "" if bare else tag("p", sentence(form.meaning), reach, class_="meaning"),
        *(_group(form, name, list(fields)) for name, fields in groupby(form.fields, lambda field: field.group)),
        tag(
            "div",
            tag("button", form.label, type="submit", class_="primary" if main else "plain"),
            _curl(form.label),
            class_="do",
        ),
        tag("output", aria_label=f"Answer to: {form.label}"),
        id=f"form-{form.name}",
        class_="operation",
        data_method=form.method,
        data_path=form.path,
        data_fixed=form.fixed or False,
        data_twice=form.twice,
        aria_label=form.label,
    )


def _curl(label: str) -> Html:
    copy = tag("button", "Copy", type="button", class_="copy", aria_label=f"Copy the curl line of: {label}")
    line = tag("pre", tag("code"), tabindex="0", role="region", aria_label=f"curl line of: {label}")
    return tag("div", line, copy, class_="curl")


def _group(form: Form, name: str, fields: Iterable[Field]) -> Html:
    """The fields by themselves, or folded away where they are parts of one."""
    inputs = tag("div", *(labelled(field, f"{form.name}-{field.name}") for field in fields), class_="fields")
    return tag("details", tag("summary", tag("code", name)), inputs, class_="group") if name else inputs


def labelled(field: Field, ident: str) -> Html:
    """A field with its name, as the control plane has it, and its meaning."""
    if field.kind == "fault":
        return _directive(field, ident)
    hint = tag("p", prose(field.meaning), class_="hint", id=f"{ident}-hint") if field.meaning else ""
    control = _control(field, ident, described=bool(hint))
    label = tag("label", tag("code", field.name.rpartition(".")[2]), for_=ident)
    return tag("div", label, join(control, _null(field, ident)), hint, class_="field")


def _control(field: Field, ident: str, *, described: bool) -> Html:
    common: dict[str, str | bool] = {
        "id": ident,
        "name": field.name,
        "data_kind": field.kind,
        "data_part": field.part,
        "required": field.required,
        "aria_describedby": f"{ident}-hint" if described else False,
    }
    if field.choices:
        none = () if field.required else ("",)
        return tag("select", *(tag("option", word or "–", value=word) for word in (*none, *field.choices)), **common)
    if field.kind == "lines":
        return tag("textarea", rows="2", spellcheck="false", placeholder="Name: value", **common)
    numeric = field.kind in ("integer", "number")
    return tag(
        "input",
        type="number" if numeric else "text",
        step=("any" if field.kind == "number" else "1") if numeric else False,
        min=_bound(field.least),
        max=_bound(field.most),
        list=field.suggests or False,
        placeholder=field.default or False,
        autocomplete="off",
        autocapitalize="none",
        spellcheck="false",
        **common,
    )


def _bound(number: float | None) -> str | Literal[False]:
    return False if number is None else f"{number:.15g}"


def _null(field: Field, ident: str) -> Html:
    """A box that says null where that means something, as an empty field is absent."""
    if not field.nullable:
        return Html("")
    box = tag("input", type="checkbox", id=f"{ident}-null", data_null=field.name)
    return tag("label", box, " ", tag("code", "null"), class_="check")


def _directive(field: Field, ident: str) -> Html:
    """The parts of a directive, as its grammar names them; the stages offered are those the kind can strike at."""
    parts = (
        tag(
            "select",
            tag("option", "–", value=""),
            *(
                tag(
                    "option",
                    kind,
                    value=kind,
                    data_stages=" ".join(dict.fromkeys(row.plain + row.stream)),
                    data_for=row.takes_for,
                    data_meaning=row.meaning,
                )
                for kind, row in TABLE.items()
            ),
            id=f"{ident}-kind",
            data_directive="",
            aria_describedby=f"{ident}-hint",
        ),
        _words(f"{ident}-stage", "stage", STAGE_MEANINGS.items()),
        tag("input", type="number", min="1", step="1", id=f"{ident}-after", data_directive="after"),
        tag("input", type="number", min="0", step="any", id=f"{ident}-for", data_directive="for"),
        _words(f"{ident}-framing", "framing", FRAMING_MEANINGS.items()),
    )
    names = ("kind", "stage", "after", "for", "framing")
    fields = (
        tag("div", tag("label", tag("code", name), for_=f"{ident}-{name}"), part, class_="field")
        for name, part in zip(names, parts, strict=True)
    )
    return tag(
        "fieldset",
        tag("legend", tag("code", field.name)),
        tag("div", *fields, class_="fields"),
        tag("p", prose(field.meaning), class_="hint", id=f"{ident}-hint"),
        class_="directive",
        id=ident,
        data_name=field.name,
        data_part=field.part,
    )


def _words(ident: str, option: str, meanings: Iterable[tuple[str, str]]) -> Html:
    words = (tag("option", word, value=word, title=meaning) for word, meaning in meanings)
    return tag("select", tag("option", "–", value=""), *words, id=ident, data_directive=option)

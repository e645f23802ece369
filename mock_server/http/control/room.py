"""The control room's page: its forms made from the control plane's table, and its files to serve.

The files hold nothing of what the mock knows, so that they need no token; all that they show they ask the control
plane for, which does.
"""

from __future__ import annotations

import json
from collections.abc import Container, Iterable, Iterator
from functools import cache
from typing import Final

import msgspec.inspect as mi
from msgspec.structs import replace

from mock_server.contract.errors import FORCED
from mock_server.edge.journal import Entry
from mock_server.http.control.asked import fields_of
from mock_server.http.control.document import IN_PATH
from mock_server.http.control.journal import RequestFilter
from mock_server.http.control.steering import ClockChange
from mock_server.http.control.table import OPERATIONS, PREFIX, Operation
from mock_server.page.room import document as page
from mock_server.page.room.forms import KEYS, MODELS, PLAN_NAMES, PROVIDERS, Field, FieldKind, Form, Part
from mock_server.page.room.panels import Room
from mock_server.schema import bare

_STATUSES: Final = frozenset({"code"})
"""Fields of a body that are a status which can be forced."""
_DIRECTIVES: Final = frozenset({"fault"})
"""Fields of a body that are a directive, of several parts."""
_SUGGESTED: Final = {
    "key": KEYS,
    "plan": PLAN_NAMES,
    "provider": PROVIDERS,
    "model": MODELS,
    "name": MODELS,
}
"""The list that a text is suggested from, by the name of its field."""
_CHAPTERS: Final = {
    "Clock": ("steer_clock",),
    "Faults": ("queue_fault", "clear_faults"),
    "Incidents": ("start_incident", "end_incidents"),
    "Accounts": ("show_account", "change_account"),
    "Providers": ("change_provider",),
    "Reset": ("reset",),
}
"""What can be steered, in the order of the page: operations by their names in the table."""
_LABELS: Final = {
    "queue_fault": "Queue the fault",
    "clear_faults": "Remove the queued faults",
    "start_incident": "Start the incident",
    "end_incidents": "End all incidents",
    "show_account": "Show the account",
    "change_account": "Change the account",
    "change_provider": "Change the provider",
    "attest_outcome": "Attest the outcome",
    "reset": "Reset",
}


ROOM_HEADERS: Final = {
    "Content-Security-Policy": page.POLICY,
    "Cache-Control": "no-cache",
    "Cross-Origin-Resource-Policy": "same-origin",
    "Referrer-Policy": "no-referrer",
    "X-Content-Type-Options": "nosniff",
    "X-Frame-Options": "DENY",
}
"""With what every file of it is served: no other page may show it in a frame, where clicks could be led to it."""


@cache
def room_files() -> dict[str, tuple[str, bytes]]:
    """The page and its files by their paths below it, each with its media type; the page's own path is empty."""
    by_name = {operation.name: operation for operation in OPERATIONS}
    forms = {
        title: tuple(form for name in names for form in forms_of(by_name[name])) for title, names in _CHAPTERS.items()
    }
    (attest,) = forms_of(by_name["attest_outcome"])
    filters = tuple(_fields(fields_of(RequestFilter), "query", without=("test",)))
    entry = {field.encode_name: bare(field.type)[1] for field in fields_of(Entry)}
    asked = {name: (operation.method, _path(operation)) for name, operation in by_name.items()}
    return page.room_files(Room(filters, entry, forms, attest, asked))


def forms_of(operation: Operation) -> Iterator[Form]:
    """One form for an operation; where its body is exactly one action of several, one for each of these."""
    path = [Field(name, "text", part="path", required=True, suggests=_suggested(name)) for name in _in_path(operation)]
    body = [] if operation.body is None else [*_fields(fields_of(operation.body), without=("match.test",))]
    if operation.body is not ClockChange:
        yield _form(operation, operation.name, _LABELS[operation.name], *path, *body)
        return
    for field in body:
        name, label = f"{operation.name}-{field.name}", field.name.capitalize()
        if field.kind == "switch":
            yield replace(_form(operation, name, label), fixed=json.dumps({field.name: True}))
        else:
            yield _form(operation, name, label, replace(field, required=True))


def _form(operation: Operation, name: str, label: str, *fields: Field) -> Form:
    return Form(
        name,
        operation.method,
        _path(operation),
        operation.meaning,
        operation.without_test,
        label,
        fields,
        "" if fields or operation.body is None else "{}",
        twice=operation.name == "reset",
    )


def _path(operation: Operation) -> str:
    return PREFIX + IN_PATH.sub(r"{\1}", operation.path)


def _in_path(operation: Operation) -> list[str]:
    return IN_PATH.findall(operation.path)


def _fields(
    fields: Iterable[mi.Field], part: Part = "body", within: str = "", *, without: Container[str] = ()
) -> Iterator[Field]:
    """The fields of a struct, those that are structs themselves behind the others."""
    inner = list[tuple[str, mi.StructType]]()
    for field in fields:
        name, (kind, meaning) = f"{within}{field.encode_name}", bare(field.type)
        if isinstance(kind, mi.StructType):
            inner.append((name, kind))
        elif name not in without:
            yield _field(name, kind, meaning, field, part)
    for name, struct in inner:
        yield from _fields(struct.fields, part, f"{name}.", without=without)


def _field(name: str, kind: mi.Type, meaning: str, field: mi.Field, part: Part) -> Field:
    shape, choices = _shape(kind)
    if name in _DIRECTIVES and part == "body":
        shape = "fault"
    if name in _STATUSES and part == "body":
        choices = tuple(map(str, sorted(FORCED)))
    number = kind if isinstance(kind, mi.IntType | mi.FloatType) else mi.IntType()
    default = field.default if isinstance(field.default, str | int | float) else None
    return Field(
        name,
        shape,
        meaning,
        part,
        field.required,
        nullable=default is None and field.default is not None and _may_be_null(field.type),
        choices=choices,
        suggests=_suggested(name) if shape == "text" else "",
        least=number.ge,
        most=number.le,
        default="" if default is None else json.dumps(default).strip('"'),
    )


def _shape(kind: mi.Type) -> tuple[FieldKind, tuple[str, ...]]:
    """How a value is asked for, and what there is to choose."""
    match kind:
        case mi.BoolType():
            return "switch", ("true", "false")
        case mi.LiteralType():
            return "choice", tuple(map(str, kind.values))
        case mi.IntType():
            return "integer", ()
        case mi.FloatType():
            return "number", ()
        case mi.DictType():
            return "lines", ()
    return "text", ()


def _suggested(name: str) -> str:
    return _SUGGESTED.get(name.rpartition(".")[2], "")


def _may_be_null(wanted: mi.Type) -> bool:
    inner = wanted.type if isinstance(wanted, mi.Metadata) else wanted
    return isinstance(inner, mi.UnionType) and any(isinstance(kind, mi.NoneType) for kind in inner.types)

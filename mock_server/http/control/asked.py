"""What a request to the control plane asks, checked: its test id, query and body, or one clear mistake."""

from __future__ import annotations

import re
from collections.abc import Awaitable, Callable, Iterable, Mapping
from typing import Any, Final, NoReturn, TypeVar
from urllib.parse import parse_qsl

import msgspec
import msgspec.inspect as mi
from msgspec import Struct

from mock_server.contract.errors import NOT_FOUND, Refusal
from mock_server.edge.request import bad_directive
from mock_server.schema import bare, find_fault, type_info

_WHOLE: Final = re.compile(r"-?[0-9]{1,15}")
_NUMBER: Final = re.compile(r"-?[0-9]{1,15}(\.[0-9]{1,15})?")

S = TypeVar("S", bound=Struct)


class MistakeError(ValueError):
    """What is asked cannot be done; ``refusal`` says why and what is allowed."""

    def __init__(self, refusal: Refusal) -> None:
        super().__init__(refusal.message)
        self.refusal = refusal


class Nothing(Struct, frozen=True, forbid_unknown_fields=True):
    """No settings."""


class Asked(Struct, frozen=True):
    """One request. ``test`` is None where `X-Mock-Test` is absent; ``gone`` waits until the client has left."""

    test: str | None
    path: Mapping[str, str]
    query: Any
    body: Any
    gone: Callable[[], Awaitable[None]]


def mistake(reason: str) -> NoReturn:
    """Refuse with a 400 that says why."""
    raise MistakeError(bad_directive(reason))


def not_found(reason: str) -> NoReturn:
    """Refuse with a 404 that says what there is."""
    raise MistakeError(Refusal(NOT_FOUND, f"{NOT_FOUND.message}: {reason}"))


def read_query(query: bytes, wanted: type[S]) -> S:
    """The query string as ``wanted``. Raises :class:`MistakeError`."""
    kinds = {field.encode_name: bare(field.type)[0] for field in fields_of(wanted)}
    found: dict[str, object] = {}
    for name, text in parse_qsl(query.decode("latin-1"), keep_blank_values=True):
        if name in found:
            mistake(f"?{name[:40]}= is given twice")
        found[name] = _value(text, kinds.get(name))
    if not kinds and found:
        mistake(f"no query parameters are known here, but {next(iter(found))[:40]!r} is given")
    return _convert(found, wanted)


def read_json(body: bytes, wanted: type[S]) -> S:
    """A body as ``wanted``; an empty one is an empty object. Raises :class:`MistakeError`."""
    try:
        value = msgspec.json.decode(body) if body.strip() else {}
    except (msgspec.DecodeError, UnicodeDecodeError, RecursionError, ValueError) as error:
        mistake(f"the body is not valid JSON: {str(error)[:80]}")
    if not isinstance(value, dict):
        mistake("the body must be a JSON object")
    return _convert(value, wanted)


def fields_of(wanted: type[Struct]) -> Iterable[mi.Field]:
    """The fields of a struct type."""
    kind = type_info(wanted)
    assert isinstance(kind, mi.StructType)
    return kind.fields


def _value(text: str, kind: mi.Type | None) -> object:
    """A value of the query string as the type it is to have, or as it stands where it is none."""
    match kind:
        case mi.IntType() if _WHOLE.fullmatch(text):
            return int(text)
        case mi.FloatType() if _NUMBER.fullmatch(text):
            return float(text)
        case mi.BoolType() if text in ("true", "false"):
            return text == "true"
    return text


def _convert(value: Mapping[str, object], wanted: type[S]) -> S:
    if fault := find_fault(value, wanted):
        mistake(fault)
    try:
        return msgspec.convert(value, wanted)
    except msgspec.ValidationError as error:
        mistake(str(error)[:200])

"""Checks parsed TOML against a msgspec type and says exactly where it is wrong and what is allowed there.

msgspec itself converts and checks, but its messages hide the names of table keys; this walks the same types to find
the first fault again and to name it. The settings reference in the documentation is made from the same walk.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping, Sequence
from difflib import get_close_matches
from functools import cache
from typing import Final, NamedTuple, TypeAlias

import msgspec.inspect as mi
from msgspec import NODEFAULT, Struct

# What `--time-scale` may be: beyond it durations are no longer told apart, or last for ever.
LEAST_TIME_SCALE: Final = 1e-6
MOST_TIME_SCALE: Final = 1000.0
_SHOWN_OF_A_KEY: Final = 4
_SHOWN_CHARS: Final = 60
_LONG: Final = 10**30

type_info: Final = cache(mi.type_info)
"""What msgspec knows of a type; asked for once, as it takes a millisecond."""

KeyPath: TypeAlias = tuple[str | int, ...]


class Setting(Struct, frozen=True):
    """One setting: its path, what it may be, its default as TOML (empty: required), and what it means."""

    path: str
    allowed: str
    default: str
    meaning: str


class Fault(NamedTuple):
    """What is wrong at ``path``, the keys and indices that lead there, and what is allowed instead."""

    path: KeyPath
    said: str

    def __str__(self) -> str:
        return f"{path_text(self.path) or 'the file'}: {self.said}"


def faults(value: object, wanted: type[Struct]) -> Iterator[Fault]:
    """Everything by which ``value`` is not of the type, in the order of the value and then of the type."""
    return _faults(value, type_info(wanted), ())


def find_fault(value: object, wanted: type[Struct]) -> str | None:
    """The first fault of ``value`` as ``path: what is wrong, what is allowed``; None when there is none."""
    return next(map(str, faults(value, wanted)), None)


def nearest(name: str, known: Iterable[str]) -> str | None:
    """What is nearest to a name, whatever the case of its letters; None where nothing is near."""
    folded = {one.casefold(): one for one in known}
    near = get_close_matches(name.casefold(), folded, n=1)
    return folded[near[0]] if near else None


def did_you_mean(name: str, known: Iterable[str]) -> str:
    """A question that names what is nearest to ``name``, with a space after it; empty where nothing is near."""
    near = nearest(name, known)
    return "" if near is None else f"did you mean {near!r}? "


def settings_of(wanted: type[Struct]) -> Iterator[Setting]:
    """Every setting below a struct type, depth first."""
    yield from _settings(type_info(wanted), "")


def _settings(wanted: mi.Type, path: str) -> Iterator[Setting]:
    kind, _ = bare(wanted)
    if isinstance(kind, mi.StructType):
        for field in kind.fields:
            here = f"{path}.{field.encode_name}".lstrip(".")
            inner, meaning = bare(field.type)
            if isinstance(inner, mi.StructType | mi.DictType | mi.VarTupleType) and list(_settings(inner, here)):
                yield from _settings(inner, here)
            else:
                yield Setting(here, describe(field.type), _default(field), meaning)
    elif isinstance(kind, mi.DictType):
        yield from _settings(kind.value_type, f"{path}.<name>")
    elif isinstance(kind, mi.VarTupleType):
        yield from _settings(kind.item_type, f"{path}[]")


def _default(field: mi.Field) -> str:
    if field.required:
        return ""
    value = field.default if field.default is not NODEFAULT else None
    if isinstance(value, bool):
        return str(value).lower()
    return "absent" if value is None or value == () else repr(value).replace("'", '"')


def bare(wanted: mi.Type) -> tuple[mi.Type, str]:
    """The type without its metadata and without null, and its description."""
    meaning = ""
    while isinstance(wanted, mi.Metadata):
        meaning = meaning or (wanted.extra_json_schema or {}).get("description", "")
        wanted = wanted.type
    if isinstance(wanted, mi.UnionType):
        others = [kind for kind in wanted.types if not isinstance(kind, mi.NoneType)]
        if len(others) == 1:
            inner, inner_meaning = bare(others[0])
            return inner, meaning or inner_meaning
    return wanted, meaning


def _faults(value: object, wanted: mi.Type, path: KeyPath) -> Iterator[Fault]:
    if value is None and _may_be_null(wanted):
        return
    kind, _ = bare(wanted)
    if isinstance(kind, mi.UnionType):
        kind = _tagged(value, kind) or kind
    if isinstance(kind, mi.StructType) and isinstance(value, Mapping):
        yield from _struct_faults(value, kind, path)
    elif isinstance(kind, mi.DictType) and isinstance(value, Mapping):
        yield from _dict_faults(value, kind, path)
    elif isinstance(kind, mi.VarTupleType) and isinstance(value, Sequence) and not isinstance(value, str):
        for index, item in enumerate(value):
            yield from _faults(item, kind.item_type, (*path, index))
        if kind.min_length and len(value) < kind.min_length:
            yield Fault(path, f"needs at least {kind.min_length} entries")
    elif value == "" and isinstance(kind, mi.StrType) and kind.min_length:
        yield Fault(path, "must not be empty")
    elif not _accepts(value, kind):
        yield Fault(path, f"must be {describe(kind)}, not {_shown(value, path)}{_near(value, kind)}")


def _dict_faults(value: Mapping[str, object], kind: mi.DictType, path: KeyPath) -> Iterator[Fault]:
    if kind.min_length and len(value) < kind.min_length:
        yield Fault(path, f"needs at least {kind.min_length} entry")
    for key, item in value.items():
        if isinstance(key_type := bare(kind.key_type)[0], mi.LiteralType) and key not in key_type.values:
            allowed = f"allowed are {', '.join(map(str, key_type.values))}"
            yield Fault((*path, key), f"unknown key; {allowed}{_near(key, key_type)}")
        yield from _faults(item, kind.value_type, (*path, key))


def _near(value: object, kind: mi.Type) -> str:
    """The allowed word that a misspelt one may have meant."""
    words = [word for word in kind.values if isinstance(word, str)] if isinstance(kind, mi.LiteralType) else []
    hint = did_you_mean(value, words) if isinstance(value, str) else ""
    return f"; {hint.strip()}" if hint else ""


def _may_be_null(wanted: mi.Type) -> bool:
    """Whether JSON's null is allowed; TOML has none."""
    while isinstance(wanted, mi.Metadata):
        wanted = wanted.type
    return isinstance(wanted, mi.UnionType) and any(isinstance(kind, mi.NoneType) for kind in wanted.types)


def _struct_faults(value: Mapping[str, object], kind: mi.StructType, path: KeyPath) -> Iterator[Fault]:
    fields = {field.encode_name: field for field in kind.fields}
    tag = {kind.tag_field} if kind.tag_field else set()
    for key in value:
        if key not in fields and key not in tag:
            yield Fault((*path, key), f"unknown key: {did_you_mean(key, fields)}allowed are {', '.join(fields)}")
    for name, field in fields.items():
        if name in value:
            yield from _faults(value[name], field.type, (*path, name))
        elif field.required:
            yield Fault((*path, name), f"is missing; it must be {describe(field.type)}")


def _tagged(value: object, union: mi.UnionType) -> mi.StructType | None:
    for kind in union.types:
        if isinstance(kind, mi.StructType) and isinstance(value, Mapping) and value.get(kind.tag_field) == kind.tag:
            return kind
    return None


def _accepts(value: object, kind: mi.Type) -> bool:
    if isinstance(kind, mi.AnyType):
        return True
    if isinstance(kind, mi.LiteralType):
        return value in kind.values and not isinstance(value, bool)
    if isinstance(kind, mi.BoolType):
        return isinstance(value, bool)
    if isinstance(kind, mi.StrType):
        return isinstance(value, str)
    if isinstance(kind, mi.IntType | mi.FloatType):
        number = int if isinstance(kind, mi.IntType) else (int | float)
        return isinstance(value, number) and not isinstance(value, bool) and _within(value, kind)
    return False


def _within(value: float, kind: mi.IntType | mi.FloatType) -> bool:
    return (
        (kind.ge is None or value >= kind.ge)
        and (kind.gt is None or value > kind.gt)
        and (kind.le is None or value <= kind.le)
        and (kind.lt is None or value < kind.lt)
    )


_NAMES: Final[tuple[tuple[type[mi.Type], str], ...]] = (
    (mi.StructType, "a table"),
    (mi.DictType, "a table"),
    (mi.VarTupleType, "an array"),
    (mi.StrType, "a string"),
    (mi.BoolType, "true or false"),
)


def describe(wanted: mi.Type) -> str:
    """What a value of this type may be, in words."""
    kind, _ = bare(wanted)
    if isinstance(kind, mi.LiteralType):
        return "one of " + ", ".join(map(str, kind.values))
    if isinstance(kind, mi.IntType | mi.FloatType):
        limits = [
            f"{sign} {limit:g}"
            for sign, limit in ((">=", kind.ge), (">", kind.gt), ("<=", kind.le), ("<", kind.lt))
            if limit is not None
        ]
        noun = "an integer" if isinstance(kind, mi.IntType) else "a number"
        return " ".join([noun, " and ".join(limits)]).strip()
    if isinstance(kind, mi.UnionType):
        tags = [f'{{ {k.tag_field} = "{k.tag}", … }}' for k in kind.types if isinstance(k, mi.StructType)]
        return "one of " + ", ".join(tags)
    return next((name for known, name in _NAMES if isinstance(kind, known)), "another type")


def path_text(path: KeyPath) -> str:
    """A path as people write it: ``models.'a/b'.ttft``, ``incidents[0].match``."""
    text = ""
    for step in path:
        text = f"{text}[{step}]" if isinstance(step, int) else join(text, step)
    return text


def join(path: str, name: str) -> str:
    """The path of ``name`` below ``path``; a name that is no bare word is quoted, so that a path is one line.

    Names of accounts, and of a workload's keys, are API keys: of these only the last four characters are shown.
    """
    if path in ("accounts", "workload.keys") and len(name) > _SHOWN_OF_A_KEY:
        name = "…" + name[-_SHOWN_OF_A_KEY:]
    name = name[:_SHOWN_CHARS]
    shown = name if name.replace("_", "").replace("-", "").removeprefix("…").isalnum() else repr(name)
    return f"{path}.{shown}" if path else shown


def _shown(value: object, path: KeyPath) -> str:
    if path[-1:] == ("key",):
        return "this"
    if isinstance(value, int) and abs(value) >= _LONG:
        return "a longer number"
    if isinstance(value, Mapping):
        return f"{{ {', '.join(f'{k} = {v!r}' for k, v in value.items())} }}"[:80]
    return str(value).lower() if isinstance(value, bool) else repr(value)[:80]

"""World files: TOML to a checked :class:`World`, with messages that name file, key and what is allowed."""

from __future__ import annotations

import re
import tomllib
from collections.abc import Callable
from functools import partial
from importlib.resources import files
from importlib.resources.abc import Traversable
from pathlib import Path
from typing import Any, Final

import msgspec

from mock_server.contract.accounts import PLANS
from mock_server.core.canned import ActiveAnswer
from mock_server.core.faults import FaultError
from mock_server.core.latency import Empirical, Law, LognormalLatency
from mock_server.core.rules import compile_rule
from mock_server.core.world import World, built_in_accounts
from mock_server.impossible import never_answers, never_happens, never_strikes, shadowed, shadowed_answer
from mock_server.schema import did_you_mean, find_fault, join, nearest

DEFAULT_WORLD: Final = "realistic"
_API_KEY: Final = re.compile(r"[\x21-\x7e\xa1-\xff]([ \x21-\x7e\xa1-\xff]*[\x21-\x7e\xa1-\xff])?")

Table = dict[str, Any]


class WorldError(ValueError):
    """A world that cannot be used; the message is one line that says where, what and what is allowed."""


def preset_names() -> tuple[str, ...]:
    """The worlds that ship with the mock, the default first."""
    names = sorted(entry.name.removesuffix(".toml") for entry in _presets().iterdir() if entry.name.endswith(".toml"))
    return (DEFAULT_WORLD, *(name for name in names if name != DEFAULT_WORLD))


def preset_source(name: str) -> str:
    """The TOML of a preset. Raises :class:`WorldError` when there is none of that name."""
    if name not in preset_names():
        hint = did_you_mean(name, preset_names())
        msg = f"no world {name!r}: {hint}worlds are {', '.join(preset_names())}, or the path of a .toml file"
        raise WorldError(msg)
    return _presets().joinpath(f"{name}.toml").read_text(encoding="utf-8")


def _presets() -> Traversable:
    return files("mock_server").joinpath("presets")


def load_world(name_or_path: str) -> World:
    """A preset by name, or a file by path. Raises :class:`WorldError`."""
    return build_world(read_source(name_or_path), name_or_path)


def read_source(name_or_path: str) -> str:
    """The TOML of a preset or of a file; what has a slash or ends in .toml is a path."""
    if "/" not in name_or_path and not name_or_path.endswith(".toml"):
        return preset_source(name_or_path)
    try:
        return Path(name_or_path).read_text(encoding="utf-8")
    except OSError as error:
        msg = f"{name_or_path}: {(error.strerror or str(error)).lower()}: cannot read the world file"
        raise WorldError(msg) from None
    except UnicodeDecodeError as error:
        msg = f"{name_or_path}: not UTF-8 at byte {error.start}: a world file is UTF-8 text"
        raise WorldError(msg) from None


def build_world(source: str, name: str) -> World:
    """Parse ``source``, lay it over the world it extends, and check it. ``name`` is for messages."""
    table = _merged(source, name, ())
    try:
        world = msgspec.convert(table, World)
    except msgspec.ValidationError as error:
        raise WorldError(f"{name}: {find_fault(table, World) or error}{_hint(table)}") from None
    plans, accounts = {**PLANS, **world.plans}, {**built_in_accounts(), **world.accounts}
    world = msgspec.structs.replace(world, plans=plans, accounts=accounts)
    _check_names(world, name)
    return world


def _merged(source: str, name: str, seen: tuple[str, ...]) -> Table:
    try:
        table = tomllib.loads(source)
    except tomllib.TOMLDecodeError as error:
        msg = f"{name}: not valid TOML: {str(error)[:1].lower()}{str(error)[1:]}"
        raise WorldError(msg) from None
    except RecursionError:
        msg = f"{name}: nested too deeply"
        raise WorldError(msg) from None
    base = table.pop("extends", None)
    if base is None:
        return table
    if not isinstance(base, str) or base not in preset_names():
        msg = f"{name}: extends must name one of {', '.join(preset_names())}, not {base!r}"
        raise WorldError(msg)
    if base in seen:
        msg = f"{name}: extends {base!r}, which extends it in turn"
        raise WorldError(msg)
    return _overlay(_merged(preset_source(base), base, (*seen, base)), table)


def _overlay(below: Table, above: Table) -> Table:
    """Tables merge key by key; everything else is replaced, and so is a table that names another law."""
    merged = dict(below)
    for key, value in above.items():
        old = merged.get(key)
        if isinstance(old, dict) and isinstance(value, dict) and "law" not in value:
            value = _overlay(old, value)
        merged[key] = value
    return merged


def _hint(table: Table) -> str:
    """What a world without models, or with half a model, may have been meant to be."""
    models = table.get("models")
    if models is None:
        return f'; start from a world that ships with the mock: extends = "{DEFAULT_WORLD}"'
    if not isinstance(models, dict):
        return ""
    whole = [name for name, model in models.items() if isinstance(model, dict) and "ttft" in model]
    return "".join(_near_model(name, whole) for name in models if name not in whole)


def _near_model(name: str, whole: list[str]) -> str:
    """The model, or at least the provider, that half a model may have been meant for."""
    if (near := nearest(name, whole)) is not None:
        return f"; did you mean the model {near!r}?"
    provider, providers = name.partition("/")[0], [one.partition("/")[0] for one in whole]
    near = None if provider in providers else nearest(provider, providers)
    return "" if near is None else f"; did you mean the provider {near!r}?"


def _check_names(world: World, name: str) -> None:
    """Names that refer to each other must exist."""
    for key, account in world.accounts.items():
        if _API_KEY.fullmatch(key) is None:
            where = join("accounts", key)
            msg = f"{name}: {where}: no header can carry this key: keys are of visible characters, ASCII or Latin-1"
            raise WorldError(msg)
        if account.plan not in world.plans:
            where, known = join("accounts", key), ", ".join(world.plans)
            msg = f"{name}: {where}.plan names no plan: {account.plan!r}; plans are {known}"
            raise WorldError(msg)
    for model, settings in world.models.items():
        provider, slash, rest = model.partition("/")
        if not (provider and slash and rest):
            msg = f"{name}: models.{model!r} must be named provider/model"
            raise WorldError(msg)
        if fault := _contradiction(settings.ttft):
            msg = f"{name}: models.{model!r}.ttft.{fault}"
            raise WorldError(msg)
    _check_rules(world, name)
    for index, incident in enumerate(world.incidents):
        if why := never_happens(incident, world, paced=world.latency_scale > 0):
            msg = f"{name}: incidents[{index}].{why}"
            raise WorldError(msg)
        if incident.every is not None and incident.lasts is None:
            msg = f"{name}: incidents[{index}].every needs a `for`: how long each one lasts"
            raise WorldError(msg)
        if incident.ramp and incident.lasts is None:
            msg = f"{name}: incidents[{index}].ramp needs a `for`: when the recovery begins"
            raise WorldError(msg)


def _check_rules(world: World, name: str) -> None:
    """Faults and canned answers must be clear, and about calls that there can be."""
    checks: list[tuple[str, Callable[[], object]]] = [
        *((f"faults[{index}]", partial(compile_rule, rule)) for index, rule in enumerate(world.faults)),
        *((f"answers[{index}]", partial(ActiveAnswer, rule)) for index, rule in enumerate(world.answers)),
    ]
    for where, build in checks:
        try:
            build()
        except FaultError as error:
            msg = f"{name}: {where}: {error}"
            raise WorldError(msg) from None
    replies = [reply for rule in world.answers for reply in rule.replies]
    never = [
        *((f"faults[{index}]", never_strikes(rule, world, replies)) for index, rule in enumerate(world.faults)),
        *((f"answers[{index}]", never_answers(rule, world)) for index, rule in enumerate(world.answers)),
        *((f"faults[{index}]", shadowed(index, world.faults)) for index in range(len(world.faults))),
        *((f"answers[{index}]", shadowed_answer(index, world.answers)) for index in range(len(world.answers))),
    ]
    for where, why in never:
        if why is not None:
            msg = f"{name}: {where}{'.' if why.startswith(('match.', 'rate ')) else ': '}{why}"
            raise WorldError(msg)


def _contradiction(law: Law) -> str | None:
    """What makes a law impossible, as ``setting: why``."""
    match law:
        case LognormalLatency(median_ms=median, p95_ms=high) if high < median:
            return f"p95_ms: must be at least median_ms, {median:g}, not {high:g}"
        case Empirical(quantiles_ms=quantiles) if list(quantiles) != sorted(quantiles):
            return "quantiles_ms: must not decrease"
    return None

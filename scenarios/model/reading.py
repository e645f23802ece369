"""From the text of a scenario file to a scenario; every mistake names line, key and what is allowed."""

from __future__ import annotations

from difflib import get_close_matches
from typing import Any, Final

import msgspec

from mock_server.schema import Fault, KeyPath, faults
from reports.gate import GateError, gates_of
from scenarios.model.load import Stages
from scenarios.model.scenario import Scenario, impossible
from scenarios.model.toml import TomlError, line_of, parse

_KINDS: Final = ("open", "closed", "script")
# What may stand in [load] beside its stages, for all of them.
_SHARED: Final = ("kind", "arrivals", "burstiness")

Table = dict[str, Any]


class ScenarioError(ValueError):
    """A scenario that cannot be used: one line that says where, what, and what is allowed."""


def read_scenario(source: str, name: str) -> Scenario:
    """The scenario that a TOML text describes; ``name`` is how its file is called in messages."""
    try:
        written = parse(source)
    except TomlError as error:
        raise ScenarioError(f"{name}{f':{error.line}' if error.line else ''}: {error}") from None
    read = _read(written)
    if isinstance(read, Fault):
        line = line_of(source, _where(written, read.path))
        raise ScenarioError(f"{name}:{line}: {read}{_moved(read)}")
    return read


def _read(written: Table) -> Scenario | Fault:
    fault = _load_fault(written.get("load"))
    if fault is not None:
        return fault
    table = {**written, "load": _load_table(written["load"])}
    # Gates are read by those who judge them.
    fault = next(faults({**table, "gate": []}, Scenario), None) or _gates_fault(written.get("gate", []))
    if fault is not None:
        return fault
    try:
        scenario = msgspec.convert(table, Scenario)
    except msgspec.ValidationError as error:
        return Fault((), str(error))
    if isinstance(scenario.load, Stages) and scenario.duration_s is None:
        scenario = msgspec.structs.replace(scenario, duration_s=scenario.load.for_s)
    return next(impossible(scenario), scenario)


def _load_fault(load: object) -> Fault | None:
    """What the types cannot tell of [load]: which of them it is."""
    if not isinstance(load, dict):
        what = "is missing" if load is None else "must be a table, not this"
        return Fault(("load",), f"{what}; write [load], or [[load.stages]] for each stage")
    kind = load.get("kind", "open" if "stages" in load else None)
    if kind not in _KINDS:
        said = "is missing; it must be" if kind is None else "must be"
        near = get_close_matches(kind, _KINDS, n=1) if isinstance(kind, str) else []
        shown = "" if kind is None else f", not {kind!r}"
        guess = f"; did you mean {near[0]!r}?" if near else ""
        return Fault(("load", "kind"), f"{said} one of {', '.join(_KINDS)}{shown}{guess}")
    return _stages_fault(load, kind) if "stages" in load else None


def _stages_fault(load: Table, kind: str) -> Fault | None:
    stages = load["stages"]
    if not isinstance(stages, list) or not all(isinstance(stage, dict) for stage in stages):
        return Fault(("load", "stages"), "each stage begins with a line [[load.stages]], in two brackets")
    kinds: list[tuple[KeyPath, object]] = [(("load", "kind"), kind)]
    kinds += [(("load", "stages", index, "kind"), stage.get("kind", "open")) for index, stage in enumerate(stages)]
    for path, given in kinds:
        if given != "open":
            return Fault(path, f"must be open, not {given!r}: only open loads have stages")
    for key in load.keys() - {*_SHARED, "stages"}:
        allowed = f"beside stages there may be {', '.join(_SHARED)}, for all of them"
        return Fault(("load", key), f"unknown key: it belongs to each of the [[load.stages]]; {allowed}")
    return None


def _load_table(load: Table) -> Table:
    """[load] as its type has it: what stands beside stages is given to each."""
    if "stages" not in load:
        return load
    shared = {key: load[key] for key in _SHARED if key in load}
    return {"kind": "stages", "stages": [{**shared, **stage} for stage in load["stages"]]}


def _where(written: Table, path: KeyPath) -> KeyPath:
    """Where a key of a stage was written, which may be beside the stages."""
    if path[:2] == ("load", "stages") and len(path) == 4:
        _, _, index, key = path
        if key in written["load"] and key not in written["load"]["stages"][index]:
            return ("load", key)
    return path


def _gates_fault(tables: object) -> Fault | None:
    try:
        gates_of(tables)
    except GateError as error:
        return Fault(("gate", error.number - 1, *error.key), error.said)
    except ValueError as error:
        return Fault(("gate",), str(error))
    return None


def _moved(fault: Fault) -> str:
    """A hint where a key of the whole file stands below a table's head, which makes it the table's."""
    top = {field.encode_name for field in msgspec.structs.fields(Scenario)}
    if len(fault.path) > 1 and fault.said.startswith("unknown key") and fault.path[-1] in top:
        return f"; {fault.path[-1]} belongs above the first [table]"
    return ""

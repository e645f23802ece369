"""Where scenarios come from: the ones that ship, by name, and any file, by path."""

from __future__ import annotations

import difflib
from importlib.resources import files
from importlib.resources.abc import Traversable
from pathlib import Path
from typing import Final

import msgspec

from scenarios.command.options import UsageError
from scenarios.model.reading import ScenarioError, read_scenario
from scenarios.model.scenario import Scenario

_SUFFIX: Final = ".toml"


def names() -> tuple[str, ...]:
    """The scenarios that ship, in the order of the alphabet."""
    return tuple(sorted(entry.name.removesuffix(_SUFFIX) for entry in _folder().iterdir() if _is_file(entry.name)))


def _folder() -> Traversable:
    return files("scenarios").joinpath("catalogue")


def _is_file(name: str) -> bool:
    return "/" in name or name.endswith(_SUFFIX)


def source_of(name: str) -> str:
    """The text of a scenario; what has a slash or ends in .toml is a path. Raises `UsageError`."""
    if _is_file(name):
        return read_text(Path(name))
    if name in names():
        return _folder().joinpath(name + _SUFFIX).read_text("utf-8")
    near = difflib.get_close_matches(name, names(), n=1, cutoff=0.5)
    guess = f"did you mean {near[0]}? " if near else ""
    raise UsageError(f"unknown scenario {name!r}; {guess}there are {', '.join(names())}, or the path of a .toml file")


def read_text(path: Path) -> str:
    """The text of a user's file; raises `UsageError`."""
    try:
        return path.read_text("utf-8-sig")
    except OSError as error:
        raise UsageError(f"{path}: {error.strerror or error}") from None
    except UnicodeDecodeError as error:
        raise UsageError(f"{path}: not UTF-8 at byte {error.start}; it must be a text file") from None


def find(name: str) -> Scenario:
    """The scenario of a name or a path. A world that is a path is one from where its file is. Raises `UsageError`."""
    source = source_of(name)
    try:
        scenario = read_scenario(source, name if _is_file(name) else name + _SUFFIX)
    except ScenarioError as error:
        raise UsageError(str(error)) from None
    if _is_file(scenario.world) and _is_file(name):
        return msgspec.structs.replace(scenario, world=str(Path(name).parent / scenario.world))
    return scenario

"""The commands of ``load-test``, from the words of the command line to the exit code."""

from __future__ import annotations

import argparse
import importlib
import importlib.util
import sys
from typing import Final

import msgspec

from scenarios.command.console import put
from scenarios.command.options import UsageError, known_scenario, parser
from scenarios.model.catalog import CATALOG, Gate, Scenario

_LOAD_PACKAGES: Final = ("locust", "numpy", "psutil", "pyarrow")


def command(words: list[str]) -> int:
    """Run the command line and return its exit code."""
    try:
        return _dispatch(parser().parse_args(words), words)
    except UsageError as problem:
        print(f"load-test: {problem}", file=sys.stderr)
        return 2


def _dispatch(args: argparse.Namespace, words: list[str]) -> int:
    match args.command:
        case "list":
            return put(_as_json() if args.json else _as_lines())
        case "show":
            return put(_as_text(CATALOG[known_scenario(args.scenario)]))
    missing = [name for name in _LOAD_PACKAGES if importlib.util.find_spec(name) is None]
    if missing:
        raise UsageError('driving load needs more packages: `pip install ".[load]"` in the checkout')
    # Arrow and numpy cost seconds on a cold machine; listing scenarios must not pay for them.
    runner = importlib.import_module("scenarios.command.run")
    if args.command == "recover":
        return int(runner.recover(args))
    known_scenario(args.scenario)
    return int(runner.run(args, ["load-test", *words]))


def _as_lines() -> str:
    width = max(map(len, CATALOG))
    return "\n".join(
        f"{scenario.name:<{width}}  {scenario.description} ({scenario.load}, world {scenario.world})"
        for scenario in CATALOG.values()
    )


def _as_json() -> str:
    return msgspec.json.format(msgspec.json.encode(list(CATALOG.values())), indent=2).decode()


def _as_text(scenario: Scenario) -> str:
    timing = f"warm-up {scenario.warmup_s:g} s; duration {scenario.duration_s:g} s; world {scenario.world}"
    head = f"# {scenario.name}: {scenario.description}\n# load: {scenario.load}; {timing}"
    return "\n\n".join([head, *map(_gate_table, scenario.gates)])


def _gate_table(gate: Gate) -> str:
    """A gate as TOML, whose strings and numbers look as in JSON."""
    lines = [f"{name} = {msgspec.json.encode(value).decode()}" for name, value in msgspec.to_builtins(gate).items()]
    return "\n".join(["[[gate]]", *lines])

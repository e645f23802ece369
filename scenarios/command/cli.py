"""The commands of ``load-test``, from the words of the command line to the exit code."""

from __future__ import annotations

import argparse
import importlib
import importlib.util
from functools import partial
from typing import Final

import msgspec

from mock_server.exits import Exit, complain, guarded
from scenarios.command.catalogue import find, names, source_of
from scenarios.command.console import put
from scenarios.command.options import UsageError, parser

_LOAD_PACKAGES: Final = ("locust", "numpy", "psutil", "pyarrow")


def command(words: list[str]) -> int:
    """Run the command line and return its exit code."""
    return guarded("load-test", partial(_told, words))


def _told(words: list[str]) -> int:
    try:
        return _dispatch(parser().parse_args(words), words)
    except UsageError as problem:
        complain("load-test", problem)
        return Exit.UNUSABLE


def _dispatch(args: argparse.Namespace, words: list[str]) -> int:
    match args.command:
        case "list":
            return put(_as_json() if args.json else _as_lines())
        case "show":
            return put(source_of(args.scenario), end="")
    missing = [name for name in _LOAD_PACKAGES if importlib.util.find_spec(name) is None]
    if missing:
        raise UsageError('driving load needs more packages: `pip install ".[load]"` in the checkout')
    # Arrow and numpy cost seconds on a cold machine; listing scenarios must not pay for them.
    runner = importlib.import_module("scenarios.command.run")
    if args.command == "recover":
        return int(runner.recover(args))
    return int(runner.run(args, ["load-test", *words]))


def _as_lines() -> str:
    width = max(map(len, names()))
    return "\n".join(
        f"{scenario.name:<{width}}  {scenario.description} ({scenario.load}, world {scenario.world})"
        for scenario in map(find, names())
    )


def _as_json() -> str:
    return msgspec.json.format(msgspec.json.encode([find(name) for name in names()]), indent=2).decode()

"""The command line of ``load-test``: every option, once."""

from __future__ import annotations

import argparse
import math
import os
import re
from pathlib import Path
from typing import TYPE_CHECKING, Final, NoReturn, get_args
from urllib.parse import urlsplit

from mock_server.schema import LEAST_TIME_SCALE, MOST_TIME_SCALE
from scenarios.command.console import put
from scenarios.model.load import BELOW, LONGEST_S, SHORTEST_S, Arrivals

if TYPE_CHECKING:
    from _typeshed import SupportsWrite

API_KEY_VARIABLE: Final = "LOAD_TEST_API_KEY"
DEFAULT_IN_FLIGHT: Final = 2_000
_SCENARIO: Final = "a name from `load-test list`, or the path of a .toml file"
_WORKERS_PER_CORE: Final = 16
_UNITS: Final = {"ms": 0.001, "s": 1.0, "m": 60.0, "h": 3600.0}


class UsageError(Exception):
    """The caller's mistake; the text is the one line they get."""


def seconds(text: str) -> float:
    """A duration such as ``500ms``, ``30s``, ``1.5m``, ``2h`` or plain seconds; at least 0 and finite."""
    match = re.fullmatch(r"(\d+(?:\.\d*)?|\.\d+)\s*(ms|s|m|h)?", text.strip())
    if match is None:
        raise argparse.ArgumentTypeError(f"{text!r} is not a duration; write 500ms, 30s, 5m or 1h")
    value = float(match[1]) * _UNITS[match[2] or "s"]
    if value > LONGEST_S:
        raise argparse.ArgumentTypeError(f"{text!r} is longer than {LONGEST_S / 86_400:g} days")
    return value


def span(text: str) -> float:
    """A duration of at least a millisecond."""
    value = seconds(text)
    if value < SHORTEST_S:
        raise argparse.ArgumentTypeError(f"{text!r} is shorter than {SHORTEST_S * 1000:g}ms")
    return value


def positive(text: str) -> float:
    """A finite number above 0."""
    try:
        value = float(text)
    except ValueError:
        value = math.nan
    if not 0 < value < BELOW:
        raise argparse.ArgumentTypeError(f"{text!r} is not a number above 0 and below {BELOW:,}")
    return value


def time_scale(text: str) -> float:
    """A factor that the mock takes."""
    value = positive(text)
    if not LEAST_TIME_SCALE <= value <= MOST_TIME_SCALE:
        raise argparse.ArgumentTypeError(f"{text!r} is not a number from {LEAST_TIME_SCALE:g} to {MOST_TIME_SCALE:g}")
    return value


def count(text: str) -> int:
    """A whole number of at least 1."""
    if not text.isascii() or not text.isdigit() or len(text) > 9 or not 0 < int(text) < BELOW:
        raise argparse.ArgumentTypeError(f"{text!r} is not a whole number from 1 to {BELOW - 1:,}")
    return int(text)


def processes(text: str) -> int:
    """How many workers, so few that this machine can start them: each takes a tenth of a gigabyte and a second."""
    value, cores = count(text), os.cpu_count() or 1
    if value > _WORKERS_PER_CORE * cores:
        most = f"{value:,} is more than {_WORKERS_PER_CORE} for each of the {cores} cores here"
        raise argparse.ArgumentTypeError(f"{most}; one for each is the most that helps")
    return value


def seed(text: str) -> int:
    """A whole number of at least 0."""
    if not text.isascii() or not text.isdigit() or len(text) > 18:
        raise argparse.ArgumentTypeError(f"{text!r} is not a whole number from 0 up, of at most 18 digits")
    return int(text)


def target_url(text: str) -> str:
    """An http or https URL without credentials, query or fragment."""
    try:
        parts = urlsplit(text)
        good = parts.scheme in ("http", "https") and bool(parts.hostname) and parts.port != 0
    except ValueError:
        good = False
    if not good or parts.query or parts.fragment or parts.username or not text.isascii() or " " in text:
        raise argparse.ArgumentTypeError(f"{text!r} is not a base URL such as http://127.0.0.1:8080")
    return text.rstrip("/")


def label(text: str) -> tuple[str, str]:
    """``key=value``."""
    key, equals, value = text.partition("=")
    if not equals or not key:
        raise argparse.ArgumentTypeError(f"{text!r} is not of the form key=value")
    return key, value


class _Parser(argparse.ArgumentParser):
    """Says what is wrong in one line; the usage is in ``--help``."""

    def error(self, message: str) -> NoReturn:
        """Raise instead of printing the usage and exiting."""
        raise UsageError(f"{message}; see `{self.prog} --help`")

    def print_help(self, file: SupportsWrite[str] | None = None) -> None:
        """On stdout, print it and exit; the library's own keeps quiet when that fails."""
        if file is None:
            self.exit(put(self.format_help(), end=""))
        super().print_help(file)


def parser() -> argparse.ArgumentParser:
    """The whole command line."""
    top = _Parser(
        prog="load-test",
        description="Drive load against an LLM gateway and record every request.",
        epilog="Exit codes: 0 passed, 1 a gate failed, 2 wrong usage or nothing to measure, 3 invalid, "
        "4 inconclusive, 130 interrupted (Ctrl-C or SIGTERM) before anything was sent, or while the report was built, "
        "141 nobody reads the list, 70 an error of its own.",
    )
    commands = top.add_subparsers(dest="command", required=True, metavar="COMMAND", parser_class=_Parser)
    listing = commands.add_parser("list", help="the scenarios, one line each", description="List the scenarios.")
    listing.add_argument("--json", action="store_true", help="as JSON, with every setting")
    show = commands.add_parser(
        "show", help="one scenario's file, to copy and edit", description="Print the file of a scenario, as it stands."
    )
    show.add_argument("scenario", metavar="SCENARIO", help=_SCENARIO)
    _add_run(commands.add_parser("run", help="run a scenario", description="Run a scenario and judge it."))
    recover = commands.add_parser(
        "recover",
        help="finish a run directory whose run was killed",
        description="Merge what the workers of a killed run recorded, then judge it.",
    )
    recover.add_argument("run_dir", metavar="RUN_DIR", type=Path, help="the run's directory")
    _add_inconclusive(recover)
    return top


def _add_inconclusive(command: argparse.ArgumentParser) -> None:
    command.add_argument(
        "--inconclusive-ok", action="store_true", help="exit 0 instead of 4 when the verdict is inconclusive"
    )


def _add_run(run: argparse.ArgumentParser) -> None:
    run.add_argument("scenario", metavar="SCENARIO", help=_SCENARIO)
    where = run.add_argument_group("where")
    where.add_argument(
        "--target", type=target_url, metavar="URL", help="a gateway's base URL; without it, a mock of the run's own"
    )
    where.add_argument(
        "--api-key",
        metavar="KEY",
        default=os.environ.get(API_KEY_VARIABLE),
        help=f"the gateway's API key, required with --target; better given as ${API_KEY_VARIABLE}",
    )
    where.add_argument("--allow-remote", action="store_true", help="the target may be another machine than this one")
    where.add_argument("--world", metavar="W", help="the own mock's world, a name or a file (the scenario's)")
    where.add_argument(
        "--time-scale", type=time_scale, metavar="X", help="factor on the own mock's durations, such as 0.1 (1)"
    )
    where.add_argument(
        "--virtual",
        action="store_true",
        help="play it in virtual time: the own mock and the clients in one process, without network or waiting",
    )
    where.add_argument(
        "--target-is-mock", action="store_true", help="the target is a mock-server: also send what only it answers"
    )
    how = run.add_argument_group("how much")
    how.add_argument("--rate", type=positive, metavar="R", help="open load: requests per second (the scenario's)")
    how.add_argument("--users", type=count, metavar="N", help="closed load: so many users, each waiting its turn")
    how.add_argument("--arrivals", choices=get_args(Arrivals), help="gaps of an open load (the scenario's)")
    how.add_argument(
        "--burstiness", type=positive, metavar="K", help="shape of gamma gaps, whose variation is 1/sqrt(K) (1)"
    )
    how.add_argument(
        "--duration", type=span, metavar="T", help="the measured window, after the warm-up (the scenario's)"
    )
    how.add_argument("--warmup", type=seconds, metavar="T", help="load before it, not measured (the scenario's)")
    how.add_argument(
        "--drain", type=seconds, metavar="T", help="longest wait for the last answers (the scenario's, or the timeout)"
    )
    how.add_argument("--timeout", type=span, metavar="T", help="a client's patience per request (the scenario's)")
    how.add_argument("--seed", type=seed, metavar="N", default=1, help="of arrivals, prompts and the own mock (1)")
    how.add_argument("--processes", type=processes, metavar="N", default=1, help="worker processes (1)")
    how.add_argument(
        "--max-requests", type=count, metavar="N", help="refuse to plan more requests than this, retries included"
    )
    how.add_argument("--max-tokens", type=count, metavar="N", help="let no answer be longer than this")
    how.add_argument(
        "--max-in-flight",
        type=count,
        metavar="N",
        default=DEFAULT_IN_FLIGHT,
        help="open load: requests a worker may have in flight; beyond it they are never sent (2000)",
    )
    result = run.add_argument_group("result")
    result.add_argument("--gates", type=Path, metavar="FILE", help="TOML file of gates instead of the scenario's")
    result.add_argument("--out", type=Path, metavar="DIR", help="the run directory, new or empty (runs/TIME-SCENARIO)")
    result.add_argument(
        "--label", type=label, metavar="K=V", action="append", default=[], help="note for the report, repeatable"
    )
    _add_inconclusive(run)

"""The options of `mock-server check-client`."""

from __future__ import annotations

import argparse
from pathlib import Path
from typing import Final

from mock_server.kit.options import add_judging

DEFAULT_WORLD: Final = "instant"
DEFAULT_TIMEOUT_S: Final = 30.0
DEFAULT_JOBS: Final = 2
_MOST_JOBS: Final = 64
_LONGEST_S: Final = 3_600.0


def add_check_options(parser: argparse.ArgumentParser) -> None:
    """Describe the command line."""
    parser.usage = "%(prog)s [OPTIONS] -- COMMAND …"
    parser.add_argument("client", nargs="*", metavar="COMMAND", help="what to run, after --; without a shell")
    parser.add_argument("--plan", type=Path, metavar="FILE", help="the cells, as TOML; without it the standard plan")
    parser.add_argument("--show-plan", action="store_true", help="print the plan as TOML, to copy and edit, and end")
    parser.add_argument(
        "--only", action="append", default=[], metavar="CELL", help="run this cell only; may be given several times"
    )
    parser.add_argument(
        "--world", default=DEFAULT_WORLD, metavar="NAME|FILE", help=f"the mock's world (default: {DEFAULT_WORLD})"
    )
    parser.add_argument(
        "--timeout",
        type=_seconds,
        default=DEFAULT_TIMEOUT_S,
        metavar="S",
        help=f"seconds after which a run is stopped (default: {DEFAULT_TIMEOUT_S:g})",
    )
    parser.add_argument(
        "--jobs",
        type=_jobs,
        default=DEFAULT_JOBS,
        metavar="N",
        help=f"runs at a time; 1 where they share files or ports (default: {DEFAULT_JOBS})",
    )
    parser.add_argument(
        "--exit-code",
        choices=("tells", "ignored"),
        default="tells",
        help="whether 0 says that the command used the last answer as a good one (default: tells)",
    )
    parser.add_argument(
        "--alive",
        choices=("each", "end"),
        default="each",
        help="when to run the command without a fault, to see that it still works: after each fault from which its own "
        "run did not come back, or once in the end (default: each)",
    )
    parser.add_argument("--json", action="store_true", help="print the report as JSON")
    parser.add_argument("--junit", type=Path, metavar="FILE", help="write JUnit XML, one test case for each cell")
    add_judging(parser)


def _seconds(text: str) -> float:
    try:
        seconds = float(text)
    except ValueError:
        seconds = -1.0
    if not 0 < seconds <= _LONGEST_S:
        raise argparse.ArgumentTypeError(f"must be a number of seconds above 0, up to {_LONGEST_S:g}, not {text!r}")
    return seconds


def _jobs(text: str) -> int:
    if not (text.isascii() and text.isdigit() and len(text) < 4 and 1 <= int(text) <= _MOST_JOBS):
        raise argparse.ArgumentTypeError(f"must be a whole number from 1 to {_MOST_JOBS}, not {text!r}")
    return int(text)

"""The options of `mock-server conform`."""

from __future__ import annotations

import argparse
from pathlib import Path
from typing import Final

from mock_server.kit.conform import defaults
from mock_server.kit.conform.defaults import GIVABLE
from mock_server.kit.conform.target import Target, TargetError, read_target

KEY_VARIABLE: Final = "LLM_API_KEY"
_MOST: Final = 10**9
_LONGEST_S: Final = 3600.0


def add_options(parser: argparse.ArgumentParser) -> None:
    """Describe the command line."""
    parser.add_argument("--target", required=True, type=_target, metavar="URL", help="the gateway's base URL")
    parser.add_argument("--api-key", metavar="KEY", help=f"the gateway's API key; better given as ${KEY_VARIABLE}")
    parser.add_argument("--allow-remote", action="store_true", help="the target may be another machine than this one")
    parser.add_argument(
        "--key-for",
        action="append",
        default=[],
        type=_key_for,
        metavar="STATUS=KEY",
        help=f"a key that is known to be answered with one of {', '.join(map(str, GIVABLE))}; may be repeated",
    )
    parser.add_argument(
        "--paid", type=_count, default=defaults.PAID_CALLS, metavar="N", help="most calls that may have to be paid"
    )
    parser.add_argument(
        "--budget", type=_count, default=defaults.TOKENS, metavar="TOKENS", help="most tokens they may cost, at worst"
    )
    parser.add_argument(
        "--timeout",
        type=_seconds,
        default=defaults.TIMEOUT_S,
        metavar="S",
        help="seconds for one request, to its last byte",
    )
    parser.add_argument(
        "--patience",
        type=_seconds,
        default=defaults.PATIENCE_S,
        metavar="S",
        help="seconds to wait for rate limits, in all",
    )
    parser.add_argument(
        "--diff", type=_target, metavar="MOCK_URL", help="ask a mock the same, and say where they disagree"
    )
    parser.add_argument("--diff-key", default=defaults.MOCK_KEY, metavar="KEY", help="the mock's API key")
    parser.add_argument("--json", action="store_true", help="print the report as JSON")
    parser.add_argument("--junit", type=Path, metavar="FILE", help="write JUnit XML, one test case per clause")
    parser.add_argument("--record", type=Path, metavar="FILE", help="write the answers as JSON, keys and ids redacted")


def _target(text: str) -> Target:
    try:
        return read_target(text)
    except TargetError as error:
        raise argparse.ArgumentTypeError(str(error)) from None


def _key_for(text: str) -> tuple[int, str]:
    status, _, key = text.partition("=")
    if status not in map(str, GIVABLE) or not key:
        raise argparse.ArgumentTypeError(f"must be STATUS=KEY with a status of {', '.join(map(str, GIVABLE))}")
    return int(status), key


def _count(text: str) -> int:
    if not (text.isascii() and text.isdigit() and len(text) < 12 and int(text) <= _MOST):
        raise argparse.ArgumentTypeError(f"must be a whole number from 0 to {_MOST:,}, not {text!r}")
    return int(text)


def _seconds(text: str) -> float:
    try:
        seconds = float(text)
    except ValueError:
        seconds = -1.0
    if not 0 < seconds <= _LONGEST_S:
        raise argparse.ArgumentTypeError(f"must be a number of seconds above 0, up to {_LONGEST_S:g}, not {text!r}")
    return seconds

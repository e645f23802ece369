"""The options of the commands that ask a running mock. They are read by every command, so nothing heavy is imported."""

from __future__ import annotations

import argparse
from typing import Final

from mock_server.judge.capabilities import CAPABILITIES

DEFAULT_TARGET: Final = "http://127.0.0.1:8080"
VERDICT_FORMATS: Final = ("text", "json", "junit")
COVERAGE_FORMATS: Final = ("text", "json", "html")


class UnusableError(ValueError):
    """There is nothing to judge, or it is asked for wrongly; the message is one line that says why and what to do."""


def add_verdict_options(parser: argparse.ArgumentParser) -> None:
    """Those of `mock-server verdict`."""
    add_target(parser)
    parser.add_argument("--format", choices=VERDICT_FORMATS, default="text", help="how to print it")
    add_judging(parser)


def add_coverage_options(parser: argparse.ArgumentParser) -> None:
    """Those of `mock-server coverage`."""
    add_target(parser)
    parser.add_argument("--format", choices=COVERAGE_FORMATS, default="text", help="how to print it")
    parser.add_argument("--fail-under", type=_percent, metavar="PERCENT", help="exit with 1 where less was met")
    parser.add_argument(
        "--without", action="append", default=[], choices=["streaming"], help="what the client does without"
    )
    parser.add_argument("--inconclusive-ok", action="store_true", help="exit with 0 where nothing was met")


def add_judging(parser: argparse.ArgumentParser) -> None:
    """What a verdict is to go by."""
    parser.add_argument(
        "--waive",
        action="append",
        default=[],
        metavar="RULE=REASON",
        help="a rule that is not to count, and why; may be given several times",
    )
    parser.add_argument(
        "--without",
        action="append",
        default=[],
        choices=CAPABILITIES,
        metavar="CAPABILITY",
        help=f"what the client does without: {', '.join(CAPABILITIES)}; may be given several times",
    )
    parser.add_argument("--retries", action="store_true", help="the client promises to retry: giving up early fails it")
    parser.add_argument("--inconclusive-ok", action="store_true", help="exit with 0 where nothing was exercised")


def add_target(parser: argparse.ArgumentParser) -> None:
    """Which mock, which test, and what its control plane wants."""
    parser.add_argument("--target", default=DEFAULT_TARGET, metavar="URL", help="the mock that the client talked to")
    parser.add_argument("--test", default="", metavar="ID", help="only what was sent under this test id")
    parser.add_argument("--admin-token", metavar="T", help="the mock's admin token; or $MOCK_ADMIN_TOKEN")


def _percent(text: str) -> float:
    try:
        percent = float(text)
    except ValueError:
        percent = -1.0
    if not 0 <= percent <= 100:
        raise argparse.ArgumentTypeError(f"must be a number from 0 to 100, not {text!r}")
    return percent

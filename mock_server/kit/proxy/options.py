"""The options of `mock-server proxy`. They are read by every command, so nothing heavy is imported."""

from __future__ import annotations

import argparse
from pathlib import Path

from mock_server.kit.conform.target import Target, TargetError, read_target

BOTH = "both"


def add_proxy_options(parser: argparse.ArgumentParser) -> None:
    """Describe the command line, but for where to listen and how to be stopped, which is as for `serve`."""
    parser.add_argument("--target", required=True, type=_target, metavar="URL", help="the gateway's base URL")
    parser.add_argument(
        "--learn", type=Path, metavar="FILE", help="write what was learned as a world for `serve --world`"
    )
    parser.add_argument("--report", type=Path, metavar="FILE", help="write the report as JSON")
    parser.add_argument(
        "--judge", choices=[BOTH, "client", "gateway"], default=BOTH, help="whose breaches end the command with 1"
    )
    parser.add_argument("--inconclusive-ok", action="store_true", help="exit with 0 where no call came through")


def _target(text: str) -> Target:
    try:
        return read_target(text)
    except TargetError as error:
        raise argparse.ArgumentTypeError(str(error)) from None

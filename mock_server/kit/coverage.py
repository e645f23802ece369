"""`mock-server coverage`: which errors and faults have a client's tests met?"""

from __future__ import annotations

import argparse
from collections.abc import Callable

import msgspec

from mock_server.exits import Exit
from mock_server.judge.coverage import Coverage
from mock_server.judge.page import coverage_page
from mock_server.judge.text import coverage_text
from mock_server.kit.asking import ask
from mock_server.kit.verdict import refuse_unfit


def coverage(args: argparse.Namespace, show: Callable[[str], int]) -> int:
    """Ask and ``show``; returns the exit code. Raises :class:`mock_server.kit.options.UnusableError`."""
    query = {"streaming": "false"} if args.without else {}
    found = ask(args.target, "coverage", Coverage, query, token=args.admin_token, test=args.test)
    show(render(found, args.format))
    refuse_unfit(found.unfit, found.requests)
    return exit_code(found, args.fail_under, inconclusive_ok=args.inconclusive_ok)


def render(coverage: Coverage, style: str) -> str:
    """The coverage as "text", "json" or "html"."""
    if style == "json":
        return msgspec.json.format(msgspec.json.encode(coverage)).decode() + "\n"
    return coverage_page(coverage) if style == "html" else coverage_text(coverage)


def exit_code(coverage: Coverage, fail_under: float | None, *, inconclusive_ok: bool = False) -> Exit:
    """What the command ends with: a bar that was not reached comes before nothing having been met."""
    if fail_under is not None and 100 * coverage.met < fail_under * coverage.total:
        return Exit.FAILED
    return Exit.PASSED if coverage.met or inconclusive_ok else Exit.UNDECIDED

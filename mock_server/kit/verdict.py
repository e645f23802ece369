"""`mock-server verdict`: how did the client behave?"""

from __future__ import annotations

import argparse
from collections.abc import Callable, Sequence
from typing import Final

import msgspec

from mock_server.exits import Exit
from mock_server.judge.finding import Result
from mock_server.judge.junit import verdict_junit
from mock_server.judge.text import verdict_text
from mock_server.judge.verdict import Verdict, excused, wrong_waiver
from mock_server.kit.asking import ask
from mock_server.kit.options import UnusableError

_CODES: Final[dict[Result, Exit]] = {
    "PASS": Exit.PASSED,
    "WARN": Exit.PASSED,
    "FAIL": Exit.FAILED,
    "NOT_EXERCISED": Exit.UNDECIDED,
}


def verdict(args: argparse.Namespace, show: Callable[[str], int]) -> int:
    """Ask, judge and ``show``; returns the exit code. Raises :class:`UnusableError`."""
    waived = waivers(args.waive)
    query = {"retries": "true"} if args.retries else {}
    found = ask(args.target, "verdict", Verdict, query, token=args.admin_token, test=args.test)
    found = excused(found, waived, args.without)
    show(render(found, args.format, inconclusive_ok=args.inconclusive_ok))
    if found.result == "NOT_EXERCISED":
        refuse_unfit(found.unfit, found.tries or len(found.notes))
    return exit_code(found, inconclusive_ok=args.inconclusive_ok)


def render(verdict: Verdict, style: str, *, inconclusive_ok: bool = False) -> str:
    """The verdict as "text", "json" or "junit"."""
    if style == "json":
        return msgspec.json.format(msgspec.json.encode(verdict)).decode() + "\n"
    return verdict_junit(verdict, inconclusive_ok=inconclusive_ok) if style == "junit" else verdict_text(verdict)


def exit_code(verdict: Verdict, *, inconclusive_ok: bool = False) -> Exit:
    """What a command that judges ends with."""
    code = _CODES[verdict.result]
    return Exit.PASSED if code == Exit.UNDECIDED and inconclusive_ok else code


def refuse_unfit(why: str, requests: int) -> None:
    """Raise :class:`UnusableError` where requests came, and none of them was of a client that can be judged."""
    if why and requests:
        raise UnusableError(why)


def waivers(given: Sequence[str]) -> dict[str, str]:
    """The reason for each rule that is waived. Raises :class:`UnusableError`."""
    found: dict[str, str] = {}
    for text in given:
        rule, _, reason = text.partition("=")
        if (mistake := wrong_waiver(rule, reason)) is not None:
            raise UnusableError(f"--waive: {mistake}; give RULE=REASON")
        if rule in found:
            raise UnusableError(f"--waive {rule} is given twice")
        found[rule] = reason
    return found

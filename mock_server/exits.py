"""How the commands of this project end: their exit codes, and what an error of our own looks like."""

from __future__ import annotations

import sys
import tempfile
import traceback
from collections.abc import Callable
from enum import IntEnum


class Exit(IntEnum):
    """Exit codes of every command; where several hold, the first of UNUSABLE, INVALID, FAILED, UNDECIDED counts."""

    PASSED = 0
    FAILED = 1
    """A gate, clause, rule or bar failed."""
    UNUSABLE = 2
    """Wrong usage, or nothing there to measure."""
    INVALID = 3
    """The measurement cannot be believed."""
    UNDECIDED = 4
    """Inconclusive, or not exercised."""
    BROKEN = 70
    """An error of our own (EX_SOFTWARE of sysexits.h)."""
    INTERRUPTED = 130
    """Ctrl-C or SIGTERM, as a shell shows SIGINT."""
    UNREAD = 141
    """Nobody reads the output, as a shell shows SIGPIPE."""


def guarded(command: str, run: Callable[[], int]) -> int:
    """Run a command; an unforeseen error becomes one line on stderr, a file with the traceback, and `Exit.BROKEN`.

    A CI reads 1 as a failed gate, which is what Python itself would exit with.
    """
    try:
        return run()
    except Exception as error:
        said = f"{type(error).__name__}: {error}".splitlines()[0][:200]
        complain(command, f"an error of its own, not yours ({said}){_kept(command)}")
        return Exit.BROKEN


def complain(command: str, problem: object) -> None:
    """Say on stderr, in one line, what is wrong; what a terminal would obey, as in a file's name, is replaced."""
    line = " ".join(f"{command}: {problem}".splitlines())
    print("".join(sign if sign.isprintable() else "\ufffd" for sign in line), file=sys.stderr)


def _kept(command: str) -> str:
    """Write the traceback down and say where; say so too where that is not possible."""
    try:
        with tempfile.NamedTemporaryFile(
            "w", encoding="utf-8", prefix=f"{command}-error-", suffix=".txt", delete=False
        ) as file:
            file.write(traceback.format_exc())
    except OSError as error:
        return f"; its traceback could not be written ({error.strerror})"
    return f"; please report it with {file.name}"

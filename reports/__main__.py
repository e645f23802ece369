"""The command `perf-report`."""

from __future__ import annotations

import sys

try:
    import argparse
    import contextlib
    import os
    import signal
    import threading
    from collections.abc import Iterator, Sequence
    from functools import partial
    from pathlib import Path
    from typing import NoReturn

    from mock_server.exits import Exit, complain, guarded
except KeyboardInterrupt:
    sys.exit(130)

_BUILD = """Read a run directory made by `load-test run`, and write summary.json, summary.md, report.html and junit.xml
beside its samples, which are never touched."""
_EXIT = """exit codes: 0 passed; 1 a gate failed; 2 wrong usage or nothing there to measure; 3 the measurement is
invalid; 4 inconclusive; 70 an error of our own; 130 interrupted"""
_COMMAND = "perf-report"
_MISSING = 'perf-report: reports need more packages: `pip install ".[report]"` in the checkout'


class _Parser(argparse.ArgumentParser):
    """Says what is wrong in one line; the usage is in `--help`."""

    def error(self, message: str) -> NoReturn:
        """Print the line and exit with 2."""
        self.exit(Exit.UNUSABLE, f"perf-report: {message}; see `{self.prog} --help`\n")


def _parser() -> argparse.ArgumentParser:
    parser = _Parser(prog=_COMMAND, description="Turn recorded samples into a verdict.")
    commands = parser.add_subparsers(dest="command", required=True, metavar="COMMAND")
    build = commands.add_parser(
        "build", help="report on one run and judge it by its gates", description=_BUILD, epilog=_EXIT
    )
    build.add_argument("run_dir", type=Path, metavar="RUN_DIR", help="directory with manifest.json and samples")
    build.add_argument(
        "--gates", type=Path, metavar="FILE", help="TOML of [[gate]] tables, instead of the run's own gates"
    )
    build.add_argument(
        "--inconclusive-ok", action="store_true", help="exit with 0 instead of 4 when the verdict is INCONCLUSIVE"
    )
    return parser


def main(argv: Sequence[str] | None = None) -> int:
    """Run the command; return its exit code."""
    try:
        with _terminable():
            arguments = _parser().parse_args(argv)
            return guarded(_COMMAND, partial(_build, arguments))
    except KeyboardInterrupt:
        complain("perf-report", "interrupted; the samples are untouched, and no file is half-written")
        return Exit.INTERRUPTED


@contextlib.contextmanager
def _terminable() -> Iterator[None]:
    """While this lasts, SIGTERM is as Ctrl-C; signals can be handled in the main thread alone."""
    if threading.current_thread() is not threading.main_thread():
        yield
        return
    before = signal.signal(signal.SIGTERM, signal.default_int_handler)
    try:
        yield
    finally:
        signal.signal(signal.SIGTERM, before)


def _build(arguments: argparse.Namespace) -> int:
    try:
        # Imported here so that a mock-only installation hears what to install instead of a traceback.
        from reports.build import build
        from reports.problem import Unusable
    except ImportError:  # pandas turns the absence of what it needs into one of these
        print(_MISSING, file=sys.stderr)
        return Exit.UNUSABLE
    try:
        built = build(arguments.run_dir, arguments.gates)
    except Unusable as problem:
        complain("perf-report", problem)
        return Exit.UNUSABLE
    passed = built.exit_code == Exit.UNDECIDED and arguments.inconclusive_ok
    return _say(built.text, Exit.PASSED if passed else built.exit_code)


def _say(text: str, code: int) -> int:
    """Print the verdict and return its code, which a reader that has seen enough does not change."""
    try:
        print(text, flush=True)
    except OSError as error:
        # The interpreter must not try to flush again as it ends.
        os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())
        if not isinstance(error, BrokenPipeError):
            complain("perf-report", f"the verdict cannot be printed ({error.strerror}); the files are written")
            return Exit.UNUSABLE
    return code


if __name__ == "__main__":
    sys.exit(main())

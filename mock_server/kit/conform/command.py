"""`mock-server conform`: asks, judges, and writes down what was found."""

from __future__ import annotations

import argparse
import os
import sys
import tempfile
from collections.abc import Iterator
from contextlib import ExitStack, contextmanager
from pathlib import Path
from typing import IO, Final

import msgspec
from msgspec.structs import replace

from mock_server.kit.conform import junit, text
from mock_server.kit.conform.asking import Asker, Keys, UnsuitableError
from mock_server.kit.conform.budget import Budget
from mock_server.kit.conform.defaults import MOCK_KEYS
from mock_server.kit.conform.diff import differences
from mock_server.kit.conform.finding import printable
from mock_server.kit.conform.options import KEY_VARIABLE
from mock_server.kit.conform.record import fixtures
from mock_server.kit.conform.report import Report, report_on
from mock_server.kit.conform.seen import Seen
from mock_server.kit.conform.target import Target
from mock_server.kit.options import UnusableError

_SHOWN_OF_A_KEY: Final = 4


def conform(args: argparse.Namespace, environment_key: str | None) -> tuple[str, int]:
    """Run the command: what to print, and the exit code. Raises :class:`UnusableError`.

    ``environment_key`` is used where no key is among ``args``. Files are written whole or not at all.
    """
    keys = Keys(args.api_key or environment_key or "", dict(args.key_for))
    _check(args, keys)
    with ExitStack() as files:
        # Opened first: a file that cannot be written is said before anything is paid.
        outputs = {path: files.enter_context(replacing(path)) for path in (args.junit, args.record) if path is not None}
        report, seen = _report(args, keys)
        if args.junit is not None:
            outputs[args.junit].write(junit.render(report))
        if args.record is not None:
            outputs[args.record].write(fixtures(args.target.url, seen))
    if args.json:
        return msgspec.json.format(msgspec.json.encode(report), indent=2).decode() + "\n", report.exit
    return text.render(report), report.exit


def _check(args: argparse.Namespace, keys: Keys) -> None:
    for target in (args.target, args.diff):
        if target is not None and not target.is_here and not args.allow_remote:
            raise UnusableError(
                f"{target.url} is not this machine, and its answers may cost money; if you may, add --allow-remote "
                "(--paid and --budget bound what is spent)"
            )
    if not keys.own:
        raise UnusableError(f"a key is needed: set ${KEY_VARIABLE} or give --api-key")
    for key in (keys.own, *keys.given.values(), args.diff_key):
        if not (key.isascii() and key.isprintable() and " " not in key):
            raise UnusableError("an API key holds characters that cannot stand in a header")
    if args.junit is not None and args.record is not None and args.junit.resolve() == args.record.resolve():
        raise UnusableError("--junit and --record name the same file")


def _report(args: argparse.Namespace, keys: Keys) -> tuple[Report, Seen]:
    asker, seen, budget = _ask(args, args.target, keys)
    report = report_on(args.target.url, _shown(keys.own), seen, asker.sent, budget)
    if args.diff is None:
        return report, seen
    mock_keys = Keys(args.diff_key, {status: MOCK_KEYS[status] for status in keys.given})
    mock_asker, mock_seen, mock_budget = _ask(args, args.diff, mock_keys)
    mock = report_on(args.diff.url, _shown(args.diff_key), mock_seen, mock_asker.sent, mock_budget)
    found = differences(mock.clauses, report.clauses, mock_seen, seen)
    return replace(report, compared_with=args.diff.url, differences=found), seen


def _ask(args: argparse.Namespace, target: Target, keys: Keys) -> tuple[Asker, Seen, Budget]:
    budget = Budget(args.paid, args.budget)
    asker = Asker(target, keys, budget, timeout_s=args.timeout, patience_s=args.patience)
    try:
        with _progress(target) as tell:
            return asker, asker.ask_all(tell), budget
    except UnsuitableError as error:
        raise UnusableError(f"--diff {target.url}: {error}" if target is args.diff else str(error)) from None


class _Line:
    """Mutable: a line on a terminal that is written over again; nothing where there is no terminal."""

    def __init__(self, target: Target) -> None:
        self._target = target
        self._width = 0

    def __call__(self, number: int, of: int, asks: str) -> None:
        line = printable(f"{self._target.url}: {number}/{of} {asks}")[:100]
        if sys.stderr.isatty():
            print(f"\r{line:<{self._width}}", end="", file=sys.stderr, flush=True)
            self._width = len(line)

    def end(self) -> None:
        """Leave the line empty."""
        if self._width:
            print(f"\r{'':<{self._width}}\r", end="", file=sys.stderr, flush=True)


@contextmanager
def _progress(target: Target) -> Iterator[_Line]:
    line = _Line(target)
    try:
        yield line
    finally:
        line.end()


@contextmanager
def replacing(path: Path) -> Iterator[IO[bytes]]:
    """A file that takes the place of ``path`` once it is written whole; what is no file, as a device, is written to."""
    try:
        if path.exists() and not path.is_file():
            with path.open("wb") as device:
                yield device
            return
        file = tempfile.NamedTemporaryFile(dir=path.parent, prefix=f".{path.name}.", delete=False)  # noqa: SIM115
        try:
            with file:
                yield file
            Path(file.name).chmod(0o666 & ~_umask())
            Path(file.name).replace(path)
        finally:
            Path(file.name).unlink(missing_ok=True)
    except OSError as error:
        raise UnusableError(f"cannot write {path}: {(error.strerror or str(error)).lower()}") from None


def _umask() -> int:
    mask = os.umask(0)
    os.umask(mask)
    return mask


def _shown(key: str) -> str:
    """What may be shown of a key: its last four characters, where those are not half of it."""
    return "…" + key[-_SHOWN_OF_A_KEY:] if len(key) > 2 * _SHOWN_OF_A_KEY else "…"

"""The clients of the zoo that read streams: what each sees when an answer breaks, and how its program is run.

What is seen stands in clients.toml; tests hold the clients to it, and the documentation's tables are made of it.
"""

from __future__ import annotations

import tomllib
from typing import Literal

import msgspec

from zoo import programs
from zoo.programs import ROOT, Environment

Place = Literal["before_headers", "before_first_token", "mid_stream"]
Names = tuple[str, ...]
"""An error: what a program catches, and what is at its root where that is called otherwise; none: no error."""


class Seen(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """What a client sees of a ``reset`` and of a ``fin`` at one place."""

    reset: Names
    fin: Names

    @property
    def told_apart(self) -> bool:
        """Whether a program can tell one from the other."""
        return self.reset != self.fin


class Reader(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """One program: a client and what reads its streams, which may be a ``package`` of its own.

    ``breaks_on`` are the framings it does not survive; ``again`` are the calls that it sends once more by itself, in
    the words of the programs' command line.
    """

    program: str
    reads: str
    package: str = ""
    breaks_on: tuple[str, ...] = ()
    again: tuple[str, ...] = ()


class Client(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """One HTTP client. ``package`` is what its environment's lock calls it; the machine's own has none.

    ``before_first_token`` is about a plain answer: the headers have come, and nothing of the body.
    """

    name: str
    environment: Environment
    before_headers: Seen
    before_first_token: Seen
    mid_stream: Seen
    readers: tuple[Reader, ...]
    package: str = ""
    note: str = ""

    def version(self, package: str) -> str:
        """The version of a package that its environment's lock pins."""
        return programs.version(self.environment, package)

    def command(self, reader: Reader) -> list[str]:
        """How a program of this client is started."""
        return programs.command(self.environment, reader.program)

    def lacks(self, reader: Reader) -> str | None:
        """What this machine lacks to run a program, and what to do; None when nothing."""
        return programs.lacks(self.environment, reader.program, filter(None, (self.package, reader.package)))


def clients() -> tuple[Client, ...]:
    """All clients, as clients.toml has them."""
    table = tomllib.loads((ROOT / "clients.toml").read_text(encoding="utf-8"))
    return msgspec.convert(table["client"], tuple[Client, ...])

"""The clients of the zoo that send calls again by themselves: what, when, how often, and what the verdict says of each.

What they do stands in retries.toml; tests hold the clients to it, and the documentation's table is made of it.
"""

from __future__ import annotations

import tomllib
from typing import Literal

import msgspec

from mock_server.judge.finding import Result
from mock_server.judge.rules import BY_NAME
from zoo import programs
from zoo.programs import ROOT, Environment

Failure = Literal[
    "400", "401", "402", "429", "500", "502", "reset", "silence", "cut body", "first token", "error event", "clean end"
]


class Retrier(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """One client. Without a ``program`` it is the documentation's own example.

    ``packages`` are what the environment's lock calls them. ``again`` is after what it sends a call again; ``more`` how
    often it does where ``failures`` come in a row, so that it may be even more often where both are the same;
    ``waits_s`` the least and the longest wait before each of the first of these, of its own choosing. ``retry_after``
    is what it makes of a short one, ``long_retry_after`` of one of over two minutes. ``counts``: it sends
    X-Stainless-Retry-Count and obeys X-Should-Retry. Of the verdict's rules ``fails``, ``warns`` and ``idle``, which
    are not exercised, are named; the others pass.
    """

    name: str
    environment: Environment
    program: str
    packages: tuple[str, ...] = ()
    again: tuple[Failure, ...] = ()
    more: int = 0
    failures: int = 5
    waits_s: tuple[tuple[float, float], ...] = ()
    retry_after: Literal["waits", "ignores", ""] = ""
    long_retry_after: Literal["waits", "gives up", "ignores", ""] = ""
    counts: bool = False
    fails: tuple[str, ...] = ()
    warns: tuple[str, ...] = ()
    idle: tuple[str, ...] = ()
    note: str = ""

    @property
    def verdict(self) -> dict[str, Result]:
        """What is to come of each rule."""
        named: dict[str, Result] = dict.fromkeys(self.fails, "FAIL")
        named |= dict.fromkeys(self.warns, "WARN") | dict.fromkeys(self.idle, "NOT_EXERCISED")
        return {rule: named.get(rule, "PASS") for rule in [*BY_NAME, *named]}

    @property
    def at_once(self) -> bool:
        """Whether it comes back without a wait."""
        return bool(self.waits_s) and not any(most_s for _, most_s in self.waits_s)

    def versions(self) -> str:
        """Its packages, each with its version."""
        return ", ".join(f"{package} {programs.version(self.environment, package)}" for package in self.packages)

    def lacks(self) -> str | None:
        """What this machine lacks to run it, and what to do; None when nothing."""
        return programs.lacks(self.environment, self.program, self.packages if self.environment == "node" else ())

    def command(self) -> list[str]:
        """How its program is started."""
        return programs.command(self.environment, self.program)


def retriers() -> tuple[Retrier, ...]:
    """All of them, as retries.toml has them."""
    table = tomllib.loads((ROOT / "retries.toml").read_text(encoding="utf-8"))
    return msgspec.convert(table["client"], tuple[Retrier, ...])

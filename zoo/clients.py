"""The clients of the zoo: what each sees when an answer breaks, how its program is run, and what it lacks here.

What is seen stands in clients.toml; tests hold the clients to it, and the documentation's tables are made of it.
"""

from __future__ import annotations

import re
import shutil
import subprocess
import sys
import tomllib
from collections.abc import Callable
from pathlib import Path
from typing import Any, Final, Literal

import msgspec

ROOT: Final = Path(__file__).parent
OLDEST_NODE: Final = 18
"""The first with a `fetch`."""
BROWSERS: Final = ("chromium", "chromium-browser", "google-chrome")
INSTALLED: Final = ROOT.parent / ".zoo"
_PYTHON: Final = INSTALLED / "python" / "bin" / "python"

Environment = Literal["python", "node", "go", "browser"]
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
        return _VERSIONS[self.environment](package)

    def command(self, reader: Reader) -> list[str]:
        """How a program of this client is started."""
        match self.environment:
            case "python":
                return [str(_PYTHON), str(ROOT / "python" / f"{reader.program}.py")]
            case "node":
                return ["node", str(ROOT / "node" / f"{reader.program}.mjs")]
            case "go":
                return [str(INSTALLED / "go" / reader.program)]
            case "browser":
                return [sys.executable, str(ROOT / "python" / f"{reader.program}.py")]

    def lacks(self) -> str | None:
        """What this machine lacks to run it, and what to do; None when nothing."""
        if self.environment == "browser":
            there = any(map(shutil.which, BROWSERS)) and shutil.which("chromedriver") is not None
            return None if there else "there is no Chromium here, or not its driver"
        lacking = self._lacks_node() if self.environment == "node" else None
        if lacking is None and not (INSTALLED / f"{self.environment}.installed").exists():
            return "its environment is not installed; make zoo does that, or says why it cannot"
        return lacking

    def _lacks_node(self) -> str | None:
        node = shutil.which("node")
        if node is None:
            return "there is no Node.js here"
        done = subprocess.run([node, "--version"], capture_output=True, text=True, check=True)
        found = int(done.stdout.removeprefix("v").partition(".")[0])
        packages = filter(None, [self.package, *(reader.package for reader in self.readers)])
        wanted = max((_oldest_node(package) for package in packages), default=OLDEST_NODE)
        return f"it wants Node.js {wanted} or newer, and here is {found}" if found < wanted else None


def _in_requirements(package: str) -> str:
    found = re.search(
        rf"^{re.escape(package)}==(\S+)", (ROOT / "python" / "requirements.txt").read_text(), re.MULTILINE
    )
    assert found is not None, package
    return found[1]


def _locked(package: str) -> dict[str, Any]:
    lock = msgspec.json.decode((ROOT / "node" / "package-lock.json").read_bytes())
    entry: dict[str, Any] = lock["packages"][f"node_modules/{package}"]
    return entry


def _in_package_lock(package: str) -> str:
    return str(_locked(package)["version"])


def _oldest_node(package: str) -> int:
    """The oldest major version of Node.js that a package says it runs on."""
    said = re.search(r"\d+", _locked(package).get("engines", {}).get("node", ""))
    return max(OLDEST_NODE, int(said[0])) if said else OLDEST_NODE


_VERSIONS: Final[dict[str, Callable[[str], str]]] = {"python": _in_requirements, "node": _in_package_lock}


def clients() -> tuple[Client, ...]:
    """All clients, as clients.toml has them."""
    table = tomllib.loads((ROOT / "clients.toml").read_text(encoding="utf-8"))
    return msgspec.convert(table["client"], tuple[Client, ...])

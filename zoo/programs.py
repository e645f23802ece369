"""The programs of the zoo: how one is started, what this machine lacks for it, and the versions that locks pin."""

from __future__ import annotations

import re
import shutil
import subprocess
import sys
from collections.abc import Callable, Iterable
from functools import cache
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


def version(environment: Environment, package: str) -> str:
    """The version of a package that its environment's lock pins."""
    return _VERSIONS[environment](package)


def command(environment: Environment, program: str) -> list[str]:
    """How a program is started."""
    match environment:
        case "python":
            return [str(_PYTHON), str(ROOT / "python" / f"{program}.py")]
        case "node":
            return ["node", str(ROOT / "node" / f"{program}.mjs")]
        case "go":
            return [str(INSTALLED / "go" / program)]
        case "browser":
            return [sys.executable, str(ROOT / "python" / f"{program}.py")]


def lacks(environment: Environment, program: str, packages: Iterable[str] = ()) -> str | None:
    """What this machine lacks to run a program that needs these packages, and what to do; None when nothing."""
    if environment == "browser":
        there = any(map(shutil.which, BROWSERS)) and shutil.which("chromedriver") is not None
        return None if there else "there is no Chromium here, or not its driver"
    lacking = _lacks_node(packages) if environment == "node" else None
    built = environment != "go" or (INSTALLED / "go" / program).exists()
    if lacking is None and not (built and (INSTALLED / f"{environment}.installed").exists()):
        return "its environment is not installed; make zoo does that, or says why it cannot"
    return lacking


def _lacks_node(packages: Iterable[str]) -> str | None:
    found = _node_here()
    if found is None:
        return "there is no Node.js here"
    wanted = max((_oldest_node(package) for package in packages), default=OLDEST_NODE)
    return f"it wants Node.js {wanted} or newer, and here is {found}" if found < wanted else None


@cache
def _node_here() -> int | None:
    """The major version of the machine's Node.js."""
    node = shutil.which("node")
    if node is None:
        return None
    done = subprocess.run([node, "--version"], capture_output=True, text=True, check=True)
    return int(done.stdout.removeprefix("v").partition(".")[0])


def _pinned(lock: Path, pattern: str, package: str) -> str:
    found = re.search(pattern.format(re.escape(package)), lock.read_text(encoding="utf-8"), re.MULTILINE)
    assert found is not None, package
    return found[1]


def _in_requirements(package: str) -> str:
    return _pinned(ROOT / "python" / "requirements.txt", r"^{}==(\S+)", package)


def _in_go_module(package: str) -> str:
    return _pinned(ROOT / "go" / "retryablehttp" / "go.mod", r"/{} v(\S+)$", package)


@cache
def _locked_by_npm() -> dict[str, Any]:
    packages: dict[str, Any] = msgspec.json.decode((ROOT / "node" / "package-lock.json").read_bytes())["packages"]
    return packages


def _in_package_lock(package: str) -> str:
    return str(_locked_by_npm()[f"node_modules/{package}"]["version"])


def _oldest_node(package: str) -> int:
    """The oldest major version of Node.js that a package says it runs on."""
    said = re.search(r"\d+", _locked_by_npm()[f"node_modules/{package}"].get("engines", {}).get("node", ""))
    return max(OLDEST_NODE, int(said[0])) if said else OLDEST_NODE


_VERSIONS: Final[dict[str, Callable[[str], str]]] = {
    "python": _in_requirements,
    "node": _in_package_lock,
    "go": _in_go_module,
}

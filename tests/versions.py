"""The mock's tests with the lowest and with the newest versions of its dependencies that pyproject.toml allows.

`python -m tests.versions PYTEST-ARGUMENT…` runs pytest with these arguments twice, each time in an environment that is
thrown away: the one it is started in, with other versions of those packages before it. What it is started in has been
tested by itself, so an end of the ranges that it has already is left out. Exit code 0, pytest's own, or 2 with one
line that says why.
"""

from __future__ import annotations

import os
import re
import subprocess
import sys
import tempfile
import tomllib
import venv
from importlib.metadata import version
from pathlib import Path
from sysconfig import get_path
from typing import Any

from packaging.requirements import Requirement
from packaging.version import Version

ROOT = Path(__file__).resolve().parent.parent
PIP = (sys.executable, "-m", "pip", "--disable-pip-version-check")
Versions = dict[str, Version]


class VersionsError(Exception):
    """Why there are no versions to test, or no environment to test them in."""


def requirements(project: dict[str, Any]) -> list[Requirement]:
    """What the mock needs on this platform, with the ranges that `project` gives."""
    asked = [Requirement(text) for text in project["dependencies"]]
    return [one for one in asked if one.marker is None or one.marker.evaluate()]


def ends(asked: list[Requirement], published: dict[str, list[Version]]) -> tuple[Versions, Versions]:
    """The lowest and the newest version of each that its range allows. Raises :class:`VersionsError`."""
    lowest, newest = Versions(), Versions()
    for one in asked:
        allowed = sorted(one.specifier.filter(published[one.name]))
        if not allowed:
            raise VersionsError(f"nothing published fits {one}")
        lowest[one.name], newest[one.name] = allowed[0], allowed[-1]
    return lowest, newest


def published(name: str) -> list[Version]:
    """All versions of a package that install on this Python without a compiler. Raises :class:`VersionsError`."""
    told = _pip("index", "versions", "--only-binary", ":all:", name)
    line = re.search(r"^Available versions: (.+)$", told, re.MULTILINE)
    if line is None:
        raise VersionsError(f"pip names no versions of {name}")
    return [Version(text) for text in line[1].split(", ")]


def install(folder: Path, versions: Versions) -> Path:
    """Make an environment over this one in ``folder``; its Python. Raises :class:`VersionsError`."""
    venv.create(folder, symlinks=os.name != "nt")
    python = folder / ("Scripts" if os.name == "nt" else "bin") / "python"
    ours = get_path("purelib", "venv", {"base": str(folder)})
    Path(ours, "over.pth").write_text(f"import site; site.addsitedir({get_path('purelib')!r})\n", "utf-8")
    pins = [f"{name}=={wanted}" for name, wanted in versions.items()]
    _pip("--python", str(python), "install", "--only-binary", ":all:", *pins)
    return python


def _pip(*words: str) -> str:
    done = subprocess.run([*PIP, *words], capture_output=True, text=True, check=False)
    if done.returncode:
        lines = [line for line in done.stderr.splitlines() if line.startswith("ERROR: ")]
        raise VersionsError(lines[0].removeprefix("ERROR: ") if lines else f"pip ended with {done.returncode}")
    return done.stdout


def run(name: str, versions: Versions, arguments: list[str]) -> int:
    """Run pytest on these versions, unless they are the ones that are installed here; its exit code."""
    told = ", ".join(f"{package} {found}" for package, found in versions.items())
    if all(Version(version(package)) == wanted for package, wanted in versions.items()):
        print(f"versions: the {name} are those of the environment itself: {told}", flush=True)
        return 0
    print(f"versions: testing the {name}: {told}", flush=True)
    with tempfile.TemporaryDirectory() as folder:
        python = install(Path(folder), versions)
        return subprocess.run([python, "-m", "pytest", *arguments], cwd=ROOT, check=False).returncode


def main(arguments: list[str]) -> int:
    """Test both ends of the ranges; the first exit code that is not 0."""
    project = tomllib.loads((ROOT / "pyproject.toml").read_text("utf-8"))["project"]
    try:
        asked = requirements(project)
        lowest, newest = ends(asked, {one.name: published(one.name) for one in asked})
        return run("lowest", lowest, arguments) or run("newest", newest, arguments)
    except VersionsError as error:
        print(f"versions: {error}", file=sys.stderr)
        return 2


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))

"""The examples work as they stand: each suite by its language's own test runner, and each can fail."""

from __future__ import annotations

import os
import shutil
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path
from typing import NamedTuple

import pytest

from tests.mock_server.kit.suites import only_beside

ROOT = Path(__file__).parents[2]
EXAMPLES = ROOT / "examples"
ZOO_GO = ROOT / ".zoo" / "go-toolchain" / "go" / "bin" / "go"


class Suite(NamedTuple):
    """One example: its folder, how it is run, what it says of success, and how its client is broken.

    ``spoilt`` is a file, a part of it, and what a careless author would have written instead.
    """

    folder: str
    command: Callable[[], list[str]]
    passed: str
    spoilt: tuple[str, str, str]


def program(name: str, needs: str, *elsewhere: Path) -> str:
    """A program's path; a test that lacks it is skipped by name."""
    found = shutil.which(name) or next((str(path) for path in elsewhere if path.exists()), None)
    if found is None:
        pytest.skip(f"needs {name}: {needs}")
    return found


def shell() -> list[str]:
    for name in ("curl", "jq"):
        program(name, f"apt-get install {name}")
    return ["sh", "test_ask.sh"]


SUITES = [
    Suite(
        "python",
        lambda: [sys.executable, "-m", "pytest", "-q", "-p", "no:cacheprovider", *only_beside(())],
        "14 passed",
        ("client.py", "frozenset({429, 500, 502})", "frozenset({429})"),
    ),
    Suite(
        "node",
        lambda: [program("node", "version 20 or newer; on Debian or Ubuntu: apt-get install nodejs"), "--test"],
        "# pass 12",
        ("client.mjs", 'throw new GatewayError("BROKEN_STREAM");', "return whole;"),
    ),
    Suite(
        "go",
        lambda: [program("go", "`make zoo` brings it", ZOO_GO), "test", "-count=1", "."],
        "ok ",
        ("client.go", "response.StatusCode < 500", "response.StatusCode < 600"),
    ),
    Suite("shell", shell, "ok - a wrong key is not tried again", ("ask.sh", "*) left=0 ;;", "*) ;;")),
]


def run(suite: Suite, folder: Path) -> tuple[int, str]:
    command = suite.command()
    scripts = Path(sys.executable).parent
    go = {"CGO_ENABLED": "0", "GOTOOLCHAIN": "local", "GOPROXY": "off"}
    environment = {**os.environ, **go, "PATH": f"{scripts}{os.pathsep}{os.environ['PATH']}"}
    done = subprocess.run(
        command, cwd=folder, env=environment, text=True, stdout=subprocess.PIPE, stderr=subprocess.STDOUT, timeout=300,
        check=False,
    )  # fmt: skip
    return done.returncode, done.stdout


@pytest.mark.parametrize("suite", SUITES, ids=lambda suite: suite.folder)
def test_an_example_passes(suite: Suite) -> None:
    code, output = run(suite, EXAMPLES / suite.folder)
    assert code == 0, output
    assert suite.passed in output


@pytest.mark.parametrize("suite", SUITES, ids=lambda suite: suite.folder)
def test_an_example_sees_that_its_client_is_broken(suite: Suite, tmp_path: Path) -> None:
    folder = shutil.copytree(EXAMPLES / suite.folder, tmp_path / suite.folder)
    name, good, careless = suite.spoilt
    source = (folder / name).read_text(encoding="utf-8")
    assert source.count(good) == 1
    (folder / name).write_text(source.replace(good, careless), encoding="utf-8")
    code, output = run(suite, folder)
    assert code != 0, output


def test_every_example_is_run() -> None:
    assert {path.name for path in EXAMPLES.iterdir()} == {suite.folder for suite in SUITES}

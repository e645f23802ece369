"""What is in the wheel, what installing it brings along, and what the lock files hold."""

from __future__ import annotations

import email
import json
import re
import subprocess
import sys
import tomllib
import zipfile
from collections.abc import Iterator
from configparser import ConfigParser
from email.message import Message
from importlib.metadata import PackageNotFoundError, requires
from pathlib import Path, PurePosixPath
from typing import Any

import pytest
from packaging.requirements import Requirement
from packaging.utils import canonicalize_name

ROOT = Path(__file__).parent.parent
PACKAGES = ("mock_server", "scenarios", "reports")
NOT_FOR_CLIENT_TEAMS = {"locust", "gevent", "geventhttpclient", "pandas", "pyarrow", "numpy", "scipy", "matplotlib"}
LOCKS = ("requirements.lock", "requirements-dev.lock")

# Refuses every import of the packages named in argv, then imports every module of the mock.
IMPORT_ALL = """
import importlib, json, pkgutil, sys

class Refuse:
    def find_spec(self, name, path=None, target=None):
        if name.partition(".")[0] in refused:
            raise ModuleNotFoundError(f"No module named {name!r}", name=name)

refused = set(json.loads(sys.argv[1]))
sys.meta_path.insert(0, Refuse())
import mock_server
names = [found.name for found in pkgutil.walk_packages(mock_server.__path__, "mock_server.")]
for name in names:
    importlib.import_module(name)
print(json.dumps(names))
"""


@pytest.fixture(scope="module")
def wheel(tmp_path_factory: pytest.TempPathFactory) -> Iterator[zipfile.ZipFile]:
    folder = tmp_path_factory.mktemp("wheel")
    build = [sys.executable, "-m", "hatchling", "build", "--target", "wheel", "--directory", str(folder)]
    done = subprocess.run(build, cwd=ROOT, capture_output=True, text=True, timeout=60, check=False)
    assert done.returncode == 0, done.stderr
    (path,) = folder.glob("*.whl")
    with zipfile.ZipFile(path) as opened:
        yield opened


@pytest.fixture(scope="module")
def metadata(wheel: zipfile.ZipFile) -> Message:
    (name,) = (name for name in wheel.namelist() if name.endswith(".dist-info/METADATA"))
    return email.message_from_bytes(wheel.read(name))


def installed_by(metadata: Message, extra: str) -> set[str]:
    """The direct dependencies that `pip install .[extra]` asks for, by canonical name; "" is no extra."""
    asked = [Requirement(text) for text in metadata.get_all("Requires-Dist", [])]
    return {canonicalize_name(one.name) for one in asked if one.marker is None or one.marker.evaluate({"extra": extra})}


def closure(names: set[str]) -> set[str]:
    """These distributions and all they require, as far as they are installed here."""
    found: set[str] = set()
    waiting = set(names)
    while waiting:
        name = waiting.pop()
        try:
            needed = [Requirement(text) for text in requires(name) or []]
        except PackageNotFoundError:
            continue
        found.add(name)
        waiting |= {
            canonicalize_name(one.name) for one in needed if one.marker is None or one.marker.evaluate({"extra": ""})
        } - found
    return found


def locked(lock: str) -> dict[str, set[str]]:
    """Versions by canonical name; there can be several, for different Pythons."""
    pins = re.findall(r"^([a-z0-9._-]+)(?:\[.*\])?==(\S+)", (ROOT / lock).read_text(), re.MULTILINE)
    versions: dict[str, set[str]] = {}
    for name, version in pins:
        versions.setdefault(canonicalize_name(name), set()).add(version)
    return versions


def pyproject() -> dict[str, dict[str, Any]]:
    return tomllib.loads((ROOT / "pyproject.toml").read_text())


def test_the_wheel_holds_every_file_of_the_three_packages_and_nothing_else(wheel: zipfile.ZipFile) -> None:
    packed = {name for name in wheel.namelist() if ".dist-info/" not in name}
    present = {
        path.relative_to(ROOT).as_posix()
        for package in PACKAGES
        for path in (ROOT / package).rglob("*")
        if path.is_file() and "__pycache__" not in path.parts
    }
    assert packed == present


@pytest.mark.parametrize(
    "pattern",
    [
        *("mock_server/py.typed", "scenarios/py.typed", "reports/py.typed"),
        *("mock_server/presets/realistic.toml", "scenarios/catalogue/smoke.toml", "scenarios/catalogue/steady.toml"),
    ],
)
def test_the_wheel_holds_what_is_not_python(wheel: zipfile.ZipFile, pattern: str) -> None:
    assert pattern in wheel.namelist()


def test_the_wheel_holds_the_report_templates(wheel: zipfile.ZipFile) -> None:
    suffixes = {PurePosixPath(name).suffix for name in wheel.namelist() if name.startswith("reports/")}
    assert suffixes - {".py", ".typed", ""} != set()


def test_the_wheel_installs_no_tests(wheel: zipfile.ZipFile) -> None:
    tops = {name.partition("/")[0] for name in wheel.namelist()}
    assert {top for top in tops if not top.endswith(".dist-info")} == set(PACKAGES)
    assert [name for name in wheel.namelist() if "test" in PurePosixPath(name).stem.split("_")] == []


def test_a_plain_install_brings_the_mock_alone(metadata: Message) -> None:
    plain = installed_by(metadata, "")
    assert {"starlette", "uvicorn", "msgspec"} <= plain
    assert closure(plain) & NOT_FOR_CLIENT_TEAMS == set()


def test_the_extras_bring_load_generation_and_reports(metadata: Message) -> None:
    assert {"load", "report", "all"} <= set(metadata.get_all("Provides-Extra", []))
    assert "locust" in installed_by(metadata, "load") - installed_by(metadata, "report")
    assert "pandas" in installed_by(metadata, "report") - installed_by(metadata, "load")


def test_the_extra_all_is_load_and_report() -> None:
    assert pyproject()["project"]["optional-dependencies"]["all"] == ["apiflowx-harness[load,report]"]


def test_the_three_commands_are_installed(wheel: zipfile.ZipFile) -> None:
    (name,) = (name for name in wheel.namelist() if name.endswith("entry_points.txt"))
    entry_points = ConfigParser()
    entry_points.read_string(wheel.read(name).decode())
    scripts = dict(entry_points["console_scripts"])
    assert {"mock-server", "load-test", "perf-report"} <= set(scripts)
    modules = [target.partition(":")[0].replace(".", "/") + ".py" for target in scripts.values()]
    assert [module for module in modules if module not in wheel.namelist()] == []
    plugin = entry_points["pytest11"]["llm_mock"].replace(".", "/")
    assert f"{plugin}/__init__.py" in wheel.namelist()


def test_every_module_of_the_mock_imports_without_what_client_teams_do_not_install() -> None:
    refused = json.dumps(
        sorted({*NOT_FOR_CLIENT_TEAMS, "httpx", "jinja2", "psutil", "requests", "scenarios", "reports"})
    )
    done = subprocess.run(
        [sys.executable, "-c", IMPORT_ALL, refused], cwd=ROOT, capture_output=True, text=True, timeout=60, check=False
    )
    assert done.returncode == 0, done.stderr
    assert {"mock_server.__main__", "mock_server.core.engine", "mock_server.http.app"} <= set(json.loads(done.stdout))


@pytest.mark.parametrize("lock", LOCKS)
def test_every_locked_file_is_pinned_by_hash_and_names_no_index(lock: str) -> None:
    text = (ROOT / lock).read_text()
    entries = re.split(r"\n(?=\S)", re.sub(r"^#.*\n", "", text, flags=re.MULTILINE).strip())
    assert [entry.splitlines()[0] for entry in entries if "--hash=sha256:" not in entry or "==" not in entry] == []
    assert "://" not in text


def test_the_lock_to_run_with_is_part_of_the_lock_to_test_with() -> None:
    run, test = (locked(lock) for lock in LOCKS)
    assert {name: versions for name, versions in run.items() if versions != test.get(name)} == {}
    assert len(run) < len(test)


def extras_asked_for(names: set[str]) -> set[tuple[str, str]]:
    """Each (distribution, extra) that one of these distributions requires, as far as they are installed here."""
    found: set[tuple[str, str]] = set()
    for name in closure(names):
        needed = [Requirement(text) for text in requires(name) or []]
        wanted = [one for one in needed if one.marker is None or one.marker.evaluate({"extra": ""})]
        found |= {(canonicalize_name(one.name), extra) for one in wanted for extra in one.extras}
    return found


@pytest.mark.parametrize("lock", LOCKS)
def test_extras_are_pinned_with_their_distributions(lock: str) -> None:
    # pip takes `coverage[toml]` for unpinned where the lock says `coverage==1`, once a newer version is published.
    pinned = {
        (canonicalize_name(name), extra)
        for name, extras in re.findall(r"^([a-z0-9._-]+)\[(.*)\]==", (ROOT / lock).read_text(), re.MULTILINE)
        for extra in extras.split(",")
    }
    asked = extras_asked_for(set(locked(lock)))
    assert asked - pinned == set()
    assert lock == LOCKS[0] or asked


def test_the_locks_hold_every_direct_dependency() -> None:
    project, groups = pyproject()["project"], pyproject()["dependency-groups"]
    run = [*project["dependencies"], *project["optional-dependencies"]["load"]]
    run += [*project["optional-dependencies"]["report"], *groups["build"]]
    test = run + [entry for entry in groups["dev"] if isinstance(entry, str)]
    for lock, asked in zip(LOCKS, (run, test), strict=True):
        assert {canonicalize_name(Requirement(one).name) for one in asked} - set(locked(lock)) == set()

"""The versions that `make test-versions` tests are the ends of the ranges that pyproject.toml gives."""

from __future__ import annotations

import subprocess
import sys
import tomllib
from importlib.metadata import version
from pathlib import Path
from typing import Any

import pytest
import uvicorn
from packaging.requirements import Requirement
from packaging.version import Version

from tests import versions
from tests.versions import VersionsError, ends, install, requirements, run

ROOT = Path(__file__).parent.parent
PUBLISHED = [Version(text) for text in ("0.9", "1.0", "1.0.1", "1.10", "1.9", "2.0", "2.1rc1")]


def project() -> dict[str, Any]:
    found: dict[str, Any] = tomllib.loads((ROOT / "pyproject.toml").read_text())["project"]
    return found


@pytest.mark.parametrize(
    ("asked", "lowest", "newest"),
    [("a>=1.0,<2", "1.0", "1.10"), ("a>=0.9.5", "1.0", "2.0"), ("a", "0.9", "2.0"), ("a<1.9,!=1.0", "0.9", "1.0.1")],
)
def test_the_ends_of_a_range_are_what_is_published_in_it(asked: str, lowest: str, newest: str) -> None:
    found = ends([Requirement(asked)], {"a": PUBLISHED})
    assert found == ({"a": Version(lowest)}, {"a": Version(newest)})


def test_a_range_with_nothing_in_it_is_said() -> None:
    with pytest.raises(VersionsError, match="nothing published fits a>3"):
        ends([Requirement("a>3")], {"a": PUBLISHED})


def test_what_is_for_another_platform_is_left_out() -> None:
    asked = requirements({"dependencies": ["a>=1", "b>=1; sys_platform == 'nowhere'"]})
    assert [one.name for one in asked] == ["a"]


def test_what_the_mock_leans_on_is_bounded_at_both_ends() -> None:
    asked = {one.name: one.specifier for one in requirements(project())}
    for name in ("uvicorn", "starlette", "msgspec", "httptools"):
        assert {bound.operator for bound in asked[name]} == {">=", "<"}, name
        assert version(name) in asked[name]
    assert Version("0.55") not in asked["uvicorn"]


def test_an_environment_is_laid_over_this_one(tmp_path: Path) -> None:
    python = install(tmp_path, {"uvicorn": Version(version("uvicorn"))})  # it is there, and nothing is fetched
    code = "import sys, uvicorn, pytest, mock_server; print(uvicorn.__file__, sys.prefix, sep='\\n')"
    done = subprocess.run([python, "-P", "-c", code], cwd=tmp_path, capture_output=True, text=True, check=True)
    assert done.stdout.splitlines() == [uvicorn.__file__, str(tmp_path)]


def test_what_is_installed_here_is_not_tested_twice(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.setattr(versions, "install", lambda *_: pytest.fail("nothing is to be installed"))
    assert run("newest", {"uvicorn": Version(version("uvicorn"))}, []) == 0
    assert "the newest are those of the environment itself: uvicorn " in capsys.readouterr().out


def test_what_cannot_be_installed_is_one_line_and_exit_2(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.setattr(versions, "PIP", (sys.executable, "-c", "import sys; sys.exit('ERROR: no index\\nmore')"))
    assert versions.main([]) == 2
    assert capsys.readouterr().err == "versions: no index\n"

"""`docs/check-client.md` works as it stands."""

from __future__ import annotations

import re
import shlex
import sys
from pathlib import Path

import pytest

from mock_server.__main__ import _parser, main
from mock_server.kit.check.plan import chosen, standard_plan

PAGE = (Path(__file__).parents[2] / "docs" / "check-client.md").read_text("utf-8")


def snippet(language: str) -> str:
    found = re.search(rf"```{language}\n(.*?)```", PAGE, re.DOTALL)
    assert found is not None
    return found[1]


def test_the_client_of_the_page_passes(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    client = tmp_path / "my_client.py"
    client.write_text(snippet("python"), "utf-8")
    only = ("--only", "truncated-json", "--only", "502-all-providers-failed-once")
    assert main(["check-client", *only, "--", sys.executable, str(client)]) == 0
    shown = capsys.readouterr().out
    assert "2 × (502, 200)" in shown
    assert "0 failed" in shown


def test_the_commands_of_the_page_are_understood() -> None:
    lines = snippet("sh").splitlines()
    assert len(lines) > 2
    for line in lines:
        args = _parser().parse_args(shlex.split(line)[1:])
        assert args.client
        assert chosen(standard_plan(), args.only)

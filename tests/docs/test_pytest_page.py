"""The Python snippets of docs/pytest.md are one test suite, and it passes."""

from __future__ import annotations

import re
from pathlib import Path

from mock_server.kit.pytest_plugin.in_process import LlmMockApp
from mock_server.kit.pytest_plugin.mock import Clock, LlmMock
from tests.docs.test_pages import ROOT
from tests.mock_server.kit.suites import run_pytest

PAGE = (ROOT / "docs" / "pytest.md").read_text(encoding="utf-8")
SNIPPETS = re.findall(r"```python\n(.*?)```", PAGE, re.DOTALL)


def test_the_snippets_pass_as_they_stand(tmp_path: Path) -> None:
    code, output = run_pytest(tmp_path, "\n".join(SNIPPETS))
    assert code == 0, output
    assert f"{''.join(SNIPPETS).count('def test_')} passed" in output


def test_the_table_names_all_that_a_test_has_in_hand() -> None:
    table = PAGE.partition("## What it has")[2].partition("Criteria are")[0]
    public = {name for name in dir(LlmMock) if not name.startswith("_")} - {"reset", "section", "world"}
    assert public | {"clock", "test_id"} <= set(re.findall(r"\w+", table))
    assert {name for name in dir(Clock) if not name.startswith("_")} <= set(re.findall(r"\w+", table))
    assert issubclass(LlmMockApp, LlmMock)

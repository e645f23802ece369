"""Every TOML snippet of the documentation runs as it stands."""

from __future__ import annotations

import re
import tomllib
from pathlib import Path

import pytest

from mock_server.config import load_world
from mock_server.kit.check.plan import read_plan
from mock_server.launch import launch
from reports.gate import read_gates
from scenarios.model.reading import read_scenario
from tests.docs.test_pages import PAGES
from tests.mock_server.wire import Mock, chat

SNIPPETS = [
    pytest.param(source, id=f"{page.name}:{page.read_text('utf-8')[: found.start()].count(chr(10)) + 1}")
    for page in PAGES
    for found in re.finditer(r"```toml\n(.*?)```", page.read_text("utf-8"), re.DOTALL)
    for source in [found[1]]
]


def is_world(source: str) -> bool:
    return "extends" in tomllib.loads(source)


def test_there_are_snippets_of_every_kind() -> None:
    sources = [str(snippet.values[0]) for snippet in SNIPPETS]
    tables = [tomllib.loads(source) for source in sources]
    assert sum("extends" in table for table in tables) >= 4
    assert any("load" in table for table in tables)
    assert any(set(table) == {"gate"} for table in tables)
    assert any(set(table) == {"cell"} for table in tables)


@pytest.mark.parametrize("source", [snippet for snippet in SNIPPETS if not is_world(str(snippet.values[0]))])
def test_scenarios_gates_and_plans_are_read_as_they_stand(source: str) -> None:
    if set(tomllib.loads(source)) == {"gate"}:
        assert read_gates(source)
    elif set(tomllib.loads(source)) == {"cell"}:
        assert read_plan(source, "page.toml")
    else:
        assert read_scenario(source, "page.toml").name


@pytest.mark.parametrize("source", [snippet for snippet in SNIPPETS if is_world(str(snippet.values[0]))])
def test_worlds_are_served_as_they_stand(source: str, tmp_path: Path) -> None:
    path = tmp_path / "page.toml"
    path.write_text(source, encoding="utf-8")
    with launch("--world", str(path), "--time-scale", "0.001") as launched:
        mock = Mock(launched)
        answer = mock.call(chat("How is the weather?"), test="mine")
        assert answer.status_code in (200, 500, 502), answer.text
        assert answer.json()["success"] is (answer.status_code == 200)
        mock.http.close()
    assert load_world(str(path)).models

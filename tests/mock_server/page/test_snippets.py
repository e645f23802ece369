"""The code examples, taken from the page and executed against a mock."""

from __future__ import annotations

import json
import os
import shutil
import subprocess
import sys
from pathlib import Path
from typing import Final

import pytest

from mock_server.contract.endpoints import BASE_URL, PLACEHOLDER_KEY
from mock_server.contract.examples import DOCUMENTED_REQUEST
from tests.mock_server.page.reading import ParsedPage
from tests.mock_server.wire import TIMEOUT_S, UNLIMITED, Mock, events, text_of

# How each language is run: the command, and the name its file must have.
RUNNERS: Final[dict[str, tuple[tuple[str, ...], str]]] = {
    "curl": (("sh",), "example.sh"),
    "Python (httpx)": ((sys.executable,), "example.py"),
    "Python (requests)": ((sys.executable,), "example.py"),
    "Node.js": (("node",), "example.mjs"),
    "Go": (("go", "run"), "example.go"),
}
NEEDS: Final = {"curl": "curl", "Node.js": "node", "Go": "go"}
FOUND: Final = [name for name in RUNNERS if name not in NEEDS or shutil.which(NEEDS[name])]
NODE_IMPORT: Final = 'import fetch from "node-fetch";\n'


def execute(
    page: ParsedPage, title: str, mock: Mock, folder: Path, key: str = UNLIMITED
) -> subprocess.CompletedProcess[str]:
    """Run an example as the page shows it, but for address, key and the original Node.js one's import."""
    code = page.code[title]
    assert code.count(BASE_URL) == code.count(PLACEHOLDER_KEY) == 1
    code = code.replace(BASE_URL, mock.url).replace(PLACEHOLDER_KEY, key)
    if title == "Node.js":
        assert code.startswith(NODE_IMPORT)
        code = code.removeprefix(NODE_IMPORT)
    command, name = RUNNERS[title.removesuffix(", streamed")]
    (folder / name).write_text(code + "\n")
    return subprocess.run(
        [*command, name], cwd=folder, env=direct(), capture_output=True, text=True, timeout=TIMEOUT_S * 3
    )


def direct() -> dict[str, str]:
    """This process's environment without proxies, which would stand between an example and the mock."""
    return {name: value for name, value in os.environ.items() if not name.lower().endswith("_proxy")}


def expected(mock: Mock) -> str:
    """The answer the example will get; afterwards the mock is as good as new."""
    answer: str = mock.call(DOCUMENTED_REQUEST).json()["response"]
    mock.reset()
    return answer


def test_the_languages_every_machine_should_have_are_executed() -> None:
    assert {"curl", "Python (httpx)", "Python (requests)", "Node.js"} <= set(FOUND)


@pytest.mark.parametrize("language", FOUND)
def test_an_example_prints_the_answer(page: ParsedPage, mock: Mock, tmp_path: Path, language: str) -> None:
    answer = expected(mock)
    ended = execute(page, language, mock, tmp_path)
    assert (ended.returncode, ended.stderr if language != "curl" else "") == (0, "")
    printed = json.loads(ended.stdout)["response"] if language == "curl" else ended.stdout.removesuffix("\n")
    assert printed == answer


@pytest.mark.parametrize("language", FOUND)
def test_a_streamed_example_prints_the_same_answer(page: ParsedPage, mock: Mock, tmp_path: Path, language: str) -> None:
    answer = expected(mock)
    ended = execute(page, f"{language}, streamed", mock, tmp_path)
    assert (ended.returncode, ended.stderr if language != "curl" else "") == (0, "")
    printed = text_of(events(ended.stdout.encode())[0]) if language == "curl" else ended.stdout
    assert printed == answer


@pytest.mark.parametrize("language", [name for name in FOUND if name != "curl"])
def test_a_streamed_example_fails_when_it_is_refused(
    page: ParsedPage, mock: Mock, tmp_path: Path, language: str
) -> None:
    ended = execute(page, f"{language}, streamed", mock, tmp_path, "sk-test-empty")
    assert ended.returncode != 0
    assert ended.stdout == ""
    assert "402" in ended.stderr or "Insufficient token balance" in ended.stderr


def test_the_examples_of_every_language_say_the_same_request(page: ParsedPage) -> None:
    content = DOCUMENTED_REQUEST["messages"][0]["content"]
    for language in RUNNERS:
        plain, streamed = page.code[language], page.code[f"{language}, streamed"]
        for code, stream in ((plain, "false"), (streamed, "true")):
            lines = code.replace('"', "").lower()
            assert f"content: {content}" in lines
            assert "mode: auto" in lines
            assert f"stream: {stream}" in lines

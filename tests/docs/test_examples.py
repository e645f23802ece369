"""The examples work as they stand."""

from __future__ import annotations

import shutil
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[2]


@pytest.fixture
def mock_url() -> Iterator[str]:
    command = [sys.executable, "-m", "mock_server", "serve", "--world", "instant", "--port", "0"]
    with subprocess.Popen(command, stdout=subprocess.PIPE, text=True, cwd=ROOT) as server:
        assert server.stdout is not None
        yield server.stdout.readline().split()[-1]
        server.terminate()


def test_the_pytest_example_passes() -> None:
    command = [sys.executable, "-m", "pytest", "-q", "-p", "no:cacheprovider", "examples"]
    done = subprocess.run(command, cwd=ROOT, capture_output=True, text=True, timeout=60)
    assert done.returncode == 0, done.stdout
    assert "3 passed" in done.stdout


def test_the_node_example_notices_every_bad_ending(mock_url: str) -> None:
    node = shutil.which("node")
    assert node is not None, "this test needs Node.js 18 or newer; on Debian or Ubuntu: apt-get install nodejs"
    done = subprocess.run([node, "examples/client.mjs", mock_url], cwd=ROOT, capture_output=True, text=True, timeout=60)
    assert done.returncode == 0, done.stderr
    for fault in ("eof;after=3", "error_event", "garbage_event", "reset;after=2"):
        assert f"{fault}: noticed: " in done.stdout
    for harmless in ("no fault", "framing=bytewise", "framing=multiline"):
        assert f"{harmless}: noticed" not in done.stdout

"""Mocks that run in processes of their own, reached over real sockets."""

from __future__ import annotations

import re
import select
import signal
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path
from typing import Protocol

import pytest

from tests.mock_server.wire import TIMEOUT_S, Mock

READY = re.compile(r"mock-server ready on (http://127\.0\.0\.1:\d+)\n")

# Slow and the same every time: 300 ms to the first token, then ten tokens a second, or one every 40 seconds.
SLOW = """
extends = "instant"
latency_scale = 1.0
description = "slow and steady"

[models."slow/steady"]
ttft = { law = "constant", ms = 300.0 }
tokens_per_s = 10.0
window = 100_000
price_in = 0.0
price_out = 0.0
quality = 1.0

[models."slow/glacial"]
ttft = { law = "constant", ms = 300.0 }
tokens_per_s = 0.025
window = 100_000
price_in = 0.0
price_out = 0.0
quality = 0.0

[plans.pair]
concurrent = 2

[accounts.sk-own-pair-abcd]
plan = "pair"
balance = 100_000

[accounts.sk-own-purse-wxyz]
balance = 25

[accounts.sk-own-limited-empty]
plan = "single"
balance = 0
"""


class StartMock(Protocol):
    """Starts a mock with the given options of `serve`; it is stopped, and must end cleanly, with the test."""

    def __call__(self, *options: str) -> Mock: ...


def launch(folder: Path, *options: str) -> Mock:
    """A mock that accepts connections."""
    stderr = folder / "stderr.txt"
    with stderr.open("w") as complaints:
        process = subprocess.Popen(
            [sys.executable, "-m", "mock_server", "serve", "--port", "0", *options],
            stdout=subprocess.PIPE,
            stderr=complaints,
            text=True,
        )
    assert process.stdout is not None
    ready, _, _ = select.select([process.stdout], [], [], TIMEOUT_S)
    line = process.stdout.readline() if ready else ""
    match = READY.fullmatch(line)
    if match is None:
        process.kill()
        process.communicate()
        pytest.fail(f"not the ready line: {line!r}; stderr: {stderr.read_text()}")
    return Mock(process, match[1], stderr)


def retire(mock: Mock) -> None:
    """Stop a mock that the test has not stopped itself; a clean end says nothing more."""
    if mock.process.returncode is None:
        assert mock.stop() == (-signal.SIGTERM, "", "")


@pytest.fixture
def start_mock(tmp_path_factory: pytest.TempPathFactory) -> Iterator[StartMock]:
    started: list[Mock] = []

    def start(*options: str) -> Mock:
        started.append(launch(tmp_path_factory.mktemp("mock"), *options))
        return started[-1]

    yield start
    for mock in started:
        retire(mock)


@pytest.fixture(scope="session")
def instant_mock(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Mock]:
    running = launch(tmp_path_factory.mktemp("mock"), "--world", "instant")
    yield running
    retire(running)


@pytest.fixture
def mock(instant_mock: Mock) -> Mock:
    """A mock without latency and failures, as good as new."""
    instant_mock.reset()
    return instant_mock


@pytest.fixture(scope="session")
def slow_world(tmp_path_factory: pytest.TempPathFactory) -> str:
    """The path of a world with one more model, `slow/steady`, and an account that may do two things at once."""
    path = tmp_path_factory.mktemp("worlds") / "slow.toml"
    path.write_text(SLOW)
    return str(path)


@pytest.fixture(scope="session")
def patient_mock(tmp_path_factory: pytest.TempPathFactory, slow_world: str) -> Iterator[Mock]:
    running = launch(tmp_path_factory.mktemp("mock"), "--world", slow_world)
    yield running
    retire(running)


@pytest.fixture
def slow_mock(patient_mock: Mock) -> Mock:
    """A mock where `slow/steady` takes its time, as good as new."""
    patient_mock.reset()
    return patient_mock

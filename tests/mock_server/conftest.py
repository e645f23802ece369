"""Mocks that run in processes of their own, reached over real sockets."""

from __future__ import annotations

import shutil
import signal
import subprocess
from collections.abc import Callable, Iterator
from contextlib import ExitStack, contextmanager
from typing import Protocol

import pytest

from mock_server.__main__ import main
from mock_server.launch import launch
from tests.mock_server.wire import Mock

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


@contextmanager
def running(*options: str) -> Iterator[Mock]:
    """A mock with the given options of `serve`; unless the test has stopped it itself, it must end cleanly."""
    with launch(*options) as launched:
        mock = Mock(launched)
        yield mock
        if not mock.http.is_closed:
            assert mock.stop() == (-signal.SIGTERM, "", "")


@pytest.fixture
def start_mock() -> Iterator[StartMock]:
    with ExitStack() as mocks:
        yield lambda *options: mocks.enter_context(running(*options))


def _served(*_: object, **__: object) -> None:
    raise AssertionError("it would have served")


@pytest.fixture
def refused(capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch) -> Callable[..., str]:
    """Runs a command that cannot work, in this process; its one line of complaint."""
    monkeypatch.setattr("mock_server.http.server.serve", _served)

    def refused(*arguments: str) -> str:
        assert main(arguments) == 2
        said = capsys.readouterr()
        assert said.out == ""
        (line,) = said.err.splitlines()
        assert line.startswith("mock-server: ")
        return line

    return refused


@pytest.fixture(scope="session")
def instant_mock() -> Iterator[Mock]:
    with running("--world", "instant") as mock:
        yield mock


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
def patient_mock(slow_world: str) -> Iterator[Mock]:
    with running("--world", slow_world) as mock:
        yield mock


@pytest.fixture
def slow_mock(patient_mock: Mock) -> Mock:
    """A mock where `slow/steady` takes its time, as good as new."""
    patient_mock.reset()
    return patient_mock


@pytest.fixture(scope="session")
def certificate(tmp_path_factory: pytest.TempPathFactory) -> tuple[str, str]:
    """A certificate for this machine and its key, made for the occasion."""
    folder = tmp_path_factory.mktemp("tls")
    files = str(folder / "cert.pem"), str(folder / "key.pem")
    openssl = shutil.which("openssl")
    assert openssl is not None, "this test needs the openssl command"
    command = [openssl, "req", "-x509", "-newkey", "ec", "-pkeyopt", "ec_paramgen_curve:P-256", "-nodes", "-days", "2"]
    names = ["-subj", "/CN=localhost", "-addext", "subjectAltName=IP:127.0.0.1", "-out", files[0], "-keyout", files[1]]
    subprocess.run([*command, *names], check=True, capture_output=True)
    return files

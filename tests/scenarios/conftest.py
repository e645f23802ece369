"""Runs of the real commands against a gateway that can misbehave in any way."""

from __future__ import annotations

import json
import os
import signal
import subprocess
import sys
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from pathlib import Path
from typing import Any, NamedTuple

import pyarrow.parquet as pq
import pytest

from tests.scenarios.gateway import DOCUMENT, StubGateway, free_port, stream_events

ROOT = Path(__file__).resolve().parents[2]


@pytest.fixture
def gateway() -> Iterator[StubGateway]:
    stub = StubGateway()
    yield stub
    stub.stop()


# The command without its last step: the report has tests of its own, and takes seconds.
_WITHOUT_REPORT = (
    "import sys, scenarios.command.run, scenarios.__main__ as m;"
    "scenarios.command.run.judge = lambda out, **options: 0;"
    "sys.exit(m.main())"
)


class LoadTest:
    """One ``load-test`` command in a process of its own."""

    def __init__(self, *words: str, cwd: Path, report: bool = False) -> None:
        how = ["-m", "scenarios"] if report else ["-c", _WITHOUT_REPORT]
        environment = {name: value for name, value in os.environ.items() if name != "LOAD_TEST_API_KEY"}
        self.process = subprocess.Popen(
            [sys.executable, *how, *words],
            cwd=cwd,
            env={**environment, "PYTHONPATH": str(ROOT)},
            stdout=subprocess.PIPE,
            stderr=subprocess.PIPE,
            text=True,
        )

    def finish(self, timeout_s: float = 60) -> tuple[int, str, str]:
        out, err = self.process.communicate(timeout=timeout_s)
        return self.process.returncode, out, err

    def interrupt(self) -> None:
        self.process.send_signal(signal.SIGINT)


@pytest.fixture
def load_test(tmp_path: Path) -> Iterator[Callable[..., LoadTest]]:
    started: list[LoadTest] = []

    def start(*words: str, report: bool = False) -> LoadTest:
        started.append(LoadTest(*words, cwd=tmp_path, report=report))
        return started[-1]

    yield start
    for one in started:
        with one.process:
            one.process.kill()


class PlainLocust(LoadTest):
    """One plain ``locust`` command on our locustfile, in a process group of its own."""

    def __init__(self, *words: str, cwd: Path) -> None:
        if "--processes" in words:
            # Locust's own default port may be another run's.
            port = str(free_port())
            words = (*words, "--master-bind-port", port, "--master-port", port)
        self.process = subprocess.Popen(
            [sys.executable, "-m", "locust", "-f", str(ROOT / "scenarios" / "locustfile.py"), *words],
            cwd=cwd,
            env={**os.environ, "PYTHONPATH": str(ROOT), "LOAD_TEST_API_KEY": "sk-plain-locust-5678"},
            stdin=subprocess.DEVNULL,
            stdout=subprocess.PIPE,
            stderr=subprocess.STDOUT,
            text=True,
            start_new_session=True,
        )

    def end(self) -> None:
        """Kill it with its workers if it still runs."""
        with self.process:
            if self.process.poll() is None:
                os.killpg(self.process.pid, signal.SIGKILL)


@pytest.fixture
def locust(tmp_path: Path) -> Iterator[Callable[..., PlainLocust]]:
    started: list[PlainLocust] = []

    def start(*words: str) -> PlainLocust:
        started.append(PlainLocust(*words, cwd=tmp_path))
        return started[-1]

    yield start
    for one in started:
        one.end()


class Unattended(NamedTuple):
    """A run that nobody has to watch: its command, and how its gateway answers; () is a run with its own mock."""

    words: tuple[str, ...]
    modes: tuple[str, ...] = ()
    plain_locust: bool = False


@dataclass(frozen=True)
class Finished:
    """What an unattended run left: its directory, what it said, and what its gateway saw."""

    out: Path
    code: int
    said: str
    err: str
    gateway: StubGateway | None


def _finish(run: Unattended, folder: Path) -> Finished:
    folder.mkdir()
    out = folder / "run"
    words = (*run.words, "--out", str(out))
    gateway = StubGateway() if run.modes else None
    try:
        if gateway is not None:
            gateway.modes = list(run.modes)
            words = (*words, "--host" if run.plain_locust else "--target", gateway.url)
        if run.plain_locust:
            command: LoadTest = PlainLocust(*words, cwd=folder)
        else:
            command = LoadTest(*words, cwd=folder)
        code, said, err = command.finish()
    finally:
        if gateway is not None:
            gateway.stop()
    return Finished(out, code, said, err or "", gateway)


@pytest.fixture(scope="module")
def finished(
    request: pytest.FixtureRequest, tmp_path_factory: pytest.TempPathFactory
) -> Iterator[Callable[[str], Finished]]:
    """The module's ``UNATTENDED`` runs, by name. They go on two at a time: most of a run is waiting."""
    folder = tmp_path_factory.mktemp("unattended")
    unattended: dict[str, Unattended] = request.module.UNATTENDED
    with ThreadPoolExecutor(2) as pool:
        runs = {name: pool.submit(_finish, run, folder / name.replace(" ", "-")) for name, run in unattended.items()}
        yield lambda name: runs[name].result(120)
        pool.shutdown(cancel_futures=True)


def read_rows(run_dir: Path) -> list[dict[str, Any]]:
    found: list[dict[str, Any]] = pq.ParquetFile(run_dir / "samples.parquet").read().to_pylist()
    return found


@pytest.fixture
def rows() -> Callable[[Path], list[dict[str, Any]]]:
    return read_rows


@pytest.fixture
def manifest() -> Callable[[Path], dict[str, Any]]:
    def read(run_dir: Path) -> dict[str, Any]:
        document: dict[str, Any] = json.loads((run_dir / "manifest.json").read_text("utf-8"))
        return document

    return read


@pytest.fixture
def events() -> list[str]:
    return stream_events()


@pytest.fixture
def document() -> dict[str, Any]:
    copy: dict[str, Any] = json.loads(json.dumps(DOCUMENT))
    return copy

"""A raw gateway that can misbehave in any way, and runs of the real commands against it."""

from __future__ import annotations

import asyncio
import json
import os
import signal
import socket
import struct
import subprocess
import sys
import threading
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pyarrow.parquet as pq
import pytest

ROOT = Path(__file__).resolve().parents[2]
USAGE = {"prompt_tokens": 5, "completion_tokens": 3, "total_tokens": 8}
DOCUMENT = {
    "success": True,
    "model": "m-1",
    "response": "hello",
    "usage": USAGE,
    "provider": "p-1",
    "request_id": "req_0000001",
}
OPENING = {
    "success": True,
    "request_id": "req_0000001",
    "model": "m-1",
    "provider": "p-1",
    "response": "",
    "done": False,
}
TERMINAL = {"response": "", "done": True, "finish_reason": "stop", "usage": USAGE}


def stream_events() -> list[str]:
    """The data of a valid stream's events."""
    pieces = [{"response": text, "done": False} for text in ("he", "llo", " 世界")]
    return [*(json.dumps(event, ensure_ascii=False) for event in (OPENING, *pieces, TERMINAL)), "[DONE]"]


def envelope(code: str, message: str = "no") -> bytes:
    return json.dumps({"success": False, "error": {"code": code, "message": message}}).encode()


class StubGateway:
    """A server on a free port; ``modes`` say in turn how it answers the next requests."""

    def __init__(self) -> None:
        self.modes = ["ok"]
        # Bodies of all requests, in the order they came.
        self.bodies: list[bytes] = []
        self.heads: list[str] = []
        self.first_request = threading.Event()
        self._loop = asyncio.new_event_loop()
        self._ready = threading.Event()
        self._thread = threading.Thread(target=self._serve, daemon=True)
        self._thread.start()
        assert self._ready.wait(5)

    def _serve(self) -> None:
        asyncio.set_event_loop(self._loop)
        self._server = self._loop.run_until_complete(asyncio.start_server(self._client, "127.0.0.1", 0))
        self.port = self._server.sockets[0].getsockname()[1]
        self._ready.set()
        self._loop.run_forever()
        self._loop.close()

    @property
    def url(self) -> str:
        return f"http://127.0.0.1:{self.port}"

    async def _client(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        try:
            while True:
                head = (await reader.readuntil(b"\r\n\r\n")).decode()
                length = int(head.lower().split("content-length: ")[1].split("\r\n")[0])
                body = await reader.readexactly(length)
                self.heads.append(head)
                self.bodies.append(body)
                self.first_request.set()
                mode = self.modes[len(self.bodies) % len(self.modes)]
                if not await self._answer(writer, body, mode):
                    return
        except (asyncio.IncompleteReadError, ConnectionError):
            return
        finally:
            writer.close()

    async def _answer(self, writer: asyncio.StreamWriter, body: bytes, mode: str) -> bool:
        match mode:
            case "hang":
                await asyncio.sleep(3600)
            case "reset":
                # Closing with unsent data thrown away sends RST instead of FIN.
                sock = writer.get_extra_info("socket")
                sock.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, struct.pack("ii", 1, 0))
                writer.transport.abort()
                return False
            case "not_http":
                writer.write(b"SSH-2.0-x\r\n\r\n")
                await writer.drain()
                return False
            case "close":
                return False
            case "denied":
                self._plain(writer, 401, envelope("INVALID_API_KEY"))
            case "garbage":
                self._plain(writer, 200, b"<html>")
            case "truncated_stream":
                self._stream(writer, stream_events()[:3])
                await writer.drain()
                return False
            case _ if b'"stream":true' in body:
                self._stream(writer, stream_events())
                writer.write(b"0\r\n\r\n")
            case _:
                self._plain(writer, 200, json.dumps(DOCUMENT).encode())
        await writer.drain()
        return True

    def _plain(self, writer: asyncio.StreamWriter, status: int, body: bytes) -> None:
        head = f"HTTP/1.1 {status} X\r\nContent-Type: application/json; charset=utf-8\r\n"
        writer.write(f"{head}Content-Length: {len(body)}\r\n\r\n".encode() + body)

    def _stream(self, writer: asyncio.StreamWriter, events: list[str]) -> None:
        writer.write(b"HTTP/1.1 200 OK\r\nContent-Type: text/event-stream\r\nTransfer-Encoding: chunked\r\n\r\n")
        for event in events:
            data = f"data: {event}\n\n".encode()
            writer.write(f"{len(data):x}\r\n".encode() + data + b"\r\n")

    def stop(self) -> None:
        async def end() -> None:
            self._server.close()
            tasks = [task for task in asyncio.all_tasks() if task is not asyncio.current_task()]
            for task in tasks:
                task.cancel()
            await asyncio.gather(*tasks, return_exceptions=True)

        asyncio.run_coroutine_threadsafe(end(), self._loop).result(5)
        self._loop.call_soon_threadsafe(self._loop.stop)
        self._thread.join(5)


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


KEY = "sk-test-secret-1234"
_LOAD = ("run", "steady", "--api-key", KEY)
_SHORT = ("--duration", "1s", "--warmup", "500ms", "--drain", "1s")
_TO_THE_END = ("--warmup", "0", "--drain", "1s")
_HEADLESS = ("--headless", "--only-summary")
_WIRE_FAULTS = ("reset", "close", "garbage", "not_http", "truncated_stream", "ok")
_OUTAGES = Path(__file__).with_name("outages.toml")

# Runs that nobody has to watch: how the gateway answers (nothing: the run has its own mock), and the command.
UNATTENDED: dict[str, tuple[tuple[str, ...], tuple[str, ...]]] = {
    "outages": ((), ("run", "steady", "--world", str(_OUTAGES), "--duration", "2s", "--warmup", "0", "--rate", "40")),
    "locust, open": (("ok",), (*_HEADLESS, "--rate", "30", "--duration", "1s", "--warmup", "500ms")),
    "locust, workers": (("ok",), (*_HEADLESS, "--processes", "2", "-u", "4", "-r", "100", "-t", "2s")),
    "smoke": ((), ("run", "smoke")),
    "open": (("ok",), (*_LOAD, "--rate", "60", "--processes", "2", "--label", "build=7", *_SHORT)),
    "hanging": (("hang",), (*_LOAD, "--rate", "20", *_SHORT)),
    "impatient": (("hang",), (*_LOAD, "--rate", "20", "--timeout", "900ms", "--max-in-flight", "5", *_SHORT)),
    "wire faults": (_WIRE_FAULTS, (*_LOAD, "--rate", "120", "--duration", "1s", *_TO_THE_END)),
    "closed": (("ok",), (*_LOAD, "--users", "30", "--processes", "2", "--duration", "1500ms", "--warmup", "500ms")),
    "denied": (("denied",), (*_LOAD, "--rate", "50", "--duration", "100s", *_TO_THE_END)),
    "denied, short": (("denied",), (*_LOAD, "--rate", "10", "--duration", "1s", *_TO_THE_END)),
}


@dataclass(frozen=True)
class Finished:
    """What an unattended run left: its directory, what it said, and what its gateway saw."""

    out: Path
    code: int
    said: str
    err: str
    gateway: StubGateway | None


def _unattended(name: str, folder: Path) -> Finished:
    modes, words = UNATTENDED[name]
    folder.mkdir()
    out = folder / "run"
    gateway = StubGateway() if modes else None
    try:
        if gateway is not None:
            gateway.modes = list(modes)
            where = "--host" if name.startswith("locust") else "--target"
            words = (*words, where, gateway.url)
        words = (*words, "--out", str(out))
        if name.startswith("locust"):
            command: LoadTest = PlainLocust(*words, cwd=folder)
        else:
            command = LoadTest(*words, cwd=folder, report=name == "smoke")
        code, said, err = command.finish()
    finally:
        if gateway is not None:
            gateway.stop()
    return Finished(out, code, said, err or "", gateway)


@pytest.fixture(scope="session", autouse=True)
def finished(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Callable[[str], Finished]]:
    """The unattended runs, by name. They go on beside the first tests, two at a time: most of a run is waiting."""
    folder = tmp_path_factory.mktemp("unattended")
    with ThreadPoolExecutor(2) as pool:
        runs = {name: pool.submit(_unattended, name, folder / name.replace(", ", "-")) for name in UNATTENDED}
        yield lambda name: runs[name].result(120)
        pool.shutdown(cancel_futures=True)


@pytest.fixture
def rows() -> Callable[[Path], list[dict[str, Any]]]:
    def read(run_dir: Path) -> list[dict[str, Any]]:
        found: list[dict[str, Any]] = pq.ParquetFile(run_dir / "samples.parquet").read().to_pylist()
        return found

    return read


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

from __future__ import annotations

import json
import signal
import socket
import subprocess
import sys
import time
import tomllib
from collections.abc import Callable
from contextlib import ExitStack
from pathlib import Path

import pytest

from mock_server.__main__ import main
from mock_server.config import load_world, preset_names
from mock_server.exits import Exit
from tests.mock_server.conftest import StartMock
from tests.mock_server.wire import Mock, chat, eventually, raw_call

Refused = Callable[..., str]


def run(*arguments: str) -> subprocess.CompletedProcess[str]:
    """The command, run to its end."""
    return subprocess.run([sys.executable, "-m", "mock_server", *arguments], capture_output=True, text=True, timeout=20)


def test_a_mistake_ends_the_command_with_one_line_and_exit_2() -> None:
    done = run("serve", "--port", "x")
    assert (done.returncode, done.stdout, len(done.stderr.splitlines())) == (2, "", 1)


def test_an_output_that_cannot_be_written_is_said() -> None:
    with Path("/dev/full").open("w") as full:
        done = subprocess.run(
            [sys.executable, "-m", "mock_server", "openapi"], stdout=full, stderr=subprocess.PIPE, text=True, timeout=20
        )
    assert (done.returncode, done.stderr.count("\n")) == (2, 1)
    assert "cannot write the output" in done.stderr


@pytest.mark.parametrize(
    ("arguments", "says"),
    [
        (["--world", "calmer"], "did you mean 'calm'? worlds are realistic, brownout"),
        (["--world", "nowhere/world.toml"], "nowhere/world.toml: no such file or directory"),
        (["--world", "."], "no world '.'"),
        (["--world", "/"], "/: is a directory"),
        (["--port", "65536"], "--port: must be 0 to 65535, not '65536'"),
        (["--port", "-1"], "--port"),
        (["--port", "http"], "--port"),
        (["--time-scale", "0"], "--time-scale: must be a number from 1e-06 to 1000, not '0'"),
        (["--time-scale", "-1"], "--time-scale"),
        (["--time-scale", "1e-320"], "--time-scale"),
        (["--time-scale", "nan"], "--time-scale"),
        (["--time-scale", "fast"], "--time-scale"),
        (["--seed", "1.5"], "--seed"),
        (["--host", "0.0.0.0"], "--host 0.0.0.0 is not a loopback address"),
        (["--host", "::"], "--host :: is not a loopback address"),
        (["--host", "example.com"], "--host example.com is not a loopback address"),
        (["--host", ""], "--host  is not a loopback address"),
        (["--colour", "red"], "--colour"),
    ],
    ids=str,
)
def test_serve_refuses_a_bad_option_in_one_line(refused: Refused, arguments: list[str], says: str) -> None:
    assert says in refused("serve", "--port", "0", *arguments)


@pytest.mark.parametrize(
    ("source", "says"),
    [
        ('extends = "calm"\nseed = 3\n', "seed"),
        ('extends = "calm"\n[gateway]\nstrict = "yes"\n', "gateway.strict"),
        ('extends = "calm"\n[gateway]\nmodel_unavailable_status = 418\n', "400, 404, 502"),
        ('extends = "nothing"\n', "extends must name one of realistic"),
        ('extends = "calm"\nlatency_scale = -1\n', "latency_scale"),
        ('extends = "calm"\n[accounts.sk-own]\nplan = "gold"\n', "plans are"),
        ("description = ", "not valid TOML"),
        ("", "models"),
    ],
)
def test_a_broken_world_file_is_named_with_the_key_at_fault(
    refused: Refused, tmp_path: Path, source: str, says: str
) -> None:
    path = tmp_path / "own.toml"
    path.write_text(source)
    line = refused("serve", "--port", "0", "--world", str(path))
    assert f"{path}: " in line
    assert says in line


def test_a_world_file_that_is_no_text_is_refused(refused: Refused, tmp_path: Path) -> None:
    path = tmp_path / "own.toml"
    path.write_bytes(b"description = \xff\n")
    assert "not UTF-8 at byte 14" in refused("serve", "--port", "0", "--world", str(path))


def test_a_port_in_use_is_said(refused: Refused, mock: Mock) -> None:
    line = refused("serve", "--port", str(mock.port))
    assert f"127.0.0.1:{mock.port}: address already in use" in line


def test_no_command_and_an_unknown_one_are_refused(refused: Refused) -> None:
    assert "COMMAND" in refused()
    assert "dance" in refused("dance")


@pytest.mark.parametrize("module", ["argparse", "msgspec", "mock_server.launch", "uvicorn"])
def test_ctrl_c_while_modules_are_loaded_is_quiet(module: str) -> None:
    code = f"""
import sys, signal
class Press:
    def find_spec(self, name, *_):
        if name == {module!r}:
            signal.raise_signal(signal.SIGINT)
sys.modules.pop({module!r}, None)
sys.meta_path.insert(0, Press())
sys.argv = ["mock-server", "serve", "--port", "0"]
from mock_server.__main__ import run
run()
"""
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, timeout=20)
    assert (done.returncode, done.stdout, done.stderr) == (130, "", "")


def test_port_0_picks_a_port_for_each(start_mock: StartMock) -> None:
    one, two = start_mock("--world", "instant"), start_mock("--world", "instant")
    assert one.port != two.port
    assert one.call().status_code == two.call().status_code == 200


@pytest.mark.parametrize("number", [signal.SIGINT, signal.SIGTERM])
def test_a_signal_ends_it_at_once_and_quietly_with_calls_in_flight(
    start_mock: StartMock, slow_world: str, number: signal.Signals
) -> None:
    own = start_mock("--world", slow_world)
    body = chat(strategy={"models": ["slow/steady"]}, max_tokens=10_000)
    with ExitStack() as stack:
        connections = [stack.enter_context(own.connect()) for _ in range(4)]
        for connection, stream in zip(connections, (False, True, False, True), strict=True):
            connection.send(raw_call(body | {"stream": stream}))
        eventually(lambda: own.control("health")["in_flight"] == 4)
        assert connections[1].head()[0] == 200
        start = time.monotonic()
        code, stdout, stderr = own.stop(number)
        assert time.monotonic() - start < 10
    assert (stdout, stderr) == ("", "")
    assert code in (130, -number)
    with socket.socket() as again:
        again.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        again.bind(("127.0.0.1", own.port))


def test_an_idle_connection_does_not_delay_the_end(start_mock: StartMock) -> None:
    own = start_mock("--world", "instant")
    with own.connect() as idle, own.connect() as half:
        idle.send(raw_call())
        assert idle.answer().status == 200
        half.send(raw_call()[:40])
        start = time.monotonic()
        assert own.stop() == (-signal.SIGTERM, "", "")
        assert time.monotonic() - start < 10


def test_worlds_are_listed_one_per_line_the_default_first() -> None:
    done = run("worlds")
    assert (done.returncode, done.stderr) == (0, "")
    lines = done.stdout.splitlines()
    assert [line.split()[0] for line in lines] == list(preset_names())
    assert [line for line in lines if "(default)" in line] == [lines[0]]
    assert all(len(line.split()) > 3 for line in lines)


def test_a_printed_world_can_be_edited_and_served(start_mock: StartMock, tmp_path: Path) -> None:
    printed = run("worlds", "instant").stdout
    assert tomllib.loads(printed)["extends"] == "realistic"
    path = tmp_path / "mine.toml"
    path.write_text(printed + "\n[accounts.sk-mine-1234]\nbalance = 7\n")
    own = start_mock("--world", str(path))
    assert own.account("sk-mine-1234")["balance"] == 7
    assert own.control("health")["world"] == str(path)


def test_every_preset_that_is_printed_loads_again(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    for name in preset_names():
        path = tmp_path / f"{name}.toml"
        assert main(["worlds", name]) == 0
        path.write_text(capsys.readouterr().out)
        assert load_world(str(path)) == load_world(name), name


def test_an_unknown_world_is_not_printed(refused: Refused) -> None:
    assert "did you mean 'instant'?" in refused("worlds", "instnat")


def test_openapi_is_printed_or_written_the_same(mock: Mock, tmp_path: Path) -> None:
    printed, path = run("openapi"), tmp_path / "openapi.json"
    written = run("openapi", "--output", str(path))
    assert (printed.returncode, printed.stderr) == (0, "")
    assert (written.returncode, written.stdout, written.stderr) == (0, "", "")
    assert path.read_text() == printed.stdout
    assert json.loads(printed.stdout) == mock.http.get("/openapi.json").json()


def test_openapi_is_printed_with_the_mocks_own_if_asked_for(mock: Mock) -> None:
    printed = run("openapi", "--with-directives")
    assert (printed.returncode, printed.stderr) == (0, "")
    assert json.loads(printed.stdout) == mock.http.get("/__mock__/openapi.json").json()
    assert "X-Mock-Fault" in printed.stdout
    assert "X-Mock-Fault" not in run("openapi").stdout


def test_an_error_of_its_own_is_no_failed_check(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.setattr("mock_server.__main__.preset_names", lambda: 1 / 0)
    assert main(["worlds"]) == Exit.BROKEN
    said = capsys.readouterr().err
    assert said.startswith("mock-server: an error of its own, not yours (ZeroDivisionError")
    Path(said.split()[-1]).unlink()


@pytest.mark.parametrize("where", [".", "no/such/folder/openapi.json"])
def test_openapi_that_cannot_be_written_is_said(refused: Refused, tmp_path: Path, where: str) -> None:
    path = tmp_path / where
    assert f"cannot write {path}: " in refused("openapi", "--output", str(path))


@pytest.mark.parametrize(
    "arguments", [["openapi"], ["openapi", "--with-directives"], ["worlds"], ["worlds", "realistic"]]
)
def test_a_reader_that_closes_early_sees_no_traceback(arguments: list[str]) -> None:
    reader = subprocess.Popen(
        [sys.executable, "-m", "mock_server", *arguments], stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True
    )
    assert reader.stdout is not None
    assert reader.stderr is not None
    reader.stdout.close()
    complaint = reader.stderr.read()
    reader.stderr.close()
    reader.wait(20)
    assert "Traceback" not in complaint
    assert "Exception ignored" not in complaint


@pytest.mark.parametrize("arguments", [["--help"], ["serve", "--help"], ["openapi", "--help"], ["worlds", "--help"]])
def test_help_is_complete(arguments: list[str]) -> None:
    done = run(*arguments)
    assert (done.returncode, done.stderr) == (0, "")
    assert done.stdout.startswith("usage: mock-server")
    if arguments[0] == "serve":
        assert all(f"--{name}" in done.stdout for name in ("host", "port", "world", "seed", "time-scale"))


def test_it_is_ready_soon(start_mock: StartMock) -> None:
    start = time.monotonic()
    start_mock()
    # 1.5 s on a quiet machine, which the benchmark measures; here others may be at work.
    assert time.monotonic() - start < 10

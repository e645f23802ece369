"""The launcher, which starts a mock in a process of its own and leaves nothing behind."""

from __future__ import annotations

import os
import signal
import socket
import subprocess
import sys
from pathlib import Path

import httpx
import psutil
import pytest

from mock_server.launch import Launched, LaunchError, launch
from tests.mock_server.wire import eventually

TIMEOUT_S = 20.0


def gone(pid: int) -> bool:
    return not psutil.pid_exists(pid) or psutil.Process(pid).status() == psutil.STATUS_ZOMBIE


def test_it_is_ready_when_it_is_given_and_gone_afterwards() -> None:
    with launch("--world", "instant") as mock:
        assert httpx.get(f"{mock.url}/__mock__/health").json()["status"] == "ok"
        assert mock.death() is None
        assert 0 < mock.ready_after_s < TIMEOUT_S
        assert os.getpgid(mock.pid) == mock.pid  # Ctrl-C at the terminal is not for it
    assert gone(mock.pid)
    assert mock.death() is None
    assert mock.stop() == (-signal.SIGTERM, "")
    with socket.create_server(("127.0.0.1", mock.port)):
        pass


def test_what_keeps_it_from_starting_is_said_in_its_own_words() -> None:
    with pytest.raises(LaunchError, match=r"exit code 2 before it was ready: mock-server: no world 'nowhere'"):
        launch("--world", "nowhere")


@pytest.mark.parametrize(
    ("program", "says"),
    [
        ("print('hello', flush=True); input()", "it said 'hello' instead of where it is"),
        ("import sys; print('busy', file=sys.stderr, flush=True); input()", "not ready within 1 s: busy"),
    ],
)
def test_a_process_that_says_something_else_or_nothing_is_ended(program: str, says: str, tmp_path: Path) -> None:
    noting = f"import os, pathlib; pathlib.Path({str(tmp_path / 'pid')!r}).write_text(str(os.getpid())); {program}"
    with pytest.raises(LaunchError, match=says):
        Launched([sys.executable, "-c", noting], within_s=1)
    assert gone(int((tmp_path / "pid").read_text()))


def test_a_death_of_its_own_is_told() -> None:
    with launch("--world", "instant") as mock:
        mock.send_signal(signal.SIGKILL)
        eventually(lambda: mock.death() == "signal 9")


def test_one_that_does_not_follow_is_ended_by_force(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("mock_server.launch.STOPPED_WITHIN_S", 0.3)
    with launch("--world", "instant") as mock:
        mock.send_signal(signal.SIGSTOP)
        assert mock.stop() == (-signal.SIGKILL, "")
    assert gone(mock.pid)


def test_it_ends_when_whoever_started_it_is_killed() -> None:
    program = "from mock_server.launch import launch; mock = launch('--world', 'instant'); print(mock.pid, flush=True)"
    command = [sys.executable, "-c", f"{program}; input()"]
    with subprocess.Popen(command, stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True) as starter:
        assert starter.stdout is not None
        mock = psutil.Process(int(starter.stdout.readline()))
        starter.kill()
    mock.wait(TIMEOUT_S)


def test_a_file_of_the_callers_folder_does_not_take_a_modules_place(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    for name in ("mock_server.py", "http.py", "queue.py"):
        (tmp_path / name).write_text("raise SystemExit('not this one')")
    monkeypatch.chdir(tmp_path)
    with launch("--world", "instant") as mock:
        assert mock.death() is None

"""The plugin beside others, on several workers, and what is left of it when a run ends badly: nothing."""

from __future__ import annotations

import signal
import subprocess
from pathlib import Path

import pytest

from tests.mock_server.kit.suites import PLUGINS, ended, environment, pytest_command, run_pytest

TOLD = """
def tell(mock):
    with open("pids", "a") as file:
        file.write(f"{mock_pid(mock)}\\n")

@pytest.mark.parametrize("n", range(6))
def test_calls(llm_mock, n):
    tell(llm_mock)
    assert call(llm_mock).status_code == 200
    llm_mock.assert_called(times=1)
"""
CRASH = (
    TOLD
    + """
def test_crashes(llm_mock):
    tell(llm_mock)
    os.kill(os.getpid(), 9)
"""
)
FAILS = (
    TOLD
    + """
def test_fails(llm_mock):
    tell(llm_mock)
    assert 0

def test_never(llm_mock): ...
"""
)
WAITS = """
@pytest.mark.llm_world("calm")
def test_waits(llm_mock):
    print("PID", mock_pid(llm_mock), flush=True)
    call(llm_mock, stream=True)
    llm_mock.wait_for_requests(2, timeout_s=120)
"""
EARLY = {"schemathesis", "anyio"}
"""What imports TLS before Locust can patch it, and breaks it by that."""


def pids(folder: Path) -> list[int]:
    return [int(line) for line in sorted(set((folder / "pids").read_text().split()))]


def test_one_mock_serves_a_whole_run_and_ends_with_it(tmp_path: Path) -> None:
    code, output = run_pytest(tmp_path, TOLD, beside=PLUGINS - {"locust"})
    assert code == 0, output
    assert len(pids(tmp_path)) == 1
    assert ended(pids(tmp_path))


def test_minus_x_leaves_nothing_behind(tmp_path: Path) -> None:
    code, output = run_pytest(tmp_path, FAILS, "-x")
    assert (code, "1 failed, 6 passed" in output) == (1, True), output
    assert ended(pids(tmp_path))


def test_each_worker_of_xdist_has_a_mock_of_its_own(tmp_path: Path) -> None:
    pytest.importorskip("xdist", reason="needs pytest-xdist")
    code, output = run_pytest(tmp_path, FAILS, "-n", "2", beside={"xdist"})
    assert code == 1, output
    assert "llm_mock: journal of test_fails-" in output
    assert len(pids(tmp_path)) == 2
    assert ended(pids(tmp_path))


def test_a_worker_of_xdist_that_dies_takes_its_mock_along(tmp_path: Path) -> None:
    pytest.importorskip("xdist", reason="needs pytest-xdist")
    code, output = run_pytest(tmp_path, CRASH, "-n", "1", "--max-worker-restart", "0", beside={"xdist"})
    assert code == 1, output
    assert "crashed" in output
    assert ended(pids(tmp_path))


@pytest.mark.parametrize("how", [signal.SIGINT, signal.SIGTERM, signal.SIGKILL])
def test_a_run_that_is_stopped_leaves_nothing_behind(tmp_path: Path, how: signal.Signals) -> None:
    command = pytest_command(tmp_path, WAITS, "-s")
    with subprocess.Popen(command, cwd=tmp_path, env=environment(), stdout=subprocess.PIPE, text=True) as running:
        assert running.stdout is not None
        line = next(line for line in running.stdout if "PID " in line)
        running.send_signal(how)
        assert "Traceback" not in running.stdout.read() or how is signal.SIGINT
    assert ended([int(line.split()[-1])])


@pytest.mark.parametrize("first", ["import locust", 'import os; os.environ["LOCUST_SKIP_MONKEY_PATCH"] = "1"'])
def test_it_lives_beside_the_plugins_of_locust_and_others(tmp_path: Path, first: str) -> None:
    pytest.importorskip("pytest_locust", reason="needs Locust")
    (tmp_path / "conftest.py").write_text(f"{first}\n")  # Locust patches the process, and nothing may come before that
    source = TOLD + "def test_fixtures(session, fastsession, llm_mock): assert call(llm_mock).status_code == 200\n"
    code, output = run_pytest(tmp_path, source, "-W", "default", "--host", "http://127.0.0.1:1", beside=PLUGINS - EARLY)
    assert code == 0, output
    assert "7 passed" in output
    assert ended(pids(tmp_path))


def test_it_can_be_switched_off_like_any_plugin(tmp_path: Path) -> None:
    code, output = run_pytest(tmp_path, "def test_x(llm_mock): ...\n", "-p", "no:llm_mock")
    assert code == 1
    assert "fixture 'llm_mock' not found" in output


def test_it_needs_none_of_pytests_own_extras(tmp_path: Path) -> None:
    off = [
        word
        for name in ("capture", "logging", "junitxml", "faulthandler", "threadexception")
        for word in ("-p", f"no:{name}")
    ]
    code, output = run_pytest(tmp_path, FAILS, *off)
    assert code == 1, output
    assert ended(pids(tmp_path))


MEETS = """
@pytest.mark.parametrize("code", [429, 500, 502])
def test_meets(llm_mock, code):
    llm_mock.fail_next(code)
    assert call(llm_mock).status_code == code
    llm_mock.reset()
    assert call(llm_mock).status_code == 200

def test_meets_none(): ...
"""


@pytest.mark.parametrize("workers", [(), ("-n", "2")], ids=["alone", "xdist"])
def test_the_coverage_of_a_whole_run_has_a_bar(tmp_path: Path, workers: tuple[str, ...]) -> None:
    if workers:
        pytest.importorskip("xdist", reason="needs pytest-xdist")
    page = tmp_path / "coverage.html"
    beside = {"xdist"} if workers else set[str]()
    options = (*workers, "--llm-coverage-html", str(page), "--llm-coverage-without", "streaming")
    code, output = run_pytest(tmp_path, MEETS, *options, "--llm-coverage-fail-under", "1", beside=beside)
    assert code == 0, output
    assert "cells met (4), by 6 requests of all tests" in output
    assert page.read_text(encoding="utf-8").startswith("<!doctype html>")
    code, output = run_pytest(tmp_path, MEETS, *options, "--llm-coverage-fail-under", "99", beside=beside)
    assert (code, "FAILED: below the 99 % of --llm-coverage-fail-under" in output) == (1, True), output
    assert "4 passed" in output


def test_a_run_that_met_nothing_does_not_reach_a_bar(tmp_path: Path) -> None:
    code, output = run_pytest(tmp_path, "def test_x(): ...\n", "--llm-coverage-fail-under", "1")
    assert (code, "(0), by 0 requests" in output) == (1, True), output
    code, output = run_pytest(tmp_path, "def test_x(): ...\n", "--llm-coverage-fail-under", "101")
    assert (code, "must be a number from 0 to 100, not 101" in output) == (4, True), output


def test_a_fault_that_never_struck_is_told_of_a_test_that_passed(tmp_path: Path) -> None:
    source = """
def test_in_vain(llm_mock):
    llm_mock.fail_next(502, times=2, stream=True)
    assert call(llm_mock).status_code == 200

def test_struck(llm_mock):
    llm_mock.fail_next(502, times=2)
    assert call(llm_mock).status_code == 502
"""
    code, output = run_pytest(tmp_path, source, "-W", "default")
    assert code == 0, output
    assert "UnusedFaultWarning: test_in_vain passed, but what it queued never struck: 502, 0 of 2 struck" in output
    assert "test_struck passed" not in output

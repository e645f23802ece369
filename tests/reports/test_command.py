"""The command `perf-report`: how it ends when it is used wrongly, interrupted, not installed, or not listened to."""

from __future__ import annotations

import os
import signal
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from reports.__main__ import main

Make = Callable[..., Any]


@pytest.mark.parametrize("package", ["pandas", "numpy", "scipy", "matplotlib", "jinja2", "pyarrow", "msgspec"])
def test_a_missing_extra_says_what_to_install(package: str) -> None:
    hide = f"import sys; sys.modules[{package!r}] = None; from reports.__main__ import main"
    hide += "; sys.exit(main(['build', '.']))"
    done = subprocess.run([sys.executable, "-c", hide], capture_output=True, text=True, check=False)
    assert done.returncode == 2
    assert done.stderr == 'perf-report: reports need more packages: `pip install ".[report]"` in the checkout\n'


def command(run: Path, stdout: Any) -> subprocess.CompletedProcess[str]:
    words = [sys.executable, "-m", "reports", "build", str(run)]
    return subprocess.run(words, stdout=stdout, stderr=subprocess.PIPE, text=True, check=False)


@pytest.mark.parametrize(("limit", "code"), [(5000, 0), (1, 1)])
def test_a_reader_that_has_seen_enough_does_not_change_the_verdict(make_run: Make, limit: int, code: int) -> None:
    run = make_run().gates({"metric": "scheduled_p95_ms", "max": limit}).write()
    reader, writer = os.pipe()
    os.close(reader)
    try:
        done = command(run, writer)
    finally:
        os.close(writer)
    assert (done.returncode, done.stderr) == (code, "")


def test_a_verdict_that_cannot_be_printed_is_one_line_and_exit_code_2(make_run: Make) -> None:
    with Path("/dev/full").open("w") as full:
        done = command(make_run().write(), full)
    assert done.returncode == 2
    assert done.stderr.startswith("perf-report: the verdict cannot be printed (No space left")
    assert done.stderr.count("\n") == 1


@pytest.mark.parametrize(("module", "said"), [("argparse", ""), ("pandas", "perf-report: interrupted; the samples")])
def test_an_interrupt_while_modules_are_read_ends_without_a_traceback(module: str, said: str) -> None:
    interrupt = f"""
import runpy, sys
class Finder:
    def find_spec(self, name, path=None, target=None):
        if name == {module!r}:
            raise KeyboardInterrupt
sys.modules.pop({module!r}, None)
sys.meta_path.insert(0, Finder())
sys.argv = ["perf-report", "build", "."]
runpy.run_module("reports", run_name="__main__")
"""
    done = subprocess.run([sys.executable, "-c", interrupt], capture_output=True, text=True, check=False)
    assert done.returncode == 130
    assert done.stderr.startswith(said)
    assert done.stderr.count("\n") == bool(said)


@pytest.mark.parametrize(
    ("words", "part"),
    [
        ([], "COMMAND"),
        (["frob"], "invalid choice: 'frob'"),
        (["build"], "RUN_DIR"),
        (["build", "run", "more"], "unrecognized arguments: more"),
        (["build", "run", "--gates"], "--gates: expected one argument"),
    ],
)
def test_wrong_usage_is_one_line_and_exit_code_2(
    capsys: pytest.CaptureFixture[str], words: list[str], part: str
) -> None:
    with pytest.raises(SystemExit) as stopped:
        main(words)
    assert stopped.value.code == 2
    said = capsys.readouterr().err
    assert part in said
    assert said.startswith("perf-report: ")
    assert said.count("\n") == 1


def test_an_error_of_our_own_is_one_line_and_an_exit_code_of_its_own(
    make_run: Make, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    def fail(*_: object) -> str:
        raise ZeroDivisionError("by nobody's mistake")

    monkeypatch.setattr("reports.build.summarise", fail)
    monkeypatch.setattr("tempfile.tempdir", str(tmp_path))
    run = make_run(40, warmup_s=0.0).write()
    before = {path.name for path in run.iterdir()}
    assert main(["build", str(run)]) == 70
    said = capsys.readouterr().err
    assert said.startswith("perf-report: an error of its own, not yours (ZeroDivisionError: by nobody's mistake)")
    assert said.count("\n") == 1
    assert "Traceback" in next(tmp_path.glob("perf-report-error-*.txt")).read_text()
    assert {path.name for path in run.iterdir()} == before


def test_being_terminated_is_as_being_interrupted(
    make_run: Make, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    before = signal.getsignal(signal.SIGTERM)
    monkeypatch.setattr("reports.build.write_together", lambda *_: os.kill(os.getpid(), signal.SIGTERM))
    assert main(["build", str(make_run(40, warmup_s=0.0).write())]) == 130
    assert capsys.readouterr().err.startswith("perf-report: interrupted; ")
    assert signal.getsignal(signal.SIGTERM) is before

from __future__ import annotations

import os
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest

from scenarios.command.catalogue import find
from scenarios.command.options import parser
from scenarios.command.prepare import plan_of
from scenarios.command.progress import describe
from scenarios.command.run import _after
from scenarios.command.workers import Progress
from scenarios.record.merge import Merged
from scenarios.record.plan import Plan

ROOT = Path(__file__).resolve().parents[2]


def said_to(stdout: int, *words: str) -> tuple[int, str]:
    """Exit code and stderr of a command whose stdout is given."""
    environment = {**os.environ, "PYTHONPATH": str(ROOT)}
    done = subprocess.run(
        [sys.executable, "-m", "scenarios", *words], stdout=stdout, stderr=subprocess.PIPE, text=True, env=environment
    )
    return done.returncode, done.stderr


@pytest.fixture
def unread() -> int:
    """The write end of a pipe whose reader has gone."""
    read_end, write_end = os.pipe()
    os.close(read_end)
    return write_end


WORDS = [("list",), ("show", "steady"), ("run", "--help")]


@pytest.mark.parametrize("words", WORDS)
def test_a_pipe_nobody_reads_ends_a_listing_quietly(unread: int, words: tuple[str, ...]) -> None:
    try:
        assert said_to(unread, *words) == (141, "")
    finally:
        os.close(unread)


@pytest.mark.parametrize("words", WORDS)
def test_a_full_disk_is_one_line(words: tuple[str, ...]) -> None:
    with Path("/dev/full").open("wb") as full:
        code, err = said_to(full.fileno(), *words)
    assert (code, err) == (2, "load-test: cannot write to stdout: No space left on device\n")


@pytest.mark.alone
def test_a_run_nobody_watches_keeps_its_verdict(unread: int, gateway: Any, tmp_path: Path) -> None:
    gates, out = tmp_path / "gates.toml", tmp_path / "run"
    gates.write_text('[[gate]]\nmetric = "error_rate"\nmin = 0.5\n', "utf-8")
    words = ("--target", gateway.url, "--api-key", "k", "--duration", "1s", "--warmup", "0", "--rate", "50")
    try:
        assert said_to(unread, "run", "steady", *words, "--gates", str(gates), "--out", str(out)) == (1, "")
    finally:
        os.close(unread)
    assert (out / "report.html").exists()


def test_ctrl_c_while_modules_are_loaded_is_quiet() -> None:
    code = (
        "import sys, importlib.abc, signal\n"
        "class Press(importlib.abc.MetaPathFinder):\n"
        "    def find_spec(self, name, *_):\n"
        "        if name == 'msgspec': signal.raise_signal(signal.SIGINT)\n"
        "from scenarios.__main__ import main\n"
        "sys.meta_path.insert(0, Press())\n"
        "sys.exit(main(['list']))"
    )
    environment = {**os.environ, "PYTHONPATH": str(ROOT)}
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, env=environment)
    assert (done.returncode, done.stdout, done.stderr) == (130, b"", b"")


@pytest.fixture
def plan() -> Plan:
    return plan_of(parser().parse_args(["run", "steady"]), [], find("steady"), "r", None)


@pytest.mark.parametrize(
    ("now_s", "line"),
    [
        (-0.2, "warm-up, 0 of 5 s: 50 answered, 1 in flight"),
        (3.2, "warm-up, 3 of 5 s: 50 answered, 1 in flight"),
        (5.02, "warm-up, 5 of 5 s: 50 answered, 1 in flight"),
        (6.1, "1 of 30 s: 50 answered with the warm-up, 1 in flight"),
        (36.0, "draining, 1 of at most 120 s: 50 answered with the warm-up, 1 in flight"),
    ],
)
def test_progress_tells_the_warm_up_from_the_window(plan: Plan, now_s: float, line: str) -> None:
    assert describe(plan, now_s, Progress(50, 0, 1)) == line


@pytest.mark.parametrize(("key", "named"), [("nope", "the given key;"), ("sk-test-secret-1234", "the key …1234;")])
def test_a_refused_key_is_named_by_what_may_be_shown(key: str, named: str, capsys: pytest.CaptureFixture[str]) -> None:
    args = parser().parse_args(["run", "steady", "--target", "http://127.0.0.1:1", "--api-key", key])
    assert (
        _after(plan_of(args, [], find("steady"), "r", None), Path("out"), Merged(answers=3, denied=3), wrong_key=False)
        == 2
    )
    assert f"answers 401 to {named}" in capsys.readouterr().err

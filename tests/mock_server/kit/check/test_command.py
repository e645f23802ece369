"""`mock-server check-client`, run against small real clients."""

from __future__ import annotations

import json
import os
import signal
import subprocess
import sys
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any, NamedTuple
from xml.etree import ElementTree as Xml

import pytest

from mock_server.__main__ import main
from mock_server.contract.accounts import LOAD_TEST_KEY

CLIENTS = Path(__file__).with_name("clients.py")
PROGRAM = (sys.executable, "-m", "mock_server", "check-client")


class Done(NamedTuple):
    """How the command ended, and what it said."""

    code: int
    stdout: str
    stderr: str

    def cell(self, name: str) -> dict[str, Any]:
        """A cell of the report in JSON."""
        return next(cell for cell in json.loads(self.stdout)["cells"] if cell["cell"] == name)


Check = Callable[..., Done]


@pytest.fixture
def check(capfd: pytest.CaptureFixture[str]) -> Check:
    def check(client: str, *options: str, only: Sequence[str] = ()) -> Done:
        cells = [word for name in only for word in ("--only", name)]
        capfd.readouterr()
        code = main(["check-client", *options, *cells, "--", sys.executable, "-S", "-E", str(CLIENTS), client])
        return Done(code, *capfd.readouterr())

    return check


def broken(cell: dict[str, Any]) -> dict[str, str]:
    return {rule["rule"]: rule["result"] for rule in cell["rules"] if rule["result"] in ("FAIL", "WARN")}


def test_a_good_client_of_streams_passes(check: Check) -> None:
    only = ("402-insufficient-balance", "502-all-providers-failed-once", "429-wait-short", "eof-mid-stream")
    harmless = ("framing-multiline", "framing-crlf", "done-then-hang-before-done", "stall-mid-stream", "empty")
    done = check("good-stream", "--json", only=(*only, *harmless))
    assert done.code == 0, done.stdout
    report = json.loads(done.stdout)
    assert [cell["cell"] for cell in report["cells"] if broken(cell)] == []
    for name in ("eof-mid-stream", "framing-multiline", "done-then-hang-before-done", "stall-mid-stream"):
        assert done.cell(name)["result"] == "PASS"
    again = done.cell("502-all-providers-failed-once")
    assert (again["statuses"], again["recovered"], again["exit_code"]) == ([502, 200], True, 0)
    assert done.cell("empty")["why"] == "it is about plain answers, and the command asks for streams alone"
    assert done.cell("empty")["exit_code"] is None
    assert report["alive"]["result"] == "PASS"


def test_half_an_answer_taken_for_a_whole_one_fails(check: Check) -> None:
    done = check("gullible", only=("eof-mid-stream", "error-event-mid-stream", "framing-comments"))
    assert done.code == 1
    (row,) = [line for line in done.stdout.splitlines() if line.startswith("eof-mid-stream")]
    assert row.split()[-2:] == ["FAIL", "truncated_stream_accepted"]
    assert "FAIL  error_event_accepted" in done.stdout
    assert "→ a stream is whole with its event of `done: true` and [DONE]" in done.stdout
    assert "2 failed" in done.stdout.splitlines()[-1]


def test_an_exit_code_that_says_nothing_proves_nothing(check: Check) -> None:
    done = check("gullible", "--exit-code", "ignored", "--json", only=("eof-mid-stream",))
    assert "truncated_stream_accepted" not in {row["rule"] for row in done.cell("eof-mid-stream")["rules"]}


def test_blind_retries_are_seen(check: Check) -> None:
    done = check("blind", "--json", only=("400-invalid-request", "empty"))
    cell = done.cell("400-invalid-request")
    assert (done.code, cell["result"], cell["statuses"]) == (1, "FAIL", [400] * 30)
    assert broken(cell) == {
        "non_retryable_retried": "FAIL",
        "retry_storm": "FAIL",
        "error_taken_as_success": "FAIL",
    }
    assert done.cell("empty")["recovered"] is True


def test_a_command_that_hangs_is_stopped_and_said_to_have_been(check: Check) -> None:
    done = check("endless", "--timeout", "3", "--json", only=("stall-mid-stream", "done-then-hang-before-done"))
    assert done.code == 1
    # After three seconds of silence a good answer may still come; after [DONE] there is none to come.
    for name, rules in (("stall-mid-stream", {}), ("done-then-hang-before-done", {"hung": "FAIL"})):
        cell = done.cell(name)
        assert (cell["killed"], cell["exit_code"]) == (True, 137)
        assert broken(cell) == rules


def test_what_a_command_leaves_behind_is_ended(check: Check, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    mark = tmp_path / "pid"
    monkeypatch.setenv("LEFT_BEHIND", str(mark))
    check("forgetful", only=("delay",))
    assert not alive(int(mark.read_text("utf-8")))


def test_a_client_that_a_failure_spoils_is_not_alive(
    check: Check, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("LEFT_BEHIND", str(tmp_path / "mark"))
    done = check("spoilt", only=("402-insufficient-balance",))
    assert done.code == 1
    (row,) = [line for line in done.stdout.splitlines() if line.startswith("402-insufficient-balance ")]
    assert row.split()[-2:] == ["FAIL", "alive_after"]
    assert "FAIL alive_after: a healthy run failed (exit code 1: spoilt for ever)" in done.stdout
    assert "in a healthy one from 0, but not from 402-insufficient-balance" in done.stdout


def test_a_healthy_run_in_the_end_does_for_all_cells(
    check: Check, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("LEFT_BEHIND", str(tmp_path / "mark"))
    done = check("spoilt", "--alive", "end", "--json", only=("402-insufficient-balance",))
    report = json.loads(done.stdout)
    assert (done.code, report["alive"]["result"], broken(done.cell("402-insufficient-balance"))) == (1, "FAIL", {})
    assert [test["test"] for test in report["verdict"]["tests"]] == ["healthy", "402-insufficient-balance"]


def test_after_each_fault_that_a_run_did_not_come_back_from_there_is_a_healthy_one(check: Check) -> None:
    once, always = "502-all-providers-failed-once", "402-insufficient-balance"
    report = json.loads(check("good-plain", "--json", only=(once, always)).stdout)
    assert {test["test"] for test in report["verdict"]["tests"]} == {"healthy", once, always, f"{always}~alive"}
    assert report["alive"]["said"] == (
        "of 2 faults struck the client came back from 1 in the same run, and in a healthy one from 1"
    )
    results = [[rule["result"] for rule in cell["rules"] if rule["rule"] == "alive_after"] for cell in report["cells"]]
    assert sorted(results) == [[], ["PASS"]]


def test_output_is_shown_of_what_fails_and_without_keys(check: Check, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("OTHER_SECRET", "hunter2hunter2")
    done = check("loud", only=("eof-mid-stream", "framing-crlf"))
    assert done.code == 1
    assert done.stdout.count("    | using …ited and …ter2") == 1
    assert LOAD_TEST_KEY not in done.stdout + done.stderr
    assert "hunter2" not in done.stdout + done.stderr


def test_junit_has_a_case_for_each_cell(check: Check, tmp_path: Path) -> None:
    file = tmp_path / "check.xml"
    check("gullible", "--junit", str(file), only=("eof-mid-stream", "framing-crlf", "empty"))
    (suite,) = Xml.parse(file).getroot()  # noqa: S314
    found = {case.get("name"): [child.tag for child in case] for case in suite}
    assert found == {
        "verdict": ["failure"],
        "eof-mid-stream": ["failure"],
        "framing-crlf": ["system-out"],
        "empty": ["skipped"],
        "alive_after": ["system-out"],
    }
    assert (suite.get("failures"), suite.get("errors"), suite.get("skipped")) == ("2", "0", "1")


def test_a_client_that_calls_nobody_is_not_green(check: Check) -> None:
    done = check("silent")
    assert (done.code, done.stdout) == (2, "")
    assert done.stderr == (
        "mock-server: the command never called the mock (exit code 0: never called); it must send its calls to "
        "$LLM_BASE_URL\n"
    )


def test_a_proxy_that_may_have_taken_the_calls_is_named(check: Check, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("HTTP_PROXY", "http://127.0.0.1:1")
    monkeypatch.delenv("no_proxy", raising=False)
    monkeypatch.setenv("NO_PROXY", "example.com")
    said = "; $HTTP_PROXY may have taken them elsewhere: set NO_PROXY=127.0.0.1\n"
    assert check("silent").stderr.endswith(said)
    monkeypatch.setenv("NO_PROXY", "localhost,127.0.0.1")
    assert "NO_PROXY" not in check("silent").stderr


@pytest.mark.parametrize(
    ("arguments", "said"),
    [
        (["--", "no-such-command"], "cannot run 'no-such-command': no such file or directory"),
        (
            ["--", sys.executable, "-c", "import sys; sys.exit('no luck')"],
            "never called the mock (exit code 1: no luck",
        ),
        ([], "name the command that runs the client"),
        (["--only", "502", "--", "true"], "no cell is named '502'"),
        (["--world", "nowhere", "--", "true"], "no world 'nowhere'"),
        (["--plan", "nowhere.toml", "--", "true"], "nowhere.toml: no such file or directory"),
        (["--junit", "/nowhere/x.xml", "--", "true"], "cannot write /nowhere/x.xml"),
        (["--jobs", "0", "--", "true"], "must be a whole number from 1 to 64"),
        (["--waive", "no_such=x", "--", "true"], "no rule is named 'no_such'"),
    ],
)
def test_wrong_usage_is_one_line(arguments: list[str], said: str, capfd: pytest.CaptureFixture[str]) -> None:
    assert main(["check-client", *arguments]) == 2
    out, err = capfd.readouterr()
    (line,) = err.splitlines()
    assert out == ""
    assert said in line


def test_a_plan_of_ones_own_with_a_world_of_its_own(check: Check, tmp_path: Path) -> None:
    plan = tmp_path / "plan.toml"
    world = tmp_path / "other.toml"
    world.write_text('extends = "instant"\n[[faults]]\ncode = 502\ntimes = 1\n', "utf-8")
    plan.write_text(f'[[cell]]\nname = "gone"\ncode = 500\ntimes = 1\nworld = "{world}"\n', "utf-8")
    done = check("good-plain", "--plan", str(plan), "--json")
    assert done.cell("gone")["statuses"] == [500, 502, 200]


@pytest.mark.parametrize("number", [signal.SIGINT, signal.SIGTERM, signal.SIGHUP])
def test_an_interrupt_leaves_no_process_and_no_file(number: signal.Signals, tmp_path: Path) -> None:
    mark = tmp_path / "pid"
    command = (
        "import os, pathlib, threading, urllib.request;"
        f"pathlib.Path({str(mark)!r}).write_text(str(os.getpid()));"
        "print('here', flush=True); threading.Event().wait()"
    )
    os.mkfifo(mark)
    junit = ("--junit", str(tmp_path / "check.xml"))
    with subprocess.Popen([*PROGRAM, *junit, "--", sys.executable, "-c", command], stderr=subprocess.PIPE) as process:
        pid = int(mark.read_text("utf-8"))  # waits for the writer
        children = {pid, *children_of(process.pid)}
        assert len(children) == 2
        process.send_signal(number)
        assert process.wait(20) == 130
    assert [child for child in children if alive(child)] == []
    assert list(tmp_path.iterdir()) == [mark]


def children_of(pid: int) -> list[int]:
    tasks = Path(f"/proc/{pid}/task")
    return [int(child) for task in tasks.iterdir() for child in (task / "children").read_text("utf-8").split()]


def alive(pid: int) -> bool:
    try:
        state = Path(f"/proc/{pid}/stat").read_text("utf-8").rpartition(")")[2].split()[0]
    except OSError:
        return False
    return state != "Z"

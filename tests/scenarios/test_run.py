from __future__ import annotations

import os
import re
import signal
import socket
from collections import Counter
from collections.abc import Callable
from itertools import pairwise
from pathlib import Path
from typing import Any

import psutil
import pyarrow.parquet as pq
import pytest

from scenarios.command.catalogue import find
from scenarios.command.options import parser
from scenarios.command.prepare import effective, plan_of
from scenarios.command.run import judge
from scenarios.record.manifest import write_manifest
from scenarios.record.plan import Origin
from tests.scenarios.conftest import Unattended

Start = Callable[..., Any]
Finish = Callable[[str], Any]
Rows = Callable[[Path], list[dict[str, Any]]]
KEY = "sk-test-secret-1234"
LOAD = ("run", "steady", "--api-key", KEY)
SOON = ("--duration", "1s", "--warmup", "500ms")
SHORT = (*SOON, "--drain", "1s")
TO_THE_END = ("--warmup", "0", "--drain", "1s")
WIRE_FAULTS = ("reset", "close", "garbage", "not_http", "truncated_stream", "ok")
UNATTENDED = {
    "open": Unattended((*LOAD, "--rate", "60", "--processes", "2", "--label", "build=7", *SOON), ("ok",)),
    "hanging": Unattended((*LOAD, "--rate", "20", *SHORT), ("hang",)),
    "impatient": Unattended((*LOAD, "--rate", "20", "--timeout", "900ms", "--max-in-flight", "5", *SHORT), ("hang",)),
    "wire faults": Unattended((*LOAD, "--rate", "120", "--duration", "1s", *TO_THE_END), WIRE_FAULTS),
    "closed": Unattended(
        (*LOAD, "--users", "30", "--processes", "2", "--duration", "1500ms", "--warmup", "500ms"), ("ok",)
    ),
    "denied": Unattended((*LOAD, "--rate", "50", "--duration", "100s", *TO_THE_END), ("denied",)),
    "denied early": Unattended((*LOAD, "--rate", "10", "--duration", "1s", *TO_THE_END), ("denied",)),
}


def outcomes(found: list[dict[str, Any]]) -> Counter[str]:
    return Counter(row["outcome"] for row in found)


def workers_of(run_dir: Path) -> list[psutil.Process]:
    """The worker processes that record into a run directory."""
    pids = [int(path.stem.split("-")[2]) for path in (run_dir / ".parts").glob("worker-*-*.jsonl")]
    return [psutil.Process(pid) for pid in pids]


def to(gateway: Any, out: Path, *words: str) -> list[str]:
    return ["run", "steady", "--target", gateway.url, "--api-key", KEY, "--out", str(out), *words]


def test_a_killed_worker_loses_only_what_it_had_not_recorded(
    gateway: Any, load_test: Start, tmp_path: Path, rows: Rows, manifest: Callable[[Path], dict[str, Any]]
) -> None:
    out = tmp_path / "run"
    words = to(gateway, out, "--rate", "50", "--processes", "2", "--duration", "2s", "--warmup", "0")
    command = load_test(*words)
    assert gateway.first_request.wait(30)
    victim = next(one for one in workers_of(out) if one.environ()["LOAD_TEST_WORKER"] == "1")
    victim.kill()
    code, _, err = command.finish()
    assert (code, err) == (0, "load-test: 1 of 2 workers died\n")
    found = rows(out)
    assert sorted(row["call_id"] for row in found) == list(range(100))
    assert outcomes([row for row in found if row["worker"] == "w0"]) == {"ok": 50}
    assert outcomes([row for row in found if row["worker"] == "w1"])["lost"] > 20
    assert {worker["worker"]: worker["lost"] for worker in manifest(out)["workers"]} == {"w0": False, "w1": True}


@pytest.mark.parametrize("presses", [1, 2])
def test_ctrl_c_keeps_what_was_recorded_and_leaves_nothing_behind(
    gateway: Any,
    load_test: Start,
    tmp_path: Path,
    rows: Rows,
    manifest: Callable[[Path], dict[str, Any]],
    presses: int,
) -> None:
    out = tmp_path / "run"
    command = load_test(*to(gateway, out, "--rate", "20", "--duration", "100s", "--warmup", "0"))
    assert gateway.first_request.wait(30)
    children = psutil.Process(command.process.pid).children(recursive=True)
    for _ in range(presses):
        command.interrupt()
    code, said, err = command.finish()
    assert code == 0
    if presses == 1:
        assert err == ""
        assert "stopping; what was recorded is kept" in said
    found = rows(out)
    assert len(found) == manifest(out)["planned_calls"] == 2_000
    assert outcomes(found).keys() <= {"ok", "cut_off", "never_sent"} | ({"lost"} if presses == 2 else set())
    assert outcomes(found)["ok"] >= 1
    assert manifest(out)["interrupted"] is True
    assert not any(child.is_running() for child in children)
    assert not (out / ".parts").exists()


def test_a_killed_run_stops_by_itself_and_can_be_recovered(
    gateway: Any, load_test: Start, tmp_path: Path, rows: Rows, manifest: Callable[[Path], dict[str, Any]]
) -> None:
    out = tmp_path / "run"
    command = load_test(*to(gateway, out, "--rate", "20", "--duration", "100s", "--warmup", "0"))
    assert gateway.first_request.wait(30)
    workers = workers_of(out)
    code, _, err = load_test("recover", str(out)).finish()
    assert code == 2
    assert "still going on" in err
    command.process.kill()
    command.finish()
    gone, alive = psutil.wait_procs(workers, timeout=15)
    assert (len(gone), alive) == (1, [])
    assert manifest(out)["interrupted"] is True
    assert load_test("recover", str(out)).finish()[0] == 0
    found = rows(out)
    assert len(found) == 2_000
    assert outcomes(found)["ok"] >= 1
    code, _, err = load_test("recover", str(out)).finish()
    assert (code, "nothing to recover" in err) == (2, True)


def test_the_own_mock_ends_with_a_killed_run(load_test: Start, tmp_path: Path) -> None:
    out = tmp_path / "run"
    command = load_test("run", "steady", "--world", "instant", "--duration", "100s", "--out", str(out))
    assert command.process.stdout is not None
    assert "recording to" in command.process.stdout.readline()
    children = psutil.Process(command.process.pid).children(recursive=True)
    assert len(children) >= 2
    os.kill(command.process.pid, signal.SIGKILL)
    assert psutil.wait_procs(children, timeout=20)[1] == []


def test_a_mock_that_dies_makes_the_run_invalid_and_ends_it(
    load_test: Start, tmp_path: Path, manifest: Callable[[Path], dict[str, Any]], rows: Rows
) -> None:
    out = tmp_path / "run"
    command = load_test("run", "steady", "--world", "instant", "--duration", "100s", "--out", str(out))
    assert "recording to" in command.process.stdout.readline()
    # The first line of progress comes after the run's zero.
    assert "warm-up" in command.process.stdout.readline()
    children = psutil.Process(command.process.pid).children()
    next(child for child in children if "mock_server" in child.cmdline()).kill()
    code, _, err = command.finish()
    assert (code, err) == (3, "load-test: its mock died (signal 9)\n")
    document = manifest(out)
    assert (document["mock_died"], document["interrupted"]) == (True, False)
    assert document["ended_s"] < 30
    assert len(rows(out)) == document["planned_calls"]


def test_ctrl_c_before_the_first_request_leaves_nothing(gateway: Any, load_test: Start, tmp_path: Path) -> None:
    out = tmp_path / "run"
    command = load_test(*to(gateway, out, "--rate", "1", "--arrivals", "constant", "--duration", "100s"))
    assert "recording to" in command.process.stdout.readline()
    command.interrupt()
    code, _, err = command.finish()
    assert (code, err) == (130, "load-test: interrupted before anything was sent; nothing was written\n")
    assert gateway.bodies == []
    assert not out.exists()


def test_an_end_before_the_zero_is_told_as_none(tmp_path: Path, manifest: Callable[[Path], dict[str, Any]]) -> None:
    args = parser().parse_args(["run", "steady"])
    plan = plan_of(args, [], effective(args), "r", "http://127.0.0.1:1")
    write_manifest(tmp_path, plan, Origin(0.0, 0.0), ended_s=-0.2, interrupted=True, planned_calls=1)
    assert manifest(tmp_path)["ended_s"] == 0.0


def test_an_open_run_records_every_planned_request_on_time(
    finished: Finish, rows: Rows, manifest: Callable[[Path], dict[str, Any]]
) -> None:
    run = finished("open")
    out, gateway, said = run.out, run.gateway, run.said
    assert (run.code, run.err) == (0, "")
    found = rows(out)
    assert outcomes(found) == {"ok": 90} == {"ok": len(gateway.bodies)}
    assert sorted(row["call_id"] for row in found) == list(range(90))
    assert Counter(row["phase"] for row in found) == {"warmup": 30, "measure": 60}
    for row in found:
        assert row["worker"] == f"w{row['call_id'] % 2}"
        assert row["planned_s"] <= row["sent_s"] <= row["first_byte_s"] <= row["end_s"]
        assert row["chunks"] == (3 if row["stream"] else None)
    assert sorted(row["sent_s"] - row["planned_s"] for row in found)[45] < 0.05
    document = manifest(out)
    assert (document["planned_calls"], document["interrupted"]) == (90, False)
    assert document["load"] == {
        "kind": "open",
        "rate_per_s": 60.0,
        "to_rate_per_s": None,
        "arrivals": "poisson",
        "burstiness": None,
        "think_s": 1.0,
        "calls": 60,
    }
    assert document["workload"]["streamed"] == 0.4
    assert document["client"] == {"policy": "none", "policies": {}}
    assert (document["target_kind"], document["world"], document["labels"]) == ("external", None, {"build": "7"})
    assert document["ended_s"] >= max(row["end_s"] for row in found)
    health = pq.ParquetFile(out / "health.parquet").read().to_pylist()
    assert {row["worker"] for row in health} == {"w0", "w1"}
    assert len(health) >= 8
    assert {path.name for path in out.iterdir()} == {"samples.parquet", "health.parquet", "manifest.json"}
    assert "90 answered with the warm-up" in said
    assert document["mock_died"] is False
    assert all(f"Bearer {KEY}\r\n" in head for head in gateway.heads)
    assert not any(KEY.encode() in text for text in (said.encode(), *(path.read_bytes() for path in out.iterdir())))
    assert document["api_key"] == "…1234"


def test_a_server_that_never_answers_is_cut_off_at_the_end_of_the_drain(finished: Finish, rows: Rows) -> None:
    run = finished("hanging")
    assert run.code == 0
    found = rows(run.out)
    assert outcomes(found) == {"cut_off": 30}
    assert all(row["end_s"] == pytest.approx(2.5, abs=0.5) and row["first_byte_s"] is None for row in found)


def test_patience_ends_and_a_full_pool_sends_no_more(finished: Finish, rows: Rows) -> None:
    run = finished("impatient")
    assert run.code == 0
    found = rows(run.out)
    assert outcomes(found).keys() == {"timeout", "never_sent"}
    assert outcomes(found).total() == 30
    for row in found:
        if row["outcome"] == "timeout":
            assert row["end_s"] - row["sent_s"] == pytest.approx(0.9, abs=0.4)
        else:
            assert row["sent_s"] is row["end_s"] is None


def test_what_goes_wrong_on_the_wire_is_told_apart(finished: Finish, rows: Rows) -> None:
    run = finished("wire faults")
    assert run.code == 0
    found = rows(run.out)
    assert len(found) == 120
    either = {
        ("connection", "ConnectionResetError"),
        ("connection", "NoAnswerError"),
        ("malformed", "BadHttp"),
        ("ok", None),
    }
    streamed = {("malformed", "BadContentType"), ("stream_broken", "IncompleteBodyError")}
    # To one who asked for no stream, a stream is an answer of the wrong kind, whole or not.
    plain = {("malformed", "BadJson"), ("malformed", "BadContentType")}
    told: dict[bool, set[tuple[str, str]]] = {True: set(), False: set()}
    for row in found:
        told[row["stream"]].add((row["outcome"], row["error_code"]))
    assert told == {True: either | streamed, False: either | plain}


def test_a_closed_load_keeps_its_users_busy(
    finished: Finish, rows: Rows, manifest: Callable[[Path], dict[str, Any]]
) -> None:
    run = finished("closed")
    assert run.code == 0
    out, found = run.out, rows(run.out)
    assert outcomes(found).keys() == {"ok"}
    assert {row["call_id"] % 30 for row in found} == set(range(30))
    assert all(row["sent_s"] == row["planned_s"] for row in found)
    assert all(row["planned_s"] < 2.0 for row in found)
    assert manifest(out)["planned_calls"] == len({row["call_id"] for row in found}) == len(found)


def test_a_wrong_key_stops_the_run_and_keeps_the_samples(finished: Finish, rows: Rows) -> None:
    run = finished("denied")
    assert run.code == 2
    assert "401" in run.err
    assert "…1234" in run.err
    assert len(run.err.splitlines()) == 1
    assert 20 <= len(run.gateway.bodies) <= 60
    assert len(rows(run.out)) == 5_000


def test_a_short_run_of_nothing_but_401_ends_the_same(finished: Finish) -> None:
    run = finished("denied early")
    assert (run.code, "401" in run.err) == (2, True)
    assert (run.out / "samples.parquet").exists()


@pytest.mark.alone
def test_smoke_against_its_own_mock_passes_and_reports(
    load_test: Start, tmp_path: Path, rows: Rows, manifest: Callable[[Path], dict[str, Any]]
) -> None:
    out = tmp_path / "run"
    code, said, err = load_test("run", "smoke", "--out", str(out), report=True).finish()
    assert (code, err) == (0, "")
    assert said.splitlines()[2].startswith("PASS  All 3 gates were kept")
    found = rows(out)
    assert len(found) == len(find("smoke").calls) == manifest(out)["planned_calls"]
    assert [(row["outcome"], row["error_code"]) for row in found if row["error_code"] != row["expected"]] == []
    health = pq.ParquetFile(out / "health.parquet").read().to_pylist()
    beats = [row for row in health if row["worker"] == "mock"]
    assert all(later["from_s"] == sooner["at_s"] for sooner, later in pairwise(beats))
    assert beats[0]["from_s"] <= 0 < beats[0]["at_s"]
    assert beats[-1]["at_s"] >= max(row["end_s"] for row in found)
    assert (out / "report.html").exists()
    port = re.search(r":(\d+), recording", said)
    assert port is not None
    with socket.socket() as sock:
        assert sock.connect_ex(("127.0.0.1", int(port[1]))) != 0


class Report:
    """A report being built when Ctrl-C comes."""

    def __init__(self, command: list[str], **_: object) -> None:
        self.command, self.signals = command, list[int]()
        REPORTS.append(self)

    def __enter__(self) -> Report:
        return self

    def __exit__(self, *_: object) -> None:
        assert self.signals == [signal.SIGINT]

    def send_signal(self, number: int) -> None:
        self.signals.append(number)

    def communicate(self) -> tuple[str, None]:
        raise KeyboardInterrupt

    def wait(self, _timeout_s: float) -> int:
        return -signal.SIGINT


# Every report begun by the test below.
REPORTS: list[Report] = []


def test_ctrl_c_while_the_report_is_built_is_passed_on_to_it(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    monkeypatch.setattr("scenarios.command.run.subprocess.Popen", Report)
    assert judge(tmp_path, inconclusive_ok=False) == 130
    assert [report.command[1:] for report in REPORTS] == [["-m", "reports", "build", str(tmp_path)]]

"""The benchmarks measure what they say: run for a moment each, so that they cannot rot unnoticed."""

from __future__ import annotations

import json
import shutil
import subprocess
import sys
from contextlib import closing
from http.client import HTTPConnection
from pathlib import Path
from typing import Any

import pytest

from benchmarks import busy_machine
from benchmarks.cases import CASES, NUMBER, Case
from benchmarks.client import percentile
from benchmarks.harness import BenchmarkError, mock_command, running
from mock_server.contract.messages import ChatRequest, text_of
from mock_server.contract.reading import read_request
from tests.reports.conftest import RunBuilder

ROOT = Path(__file__).parent.parent


def run(module: str, *options: str, path: str | None = None) -> subprocess.CompletedProcess[str]:
    command = [sys.executable, "-m", f"benchmarks.{module}", *options]
    environment = None if path is None else {"PATH": path}
    return subprocess.run(command, cwd=ROOT, env=environment, capture_output=True, text=True, timeout=90, check=False)


def measured(module: str, *options: str) -> dict[str, Any]:
    done = run(module, *options, "--json")
    assert done.returncode == 0, done.stderr
    found: dict[str, Any] = json.loads(done.stdout)
    return found


def test_lateness_is_what_the_client_saw_beyond_the_plan() -> None:
    found = measured("latency", "--in-flight", "8", "--requests", "8")
    assert found["not_200"] == 0
    assert found["requests"] >= 8
    assert found["planned_p50_ms"] > 100  # a world with latency, or there would be nothing to keep
    assert 0 <= found["late_min_ms"] <= found["late_p50_ms"] <= found["late_p99_ms"] <= found["late_max_ms"]


def test_memory_is_looked_at_twice_after_equal_loads() -> None:
    found = measured("startup_memory", "--starts", "1", "--requests", "100")
    assert found["not_200"] == 0
    assert 0 < found["start_median_s"] == found["start_max_s"]
    assert found["growth_mb"] == found["resident_after_twice_mb"] - found["resident_after_mb"]


@pytest.mark.alone
def test_the_generator_is_measured_beside_plain_locust_and_a_raw_socket() -> None:
    found = measured("generator", "--rounds", "1", "--seconds", "1", "--users", "4", "--requests", "200")
    assert [part["not_ok"] for part in found.values() if isinstance(part, dict) and "not_ok" in part] == [{}] * 4
    assert 0 < found["closed"]["ratio_min"] == found["closed"]["ratio"]
    assert found["closed"]["cpu_ratio"] > 0
    assert 0 <= found["open"]["dispatch_p50_ms"] <= found["open"]["dispatch_p99_ms"]
    assert found["bias"]["bias_ms"] == found["bias"]["generator_ms"] - found["bias"]["socket_ms"]
    assert found["memory"]["growth_mb"] == found["memory"]["late_mb"] - found["memory"]["early_mb"]


def test_a_missed_limit_is_exit_code_1() -> None:
    assert run("startup_memory", "--starts", "1", "--requests", "1", "--memory-at-most", "1").returncode == 1


def test_without_wrk_the_throughput_benchmark_says_how_to_get_it(tmp_path: Path) -> None:
    done = run("throughput", path=str(tmp_path))
    assert done.returncode == 2
    assert done.stderr.splitlines() == [
        "throughput: needs wrk; Debian or Ubuntu: apt-get install wrk, macOS: brew install wrk"
    ]


def test_a_server_that_stops_before_it_is_ready_is_an_error() -> None:
    says = "did not start: it ended with exit code 2 before it was ready: mock-server: no world"
    with pytest.raises(BenchmarkError, match=says), running(mock_command("no-such"), None):
        pass


@pytest.mark.parametrize(("path", "header"), [("/288", "Content-Length"), ("/stream/288", "Transfer-Encoding")])
def test_the_bare_app_answers_as_many_bytes_as_asked(path: str, header: str) -> None:
    with (
        running([sys.executable, "-m", "benchmarks.bare_app"], None) as bare,
        closing(HTTPConnection("127.0.0.1", bare.port, timeout=30)) as connection,
    ):
        for _ in range(2):
            connection.request("POST", path, b"{}" * 10_000)
            answer = connection.getresponse()
            assert (answer.status, len(answer.read()), header in answer.headers) == (200, 288, True)


@pytest.mark.parametrize("case", CASES.values(), ids=str)
def test_cases_are_calls_of_their_size_that_a_number_tells_apart(case: Case) -> None:
    assert case.body().count(NUMBER.encode()) == 1
    request = read_request(case.body())
    assert isinstance(request, ChatRequest)
    prompt = text_of(request.messages[0])
    assert case.prompt_bytes - 2 <= len(prompt.encode()) <= (case.prompt_bytes or 100)
    assert prompt.isascii() == (case.locale == "en_US")


@pytest.mark.skipif(shutil.which("wrk") is None, reason="needs wrk")
def test_throughput_is_measured_against_the_bare_app_for_each_case() -> None:
    names = ["short", "refusal", "long stream"]
    only = (word for name in names for word in ("--only", name))
    done = run("throughput", "--rounds", "1", "--seconds", "1", "--json", *only)
    assert done.returncode in (0, 3), done.stderr  # 3: other work kept the servers from being busy
    found = json.loads(done.stdout)
    assert list(found["cases"]) == names
    for case in found["cases"].values():
        assert "not the one wanted" not in case["invalid"]
        assert 0 < case["ratio_min"] == case["ratio_median"] == case["ratio_max"] < 1
        assert case["mock_rounds"][0]["requests"] > 10
        assert 0 < case["bare_cpu_us"] < case["mock_cpu_us"]
    assert (
        found["cases"]["refusal"]["mock_rounds"][0]["refused"]
        == found["cases"]["refusal"]["mock_rounds"][0]["requests"]
    )
    events = {name: case["answer_events"] for name, case in found["cases"].items()}
    assert (events["short"], events["refusal"]) == (0, 0)
    assert events["long stream"] > 500
    stream = found["cases"]["long stream"]
    assert stream["events_per_cpu_s"] == pytest.approx(events["long stream"] / stream["mock_cpu_us"] * 1e6)


def test_a_limit_of_no_case_is_a_usage_error() -> None:
    done = run("throughput", "--at-least", "9 KB=0.3")
    assert done.returncode == 2
    assert "want CASE=RATIO" in done.stderr


@pytest.mark.parametrize(("share", "wanted"), [(0.5, 50), (0.99, 99), (0.999, 100), (0.0, 1), (1.0, 100)])
def test_percentiles_are_order_statistics(share: float, wanted: int) -> None:
    assert percentile([float(value) for value in range(100, 0, -1)], share) == wanted


def test_a_record_is_judged_as_every_demo_that_it_holds(tmp_path: Path) -> None:
    calm = busy_machine.judge(RunBuilder(tmp_path / "calm", 1000).run(), 30)
    assert (calm.demos, calm.good) == (16, 1.0)
    stopped = RunBuilder(tmp_path / "stopped", 1000).beats("w0", stops=[(7.2, 0.3), (7.6, 0.3), (8.1, 0.3)]).run()
    found = busy_machine.judge(stopped, 30)
    assert (found.demos, found.spoilt, found.by) == (16, 3, {"generator stalls": 3})


def test_the_demo_is_the_makefiles() -> None:
    assert busy_machine.demo_options()[0] == "steady"
    assert busy_machine.demo_s() == 30

from __future__ import annotations

import contextlib
import json
import re
import socket
import subprocess
import urllib.parse
import urllib.request
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from tests.scenarios.conftest import Unattended

HEADLESS = ("--headless", "--only-summary")
UNATTENDED = {
    "open": Unattended(
        (*HEADLESS, "--rate", "30", "--duration", "1s", "--warmup", "500ms"), ("ok",), plain_locust=True
    ),
    "workers": Unattended(
        (*HEADLESS, "--processes", "2", "-u", "4", "-r", "100", "-t", "2s"), ("ok",), plain_locust=True
    ),
}
Rows = Callable[[Path], list[dict[str, Any]]]
Start = Callable[..., Any]
Finish = Callable[[str], Any]


def wait_for(process: subprocess.Popen[str], text: str) -> None:
    assert process.stdout is not None
    for line in process.stdout:
        if text in line:
            return
    raise AssertionError(f"Locust ended before it said {text!r}")


def wait_until_it_listens(process: subprocess.Popen[str], port: int) -> None:
    """Locust says where its web interface is before it is there."""
    while True:
        with socket.socket() as sock:
            if sock.connect_ex(("127.0.0.1", port)) == 0:
                return
        with contextlib.suppress(subprocess.TimeoutExpired):
            raise AssertionError(f"Locust ended with {process.wait(timeout=0.05)}")


def test_the_web_ui_offers_our_options_and_starts_a_run(
    gateway: Any, locust: Start, tmp_path: Path, rows: Rows, manifest: Callable[[Path], dict[str, Any]]
) -> None:
    with socket.socket() as sock:
        sock.bind(("127.0.0.1", 0))
        port = sock.getsockname()[1]
    out = tmp_path / "out"
    process = locust(
        "--web-host", "127.0.0.1", "--web-port", str(port), "--host", gateway.url, "--out", str(out)
    ).process
    wait_until_it_listens(process, port)
    form = {"user_count": 1, "spawn_rate": 1, "host": gateway.url}
    ours = {"scenario": "steady", "rate": "40", "warmup": "0", "duration": "500ms"}
    url = f"http://127.0.0.1:{port}/swarm"
    with urllib.request.urlopen(url, urllib.parse.urlencode({**form, **ours}).encode(), timeout=20) as answer:
        assert json.load(answer)["success"] is True
    wait_for(process, f"Samples are in {out}")
    assert [row["outcome"] for row in rows(out)] == ["ok"] * 20
    assert manifest(out)["load"]["rate_per_s"] == 40.0


@pytest.mark.parametrize(
    ("words", "part"),
    [
        (["--rate", "fast", "--host", "http://127.0.0.1:1"], "--rate: 'fast' is not a number"),
        ([], "--host"),
        (["--host", "http://127.0.0.1:1", "--out", f"{__file__}/below"], "cannot write there"),
    ],
)
def test_mistakes_are_one_line_and_exit_2(locust: Start, words: list[str], part: str) -> None:
    code, said, _ = locust("--headless", *words).finish()
    assert code == 2
    last = said.splitlines()[-1]
    assert last.startswith("load-test: ")
    assert part in last
    assert "Traceback" not in said


def test_headless_open_load_ends_by_itself_with_a_run_directory(
    finished: Finish, rows: Rows, manifest: Callable[[Path], dict[str, Any]]
) -> None:
    run = finished("open")
    assert run.code == 0
    out, said = run.out, run.said
    found = rows(out)
    assert [row["outcome"] for row in found] == ["ok"] * 45
    document = manifest(out)
    assert document["load"].items() >= {"kind": "open", "rate_per_s": 30.0, "arrivals": "poisson", "calls": 30}.items()
    assert (document["interrupted"], document["api_key"]) == (False, "…5678")
    # Locust counted each request once.
    aggregated = re.search(r"Aggregated\s+(\d+)", said)
    assert aggregated is not None
    assert int(aggregated[1]) == 45
    assert "Traceback" not in said
    assert "sk-plain" not in said


def test_a_master_and_its_workers_write_one_run_directory(
    finished: Finish, rows: Rows, manifest: Callable[[Path], dict[str, Any]]
) -> None:
    run = finished("workers")
    out, said = run.out, run.said
    found = rows(out)
    assert {row["worker"] for row in found} == {"w0", "w1"}
    assert {row["call_id"] % 4 for row in found} == {0, 1, 2, 3}
    assert {row["outcome"] for row in found} <= {"ok", "cut_off"}
    document = manifest(out)
    assert document["load"] == {"kind": "closed", "users": 4, "think_s": 1.0}
    assert [worker["lost"] for worker in document["workers"]] == [False, False]
    assert not document["interrupted"]
    assert "Traceback" not in said

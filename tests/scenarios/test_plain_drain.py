"""However plain Locust is ended, what is in flight may end, and who asks twice does not wait."""

from __future__ import annotations

import json
import os
import signal
import urllib.request
from collections import Counter
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from tests.scenarios.gateway import free_port

Rows = Callable[[Path], list[dict[str, Any]]]
Read = Callable[[Path], dict[str, Any]]
Start = Callable[..., Any]
HEADLESS = ("--headless", "--only-summary", "-u", "10", "-r", "100")


def wait_for(process: Any, text: str) -> None:
    for line in process.stdout:
        if text in line:
            return
    raise AssertionError(f"Locust ended before it said {text!r}")


def check_complete(found: list[dict[str, Any]], document: dict[str, Any]) -> None:
    """Nothing was cut off, some of it ended in the drain, and the window is until the stop."""
    assert Counter(row["outcome"] for row in found).keys() == {"ok"}
    assert document["interrupted"] is False
    stopped_s = document["stopped_s"]
    assert document["duration_s"] == pytest.approx(stopped_s)
    assert all(row["planned_s"] <= stopped_s for row in found)
    assert any(row["end_s"] > stopped_s for row in found)
    assert document["drain_s"] == document["timeout_s"] == 120


@pytest.mark.parametrize("processes", [(), ("--processes", "2")], ids=["alone", "processes"])
def test_the_end_of_the_run_time_cuts_nothing_off(
    gateway: Any, locust: Start, tmp_path: Path, rows: Rows, manifest: Read, processes: tuple[str, ...]
) -> None:
    gateway.modes = ["slow"]
    out = tmp_path / "out"
    code, said, _ = locust(*HEADLESS, *processes, "-t", "3s", "--host", gateway.url, "--out", str(out)).finish()
    assert (code, "Traceback" in said) == (0, False), said
    check_complete(rows(out), manifest(out))


@pytest.mark.parametrize("number", [signal.SIGINT, signal.SIGTERM])
@pytest.mark.parametrize("processes", [(), ("--processes", "2")], ids=["alone", "processes"])
def test_one_signal_is_how_an_endless_run_ends(
    gateway: Any,
    locust: Start,
    tmp_path: Path,
    rows: Rows,
    manifest: Read,
    processes: tuple[str, ...],
    number: signal.Signals,
) -> None:
    gateway.modes = ["slow"]
    out = tmp_path / "out"
    command = locust(*HEADLESS, *processes, "--host", gateway.url, "--out", str(out))
    assert gateway.first_request.wait(30)
    # A terminal tells all processes of Ctrl-C; a supervisor tells the first one of its end.
    if number is signal.SIGINT:
        os.killpg(command.process.pid, number)
    else:
        command.process.send_signal(number)
    code, said, _ = command.finish()
    assert (code, "Traceback" in said) == (0, False), said
    check_complete(rows(out), manifest(out))


def test_a_master_that_is_told_to_end_lets_its_workers_drain(
    gateway: Any, locust: Start, tmp_path: Path, rows: Rows, manifest: Read
) -> None:
    gateway.modes = ["slow"]
    out, port = tmp_path / "out", str(free_port())
    master = locust(
        "--master",
        "--master-bind-port",
        port,
        "--expect-workers",
        "1",
        *HEADLESS,
        "--host",
        gateway.url,
        "--out",
        str(out),
    )
    worker = locust("--worker", "--master-port", port)
    assert gateway.first_request.wait(30)
    master.interrupt()
    code, said, _ = master.finish()
    assert (code, "Traceback" in said) == (0, False), said
    assert worker.finish()[0] == 0
    check_complete(rows(out), manifest(out))


def test_the_stop_button_ends_a_complete_run_even_of_an_open_load(
    gateway: Any, locust: Start, tmp_path: Path, rows: Rows, manifest: Read
) -> None:
    gateway.modes = ["slow"]
    out, port = tmp_path / "out", free_port()
    words = ("--rate", "30", "--warmup", "0", "--duration", "100s", "--host", gateway.url, "--out", str(out))
    command = locust("--web-host", "127.0.0.1", "--web-port", str(port), "--autostart", *words)
    assert gateway.first_request.wait(30)
    with urllib.request.urlopen(f"http://127.0.0.1:{port}/stop", b"", timeout=30) as answer:
        assert json.load(answer)["success"] is True
    wait_for(command.process, f"Samples are in {out}")
    found, document = rows(out), manifest(out)
    check_complete(found, document)
    # What was planned for later was never asked for.
    assert sorted(row["call_id"] for row in found) == list(range(document["planned_calls"]))
    assert document["planned_calls"] < 3000


@pytest.mark.parametrize("processes", [(), ("--processes", "2")], ids=["alone", "processes"])
def test_a_second_ctrl_c_ends_it_at_once(
    gateway: Any, locust: Start, tmp_path: Path, rows: Rows, manifest: Read, processes: tuple[str, ...]
) -> None:
    gateway.modes = ["hang"]
    out = tmp_path / "out"
    command = locust(*HEADLESS, *processes, "--host", gateway.url, "--out", str(out))
    assert gateway.first_request.wait(30)
    os.killpg(command.process.pid, signal.SIGINT)
    wait_for(command.process, "waiting up to 120 s for those in flight")
    os.killpg(command.process.pid, signal.SIGINT)
    said = command.finish()[1]
    assert "Traceback" not in said, said
    assert (out / "samples.parquet").exists(), said
    assert {row["outcome"] for row in rows(out)} == {"cut_off"}
    assert manifest(out)["interrupted"] is True


def test_ctrl_c_before_the_end_of_a_planned_run_interrupts_it(
    gateway: Any, locust: Start, tmp_path: Path, rows: Rows, manifest: Read
) -> None:
    gateway.modes = ["slow"]
    out = tmp_path / "out"
    words = ("--rate", "30", "--warmup", "0", "--duration", "100s", "--host", gateway.url, "--out", str(out))
    command = locust(*HEADLESS, *words)
    assert gateway.first_request.wait(30)
    command.interrupt()
    command.finish()
    document, found = manifest(out), rows(out)
    assert (document["interrupted"], document["duration_s"], document["planned_calls"]) == (True, 100.0, 3000)
    assert Counter(row["outcome"] for row in found).keys() == {"ok", "never_sent"}
    assert all((row["sent_s"] is None) is (row["planned_s"] >= document["stopped_s"]) for row in found)

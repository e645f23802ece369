"""The incidents of the own mock's world, on the run's clock."""

from __future__ import annotations

import json
import subprocess
import sys
from pathlib import Path

import pyarrow.compute as pc
import pyarrow.parquet as pq

WORLD = """
extends = "instant"
breaker = { failures = 1000 }

[[incidents]]
kind = "outage"
at = 1.0
for = 1.0
every = 2.0
"""


def test_failures_fall_into_the_incidents_of_the_manifest(tmp_path: Path) -> None:
    world = tmp_path / "world.toml"
    world.write_text(WORLD)
    out = tmp_path / "run"
    command = [sys.executable, "-m", "scenarios", "run", "steady", "--world", str(world), "--out", str(out)]
    command += ["--duration", "4s", "--warmup", "0s", "--rate", "30"]
    subprocess.run(command, capture_output=True, check=False, timeout=90)
    incidents = json.loads((out / "manifest.json").read_text())["incidents"]
    assert [incident["kind"] for incident in incidents] == ["outage", "outage"]
    assert [incident["end_s"] - incident["start_s"] for incident in incidents] == [1.0, 1.0]

    samples = pq.read_table(out / "samples.parquet")
    failed = samples.filter(pc.equal(samples["status"], 502))["planned_s"].to_pylist()
    assert failed
    margin_s = 0.1  # a request leaves a little after it was planned
    for planned_s in failed:
        assert any(i["start_s"] - margin_s <= planned_s <= i["end_s"] + margin_s for i in incidents)

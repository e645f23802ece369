"""The incidents of the own mock's world, on the run's clock."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from tests.scenarios.conftest import Unattended

WORLD = Path(__file__).with_name("outages.toml")
UNATTENDED = {
    "outages": Unattended(("run", "steady", "--world", str(WORLD), "--duration", "2s", "--warmup", "0", "--rate", "40"))
}


def test_failures_fall_into_the_incidents_of_the_manifest(
    finished: Callable[[str], Any],
    rows: Callable[[Path], list[dict[str, Any]]],
    manifest: Callable[[Path], dict[str, Any]],
) -> None:
    out = finished("outages").out
    # How long the run takes to end is the machine's affair.
    incidents = [incident for incident in manifest(out)["incidents"] if incident["start_s"] < 2.0]
    assert [incident["kind"] for incident in incidents] == ["outage", "outage"]
    assert [incident["end_s"] - incident["start_s"] for incident in incidents] == [pytest.approx(0.5)] * 2
    failed = [row["planned_s"] for row in rows(out) if row["status"] == 502]
    assert failed
    margin_s = 0.15  # a request leaves a little after it was planned
    for planned_s in failed:
        assert any(i["start_s"] - margin_s <= planned_s <= i["end_s"] + margin_s for i in incidents)

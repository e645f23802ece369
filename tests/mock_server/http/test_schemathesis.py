"""A fuzzer that knows nothing of this project but the gateway's OpenAPI document finds nothing."""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path

from tests.mock_server.conftest import StartMock
from tests.mock_server.wire import UNLIMITED


def test_a_foreign_fuzzer_finds_that_the_gateway_keeps_its_document(start_mock: StartMock, tmp_path: Path) -> None:
    mock = start_mock("--world", "instant")
    # Its default checks, less one: a call may be valid by the schema and still mean nothing, such as one for a model
    # that does not exist, which is a 400. Most cases are those of its coverage phase, which are as many as the schema
    # has limits; the examples are what it draws besides.
    done = subprocess.run(
        [
            *(sys.executable, "-m", "schemathesis.cli", "run", f"{mock.url}/openapi.json"),
            *("--exclude-checks", "positive_data_acceptance", "--header", f"Authorization: Bearer {UNLIMITED}"),
            *("--generation-deterministic", "--continue-on-failure", "--no-color", "--max-examples", "40"),
        ],
        capture_output=True,
        text=True,
        cwd=tmp_path,
        timeout=240,
    )
    assert done.returncode == 0, done.stdout[:4_000] + done.stderr
    assert "No issues found" in done.stdout
    totals = mock.control("requests")["totals"]
    assert totals["requests"] > 200
    assert totals["by_status"]["200"] > 20
    assert set(totals["by_status"]) <= {"200", "400", "401", "404", "405", "415"}
    assert "INVALID_MOCK_DIRECTIVE" not in totals["by_code"]
    # Schemathesis begins by asking whether NUL may stand in a header.
    _, stdout, stderr = mock.stop()
    assert (stdout, set(stderr.splitlines())) == ("", {"WARNING:  Invalid HTTP request received."})

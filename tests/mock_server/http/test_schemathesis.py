from __future__ import annotations

import json
import subprocess
import sys
from pathlib import Path

from tests.mock_server.conftest import StartMock
from tests.mock_server.wire import PATH, UNLIMITED

# What the schema cannot say, and Schemathesis must be told:
# - a call may be valid and still mean nothing, such as one for a model that does not exist: 400;
# - headers nobody knows are ignored, as HTTP demands;
# - `Prefer` and `X-Mock-Fault` decide the outcome against all else: they are taken out of the document.
CONFIG = """
[generation]
deterministic = true
max-examples = 60
allow-extra-parameters = false

[checks.positive_data_acceptance]
expected-statuses = ["200", "400"]
"""


def test_the_mock_keeps_its_own_openapi_document(start_mock: StartMock, tmp_path: Path) -> None:
    mock = start_mock("--world", "instant")
    config, schema = tmp_path / "schemathesis.toml", tmp_path / "openapi.json"
    config.write_text(CONFIG)
    document = mock.http.get("/openapi.json").json()
    parameters = document["paths"][PATH]["post"]["parameters"]
    for name in ("Prefer", "X-Mock-Fault"):
        parameters.remove(next(row for row in parameters if row["name"] == name))
    schema.write_text(json.dumps(document))
    done = subprocess.run(
        [
            *(sys.executable, "-m", "schemathesis.cli", "--config-file", str(config)),
            *("run", str(schema), "--url", mock.url, "--checks", "all", "--phases", "examples,coverage,fuzzing"),
            *("--header", f"Authorization: Bearer {UNLIMITED}", "--continue-on-failure", "--no-color"),
        ],
        capture_output=True,
        text=True,
        cwd=tmp_path,
        timeout=120,
    )
    assert done.returncode == 0, done.stdout[:4_000] + done.stderr
    assert "No issues found" in done.stdout
    totals = mock.control("requests")["totals"]
    assert totals["requests"] > 200
    assert totals["by_status"]["200"] > 20
    assert set(totals["by_status"]) <= {"200", "400", "401", "404", "405", "415"}
    # Schemathesis begins by asking whether NUL may stand in a header.
    _, stdout, stderr = mock.stop()
    assert (stdout, set(stderr.splitlines())) == ("", {"WARNING:  Invalid HTTP request received."})

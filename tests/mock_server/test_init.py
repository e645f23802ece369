"""Processes that used the mock's types end as they should."""

from __future__ import annotations

import subprocess
import sys

PROGRAM = "import mock_server.contract.reading, mock_server.config as config; config.load_world('calm')"


def test_no_process_crashes_while_it_ends() -> None:
    # Without the precaution in the package, about one exit in three was a segmentation fault.
    running = [subprocess.Popen([sys.executable, "-c", PROGRAM]) for _ in range(12)]
    assert [process.wait(timeout=60) for process in running] == [0] * 12

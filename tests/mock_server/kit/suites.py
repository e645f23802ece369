"""Runs pytest on test files of others, in a process of its own, as client teams do."""

from __future__ import annotations

import os
import subprocess
import sys
from collections.abc import Collection, Sequence
from importlib.metadata import entry_points
from pathlib import Path

import psutil

PREAMBLE = """
import asyncio, json, os, sys
import httpx
import pytest

def call(mock, text="hello", key=None, **more):
    body = {"messages": [{"role": "user", "content": text}], **more}
    headers = {"Authorization": f"Bearer {key or mock.api_key}"}
    return httpx.post(mock.base_url + "/llm/auto", json=body, headers=headers, verify=False)

def mock_pid(mock):
    return mock._plane.launched.pid
"""
ENDS_WITHIN_S = 20.0


PLUGINS = frozenset(entry.name for entry in entry_points(group="pytest11")) - {"llm_mock"}
"""What else pytest loads here by itself."""


def only_beside(plugins: Collection[str]) -> list[str]:
    """Options that leave the mock's plugin beside these others alone: to load all takes longer than most suites."""
    return [word for name in sorted(PLUGINS - set(plugins)) for word in ("-p", f"no:{name}")]


def pytest_command(folder: Path, source: str, *options: str, beside: Collection[str] = ()) -> list[str]:
    """The command that runs a suite, written into ``folder``, beside these plugins alone."""
    (folder / "test_suite.py").write_text(PREAMBLE + source, encoding="utf-8")
    (folder / "pytest.ini").write_text("[pytest]\naddopts = --strict-markers -p no:cacheprovider -W error\n")
    return [sys.executable, "-P", "-m", "pytest", str(folder), *only_beside(beside), *options]


def run_pytest(
    folder: Path, source: str, *options: str, beside: Collection[str] = (), within_s: float = 120.0
) -> tuple[int, str]:
    """Exit code and output of a suite."""
    command = pytest_command(folder, source, *options, beside=beside)
    done = subprocess.run(
        command, cwd=folder, env=environment(), stdout=subprocess.PIPE, stderr=subprocess.STDOUT, timeout=within_s,
        text=True, check=False,
    )  # fmt: skip
    return done.returncode, done.stdout


def environment() -> dict[str, str]:
    """As of a terminal, without what this run's own pytest put there, and with a token that no test suite knows."""
    kept = {name: value for name, value in os.environ.items() if not name.startswith(("PYTEST", "COV_CORE"))}
    return {**kept, "MOCK_ADMIN_TOKEN": "of-another-mock", "COLUMNS": "160"}


def ended(pids: Sequence[int]) -> bool:
    """Whether all these processes end, without being told to by us."""
    left = []
    for pid in pids:
        try:
            left.append(psutil.Process(pid))
        except psutil.NoSuchProcess:
            continue
    _, alive = psutil.wait_procs(left, timeout=ENDS_WITHIN_S)
    return not alive

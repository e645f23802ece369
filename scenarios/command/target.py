"""The other end of a run: a gateway someone else runs, or a mock of the run's own."""

from __future__ import annotations

import os
import socket
import time
import urllib.request
from pathlib import Path
from typing import Final
from urllib.parse import urlsplit

from mock_server.launch import Launched, LaunchError, launch
from scenarios.command.options import UsageError

_RESET_S: Final = 30.0
_PROBE_S: Final = 5.0
# The mock is on this machine, whatever proxy the environment names.
_DIRECT: Final = urllib.request.build_opener(urllib.request.ProxyHandler({}))


def probe(url: str) -> None:
    """Raise `UsageError` unless something accepts TCP connections there; sends nothing."""
    parts = urlsplit(url)
    port = parts.port or (443 if parts.scheme == "https" else 80)
    try:
        socket.create_connection((parts.hostname, port), timeout=_PROBE_S).close()
    except OSError as error:
        why = error.strerror or str(error) or type(error).__name__
        raise UsageError(f"cannot reach {url}: {why}; is the gateway running?") from None


def python_path() -> dict[str, str]:
    """The environment for a child that must find these packages, installed or not; without Locust's settings."""
    root = str(Path(__file__).resolve().parents[2])
    environment = {name: value for name, value in os.environ.items() if not name.startswith("LOCUST_")}
    paths = [root, *filter(None, [environment.get("PYTHONPATH")])]
    return {**environment, "PYTHONPATH": os.pathsep.join(paths)}


class OwnMock:
    """A mock on a free port, which ends with this process at the latest; raises `UsageError` if it does not start."""

    def __init__(self, world: str, seed: int, time_scale: float) -> None:
        options = ("--world", world, "--seed", str(seed), "--time-scale", str(time_scale))
        try:
            self._launched: Launched = launch(*options, environment=python_path())
        except LaunchError as error:
            raise UsageError(f"the mock did not start: {error}") from None

    @property
    def url(self) -> str:
        """Where it listens."""
        return self._launched.url

    def death(self) -> str | None:
        """How it ended by itself; ``None`` while it runs, and when `stop` ended it."""
        return self._launched.death()

    def begin_world(self) -> float:
        """Start its world's timeline anew; the monotonic moment at which it did. Raises ``OSError``."""
        self.control("reset", b"{}", _RESET_S)
        return time.monotonic()

    def control(self, what: str, body: bytes | None, timeout_s: float) -> bytes:
        """What its control plane answers to a GET, or to a POST of ``body``; raises ``OSError``."""
        headers = {} if body is None else {"Content-Type": "application/json"}
        request = urllib.request.Request(f"{self.url}/__mock__/{what}", body, headers)  # noqa: S310 - our own mock's
        with _DIRECT.open(request, timeout=timeout_s) as answer:
            data: bytes = answer.read()
            return data

    def stop(self) -> None:
        """End it, politely first; safe to call twice."""
        self._launched.stop()

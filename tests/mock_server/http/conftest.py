"""A mock for faults on the wire, and the core that knows what it plans."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest

from mock_server.config import load_world
from mock_server.core.engine import Engine
from tests.mock_server.conftest import running
from tests.mock_server.tape import Planned, planned
from tests.mock_server.wire import Mock

SCALE = 0.05
"""15 ms to the first token of `slow/steady`, then one every 5 ms."""


@pytest.fixture(scope="session")
def steady_mock(slow_world: str) -> Iterator[Mock]:
    """A mock whose answers take their planned time; tests keep apart by their test ids."""
    with running("--world", slow_world, "--time-scale", str(SCALE)) as mock:
        yield mock


@pytest.fixture(scope="session")
def plan(slow_world: str) -> Callable[..., Planned]:
    """What `steady_mock` plans for the first call of a test id."""
    engine = Engine(load_world(str(Path(slow_world))), 0, 0.0)

    def plan(body: dict[str, Any], *, key: str, test: str) -> Planned:
        return planned(engine, SCALE, body, key=key, test=test)

    return plan


@pytest.fixture
def test(request: pytest.FixtureRequest) -> str:
    """A test id of its own."""
    name: str = request.node.name
    return name.encode("ascii", "replace").decode().replace(" ", "")[:128]

"""The mocks that run in processes of their own: one for each world, for as long as pytest runs."""

from __future__ import annotations

import os
import re
from hashlib import blake2b
from typing import Final, NamedTuple

import pytest

from mock_server.kit.pytest_plugin.plane import WirePlane
from mock_server.launch import LaunchError, launch

DEFAULT_WORLD: Final = "instant"
_TOKEN: Final = "MOCK_ADMIN_TOKEN"  # noqa: S105 - the name of a variable
_UNPLAIN: Final = re.compile(r"[^A-Za-z0-9_.-]+")
_NAME_LENGTH: Final = 80


class CannotStartError(RuntimeError):
    """There is no mock for this test; the message is one line that says why."""


class World(NamedTuple):
    """What a mock simulates: a preset's name or a file's path, and what else `mock-server serve` is told."""

    name: str
    seed: int
    time_scale: float


def chosen_world(node: pytest.Item) -> World:
    """The world of the test's marker, or the default. Raises :class:`CannotStartError`."""
    marker = node.get_closest_marker("llm_world")
    if marker is None:
        return World(DEFAULT_WORLD, 0, 1.0)
    try:
        name, seed, time_scale = _asked(*marker.args, **marker.kwargs)
    except (TypeError, ValueError) as error:
        said = str(error).removeprefix("_asked() ")
        raise CannotStartError(
            f"the marker llm_world {said}; give llm_world('realistic'), and seed= and time_scale= as you like"
        ) from None
    is_file = name.endswith(".toml") or "/" in name
    return World(str(node.path.parent / name) if is_file else name, seed, time_scale)


def own_test_id(node_id: str) -> str:
    """A test id for a test: the end of its node id as far as addresses hold it, and what tells it from all others."""
    name = _UNPLAIN.sub("_", node_id.rpartition("::")[2])[:_NAME_LENGTH].strip("_")
    return f"{name}-{blake2b(node_id.encode('utf-8', 'surrogatepass'), digest_size=5).hexdigest()}"


class Servers:
    """The mocks of one pytest process. Mutable: those that run, and why others would not start."""

    def __init__(self) -> None:
        self._running: dict[World, WirePlane] = {}
        self._failed: dict[World, str] = {}

    def running(self, world: World) -> WirePlane:
        """The control plane of the running mock of a world, started where there is none.

        One that ended by itself is replaced. One that could not start is not tried again. Raises
        :class:`CannotStartError`.
        """
        if world in self._failed:
            raise CannotStartError(self._failed[world])
        plane = self._running.get(world)
        if plane is None or plane.launched.death() is not None:
            plane = self._running[world] = self._start(world)
        return plane

    def stop(self) -> None:
        """Stop them all."""
        while self._running:
            self._running.popitem()[1].launched.stop()

    def _start(self, world: World) -> WirePlane:
        # A token is for mocks that other machines reach; nobody here would show it.
        environment = {name: value for name, value in os.environ.items() if name != _TOKEN}
        options = ("--world", world.name, "--seed", str(world.seed), "--time-scale", repr(world.time_scale))
        try:
            return WirePlane(launch(*options, environment=environment), world.name)
        except (LaunchError, OSError) as error:
            self._failed[world] = f"the mock of world {world.name!r} could not start: {error}"
            raise CannotStartError(self._failed[world]) from None


def _asked(name: object, *, seed: object = 0, time_scale: object = 1.0) -> tuple[str, int, float]:
    if not isinstance(name, str) or not name:
        raise ValueError(f"wants the name of a world, not {name!r}")
    if not isinstance(seed, int) or not isinstance(time_scale, int | float):
        raise ValueError(f"wants numbers for seed= and time_scale=, not {seed!r} and {time_scale!r}")
    return name, seed, float(time_scale)

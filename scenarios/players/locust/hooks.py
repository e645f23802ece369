"""Joining functions to Locust's events, which carry no types."""

from __future__ import annotations

from collections.abc import Callable

from locust.env import Environment
from locust.event import EventHook
from locust.runners import Runner


def on(hook: EventHook, listener: Callable[..., None]) -> None:
    """Call ``listener`` with the event's keyword arguments whenever ``hook`` fires."""
    hook.add_listener(listener)  # type: ignore[no-untyped-call]  # Locust leaves it untyped


def runner_of(environment: Environment) -> Runner:
    """The environment's runner, which exists from Locust's init event on."""
    if environment.runner is None:
        raise RuntimeError("Locust has no runner yet")
    return environment.runner

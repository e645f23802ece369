"""What whoever plays an exchange is asked to do, one thing after the other; `script` says in which order."""

from __future__ import annotations

from collections.abc import Generator
from typing import NamedTuple

from mock_server.edge.answers import Headers, WholeAnswer


class Until(NamedTuple):
    """Wait for the simulated moment ``at``; infinite: until the client has left."""

    at: float


class Start(NamedTuple):
    """Send the head of an answer whose body follows in parts."""

    status: int
    headers: Headers


class Part(NamedTuple):
    """Send a part of the body in a write of its own."""

    data: bytes


class Flush(NamedTuple):
    """Let what was sent leave before what follows."""


class Turn(NamedTuple):
    """Let others have their turn before what follows."""


class End(NamedTuple):
    """Send the last part of the body, which may be empty."""

    data: bytes


class Reset(NamedTuple):
    """Reset the connection (TCP RST) after what was sent."""


class Fin(NamedTuple):
    """Close the connection (TCP FIN) after what was sent."""


Move = Until | Start | Part | Flush | Turn | End | WholeAnswer | Reset | Fin

Moves = Generator[Move, float | None, bool]
"""Moves in order. Each is answered with the simulated moment at which it is done, or None once the client has left."""

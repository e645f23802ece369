"""The Locust adapter: users that play clients, and what Locust is told of their requests, for its web UI alone."""

from __future__ import annotations

import gc

from gevent.event import Event
from locust import User, task
from locust.event import EventHook

from scenarios.book import Try
from scenarios.model.client import Feedback
from scenarios.players.locust.player import Listener, LocustPlayer
from scenarios.wire.reader import Reading


class RequestError(Exception):
    """What Locust is told of a request that failed: a class of failure, never a message of its own."""


def telling(request: EventHook) -> Listener:
    """Tell Locust of each try, once."""

    def tell(attempt: Try, reading: Reading, feedback: Feedback, length: int) -> None:
        call = attempt.ask.call
        why = f"{reading.outcome} {reading.error_code or ''}".strip()
        request.fire(  # type: ignore[no-untyped-call]  # Locust leaves it untyped
            request_type="SSE" if call.stream else "JSON",
            name=call.kind,
            response_time=(feedback.end_s - (attempt.sent_s or feedback.end_s)) * 1000,
            response_length=length,
            exception=None if attempt.good else RequestError(why),
            context={},
        )

    return tell


def without_collector() -> None:
    """Take the collector off a process that only generates load: its requests leave no cycles, and a pause is a lie."""
    gc.collect()
    gc.freeze()
    gc.disable()


def rare_collector() -> None:
    """Let the collector run seldom, in a process that makes garbage for other reasons."""
    gc.collect()
    gc.freeze()
    gc.set_threshold(200_000, 50, 100)


class GatewayUser(User):
    """A user of the gateway; what it does follows from the player of its process."""

    # Set for the process by the locustfile when a test starts.
    player: LocustPlayer | None = None

    @task
    def live(self) -> None:
        """One life, then wait for the end of the test."""
        if self.player is not None:
            self.player.live_as_user()
        Event().wait()

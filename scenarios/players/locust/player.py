"""Plays simulated clients in real time: sleeps, sends and reads, and tells the book.

One `LocustPlayer` per worker process and run. An open load is one dispatcher greenlet that walks the worker's share
of the planned arrivals and hands each to a greenlet of its own; a closed load is Locust users, each playing a client;
a script is one client. No number of ours comes from Locust.
"""

from __future__ import annotations

import math
import time
from collections.abc import Callable
from pathlib import Path
from typing import Final, TypeAlias
from urllib.parse import urlsplit

import gevent
from gevent.event import Event
from gevent.pool import Group

from reports.sample import Outcome
from scenarios.book import Book, Try
from scenarios.model.client import Ask, Client, Feedback
from scenarios.model.text import warm
from scenarios.record.plan import Origin, Plan
from scenarios.record.pulse import Pulse
from scenarios.record.spool import Recorder, part_path
from scenarios.wire.connections import ConnectionPool
from scenarios.wire.reader import Reader, Reading

# Timers of so many seconds or more are set in steps.
_LONGEST_SLEEP_S: Final = 3600.0


class _TooSlow(BaseException):
    """The client's own timeout, told apart from any other exception."""


class _Life:
    """A client being played: whether a try of it counts and has not ended, and whether it is to leave after that."""

    __slots__ = ("leaving", "trying")

    def __init__(self) -> None:
        self.leaving = self.trying = False


# Told of each try that is over, with the number of bytes of its answer.
Listener: TypeAlias = Callable[[Try, Reading, Feedback, int], None]


class LocustPlayer:
    """One worker's part in one run.

    ``on_try`` hears of each try that is over. ``on_done`` is called once, from a greenlet, when all of the worker's
    part has ended by itself or by `stop`, or the key turned out to be wrong.
    """

    def __init__(
        self,
        plan: Plan,
        folder: Path,
        worker: int,
        pid: int,
        api_key: str,
        *,
        on_try: Listener | None,
        on_done: Callable[[LocustPlayer], None],
    ) -> None:
        warm()
        self.plan = plan
        # Set when everything has ended by itself, in time; what is cut off by `finish` never sets it.
        self.complete = False
        # Set when nothing more will be recorded.
        self.over = Event()
        self._on_try = on_try
        self._on_done = on_done
        self._origin_s = time.monotonic()
        self._recorder = Recorder(part_path(folder, worker, pid))
        self._book = Book(plan, worker, self._recorder)
        self._connections = ConnectionPool(urlsplit(plan.target), self.now, api_key)
        self._clients = Group()
        self._greenlets = Group()
        self._opening: gevent.Greenlet | None = None
        # When the next arrival is to be handed on.
        self._due_s = math.inf
        self._quiet = Event()
        self._started = self._finished = self._told = False
        self._pulse = Pulse(0.0)

    def now(self) -> float:
        """Seconds on the run's clock."""
        return time.monotonic() - self._origin_s

    @property
    def wrong_key(self) -> bool:
        """Whether the first answers said that the key is wrong."""
        return self._book.wrong_key

    def start(self, origin: Origin) -> None:
        """Begin: ``origin`` is the run's zero on this machine's monotonic clock."""
        self._origin_s = origin.monotonic_s
        self._started = True
        self._pulse = Pulse(max(self.now(), 0.0))
        self._greenlets.spawn(self._beat)
        self._opening = self._greenlets.spawn(self._open)
        self._greenlets.spawn(self._conduct)

    # --- the whole -----------------------------------------------------------------------------------------

    def _conduct(self) -> None:
        """Wait until no further call is to be begun, then for those in flight, at most until the drain's end."""
        assert self._opening is not None
        self._opening.join()
        until_s = self._book.end_s + self.plan.drain_s
        while self._book.under_way and (left := until_s - self.now()) > 0:
            self._quiet.clear()
            self._quiet.wait(left)
        self.complete = not self._book.under_way
        self._tell_done()

    def _open(self) -> None:
        """Until the last call was begun, so far as this worker begins them."""
        script = self._book.script()
        if self.plan.load.planned:
            self._dispatch()
        elif script is not None:
            self._clients.spawn(self._play, script, next(script), None, _Life()).join()
        else:
            self._sleep_until(self._book.end_s)

    def _dispatch(self) -> None:
        for client, ask in self._book.arrivals():
            self._due_s = ask.at_s
            self._sleep_until(ask.at_s)
            attempt = self._book.hand_on(ask)
            if attempt is not None:
                self._clients.spawn(self._play, client, ask, attempt, _Life())

    def _tell_done(self) -> None:
        if not self._told:
            self._told = True
            # Not from the calling greenlet: the end of the part kills it.
            gevent.spawn(self._on_done, self)

    def _sleep_until(self, at_s: float) -> None:
        """Timers may fire early; the deadline is checked again on waking."""
        while (left := at_s - self.now()) > 0:
            gevent.sleep(min(left, _LONGEST_SLEEP_S))

    def stop(self) -> None:
        """Begin no further call; those in flight may end until the drain is over."""
        now = self.now()
        self._book.stop(now)
        # It is killed while it sleeps: handing a call on never lets go of the processor. What was due is only late.
        if self._opening is not None and self._due_s >= now:
            self._opening.kill(block=False)

    def finish(self) -> None:
        """End now, whatever is still going on: it is cut off. The merge adds what was never sent."""
        if self._finished:
            return
        self._finished = True
        self._greenlets.kill(block=True)
        if self._started:
            self._pulse.tick(self.now())
            self._write_beat()
            self._pulse.close()
        # From here on nothing is recorded, however the clients end.
        self._book.close(self.now())
        self._clients.kill(block=True)
        self._recorder.close()
        self._connections.close()
        self.over.set()

    # --- clients -------------------------------------------------------------------------------------------

    def live_as_user(self) -> None:
        """The life of one Locust user: a client of a closed load; in the other loads it only stands by.

        When Locust ends the user, the client's call in flight goes on, and is its last.
        """
        client = self._book.user(self.now())
        if client is None or self._finished:
            return
        life = _Life()
        # In a greenlet of the player's own, which outlives the user's.
        player = self._clients.spawn(self._play, client, next(client), None, life)
        try:
            player.join()
        finally:
            life.leaving = True
            if not life.trying:
                player.kill()

    def _play(self, client: Client, ask: Ask | None, attempt: Try | None, life: _Life) -> None:
        """Play one client from its wish ``ask`` on, which the book may have taken down as ``attempt`` already."""
        book = self._book
        while ask is not None and not life.leaving:
            attempt = attempt or book.foresee(ask)
            life.trying = attempt.note is not None
            self._sleep_until(ask.at_s)
            payload = self._connections.payload(ask.call)
            if not book.begin(attempt, self.now()):
                return
            life.trying = True
            feedback = self._try(attempt, payload)
            life.trying = False
            attempt = None
            try:
                ask = client.send(feedback)
            except StopIteration:
                ask = None

    def _try(self, attempt: Try, payload: bytes) -> Feedback:
        reader = Reader(attempt.ask.call.stream)
        attempt.reading = reader.reading
        try:
            with gevent.Timeout(self.plan.timeout_s, _TooSlow):
                reading = self._connections.exchange(payload, reader)
        except _TooSlow:
            reading = reader.given_up()
        except Exception as error:  # a fault of the generator itself: it must not pass for the gateway's
            reading = reader.stopped(Outcome.LOST, type(error).__name__)
        feedback = self._book.end(attempt, reading, self.now())
        if not self._book.under_way:
            self._quiet.set()
        if self._book.wrong_key:
            self._tell_done()
        if self._on_try is not None:
            self._on_try(attempt, reading, feedback, reader.length)
        return feedback

    # --- health --------------------------------------------------------------------------------------------

    def _beat(self) -> None:
        """A hundred times a second: how late the hub woke this greenlet; some of them make a beat."""
        while True:
            self._sleep_until(self._pulse.due_s)
            self._pulse.tick(self.now())
            if self._pulse.full:
                self._write_beat()

    def _write_beat(self) -> None:
        book = self._book
        self._recorder.write(self._pulse.beat(self.now(), done=book.done, failed=book.failed, in_flight=book.under_way))

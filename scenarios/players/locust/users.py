"""The Locust adapter: plays simulated clients in real time, on our own clock, into our own record.

One `Session` per worker process and run. An open load is one dispatcher greenlet that walks the worker's share
of the planned arrivals and hands each to a pool; a closed load is Locust users, each playing a client; a script
is one client. Locust hears of every request once, for its web UI; no number of ours comes from Locust.
"""

from __future__ import annotations

import gc
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any, Final
from urllib.parse import urlsplit

import gevent
from gevent.event import Event
from gevent.pool import Pool
from locust import User, task

from reports.sample import Outcome
from scenarios.model.client import Answer, Ask, Client, arrival, closed_user, script
from scenarios.model.load import Closed
from scenarios.model.text import warm
from scenarios.record.plan import Origin, Plan, call_of, script_of, times_of, window_s
from scenarios.record.pulse import Pulse
from scenarios.record.spool import Begun, Ended, Recorder, begun, finished, part_path, unsent
from scenarios.wire.connections import ConnectionPool
from scenarios.wire.reader import Reader, Reading

# Users of a closed load start spread over this long, so that they do not ask in step.
_SPREAD_S: Final = 1.0
# This many answers decide whether the key is simply wrong.
_FIRST_ANSWERS: Final = 20


class RequestError(Exception):
    """What Locust is told of a request that failed: a class of failure, never a message of its own."""


class _TooSlow(BaseException):
    """The client's own timeout, told apart from any other exception."""


def _step(client: Client, answer: Answer | None) -> Ask | None:
    """The client's next wish, ``None`` when it has none; the first step needs no answer."""
    try:
        return next(client) if answer is None else client.send(answer)
    except StopIteration:
        return None


class Session:
    """One worker's part in one run.

    ``fire`` is Locust's request event. ``on_done`` is called once, from a greenlet, when all of the worker's
    part has ended by itself or the key turned out to be wrong.
    """

    def __init__(
        self,
        plan: Plan,
        folder: Path,
        worker: int,
        pid: int,
        api_key: str,
        *,
        fire: Callable[..., Any],
        on_done: Callable[[Session], None],
    ) -> None:
        warm()
        self.plan = plan
        self.worker = worker
        self.wrong_key = False
        self.complete = False
        self._fire = fire
        self._on_done = on_done
        self._origin_s = time.monotonic()
        self._times = times_of(plan)[worker :: plan.processes].tolist()
        self._script = script_of(plan) if worker == 0 else ()
        # How many of the planned arrivals, or of the script's calls, have been handed on.
        self._next = 0
        self._wire = ConnectionPool(urlsplit(plan.target), self.now, api_key)
        self._recorder = Recorder(part_path(folder, worker, pid))
        # Tries begun and not yet recorded, by (call_id, attempt); what is left at the end was cut off.
        self._unrecorded: dict[tuple[int, int], Begun] = {}
        self._pool = Pool(plan.max_in_flight)
        self._players = Pool()
        self._greenlets = Pool()
        self._users = 0
        self._done = self._failed = self._answers = self._denied = 0
        self._started = self._finished = False
        self._pulse = Pulse(0.0)

    def now(self) -> float:
        """Seconds on the run's clock."""
        return time.monotonic() - self._origin_s

    def start(self, origin: Origin) -> None:
        """Begin: ``origin`` is the run's zero on this machine's monotonic clock."""
        self._origin_s = origin.monotonic_s
        self._started = True
        self._pulse = Pulse(max(self.now(), 0.0))
        gc.collect()
        gc.freeze()
        gc.set_threshold(200_000, 50, 100)
        self._greenlets.spawn(self._beat)
        self._greenlets.spawn(self._conduct)

    # --- open load, and the end of any ---------------------------------------------------------------------

    def _conduct(self) -> None:
        """Dispatch what is planned, wait for what is in flight, at most until the end of the drain."""
        if self.plan.load.planned:
            self._dispatch()
        elif self._script:
            self.play(script(self._script, self.plan.scenario.policy, self.plan.seed), planned=False)
        else:
            self._sleep_until(window_s(self.plan))
        left = window_s(self.plan) + self.plan.drain_s - self.now()
        with gevent.Timeout(max(left, 0.0), False):
            self._pool.join()
            self._players.join()
        self.complete = True
        # Not from this greenlet: the end of the session kills it.
        gevent.spawn(self._on_done, self)

    def _dispatch(self) -> None:
        plan, policy = self.plan, self.plan.scenario.policy
        for index, planned_s in enumerate(self._times):
            call_id = self.worker + index * plan.processes
            # Built before its moment: only the hand-over happens on time.
            ask = Ask(call_id, 0, planned_s, call_of(plan, call_id))
            self._sleep_until(planned_s)
            self._next = index + 1
            note = begun(ask, planned_s)
            if self._pool.full():
                self._recorder.write(unsent(note, Outcome.NEVER_SENT))
                continue
            self._unrecorded[call_id, 0] = note
            self._pool.spawn(self.play, arrival(call_id, planned_s, ask.call, policy, plan.seed), planned=True)

    def _sleep_until(self, at_s: float) -> None:
        """Timers may fire early; the deadline is checked again on waking."""
        while (left := at_s - self.now()) > 0:
            gevent.sleep(min(left, 3600.0))

    # --- clients -------------------------------------------------------------------------------------------

    def live_as_user(self) -> None:
        """The life of one Locust user: a client of a closed load; in the other loads it only stands by."""
        plan = self.plan
        load = plan.load
        if not isinstance(load, Closed) or self._finished:
            return
        number = self.worker + self._users * plan.processes
        self._users += 1
        users = load.users
        client = closed_user(
            number,
            users,
            lambda call_id: call_of(plan, call_id),
            start_s=max(self.now(), min(_SPREAD_S, plan.warmup_s) * (number % users) / users),
            window_s=window_s(plan),
            think_s=load.think_s,
            policy=plan.scenario.policy,
            seed=plan.seed,
        )
        # In a greenlet of the session's own, which the session can end whenever Locust ends its users.
        player = self._players.spawn(self.play, client, planned=False)
        try:
            player.join()
        finally:
            player.kill()

    def play(self, client: Client, *, planned: bool) -> None:
        """Play one client. Its first try counts as planned at its moment only in a ``planned`` load."""
        answer: Answer | None = None
        while (ask := _step(client, answer)) is not None:
            absolute = planned or ask.attempt > 0
            if absolute:
                self._note(ask, ask.at_s)
            self._sleep_until(ask.at_s)
            payload = self._wire.payload(ask.call)
            sent_s = self.now()
            if not absolute:
                if sent_s >= window_s(self.plan):
                    return
                self._note(ask, sent_s)
            answer = self._ask(ask, payload, sent_s)

    def _note(self, ask: Ask, planned_s: float) -> None:
        """Remember a try before it is sent, on disk too unless the plan already knows of it."""
        note = begun(ask, planned_s)
        self._unrecorded[ask.call_id, ask.attempt] = note
        if not self.plan.load.planned or ask.attempt > 0:
            self._recorder.write(note)
        if self._script:
            self._next = ask.call_id + 1

    def _ask(self, ask: Ask, payload: bytes, sent_s: float) -> Answer:
        note = self._unrecorded[ask.call_id, ask.attempt]
        reader = Reader(ask.call.stream)
        try:
            with gevent.Timeout(self.plan.timeout_s, _TooSlow):
                reading = self._wire.exchange(payload, reader)
        except _TooSlow:
            reading = reader.stopped(Outcome.TIMEOUT, "Timeout")
        except gevent.GreenletExit:
            self._record(note, sent_s, reader.stopped(Outcome.CUT_OFF, None), reader.length)
            raise
        except Exception as error:  # a fault of the generator itself: it must not pass for the gateway's
            reading = reader.stopped(Outcome.LOST, type(error).__name__)
        return self._record(note, sent_s, reading, reader.length)

    def _record(self, note: Begun, sent_s: float, reading: Reading, length: int) -> Answer:
        end_s = self.now() if reading.end_s is None else reading.end_s
        self._recorder.write(finished(note, sent_s, end_s, reading))
        del self._unrecorded[note.call_id, note.attempt]
        good = reading.error_code == note.expected and reading.outcome in (Outcome.OK, Outcome.REFUSED)
        self._done += 1
        self._failed += not good
        self._judge_key(reading, note)
        self._fire(
            request_type="SSE" if note.stream else "JSON",
            name=note.kind,
            response_time=(end_s - sent_s) * 1000,
            response_length=length,
            exception=None if good else RequestError(f"{reading.outcome} {reading.error_code or ''}".strip()),
            context={},
        )
        return Answer(reading.outcome, end_s, reading.error_code, reading.retry_after_s, begun=reading.status is not None)

    def _judge_key(self, reading: Reading, note: Begun) -> None:
        """Only 401s among the first answers: the key is wrong, and more of them tell nothing."""
        if self._answers >= _FIRST_ANSWERS or reading.status is None or note.expected is not None:
            return
        self._answers += 1
        self._denied += reading.status == 401
        if self._answers == self._denied == _FIRST_ANSWERS:
            self.wrong_key = True
            gevent.spawn(self._on_done, self)

    # --- health and end ------------------------------------------------------------------------------------

    def _beat(self) -> None:
        """A hundred times a second: how late the hub woke this greenlet; some of them make a beat."""
        while True:
            self._sleep_until(self._pulse.due_s)
            self._pulse.tick(self.now())
            if self._pulse.full:
                self._write_beat()

    def _write_beat(self) -> None:
        self._recorder.write(
            self._pulse.beat(self.now(), done=self._done, failed=self._failed, in_flight=len(self._unrecorded))
        )

    def finish(self) -> None:
        """End now, whatever is still going on: it is cut off. The merge adds what was never sent."""
        if self._finished:
            return
        self._finished = True
        if self._started:
            self._pulse.tick(self.now())
            self._write_beat()
            self._pulse.close()
        self._greenlets.kill(block=True)
        self._pool.kill(block=True)
        self._players.kill(block=True)
        for note in self._unrecorded.values():
            self._recorder.write(unsent(note, Outcome.NEVER_SENT))
        self._recorder.write(Ended(self.now(), self._next))
        self._recorder.close()
        self._wire.close()


class GatewayUser(User):
    """A user of the gateway; what it does follows from the session of its process."""

    # Set for the process by the locustfile when a test starts.
    session: Session | None = None

    @task
    def live(self) -> None:
        """One life, then wait for the end of the test."""
        if self.session is not None:
            self.session.live_as_user()
        Event().wait()

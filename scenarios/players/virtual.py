"""Plays simulated clients in virtual time, against a mock that shares their agenda: no network, no waiting, no Locust.

Clients, ledger and the judge of answers are those of a run in real time. What differs is the carrier: what is sent
arrives at the same moment, a connection costs nothing, and nobody is ever late.
"""

from __future__ import annotations

import gc
from collections import deque
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from functools import partial
from typing import Final

from mock_server.config import load_world
from mock_server.virtual import Agenda, Asked, Playing, VirtualMock, not_played
from scenarios.book import Book, Notes, Try
from scenarios.model.client import Ask, Client
from scenarios.model.load import Closed
from scenarios.model.text import warm
from scenarios.model.workload import Call
from scenarios.record.plan import Plan, script_of
from scenarios.wire.asking import REST_S, IncompleteBodyError, NoAnswerError, head_lines
from scenarios.wire.reader import HEADERS, Reader, Reading

# A user who asks so often at one moment is never going to let time pass.
_MOST_AT_ONCE: Final = 1_000
# So many events between two looks at the world outside.
_EVENTS: Final = 1_024
_KEPT_HEADERS: Final = {name.encode(): name for name in HEADERS}


class StandstillError(Exception):
    """Virtual time cannot go on: why, in one line."""


def unplayable(plan: Plan) -> str | None:
    """What keeps a plan from being played in virtual time, if anything."""
    for call in script_of(plan):
        if why := not_played(call.method, call.path):
            return f"the call {call.kind!r} cannot be made: {why}"
    return None


class _Life:
    """A client being played. Mutable: how many tries it has begun at the moment it began the last one."""

    __slots__ = ("at_s", "client", "tries")

    def __init__(self, client: Client) -> None:
        self.client = client
        self.at_s = -1.0
        self.tries = 0


class VirtualPlayer:
    """One run, from its zero to its end, in the order of its moments. Raises `WorldError` for a world that is none."""

    def __init__(self, plan: Plan, notes: Notes, api_key: str) -> None:
        warm()
        self._plan = plan
        self._api_key = api_key
        self.agenda = Agenda()
        self.mock = VirtualMock(load_world(plan.world or ""), plan.seed, plan.time_scale, self.agenda)
        self.book = Book(plan, 0, notes)
        self._arrivals = self.book.arrivals()
        # The heads of requests, which are few.
        self._asked: dict[tuple[object, ...], Asked] = {}
        # Whether no further call is to be begun, but for those that were.
        self._opened = False
        self._script: _Life | None = None
        self._closed_load = isinstance(plan.load, Closed)
        # Tries in flight in the order in which their clients' patience ends, with some that are over.
        self._patience: deque[_Visit] = deque()
        self._expiring = False

    def play(self, is_over: Callable[[], bool]) -> float:
        """Play to the end, or until ``is_over`` says so, which is asked now and then; when that was, in seconds.

        Raises `StandstillError` where time would stand still for ever, and ``OSError`` when notes cannot be written.
        """
        with _without_collector():
            self._open()
            while not self._done() and not (self.book.wrong_key or is_over()):
                pass
            for visit in self._patience:
                visit.catch_up()
            self.book.close(self.agenda.now)
        return self.agenda.now

    def _done(self) -> bool:
        """Let some events happen; whether the run has come to its end."""
        agenda, book = self.agenda, self.book
        for _ in range(_EVENTS):
            if self._opened:
                if not book.under_way:
                    return True
                until_s = book.end_s + self._plan.drain_s
                if agenda.next_at > until_s:
                    agenda.wait_until(until_s)
                    return True
            agenda.act()
            if book.wrong_key:
                return True
        return False

    # --- who asks ------------------------------------------------------------------------------------------

    def _open(self) -> None:
        load, script = self._plan.load, self.book.script()
        if load.planned:
            self._await_arrival()
        elif script is not None:
            self._script = _Life(script)
            self._wish(self._script, next(script))
        else:
            for _ in range(load.users if isinstance(load, Closed) else 0):
                user = self.book.user(self.agenda.now)
                assert user is not None
                self._wish(_Life(user), next(user))
            self.agenda.at(self.book.end_s, self._end_window)

    def _end_window(self) -> None:
        self._opened = True

    def _await_arrival(self) -> None:
        """Put down the next planned arrival; its call is made before its moment."""
        arrival = next(self._arrivals, None)
        if arrival is None:
            self._opened = True
        else:
            self.agenda.at(arrival[1].at_s, partial(self._arrive, *arrival))

    def _arrive(self, client: Client, ask: Ask) -> None:
        attempt = self.book.hand_on(ask)
        if attempt is not None:
            self._send(_Life(client), attempt)
        self._await_arrival()

    def _wish(self, life: _Life, ask: Ask) -> None:
        self.agenda.at(ask.at_s, partial(self._send, life, self.book.foresee(ask)))

    # --- one try -------------------------------------------------------------------------------------------

    def _send(self, life: _Life, attempt: Try) -> None:
        now = self.agenda.now
        if not self.book.begin(attempt, now):
            self._leave(life)
            return
        self._check_standstill(life, now)
        call = attempt.ask.call
        visit = _Visit(self, life, attempt, now + self._plan.timeout_s)
        visit.playing = self.mock.ask(self._asked_of(call), call.body, visit)
        if visit.over:
            visit.playing = None
        else:
            self._be_patient(visit)

    def _asked_of(self, call: Call) -> Asked:
        kind = (call.method, call.path, call.key, call.content_type, call.stream, call.headers)
        asked = self._asked.get(kind)
        if asked is None:
            asked = self._asked[kind] = Asked.of(call.method, call.path, head_lines(call, self._api_key))
        return asked

    def _check_standstill(self, life: _Life, now: float) -> None:
        if now > life.at_s:
            life.at_s, life.tries = now, 0
        life.tries += 1
        if life.tries > _MOST_AT_ONCE and self._closed_load:
            raise StandstillError(
                f"at {now:g} s of virtual time a user was answered {_MOST_AT_ONCE:,} times in no time at all, and "
                "would ask for ever; give the load a think_s, or a world in which answers take time"
            )

    def ended(self, life: _Life, attempt: Try, reading: Reading) -> None:
        """A try is over: its client goes on."""
        feedback = self.book.end(attempt, reading, self.agenda.now)
        try:
            ask = life.client.send(feedback)
        except StopIteration:
            self._leave(life)
        else:
            self._wish(life, ask)

    def _leave(self, life: _Life) -> None:
        if life is self._script:
            self._opened = True

    # --- patience ------------------------------------------------------------------------------------------

    def _be_patient(self, visit: _Visit) -> None:
        waiting = self._patience
        while waiting and waiting[0].over:
            waiting.popleft()
        waiting.append(visit)
        if not self._expiring:
            self._expiring = True
            self.agenda.at(visit.patient_until_s, self._expire)

    def _expire(self) -> None:
        """Let those give up whose patience is over, and look again when the next one's is."""
        waiting, now = self._patience, self.agenda.now
        while waiting and (waiting[0].over or waiting[0].patient_until_s <= now):
            waiting.popleft().give_up()
        self._expiring = bool(waiting)
        if waiting:
            self.agenda.at(waiting[0].patient_until_s, self._expire)


class _Visit:
    """A try that was sent: what of its answer reaches its client, as a connection would tell. Mutable.

    ``playing`` is the mock's side of it, until it is over.
    """

    __slots__ = ("_attempt", "_begun", "_done_s", "_life", "_player", "_reader", "over", "patient_until_s", "playing")

    def __init__(self, player: VirtualPlayer, life: _Life, attempt: Try, patient_until_s: float) -> None:
        self._player = player
        self._life = life
        self._attempt = attempt
        self._reader = Reader(attempt.ask.call.stream)
        attempt.reading = self._reader.reading
        self._begun = False
        # When its stream said that it is over.
        self._done_s: float | None = None
        self.patient_until_s = patient_until_s
        self.playing: Playing | None = None
        self.over = False

    def head(self, status: int, headers: list[tuple[bytes, bytes]]) -> None:
        self._begun = True
        told: dict[str, str] = {}
        for name, value in headers:
            known = _KEPT_HEADERS.get(name)
            if known is not None:
                told.setdefault(known, value.decode("latin-1"))
        self._reader.head(status, told)

    def part(self, data: bytes, at: float) -> None:
        reader = self._reader
        reader.data(data, at)
        if reader.done and self._done_s is None:
            self._done_s = at
            self._player.agenda.at(at + REST_S, self._rest)

    def catch_up(self) -> None:
        """Read all that has come by now."""
        if self.playing is not None:
            self.playing.catch_up()

    def end(self, data: bytes) -> None:
        now = self._player.agenda.now
        if data:
            self._reader.data(data, now)
        self._finish(self._reader.complete(now if self._done_s is None else self._done_s))

    def cut(self, *, reset: bool) -> None:
        how = ConnectionResetError if reset else IncompleteBodyError if self._begun else NoAnswerError
        self._finish(self._reader.broken(how.__name__))

    def give_up(self) -> None:
        """The client's patience is over."""
        if not self.over:
            self._hang_up()
            self._finish(self._reader.given_up())

    def _rest(self) -> None:
        """A stream that is over has kept its connection for too long."""
        if not self.over and self._done_s is not None:
            self._hang_up()
            self._finish(self._reader.complete(self._done_s))

    def _hang_up(self) -> None:
        if self.playing is not None:
            self.playing.leave()

    def _finish(self, reading: Reading) -> None:
        self.over, self.playing = True, None
        self._player.ended(self._life, self._attempt, reading)


@contextmanager
def _without_collector() -> Iterator[None]:
    """Requests leave no cycles behind, and looking for some would cost a tenth of the time."""
    enabled = gc.isenabled()
    gc.collect()
    gc.disable()
    try:
        yield
    finally:
        if enabled:
            gc.enable()

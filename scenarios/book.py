"""The ledger of one worker's part in a run, while it lasts: whoever plays, in real time or in virtual time.

The book knows what is planned, begun, sent, ended and cut off, when users start and the window ends, when the pool is
full and when the key is plainly wrong, and it alone writes rows. It knows no clock: ``now`` is seconds on the run's
clock, and never goes back. A player sleeps, sends and reads, and tells the book:

- open load: each of `arrivals` is handed on at its moment (`hand_on`), then begun and ended;
- closed load: each user is a client of `user`, a script is the one client of `script`; each wish of a client is taken
  down (`foresee`), then begun at its moment, then ended;
- every further wish of any client likewise.

Each try that is counted ends in one row, whatever happens: with `end`, or with `close`.
"""

from __future__ import annotations

from collections.abc import Iterator
from itertools import count
from typing import Final, Protocol

import msgspec

from reports.sample import POOL_FULL, Outcome
from scenarios.model.client import Ask, Client, Feedback, closed_user, one_call, script
from scenarios.model.load import Closed
from scenarios.record.notes import Begun, Note, PartEnd, begun, finished, unsent
from scenarios.record.plan import Plan, call_of, script_of, times_of, window_s
from scenarios.wire.reader import Reading

# Users of a closed load start spread over this long, so that they do not ask in step.
_SPREAD_S: Final = 1.0
# This many answers decide whether the key is simply wrong.
_FIRST_ANSWERS: Final = 20


class Notes(Protocol):
    """Where the book writes; each note is safe when `write` returns."""

    def write(self, note: Note) -> None:
        """Keep one note."""


class Try(msgspec.Struct, eq=False):
    """One try from a client's wish to its row. Mutable: the book fills it in.

    ``note`` is what the ledger knows of it, ``None`` until it counts. ``good`` says whether it ended as expected.
    """

    ask: Ask
    note: Begun | None = None
    ready_s: float | None = None
    sent_s: float | None = None
    reading: Reading | None = None
    good: bool = False


class Book:
    """The ledger of worker number ``worker``; ``notes`` takes what it writes."""

    def __init__(self, plan: Plan, worker: int, notes: Notes) -> None:
        self._plan = plan
        self._worker = worker
        self._notes = notes
        self._planned = plan.load.planned
        self._share = times_of(plan)[worker :: plan.processes].tolist()
        self._script = script_of(plan) if worker == 0 else ()
        self._call_ids = count(worker, plan.processes)
        self._users = 0
        # When the window ends for this worker; a stop brings it forward.
        self.end_s = window_s(plan)
        self._stopped_s: float | None = None
        self._closed = False
        # How many of the planned arrivals, or of the script's calls, have been handed on.
        self._handed_on = 0
        # Tries that count and have no row yet; a call has one at a time.
        self._under_way: dict[int, Try] = {}
        self.done = self.failed = 0
        self._answers = self._denied = 0

    # --- who asks ------------------------------------------------------------------------------------------

    def arrivals(self) -> Iterator[tuple[Client, Ask]]:
        """The planned arrivals of this worker in order: each client with its first wish, made before its moment.

        After a stop there are only those that were due before.
        """
        plan = self._plan
        for index, planned_s in enumerate(self._share):
            if self._too_late(planned_s):
                return
            call_id = self._worker + index * plan.processes
            policy = plan.scenario.policy_of(plan.seed, call_id)
            client = one_call(call_id, planned_s, call_of(plan, call_id), policy, plan.seed)
            yield client, next(client)

    def user(self, now: float) -> Client | None:
        """The next user of a closed load, who starts a little later than the one before; ``None`` in other loads."""
        plan = self._plan
        load = plan.load
        if not isinstance(load, Closed):
            return None
        number = self._worker + self._users * plan.processes
        self._users += 1
        return closed_user(
            self._call_ids,
            lambda call_id: call_of(plan, call_id),
            start_s=max(now, min(_SPREAD_S, plan.warmup_s) * (number % load.users) / load.users),
            think_s=load.think_s,
            policy=plan.scenario.policy_of(plan.seed, number),
            seed=plan.seed,
        )

    def script(self) -> Client | None:
        """The one client of a script; ``None`` in other loads, and for all workers but the first."""
        plan = self._plan
        return script(self._script, plan.scenario.policy_of(plan.seed, 0), plan.seed) if self._script else None

    # --- one try -------------------------------------------------------------------------------------------

    def hand_on(self, ask: Ask) -> Try | None:
        """The moment of a planned arrival has come; ``None`` if it cannot be sent, which has its row already."""
        if self._closed or self._too_late(ask.at_s):
            return None
        self._handed_on += 1
        attempt = Try(ask, begun(ask, ask.at_s))
        if len(self._under_way) >= self._plan.max_in_flight:
            self._notes.write(unsent(self._note(attempt), Outcome.NEVER_SENT, POOL_FULL))
            return None
        self._under_way[ask.call_id] = attempt
        return attempt

    def foresee(self, ask: Ask) -> Try:
        """A client wishes for a try at ``ask.at_s``. A retry counts from now on, a new call once it is begun."""
        attempt = Try(ask)
        if ask.attempt and not self._closed:
            self._count(attempt, ask.at_s)
        return attempt

    def begin(self, attempt: Try, now: float) -> bool:
        """The try is to be sent now; if not, because the window or the run is over, its client is to leave."""
        if self._closed or (attempt.note is None and now >= self.end_s):
            return False
        if not self._planned:
            attempt.ready_s = attempt.ask.at_s
            if attempt.note is None:
                self._count(attempt, now)
                self._handed_on += bool(self._script)
            else:
                attempt.note = msgspec.structs.replace(attempt.note, planned_s=now)
        attempt.sent_s = now
        return True

    def _count(self, attempt: Try, planned_s: float) -> None:
        attempt.note = begun(attempt.ask, planned_s)
        self._under_way[attempt.ask.call_id] = attempt
        self._notes.write(attempt.note)

    def end(self, attempt: Try, reading: Reading, now: float) -> Feedback:
        """The try is over with ``reading``: at the moment of its last read, or now. What its client learns of it."""
        end_s = now if reading.end_s is None else reading.end_s
        if self._under_way.get(attempt.ask.call_id) is attempt:
            del self._under_way[attempt.ask.call_id]
            self._write(attempt, end_s, reading)
            self._judge(attempt, reading)
        return Feedback(reading.outcome, end_s, reading.error_code, reading.retry_after_s, reading.status)

    def _write(self, attempt: Try, end_s: float, reading: Reading) -> None:
        self._notes.write(finished(self._note(attempt), attempt.ready_s, attempt.sent_s, end_s, reading))

    def _judge(self, attempt: Try, reading: Reading) -> None:
        expected = attempt.ask.call.expected
        attempt.good = reading.error_code == expected and reading.outcome in (Outcome.OK, Outcome.REFUSED)
        self.done += 1
        self.failed += not attempt.good
        if self._answers < _FIRST_ANSWERS and reading.status is not None and expected is None:
            self._answers += 1
            self._denied += reading.status == 401

    @staticmethod
    def _note(attempt: Try) -> Begun:
        assert attempt.note is not None
        return attempt.note

    # --- the whole -----------------------------------------------------------------------------------------

    @property
    def under_way(self) -> int:
        """Tries that count and are not over: in flight, or waiting to be tried again."""
        return len(self._under_way)

    @property
    def wrong_key(self) -> bool:
        """Only 401s among the first answers: the key is wrong, and more of them tell nothing."""
        return self._denied == _FIRST_ANSWERS

    def stop(self, now: float) -> None:
        """Begin no further call; those that were begun may still end, with their retries."""
        if self._stopped_s is None and self._unfinished(now):
            self._stopped_s = now
            self.end_s = min(self.end_s, now)

    def _too_late(self, planned_s: float) -> bool:
        return self._stopped_s is not None and planned_s >= self._stopped_s

    def _unfinished(self, now: float) -> bool:
        """Whether there are calls that would be begun after ``now``."""
        if isinstance(self._plan.load, Closed):
            return now < self.end_s
        return self._handed_on < len(self._share) + len(self._script)

    def close(self, now: float) -> None:
        """The end: what was sent is cut off, what was not is not sent any more, and nothing counts afterwards."""
        if self._closed:
            return
        self.stop(now)
        self._closed = True
        for attempt in self._under_way.values():
            if attempt.sent_s is None:
                self._notes.write(unsent(self._note(attempt), Outcome.NEVER_SENT))
                continue
            reading = attempt.reading or Reading(Outcome.CUT_OFF)
            reading.outcome, reading.error_code = Outcome.CUT_OFF, None
            self._write(attempt, now, reading)
        self._under_way.clear()
        self._notes.write(PartEnd(now, self._handed_on, self._stopped_s))

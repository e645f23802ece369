"""Whatever the order of events, each try that counts ends in exactly one row."""

from __future__ import annotations

from typing import Any

from hypothesis import settings
from hypothesis import strategies as st
from hypothesis.stateful import RuleBasedStateMachine, initialize, invariant, precondition, rule

from reports.sample import Outcome
from scenarios.book import Book, Try
from scenarios.model.scenario import ClientRules
from scenarios.record.plan import times_of
from scenarios.wire.reader import Reading
from tests.scenarios.ledgers import Kept, good, plan_of


class Ledger(RuleBasedStateMachine):
    """Any order of events: each planned or begun try has one row at the end, and nothing else has."""

    @initialize(kind=st.sampled_from(["open", "closed"]), pool=st.integers(1, 4))
    def begin_run(self, kind: str, pool: int) -> None:
        self.now = 0.0
        self.kept = Kept()
        self.plan = plan_of(kind, max_in_flight=pool, client=ClientRules("polite"))
        self.book = Book(self.plan, 0, self.kept)
        self.arrivals = self.book.arrivals()
        self.users = 0
        self.closed = False
        # Clients with a wish that was taken down, and with a try that is in flight.
        self.waiting: list[tuple[Any, Try]] = []
        self.flying: list[tuple[Any, Try]] = []
        self.counted: set[tuple[int, int]] = set()
        self.refused = 0

    @rule(by=st.floats(0, 0.7))
    def time_goes_on(self, by: float) -> None:
        self.now += by

    @rule()
    def an_arrival_comes(self) -> None:
        client, ask = next(self.arrivals, (None, None))
        if ask is not None:
            attempt = self.book.hand_on(ask)
            if attempt is not None:
                self.counted.add((ask.call_id, ask.attempt))
                self.waiting.append((client, attempt))

    @rule()
    def a_user_comes(self) -> None:
        client = self.book.user(self.now)
        if client is not None:
            self.waiting.append((client, self.book.foresee(next(client))))

    @precondition(lambda self: self.waiting)
    @rule(data=st.data())
    def a_try_begins(self, data: st.DataObject) -> None:
        client, attempt = self.waiting.pop(data.draw(st.integers(0, len(self.waiting) - 1)))
        if self.book.begin(attempt, self.now):
            self.counted.add((attempt.ask.call_id, attempt.ask.attempt))
            self.flying.append((client, attempt))

    @precondition(lambda self: self.flying)
    @rule(data=st.data(), fails=st.booleans())
    def a_try_ends(self, data: st.DataObject, fails: bool) -> None:
        client, attempt = self.flying.pop(data.draw(st.integers(0, len(self.flying) - 1)))
        reading = Reading(Outcome.REFUSED, 500, "INTERNAL_ERROR") if fails else good(self.now)
        try:
            ask = client.send(self.book.end(attempt, reading, self.now))
        except StopIteration:
            return
        wish = self.book.foresee(ask)
        if wish.note is not None:
            self.counted.add((ask.call_id, ask.attempt))
        self.waiting.append((client, wish))

    @rule()
    def somebody_stops_it(self) -> None:
        self.book.stop(self.now)

    @rule()
    def it_is_closed(self) -> None:
        self.book.close(self.now)
        self.closed = True

    @invariant()
    def what_is_under_way_has_no_row(self) -> None:
        rows = [(row.call_id, row.attempt) for row in self.kept.rows]
        assert len(set(rows)) == len(rows)
        full = [row for row in self.kept.rows if row.error_code == "PoolFull"]
        assert len(rows) - len(full) + self.book.under_way == len(self.counted)

    def teardown(self) -> None:
        if not hasattr(self, "book"):
            return
        self.book.close(self.now)
        rows = {(row.call_id, row.attempt): row for row in self.kept.rows}
        full = {key for key, row in rows.items() if row.error_code == "PoolFull"}
        assert rows.keys() == self.counted | full
        assert len(self.kept.rows) == len(rows)
        for row in rows.values():
            assert (row.sent_s is None) is (row.outcome is Outcome.NEVER_SENT)
            assert row.sent_s is None or row.sent_s <= (row.end_s or 0.0) <= self.now
        # What the plan holds is handed on, or is the merge's to add.
        if self.plan.load.planned:
            first = {call_id for call_id, attempt in rows if attempt == 0}
            assert first == set(range(self.kept.end.handed_on))
            assert len(times_of(self.plan)) == 20


TestLedger = Ledger.TestCase
TestLedger.settings = settings(max_examples=50, stateful_step_count=30)  # each of thousands of calls has a text

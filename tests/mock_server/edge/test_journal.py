"""What the journal remembers of each test, and for how long."""

from __future__ import annotations

from collections import deque
from collections.abc import Iterator

from mock_server.edge.journal import RING_SIZE, TEST_RING_SIZE, Entry, Journal, Record, newest_first


def finish(journal: Journal, test: str, *numbers: int) -> None:
    """Let requests of a test finish, with these numbers in their ids."""
    for number in numbers:
        entry = Entry(
            f"req_{number}", 0.0, test, "", 200, "", False, "a", "b", 1, 2, 3, 0.0, 0.0, 0.0, 0.0, "complete", "",
            False, (), False,
        )  # fmt: skip
        journal.record(entry, "", None)


def ids(journal: Journal, test: str | None = None) -> list[int]:
    """The numbers of the requests that are remembered, the newest first."""
    return [int(record.entry.request_id[4:]) for record in newest_first(journal.records(test))]


class Watching:
    """Counts what it is told. Mutable: that."""

    def __init__(self, journal: Journal, test: str | None) -> None:
        self.test, self.recounts = test, 0
        journal.watchers.add(self)

    def seen(self, _record: object) -> None: ...

    def recount(self) -> None:
        self.recounts += 1


def test_no_test_pushes_out_what_is_remembered_of_another_or_of_calls_without_one() -> None:
    journal = Journal()
    finish(journal, "mine", 1)
    finish(journal, "", 2)
    finish(journal, "other", *range(3, 3 + RING_SIZE + TEST_RING_SIZE))
    assert (ids(journal, "mine"), ids(journal, "")) == ([1], [2])
    assert ids(journal, "other") == [*range(2 + RING_SIZE + TEST_RING_SIZE, 2 + RING_SIZE, -1)]
    finish(journal, "", *range(RING_SIZE))
    assert ids(journal, "") == [*range(RING_SIZE - 1, -1, -1)]
    dropped = {test: journal.dropped(test) for test in ("mine", "", "other", "nobody", None)}
    assert dropped == {"mine": 0, "": 1, "other": RING_SIZE, "nobody": 0, None: RING_SIZE + 1}
    assert journal.totals().dropped_from_ring == RING_SIZE + 1


def test_what_is_remembered_of_all_is_in_the_order_in_which_it_finished() -> None:
    journal = Journal()
    for number in range(30):
        finish(journal, ("", "a", "b")[number * 7 % 3], number)
    assert ids(journal) == [*range(29, -1, -1)]


def test_the_latest_request_of_an_id_is_found_in_whatever_ring_it_is() -> None:
    journal = Journal()
    finish(journal, "", 1, 2)
    finish(journal, "mine", 3, 4, 3, 5)
    entry = journal.attest("req_3", "ok")
    assert entry is not None
    assert [record.entry.attested for record in journal.records("mine")] == ["", "", "ok", ""]
    found = [journal.find(f"req_{number}") for number in (1, 3, 6)]
    assert [record and record.number for record in found] == [1, 5, None]


def test_a_forgotten_test_takes_its_ring_with_it_and_only_those_who_ask_about_it_hear() -> None:
    journal = Journal()
    mine, all_of, other = (Watching(journal, test) for test in ("mine", None, "other"))
    finish(journal, "mine", *range(TEST_RING_SIZE + 2))
    finish(journal, "other", 1)
    journal.forget("mine")
    journal.forget("nobody")
    assert (ids(journal, "mine"), ids(journal)) == ([], [1])
    assert (journal.dropped("mine"), journal.dropped()) == (0, 2)
    assert journal.totals().requests == TEST_RING_SIZE + 3
    assert [watching.recounts for watching in (mine, all_of, other)] == [1, 0, 0]


def test_a_reset_of_one_test_leaves_the_others_and_the_counters_and_one_of_all_leaves_nothing() -> None:
    journal = Journal()
    watching = Watching(journal, "other")
    finish(journal, "mine", *range(TEST_RING_SIZE + 1))
    finish(journal, "other", 1)
    journal.clear("mine")
    assert (ids(journal), journal.dropped(), journal.totals().requests) == ([1], 1, TEST_RING_SIZE + 2)
    journal.clear(None)
    assert (ids(journal), journal.dropped(), journal.totals().requests) == ([], 0, 0)
    assert watching.recounts == 2


class Looked(deque[Record]):
    """Counts how many are looked at from its end. Mutable: that."""

    looked = 0

    def __reversed__(self) -> Iterator[Record]:
        for record in super().__reversed__():
            self.looked += 1
            yield record


def test_who_follows_is_given_what_is_new_and_costs_no_look_at_the_rest() -> None:
    journal = Journal()
    for number in range(0, 900, 3):
        for place, test in enumerate(("mine", "other", "")):
            finish(journal, test, number + place)
    rings = [journal._rings[test] for test in ("mine", "other", "")]
    for ring in rings:
        ring.records = Looked(ring.records, ring.records.maxlen)
    new = journal.since(journal.last - 5)
    assert [record.entry.request_id for record in new] == [f"req_{number}" for number in range(899, 894, -1)]
    assert sum(ring.records.looked for ring in rings if isinstance(ring.records, Looked)) == 5 + 3
    assert [record.number for record in journal.since(897, "mine")] == [898]
    assert len(journal.since(0)) == 900

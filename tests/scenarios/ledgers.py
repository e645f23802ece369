"""Books whose notes stay in memory."""

from __future__ import annotations

from typing import Any

import msgspec

from reports.sample import Outcome
from scenarios.book import Book
from scenarios.command.catalogue import find
from scenarios.model.load import Closed, Load, Open, Script
from scenarios.model.scenario import Scenario
from scenarios.record.notes import Beat, Begun, Note, PartEnd, Row
from scenarios.record.plan import Plan
from scenarios.wire.reader import Reading


class Kept:
    """Notes in memory."""

    def __init__(self) -> None:
        self.notes: list[Note] = []

    def write(self, note: Note) -> None:
        assert not isinstance(note, Beat)
        self.notes.append(note)

    @property
    def rows(self) -> list[Row]:
        return [note for note in self.notes if isinstance(note, Row)]

    @property
    def begun(self) -> list[Begun]:
        return [note for note in self.notes if isinstance(note, Begun)]

    @property
    def end(self) -> PartEnd:
        (end,) = [note for note in self.notes if isinstance(note, PartEnd)]
        assert self.notes[-1] is end
        return end


LOADS: dict[str, Load] = {
    "open": Open(rate_per_s=10.0, arrivals="constant"),
    "closed": Closed(users=3),
    "script": Script(),
}


def plan_of(kind: str, **changes: Any) -> Plan:
    """A plan whose fields, and those of its scenario, are as given."""
    plan = Plan(
        run_id="r",
        scenario=find("smoke" if kind == "script" else "steady"),
        world=None,
        seed=0,
        target="http://127.0.0.1:1",
        target_kind="external",
        api_key="…",
        processes=1,
        time_scale=1.0,
        max_in_flight=3,
        mock_calls=True,
        labels={},
        argv=(),
        owner_pid=1,
    )
    wanted = {"load": LOADS[kind], "warmup_s": 0.0, "duration_s": 2.0, "drain_s": 1.0, "timeout_s": 1.0, **changes}
    of_scenario = {name: wanted.pop(name) for name in Scenario.__struct_fields__ if name in wanted}
    return msgspec.structs.replace(plan, scenario=msgspec.structs.replace(plan.scenario, **of_scenario), **wanted)


def book_of(kind: str, **changes: Any) -> tuple[Book, Kept]:
    kept = Kept()
    return Book(plan_of(kind, **changes), 0, kept), kept


def good(now: float) -> Reading:
    return Reading(Outcome.OK, 200, end_s=now)

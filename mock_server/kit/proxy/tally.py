"""All that was seen, added up call by call."""

from __future__ import annotations

from typing import Final, NamedTuple

from msgspec import Struct, field

from mock_server.kit.conform.finding import Finding, Result, broken, printable
from mock_server.kit.proxy.checks import concerns_contract, is_forced, of_client, of_gateway
from mock_server.kit.proxy.reading import Call, read_call
from mock_server.kit.proxy.record import Record
from mock_server.kit.proxy.samples import Sample, sample

CLIENT: Final = "client"
GATEWAY: Final = "gateway"
SIDES: Final = (CLIENT, GATEWAY)
_MOST_SAID: Final = 20
_MOST_IDS: Final = 5
_KEPT_IDS: Final = 1_000_000
_LONGEST_ID: Final = 64


class Drift(NamedTuple):
    """Something that was found broken and had not been before."""

    side: str
    clause: str
    said: str
    request_id: str


class Seen(Struct):
    """What was seen of one clause. Mutable: counts; what was said of breaks, and how often; the first calls that show
    it.

    ``more`` counts breaks that were said in other words, once there were too many of these to keep.
    """

    kept: int = 0
    broken: int = 0
    said: dict[str, int] = field(default_factory=dict)
    more: int = 0
    request_ids: list[str] = field(default_factory=list)


class Tally(Struct):
    """What was seen in all. Mutable.

    ``calls`` are those about the API, ``others`` requests that are no concern of the contract. Of the calls, ``left``
    were ended by their client and ``stopped`` by the end of the recording; ``unreadable`` answers are compressed in a
    way nobody here knows or too long to be kept; ``forced`` ones were ordered from a mock, and nothing is learned from
    them. ``unjudged`` were not looked at, as too many waited for it.
    """

    calls: int = 0
    others: int = 0
    left: int = 0
    stopped: int = 0
    unreadable: int = 0
    forced: int = 0
    unjudged: int = 0
    clauses: dict[str, dict[str, Seen]] = field(default_factory=lambda: {side: {} for side in SIDES})
    samples: list[Sample] = field(default_factory=list)
    own_s: list[float] = field(default_factory=list)
    ids: set[str] = field(default_factory=set)

    def add(self, record: Record) -> list[Drift]:
        """Take in one call; what is new about it."""
        call = read_call(record)
        self.own_s.append(record.own_s)
        if not concerns_contract(call):
            self.others += 1
            return []
        self.calls += 1
        self.left += record.left
        self.stopped += record.stopped
        self.unreadable += not call.readable or len(record.answer) < record.answered_bytes
        client = of_client(call)
        gateway = [*of_gateway(call, client), *self._told_twice(call)]
        if is_forced(call):
            self.forced += 1
        elif (told := sample(call)) is not None:
            self.samples.append(told)
        sides = ((CLIENT, client), (GATEWAY, gateway))
        found = [self._count(call, side, name, one) for side, every in sides for name, one in _once(every)]
        return [drift for drift in found if drift is not None]

    def _told_twice(self, call: Call) -> list[tuple[str, Finding]]:
        """Whether another call had the same id; after so many ids nobody looks any more."""
        reply = call.exchange.reply
        told = "".join(reply.all_of("x-request-id")[:1])[:_LONGEST_ID] if reply is not None else ""
        if not told or len(self.ids) >= _KEPT_IDS:
            return []
        if told in self.ids:
            return [("response.request_id", broken("the same id was told twice", call.exchange))]
        self.ids.add(told)
        return []

    def _count(self, call: Call, side: str, name: str, finding: Finding) -> Drift | None:
        seen = self.clauses[side].setdefault(name, Seen())
        if finding.result is Result.KEPT:
            seen.kept += 1
            return None
        seen.broken += 1
        said = printable(call.hide(finding.said)).replace("\n", " ")
        request_id = _id_of(call)
        if len(seen.request_ids) < _MOST_IDS and request_id:
            seen.request_ids.append(request_id)
        new = said not in seen.said
        if new and len(seen.said) >= _MOST_SAID:
            seen.more += 1
            return None
        seen.said[said] = seen.said.get(said, 0) + 1
        return Drift(side, name, said, request_id) if new else None


def _once(found: list[tuple[str, Finding]]) -> list[tuple[str, Finding]]:
    """One finding per clause and call: the first that it is broken, else that it is kept."""
    best: dict[str, Finding] = {}
    for name, finding in found:
        if name not in best or (best[name].result is Result.KEPT and finding.result is Result.BROKEN):
            best[name] = finding
    return list(best.items())


def _id_of(call: Call) -> str:
    reply = call.exchange.reply
    told = [] if reply is None else reply.all_of("x-request-id")
    return printable(call.hide("".join(told[:1])))[:_LONGEST_ID]

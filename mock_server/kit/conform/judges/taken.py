"""Whether a gateway took a request or refused it, told apart by how it answers a call for a model that there is not."""

from __future__ import annotations

from collections.abc import Callable
from enum import Enum, auto
from typing import Final

from mock_server.contract.errors import MODEL_UNAVAILABLE
from mock_server.kit.conform.finding import Finding, broken, cannot, kept, together
from mock_server.kit.conform.probes import FIRST, NOWHERE_PROBE
from mock_server.kit.conform.seen import Exchange, Seen

Judge = Callable[[Seen], Finding]

# These refuse for the key's sake, whatever was asked, and so tell nothing of the request.
ABOUT_THE_KEY: Final = (401, 402, 403, 429)


class Fate(Enum):
    """What became of a request."""

    TAKEN = auto()
    REFUSED = auto()
    UNCLEAR = auto()


def fate_of(seen: Seen, exchange: Exchange) -> Fate:
    """Whether a request was taken: answered, or refused only when it was routed to a model that there is not.

    The latter is known by status, code and text; with the same status and code and another text nothing is certain.
    """
    status, nowhere = exchange.status, seen[NOWHERE_PROBE]
    if 200 <= status < 300:
        return Fate.TAKEN
    if not _tells_apart(seen):
        return Fate.UNCLEAR
    if exchange.kind == nowhere.kind:
        return Fate.TAKEN if exchange.message == nowhere.message else Fate.UNCLEAR
    return Fate.REFUSED if 400 <= status < 500 and status not in ABOUT_THE_KEY else Fate.UNCLEAR


def _tells_apart(seen: Seen) -> bool:
    """Whether a call for a model that there is not gets as far as to its route, and is not answered as if invalid."""
    nowhere = seen[NOWHERE_PROBE]
    arrives = 200 <= nowhere.status < 500 and nowhere.status not in (401, 403, 429)
    return arrives and nowhere.kind != seen[FIRST.name].kind


def takes(*names: str) -> Judge:
    """Requests that are to be taken."""
    return lambda seen: together((_judge(seen, name, Fate.TAKEN) for name in names), "")


def refuses(*names: str) -> Judge:
    """Requests that are to be refused."""
    return lambda seen: together((_judge(seen, name, Fate.REFUSED) for name in names), "")


def both(*judges: Judge) -> Judge:
    """What several judges find together."""
    return lambda seen: together((judge(seen) for judge in judges), "")


def filters(name: str) -> Judge:
    """A constraint that no model meets: the call is to be refused as one for a model that there is not."""

    def judge(seen: Seen) -> Finding:
        exchange, nowhere = seen[name], seen[NOWHERE_PROBE]
        asks = exchange.probe.asks
        if 200 <= exchange.status < 300:
            return broken(f"{asks}: answered all the same", exchange)
        fate = fate_of(seen, exchange)
        routed = fate is Fate.TAKEN and exchange.status not in ABOUT_THE_KEY
        if routed or exchange.code == MODEL_UNAVAILABLE.code:
            return kept(f"{asks}: {exchange.answered}", exchange)
        if fate is Fate.REFUSED:
            return broken(
                f"{asks}: {exchange.answered}, where a model that there is not is {nowhere.answered}", exchange
            )
        return _unclear(seen, exchange)

    return judge


def _judge(seen: Seen, name: str, wanted: Fate) -> Finding:
    exchange = seen[name]
    fate = fate_of(seen, exchange)
    if fate is Fate.UNCLEAR:
        return _unclear(seen, exchange)
    said = {Fate.TAKEN: "taken", Fate.REFUSED: "refused"}[fate]
    if fate is wanted:
        return kept(f"{exchange.probe.asks}: {said}", exchange)
    return broken(f"{exchange.probe.asks}: {said} ({exchange.answered})", exchange)


def _unclear(seen: Seen, exchange: Exchange) -> Finding:
    asks, nowhere = exchange.probe.asks, seen[NOWHERE_PROBE]
    if not exchange.status or exchange.status in ABOUT_THE_KEY or exchange.status >= 500:
        return cannot(f"{asks}: {exchange.answered}", exchange)
    if nowhere.status in (0, 401, 403, 429) or nowhere.status >= 500:
        return cannot(f"{nowhere.probe.asks}: {nowhere.answered}, so that taken and refused cannot be told apart")
    return cannot(f"{asks}: {exchange.answered}, as for a model that there is not: taken or refused, nobody can tell")

"""The headers of the answers, and what they say of limits."""

from __future__ import annotations

import re
from collections.abc import Callable, Iterator
from itertools import pairwise
from typing import Final

from mock_server.contract.errors import ATTEMPT_COUNT, LAST_ATTEMPT_STATUS
from mock_server.contract.headers import RESPONSE_HEADERS
from mock_server.kit.conform.finding import Finding, broken, cannot, kept, together
from mock_server.kit.conform.judges.taken import Judge
from mock_server.kit.conform.probes import OWN
from mock_server.kit.conform.seen import Exchange, Seen
from mock_server.kit.conform.wire import Reply

REMAINING: Final = "X-RateLimit-Remaining"
_LIMITS: Final = tuple(
    row.name for row in RESPONSE_HEADERS if row.name.lower().startswith(("x-ratelimit", "ratelimit"))
)
_PATTERNS: Final = {row.name: row.pattern for row in RESPONSE_HEADERS if row.pattern is not None}
# What the contract gives no pattern for: the structured fields of the draft, of which more items may follow.
_POLICY: Final = r'^"[^"]+";q=\d+(;w=\d+)?'
_SHAPES: Final = {"RateLimit-Policy": _POLICY, "RateLimit": r'^"[^"]+";r=\d+(;t=\d+)?'}
_FREE_IN_A_ROW: Final = 5
_SHOWN_CHARS: Final = 60


def _well_formed(exchange: Exchange, reply: Reply, name: str) -> Finding | None:
    """What is wrong with a header that is there; None if nothing is."""
    values = reply.all_of(name)
    pattern = _PATTERNS.get(name) or _SHAPES.get(name, "")
    for value in values:
        if re.search(pattern, value) is None:
            return broken(f"{name} is {value[:_SHOWN_CHARS]!r} on {exchange.probe.asks} ({reply.status})", exchange)
    if len(set(values)) > 1:
        return broken(f"{name} is there {len(values)} times on {exchange.probe.asks}", exchange)
    return None


def _on(name: str, where: Callable[[Seen], Iterator[tuple[Exchange, Reply]]], why_not: str) -> Judge:
    """A header that has to be on certain answers, and to be well-formed."""

    def judge(seen: Seen) -> Finding:
        found = []
        for exchange, reply in where(seen):
            asks = f"{exchange.probe.asks} ({reply.status})"
            if not reply.all_of(name):
                found.append(broken(f"no {name} on {asks}", exchange))
            else:
                found.append(_well_formed(exchange, reply, name) or kept(f"{name} is there", exchange))
        return together(found, why_not)

    return judge


def request_id(seen: Seen) -> Finding:
    """On every answer, and the same as in its body."""
    found = [_on("X-Request-Id", Seen.replies, "nothing was answered")(seen)]
    plain = seen["plain"]
    told = plain.document.get("request_id") if isinstance(plain.document, dict) else None
    if plain.reply is not None and told is not None and plain.reply.all_of("x-request-id")[:1] not in ([], [told]):
        found.append(broken("X-Request-Id is another than request_id in the body", plain))
    return together(found, "")


def _with(status: int) -> Callable[[Seen], Iterator[tuple[Exchange, Reply]]]:
    return lambda seen: ((exchange, reply) for exchange, reply in seen.errors() if reply.status == status)


def _known(seen: Seen) -> Iterator[tuple[Exchange, Reply]]:
    """What was answered to the caller's key, once it was known whose it is: not on 401, 404 and 405."""
    for exchange, reply in seen.replies():
        own = exchange.probe.key == OWN and exchange.probe.scheme and not exchange.probe.name.startswith("key.")
        if own and reply.status not in (401, 404, 405):
            yield exchange, reply


def _limit(name: str) -> Judge:
    """A header about limits: on every authenticated answer, where the key has limits."""

    def judge(seen: Seen) -> Finding:
        there = list(_known(seen))
        if not any(reply.all_of(other) for _, reply in there for other in _LIMITS):
            return cannot("no answer tells of limits: the key may have none")
        return _on(name, lambda _: iter(there), "")(seen)

    return judge


def retry_after(seen: Seen) -> Finding:
    """Always on a 429, and well-formed wherever it is."""
    found = [_on("Retry-After", _with(429), "")(seen)] if any(_with(429)(seen)) else []
    for exchange, reply in _with(502)(seen):
        if reply.all_of("Retry-After"):
            found.append(_well_formed(exchange, reply, "Retry-After") or kept("Retry-After is well-formed", exchange))
    return together(
        found, "no 429 was met, and none may be provoked; --key-for 429=KEY names a key that is over its limit"
    )


def refusals_are_free(seen: Seen) -> Finding:
    """What is left of the limit does not sink with every 400."""
    left = [
        int(reply.all_of(REMAINING)[0])
        for exchange, reply in _known(seen)
        if reply.status == 400 and reply.all_of(REMAINING) and re.fullmatch(r"\d{1,18}", reply.all_of(REMAINING)[0])
    ]
    if len(left) < _FREE_IN_A_ROW:
        return cannot(f"fewer than {_FREE_IN_A_ROW} refusals with 400 tell what is left of a limit")
    rows = [left[at : at + _FREE_IN_A_ROW] for at in range(len(left) - _FREE_IN_A_ROW + 1)]
    if all(_sinks(row) for row in rows):
        return broken(f"{REMAINING} sank with every refusal, from {left[0]} to {left[-1]}")
    return kept(f"{REMAINING} did not sink with every refusal ({left[0]} at first, {left[-1]} at last)")


def _sinks(row: list[int]) -> bool:
    return all(after < before for before, after in pairwise(row))


_CHAIN: Final = "no call met a 502, and none may be driven into it; --key-for 502=KEY names a key whose providers fail"


def _tried(seen: Seen) -> Iterator[tuple[Exchange, Reply]]:
    """Failures of all providers, but for those of which none was tried."""
    return ((exchange, reply) for exchange, reply in _with(502)(seen) if reply.all_of(ATTEMPT_COUNT)[:1] != ["0"])


def failed_chain(seen: Seen) -> Finding:
    """The headers about attempts tell the same story: how the last one failed is told where there was one."""
    found = []
    for exchange, reply in _with(502)(seen):
        if reply.all_of(LAST_ATTEMPT_STATUS) and reply.all_of(ATTEMPT_COUNT)[:1] == ["0"]:
            found.append(broken(f"{LAST_ATTEMPT_STATUS} tells of an attempt, {ATTEMPT_COUNT} of none", exchange))
        elif reply.all_of(ATTEMPT_COUNT):
            found.append(kept(f"{ATTEMPT_COUNT} and {LAST_ATTEMPT_STATUS} agree", exchange))
    return together(found, _CHAIN)


JUDGES: Final[dict[str, Judge]] = {
    "header.X-Request-Id": request_id,
    **{f"header.{name}": _limit(name) for name in _LIMITS},
    "header.Retry-After": retry_after,
    f"header.{ATTEMPT_COUNT}": _on(ATTEMPT_COUNT, _with(502), _CHAIN),
    f"header.{LAST_ATTEMPT_STATUS}": _on(LAST_ATTEMPT_STATUS, _tried, _CHAIN),
    "header.WWW-Authenticate": _on("WWW-Authenticate", _with(401), "no 401 was answered"),
    "header.Allow": _on("Allow", _with(405), "no 405 was answered"),
    "limits.refusals_are_free": refusals_are_free,
    "routing.failed_chain": failed_chain,
}

"""What one call shows of the contract: where the client broke it, and where the gateway kept or broke it.

The clauses that an answer shows by itself are judged by the judges of `mock-server conform`. What takes a question of
its own there, as whether something is refused, a call shows by chance: it was right or wrong, and was taken or not.
"""

from __future__ import annotations

import re
from collections.abc import Iterator
from itertools import pairwise
from typing import Final

from mock_server.contract.clauses import KEEP_ALIVE_S, VALIDATION
from mock_server.contract.endpoints import LLM_AUTO
from mock_server.contract.errors import (
    ALL_PROVIDERS_FAILED,
    BY_CODE,
    CONTEXT_LENGTH_EXCEEDED,
    ERRORS,
    FORCED,
    INSUFFICIENT_BALANCE,
    INVALID_API_KEY,
    INVALID_MOCK_DIRECTIVE,
    INVALID_REQUEST,
    MISSING_CONTENT,
    MODEL_UNAVAILABLE,
    PAYLOAD_TOO_LARGE,
    RATE_LIMIT_EXCEEDED,
    Refusal,
)
from mock_server.contract.messages import FIELDS, MAX_BODY_BYTES
from mock_server.kit.conform.finding import Finding, Result, broken, kept
from mock_server.kit.conform.judges import answers, headers, refusals, requests, streams
from mock_server.kit.conform.probes import Probe
from mock_server.kit.conform.seen import Exchange, Seen
from mock_server.kit.proxy.reading import PLAIN, STREAM, Call

_JUDGES: Final = {
    **answers.JUDGES,
    **refusals.JUDGES,
    **headers.JUDGES,
    **streams.JUDGES,
}
_SHORTENS: Final = {"request.max_tokens": requests.shortens}
_ENDPOINT: Final = "endpoint"
_NOT_THE_API: Final = ("/__mock__", "/docs", "/openapi.json")
_AUTHORIZATION: Final = re.compile(r"Bearer +\S+ *", re.IGNORECASE)
_INDEX: Final = re.compile(r"\[\d+\]")
_FAILED_CHAIN: Final = (503, 504)
_ABOUT_THE_KEY: Final = (401, 402, 403, 429)
_BEYOND_CHECKS: Final = frozenset(
    kind.code
    for kind in (
        RATE_LIMIT_EXCEEDED,
        INSUFFICIENT_BALANCE,
        MODEL_UNAVAILABLE,
        CONTEXT_LENGTH_EXCEEDED,
        ALL_PROVIDERS_FAILED,
    )
)
"""Codes of what is looked at only once a request was found right."""
_SILENCE_S: Final = KEEP_ALIVE_S + 2.0  # for whatever the network does

Found = tuple[str, Finding]
"""The name of a clause, and what was found of it."""


class _One(Seen, frozen=True, dict=True):
    """One exchange by itself: whatever else a judge asks for was not sent."""

    def __getitem__(self, name: str) -> Exchange:
        found = self.exchanges[0]
        return found if found.probe.name == name else Exchange(Probe(name, name), "nobody asked it")


def concerns_contract(call: Call) -> bool:
    """Whether a call is about the API, and not about what a mock has besides it or a browser asks before it."""
    return call.record.method != "OPTIONS" and not call.path.startswith(_NOT_THE_API)


def of_client(call: Call) -> list[Found]:
    """Where a request breaks the contract; where it does not, that it is kept."""
    found = list(_breaches(call))
    return found or [(_ENDPOINT, kept("a request as the contract has it", call.exchange))]


def _breaches(call: Call) -> Iterator[Found]:
    record, exchange = call.record, call.exchange
    if not call.is_api or record.method != LLM_AUTO.method:
        wanted = f"{LLM_AUTO.method} {LLM_AUTO.path}"
        yield _ENDPOINT, broken(f"{record.method} of {'it' if call.is_api else 'another path'}, not {wanted}", exchange)
        return
    values = [value for name, value in record.lines if name.lower() == "authorization"]
    if len(values) != 1 or _AUTHORIZATION.fullmatch(values[0]) is None:
        said = "no Authorization" if not values else "Authorization is not one `Bearer` and a key"
        yield "request.Authorization", broken(said, exchange)
    if not record.sent_at:
        return  # who leaves in the middle of a request, or is refused there, has not said what was to follow
    if record.asked_bytes > MAX_BODY_BYTES:
        yield _of_error(PAYLOAD_TOO_LARGE.code), broken(f"a body over {MAX_BODY_BYTES:,} bytes", exchange)
        return
    if not call.head.is_json():
        yield "request.Content-Type", broken("the body is not declared as application/json", exchange)
    if isinstance(call.request, Refusal):
        yield _clause_of(call.request), broken(call.request.message, exchange)


def _of_error(code: str) -> str:
    return f"error.{code}"


def _clause_of(refusal: Refusal) -> str:
    """The clause about the field at fault, or about the object it is in; about bad requests where it is neither."""
    path = _INDEX.sub("[]", refusal.field)
    while path:
        if path in FIELDS:
            return f"request.{path}"
        path = path.rpartition(".")[0].removesuffix("[]")
    return _of_error(INVALID_REQUEST.code)


def of_gateway(call: Call, client: list[Found]) -> Iterator[Found]:
    """What the answer shows, given what was found of the request."""
    record, exchange = call.record, call.exchange
    if not record.status or record.left or record.stopped or not call.readable:
        return
    if len(record.answer) == record.answered_bytes:
        seen = _One((exchange,))
        for name, judge in (_JUDGES | (_SHORTENS if _bounded(exchange) else {})).items():
            finding = judge(seen)
            if finding.result is not Result.CANNOT_CHECK:
                yield name, finding
    if exchange.status >= 400 and record.method != "HEAD":
        yield from _of_status(exchange)
    if call.is_api:
        yield from _of_fate(call, [(name, one) for name, one in client if one.result is Result.BROKEN])
    yield from _of_form(call)


def _bounded(exchange: Exchange) -> bool:
    """Whether a plain call says how long its answer may be."""
    return exchange.probe.name == PLAIN and "max_tokens" in exchange.probe.body


def _of_status(exchange: Exchange) -> Iterator[Found]:
    """Whether status and code belong together."""
    status, code = exchange.status, exchange.code
    said = f"answered {exchange.answered}"
    kind = BY_CODE.get(code)
    if kind is INVALID_API_KEY and not exchange.message.startswith(INVALID_API_KEY.message):
        yield f"documented.{INVALID_API_KEY.status}", broken("the message is not the documented one", exchange)
    if kind is not None and kind.status == status:
        yield _of_error(code), kept(f"{status} {code}", exchange)
    elif kind is ALL_PROVIDERS_FAILED or status in _FAILED_CHAIN:
        yield "routing.failed_chain", broken(said, exchange)
    elif kind is not None:
        yield _of_error(code), broken(f"{said}, not {kind.status}", exchange)
    elif status == 422:
        yield VALIDATION.name, broken(said, exchange)
    elif any(one.status == status for one in ERRORS):
        yield _of_error(FORCED[status].code), broken(f"{status} with the code {code[:60] or 'none'}", exchange)
    else:
        yield _ENDPOINT, broken(f"{said}, a status that the contract does not know", exchange)


def _of_fate(call: Call, breaches: list[Found]) -> Iterator[Found]:
    """Whether what is right was taken, and what is wrong refused."""
    exchange = call.exchange
    status, code = exchange.status, exchange.code
    if breaches:
        taken = 200 <= status < 300 or code in _BEYOND_CHECKS
        for name, finding in breaches:
            if taken:
                yield name, broken(f"taken ({exchange.answered}): {finding.said}", exchange)
            elif 400 <= status < 500 and status not in _ABOUT_THE_KEY:
                yield name, kept(f"refused with {status}", exchange)
        if isinstance(call.request, Refusal) and status == call.request.kind.status and code == INVALID_REQUEST.code:
            yield from _of_text(exchange, call.request)
        return
    forced = exchange.reply is not None and exchange.reply.all_of("preference-applied")
    refused = status in (404, 405, 413, 415) or code == INVALID_REQUEST.code
    if status == 200:
        yield _ENDPOINT, kept("a request as the contract has it: 200", exchange)
    elif status < 400 or (refused and not forced):
        yield _ENDPOINT, broken(f"a request as the contract has it: {exchange.answered}", exchange)


def _of_text(exchange: Exchange, refusal: Refusal) -> Iterator[Found]:
    """Whether a mistake is told with the documented text, for missing content, or with that for all others."""
    missing = refusal.message.startswith(MISSING_CONTENT)
    if not exchange.message.startswith(MISSING_CONTENT if missing else INVALID_REQUEST.message):
        name = f"documented.{refusal.kind.status}" if missing else _of_error(INVALID_REQUEST.code)
        yield name, broken("the message does not begin with the contract's text", exchange)


def _of_form(call: Call) -> Iterator[Found]:
    """Whether a stream came where one was asked for, and kept the connection open."""
    exchange, record = call.exchange, call.record
    if exchange.status == 200 and exchange.probe.name == PLAIN and exchange.streamed:
        yield "request.stream", broken("stream false: events were answered", exchange)
    if exchange.status == 200 and exchange.probe.name == STREAM:
        if isinstance(exchange.document, dict):
            yield "request.stream", broken("stream true: one JSON document was answered, no stream", exchange)
        elif exchange.streamed:
            yield "request.stream", kept("events where they were asked for", exchange)
            silence = max((after - before for (before, _), (after, _) in pairwise(record.pieces)), default=0.0)
            if silence > _SILENCE_S:
                yield "stream.keep_alive", broken(f"silent for {silence:.1f} s", exchange)


def is_forced(call: Call) -> bool:
    """Whether a mock was told how to answer, so that the answer is nobody's habit."""
    applied = call.exchange.reply is not None and bool(call.exchange.reply.all_of("preference-applied"))
    told = bool(call.head.faults) or "__fault=" in call.record.target
    return applied or told or call.exchange.code == INVALID_MOCK_DIRECTIVE.code

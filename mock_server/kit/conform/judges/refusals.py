"""How a gateway refuses: statuses, codes, texts and the envelope."""

from __future__ import annotations

from typing import Any, Final

from mock_server.contract.errors import (
    ALL_PROVIDERS_FAILED,
    COMMON_ERRORS,
    CONTEXT_LENGTH_EXCEEDED,
    HEADERS_TOO_LARGE,
    IDEMPOTENCY_CONFLICT,
    INSUFFICIENT_BALANCE,
    INTERNAL_ERROR,
    INVALID_API_KEY,
    INVALID_REQUEST,
    METHOD_NOT_ALLOWED,
    MODEL_UNAVAILABLE,
    NOT_FOUND,
    PAYLOAD_TOO_LARGE,
    RATE_LIMIT_EXCEEDED,
    UNSUPPORTED_MEDIA_TYPE,
    ErrorKind,
)
from mock_server.kit.conform.defaults import GIVABLE
from mock_server.kit.conform.finding import Finding, broken, cannot, kept, together
from mock_server.kit.conform.judges.taken import ABOUT_THE_KEY, Fate, Judge, fate_of
from mock_server.kit.conform.probes import FIRST, NOWHERE_PROBE, keyed
from mock_server.kit.conform.seen import Exchange, Seen

# What is wrong with a parameter, and which field the message is to name.
_NAMED: Final = {"content.blank": "content", "types.max_tokens": "max_tokens", "mode.unknown": "mode"}
_PARAMETERS: Final = (
    *("messages.empty", "messages.no_user", "messages.too_many", "role.unknown", "content.null", "mode.unknown"),
    *("max_attempts.too_many", "max_tokens.none", "max_tokens.too_many", "types.stream", "types.max_tokens"),
)
_SHOWN_CHARS: Final = 80


def envelope(seen: Seen) -> Finding:
    """Every error has the documented envelope and no other keys, and names the field at fault."""
    found = [_in_envelope(exchange) for exchange, _ in seen.errors() if exchange.probe.method != "HEAD"]
    for name, field in _NAMED.items():
        exchange = seen[name]
        if fate_of(seen, exchange) is Fate.REFUSED and exchange.message and field not in exchange.message:
            found.append(broken(f"{exchange.probe.asks}: the message does not name {field}", exchange))
    return together(found, "no error was answered")


def _in_envelope(exchange: Exchange) -> Finding:
    document: Any = exchange.document
    asks = f"{exchange.probe.asks} ({exchange.status})"
    if not isinstance(document, dict) or not isinstance(document.get("error"), dict):
        return broken(f"{asks}: no documented envelope", exchange)
    if document.get("success") is not False:
        return broken(f"{asks}: success is not false", exchange)
    more = sorted({*document} - {"success", "error"}) + sorted({*document["error"]} - {"code", "message"})
    if more:
        return broken(f"{asks}: more keys than documented: {', '.join(more)[:_SHOWN_CHARS]}", exchange)
    if not exchange.code or not exchange.message:
        return broken(f"{asks}: code and message are not both texts", exchange)
    return kept("documented envelope", exchange)


def validation(seen: Seen) -> Finding:
    """A parameter that is refused is refused with 400."""
    refused = [seen[name] for name in _PARAMETERS if fate_of(seen, seen[name]) is Fate.REFUSED]
    return together(
        (
            kept("invalid parameters: 400", one)
            if one.status == 400
            else broken(f"{one.probe.asks}: {one.status}", one)
            for one in refused
        ),
        "no invalid parameter was plainly refused",
    )


def common(status: int, text: str) -> Judge:
    """A documented error: its status and the text that its message begins with."""

    def judge(seen: Seen) -> Finding:
        found = (_as(one, status, text) for one in _cases(seen, status))
        return together(found, _why_not(seen, status))

    return judge


def _cases(seen: Seen, status: int) -> list[Exchange]:
    """The exchanges that are to be answered with a documented status."""
    if status == 400:
        return [one for one in (seen["content.blank"],) if 200 <= one.status < 500 and one.status not in ABOUT_THE_KEY]
    if status == 401:
        names = ("key.none", "key.unknown", "key.other_scheme", "key.bare")
        return [one for one in map(seen.__getitem__, names) if 400 <= one.status < 500 and _kept_out(seen, one)]
    return _of_status(seen, status)


def _kept_out(seen: Seen, exchange: Exchange) -> bool:
    return fate_of(seen, exchange) is not Fate.TAKEN and exchange.status != 429


def _of_status(seen: Seen, status: int) -> list[Exchange]:
    """What was answered with a status, by chance or with a key for it, and another refusal that this key got.

    An answer to HEAD shows no more than its status. A key that is taken, unknown, or met by chance with something else
    is not the key that it was said to be, which is no fault of the gateway's.
    """
    found = [one for one, reply in seen.errors() if reply.status == status and one.probe.method != "HEAD"]
    if status in seen.given:
        last = seen[keyed(status)]
        refused = 400 <= last.status < 500 and last.status not in (INVALID_API_KEY.status, RATE_LIMIT_EXCEEDED.status)
        found += [last] if refused and last not in found else []
    return found


def _as(exchange: Exchange, status: int, text: str) -> Finding:
    if exchange.status != status:
        return broken(f"{exchange.probe.asks}: {exchange.answered}", exchange)
    if not exchange.message.startswith(text):
        return broken(f"{exchange.probe.asks}: the message is {_cut(exchange.message)}", exchange)
    return kept(f"{status}, “{text}”", exchange)


def coded(kind: ErrorKind, *names: str, whole: bool = False) -> Judge:
    """An error: its code in the answers to these probes; with ``whole``, its status and text too."""

    def judge(seen: Seen) -> Finding:
        exchanges = [seen[name] for name in names]
        return together((_coded(seen, one, kind, whole) for one in exchanges), "")

    return judge


def _coded(seen: Seen, exchange: Exchange, kind: ErrorKind, whole: bool) -> Finding:
    asks = exchange.probe.asks
    if not exchange.status or exchange.status in (402, 403, 429) or exchange.status >= 500:
        return cannot(f"{asks}: {exchange.answered}", exchange)
    if exchange.status == 401 and kind is not INVALID_API_KEY:
        return cannot(f"{asks}: {exchange.answered}", exchange)
    if kind is MODEL_UNAVAILABLE and exchange.status < 300:
        return cannot(f"{asks}: {exchange.answered}: constraints are not heeded", exchange)
    if kind is not MODEL_UNAVAILABLE and fate_of(seen, exchange) is Fate.TAKEN:
        # Who has no right to be let in is a matter of the key's own clause.
        return (cannot if kind is INVALID_API_KEY else broken)(f"{asks}: taken ({exchange.answered})", exchange)
    return _is(exchange, kind, whole)


def _is(exchange: Exchange, kind: ErrorKind, whole: bool) -> Finding:
    asks = exchange.probe.asks
    if whole and exchange.status != kind.status:
        return broken(f"{asks}: {exchange.answered}, not {kind.status}", exchange)
    if exchange.probe.method == "HEAD":
        return kept(f"{kind.status} {kind.code}", exchange)
    if exchange.code != kind.code:
        return broken(f"{asks}: {exchange.status} with the code {_cut(exchange.code) or 'none'}", exchange)
    if (whole or kind is INVALID_REQUEST) and not exchange.message.startswith(kind.message):
        return broken(f"{asks}: the message is {_cut(exchange.message)}", exchange)
    return kept(f"{kind.status} {kind.code}", exchange)


def met(kind: ErrorKind) -> Judge:
    """An error that only a key for it, or chance, calls forth."""

    def judge(seen: Seen) -> Finding:
        cases = [one for one in _of_status(seen, kind.status) if one.status == kind.status]
        return together((_is(one, kind, whole=False) for one in cases), _why_not(seen, kind.status))

    return judge


def head_too_large(seen: Seen) -> Finding:
    """A head that is larger than the limit, before it is looked at whose it is."""
    exchange = seen["head.over"]
    if not exchange.status or exchange.status == 429 or exchange.status >= 500:
        return cannot(f"{exchange.probe.asks}: {exchange.answered}", exchange)
    return _is(exchange, HEADERS_TOO_LARGE, whole=True)


def too_long(seen: Seen) -> Finding:
    """A prompt beyond every window."""
    exchange = seen["too_long"]
    if exchange.status == 413:
        return cannot(f"{exchange.probe.asks}: {exchange.answered}, so that no window is ever exceeded", exchange)
    return _coded(seen, exchange, CONTEXT_LENGTH_EXCEEDED, whole=True)


def conflict(seen: Seen) -> Finding:
    """An idempotency key with another body, where keys are heeded at all."""
    first, exchange = seen["plain"], seen["idempotency.conflict"]
    if first.status != 200 or not exchange.status:
        return cannot(f"{(exchange if first.status == 200 else first).answered}", first, exchange)
    if exchange.status == IDEMPOTENCY_CONFLICT.status:
        return _is(exchange, IDEMPOTENCY_CONFLICT, whole=True)
    if fate_of(seen, exchange) is not Fate.TAKEN:
        return cannot(f"{exchange.probe.asks}: {exchange.answered}", exchange)
    return cannot("the gateway takes no notice of Idempotency-Key, and need not", exchange)


def _why_not(seen: Seen, status: int) -> str:
    if status in seen.given:
        return f"the key for {status} did not call it forth ({seen[keyed(status)].answered})"
    if status not in GIVABLE:
        return "no such refusal was answered"
    return f"no call met it, and none may be driven into it; --key-for {status}=KEY names a key that does"


def _cut(text: str) -> str:
    shown = text if len(text) <= _SHOWN_CHARS else text[:_SHOWN_CHARS] + "…"
    return f"“{shown}”" if shown else ""


JUDGES: Final[dict[str, Judge]] = {
    "errors.envelope": envelope,
    "errors.validation": validation,
    **{f"documented.{status}": common(status, text) for status, text in COMMON_ERRORS},
    "error.INVALID_REQUEST": coded(INVALID_REQUEST, "body.empty", FIRST.name, "body.array", "body.not_utf8"),
    "error.CONTEXT_LENGTH_EXCEEDED": too_long,
    "error.MODEL_UNAVAILABLE": coded(MODEL_UNAVAILABLE, NOWHERE_PROBE, whole=True),
    "error.INVALID_API_KEY": coded(INVALID_API_KEY, "key.none", "key.unknown", "key.other_scheme", "key.bare"),
    "error.INSUFFICIENT_BALANCE": met(INSUFFICIENT_BALANCE),
    "error.NOT_FOUND": coded(NOT_FOUND, "path.other", whole=True),
    "error.METHOD_NOT_ALLOWED": coded(METHOD_NOT_ALLOWED, "method.get", "method.head", "method.put", whole=True),
    "error.IDEMPOTENCY_CONFLICT": conflict,
    "error.HEADERS_TOO_LARGE": head_too_large,
    "error.PAYLOAD_TOO_LARGE": coded(PAYLOAD_TOO_LARGE, "size.over", whole=True),
    "error.UNSUPPORTED_MEDIA_TYPE": coded(UNSUPPORTED_MEDIA_TYPE, "type.text", "type.none", whole=True),
    "error.RATE_LIMIT_EXCEEDED": met(RATE_LIMIT_EXCEEDED),
    "error.INTERNAL_ERROR": met(INTERNAL_ERROR),
    "error.ALL_PROVIDERS_FAILED": met(ALL_PROVIDERS_FAILED),
}

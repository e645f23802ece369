"""What a gateway takes and what it refuses."""

from __future__ import annotations

from typing import Final

from mock_server.contract.messages import MODES
from mock_server.kit.conform.finding import Finding, broken, cannot, kept, together
from mock_server.kit.conform.judges.taken import ABOUT_THE_KEY, Fate, Judge, both, fate_of, filters, refuses, takes
from mock_server.kit.conform.probes import NOWHERE_PROBE, keyed
from mock_server.kit.conform.seen import Exchange, Seen

_FAKE_KEYS: Final = ("key.none", "key.unknown", "key.other_scheme", "key.bare", "key.twice")


def endpoint(seen: Seen) -> Finding:
    """The documented example is answered with 200."""
    plain = seen["plain"]
    if plain.status == 200:
        return kept(f"{plain.probe.asks}: 200", plain)
    if not plain.status or plain.status in ABOUT_THE_KEY or plain.status >= 500:
        return cannot(f"{plain.probe.asks}: {plain.answered}", plain)
    return broken(f"{plain.probe.asks}: {plain.answered}", plain)


def authorization(seen: Seen) -> Finding:
    """Whatever is not `Bearer` and a known key, once, does not get past the key."""
    return together((_kept_out(seen, seen[name]) for name in _FAKE_KEYS), "")


def _kept_out(seen: Seen, exchange: Exchange) -> Finding:
    asks = exchange.probe.asks
    if fate_of(seen, exchange) is Fate.TAKEN:
        return broken(f"{asks}: let in ({exchange.answered})", exchange)
    if 400 <= exchange.status < 500 and exchange.status != 429:
        return kept(f"{asks}: refused", exchange)
    return cannot(f"{asks}: {exchange.answered}", exchange)


def streams_when_asked(seen: Seen) -> Finding:
    """`stream` decides whether a document or events are answered."""
    plain, stream = seen["plain"], seen["stream"]
    if plain.status != 200 or stream.status != 200:
        return cannot(f"{(plain if plain.status != 200 else stream).answered}: nothing was answered", plain, stream)
    if plain.streamed:
        return broken("stream false: events were answered", plain)
    if isinstance(stream.document, dict):
        return broken("stream true: one JSON document was answered, no stream", stream)
    return kept("a document without, events with it", plain, stream)


def shortens(seen: Seen) -> Finding:
    """No answer is longer than asked for."""
    plain = seen["plain"]
    usage = plain.document.get("usage") if isinstance(plain.document, dict) else None
    tokens = usage.get("completion_tokens") if isinstance(usage, dict) else None
    most = plain.probe.body["max_tokens"]
    if plain.status != 200 or not isinstance(tokens, int):
        return cannot(f"{plain.answered}: no answer tells its tokens", plain)
    if tokens > most:
        return broken(f"an answer of at most {most} tokens was asked for, and it has {tokens}", plain)
    return kept(f"{tokens} tokens of at most {most}", plain)


def order(seen: Seen) -> Finding:
    """Of two mistakes in one request the one that is checked first decides, as it does by itself."""
    pairs = (
        ("order.path", "path.other"),
        ("order.method", "method.get"),
        ("order.key", "key.unknown"),
        ("order.size", "size.over"),
        ("order.type", "type.text"),
    )
    found = [_same_status(seen[name], seen[alone]) for name, alone in pairs]
    blank, nowhere = seen["content.blank"], seen[NOWHERE_PROBE]
    if blank.kind == nowhere.kind and blank.status:
        found.append(cannot("an invalid call and one for a model that there is not are answered alike", blank, nowhere))
    if 402 in seen.given:
        alone = seen[keyed(402)]
        why = f"the key for 402 did not call it forth ({alone.answered})"
        found.append(_same_status(seen["order.balance"], alone) if alone.status == 402 else cannot(why, alone))
    return together(found, "")


def _same_status(exchange: Exchange, alone: Exchange) -> Finding:
    asks = exchange.probe.asks
    for one in (exchange, alone):
        if not one.status or one.status == 429 or one.status >= 500:
            return cannot(f"{one.probe.asks}: {one.answered}", exchange, alone)
    if exchange.status == alone.status:
        return kept(f"{asks}: {exchange.status}", exchange, alone)
    return broken(f"{asks}: {exchange.answered}, where {alone.probe.asks} alone is {alone.answered}", exchange, alone)


def _constraint(name: str) -> str:
    return f"request.strategy.{name}"


JUDGES: Final[dict[str, Judge]] = {
    "endpoint": endpoint,
    "request.Authorization": authorization,
    "request.Content-Type": takes("type.parameter"),
    "request.messages": both(
        refuses("messages.missing", "messages.empty", "messages.no_user", "messages.too_many"), takes("messages.most")
    ),
    "request.messages[].role": both(
        refuses("role.unknown"), takes("role.system", "role.assistant", "role.developer", "role.tool")
    ),
    "request.messages[].content": both(
        refuses("content.null", "content.unknown_part"), takes("content.parts", "content.null_assistant")
    ),
    "request.strategy.mode": both(refuses("mode.unknown"), takes(*(f"mode.{mode}" for mode in MODES))),
    "request.strategy.models": filters(NOWHERE_PROBE),
    **{
        _constraint(name): filters(name)
        for name in ("exclude_models", "providers", "max_price_per_1m", "max_latency_ms", "min_throughput_tps")
    },
    _constraint("allow_fallbacks"): takes("allow_fallbacks"),
    _constraint("max_attempts"): both(
        refuses("max_attempts.none", "max_attempts.too_many"), takes("max_attempts.most")
    ),
    "request.stream": streams_when_asked,
    "request.max_tokens": both(refuses("max_tokens.none", "max_tokens.too_many"), shortens),
    "request.types": refuses("types.stream", "types.max_tokens", "types.strategy", "types.messages"),
    "request.unknown_fields": takes("unknown_field"),
    "errors.order": order,
}

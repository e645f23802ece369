"""What an answer holds, and how it is written down."""

from __future__ import annotations

import re
from collections.abc import Callable
from typing import Any, Final

from mock_server.contract.messages import ChatResponse, Usage
from mock_server.kit.conform.finding import Finding, broken, cannot, kept, together
from mock_server.kit.conform.judges.taken import Judge
from mock_server.kit.conform.seen import Exchange, Seen

REQUEST_ID: Final = re.compile(r"req_[0-9a-f]{7}")
# A \u escape of a character beyond ASCII; pairs of backslashes before it are backslashes themselves.
_ESCAPED: Final = re.compile(rb"(?<!\\)(?:\\\\)*\\u(?!00[0-7])[0-9a-fA-F]{4}")
_SHOWN_CHARS: Final = 60


def json_only(seen: Seen) -> Finding:
    """Whatever is no stream is one JSON object."""
    found = []
    for exchange, reply in seen.replies():
        if exchange.probe.method == "HEAD" or exchange.streamed:
            continue
        asks = f"{exchange.probe.asks} ({reply.status})"
        if reply.broke:
            found.append(cannot(f"{asks}: {reply.broke}", exchange))
        elif reply.media_type != "application/json":
            found.append(broken(f"{asks}: declared as {reply.media_type[:_SHOWN_CHARS] or 'nothing'}", exchange))
        elif not isinstance(exchange.document, dict):
            found.append(broken(f"{asks}: no JSON object", exchange))
        else:
            found.append(kept("JSON objects", exchange))
    return together(found, "nothing but streams was answered")


def encoding(seen: Seen) -> Finding:
    """UTF-8, declared and written out."""
    found = []
    for exchange, reply in seen.replies():
        if reply.media_type != "application/json":
            continue
        declared = "".join(reply.all_of("content-type")).lower().replace(" ", "").replace('"', "")
        asks = f"{exchange.probe.asks} ({reply.status})"
        if "charset=utf-8" not in declared.split(";")[1:]:
            found.append(broken(f"{asks}: no charset=utf-8", exchange))
        elif _ESCAPED.search(reply.body):
            found.append(broken(f"{asks}: characters beyond ASCII are escaped", exchange))
        else:
            found.append(kept("charset=utf-8, and no character escaped", exchange))
    return together(found, "nothing was declared as JSON")


def keys(seen: Seen) -> Finding:
    """The documented keys in the documented order, and no others; one that is missing is a clause of its own."""
    plain = seen["plain"]
    document = plain.document
    if plain.status != 200 or not isinstance(document, dict):
        return cannot(f"{plain.probe.asks}: {plain.answered}", plain)
    usage = document.get("usage")
    found = [_in_order(plain, "", document, ChatResponse.__struct_fields__)]
    if isinstance(usage, dict):
        found.append(_in_order(plain, "usage.", usage, Usage.__struct_fields__))
    return together(found, "")


def _in_order(exchange: Exchange, prefix: str, document: dict[str, Any], known: tuple[str, ...]) -> Finding:
    more = [f"{prefix}{name}" for name in document if name not in known]
    if more:
        return broken(f"more keys than documented: {', '.join(more)[:_SHOWN_CHARS]}", exchange)
    there = [name for name in document if name in known]
    if there != [name for name in known if name in there]:
        return broken(f"another order than documented: {', '.join(prefix + name for name in there)}", exchange)
    return kept("the documented keys in the documented order", exchange)


def _holds(path: str, right: Callable[[Any, dict[str, Any]], bool], wanted: str) -> Judge:
    """A key of the plain answer whose value is right; ``right`` is told the object it stands in too."""

    def judge(seen: Seen) -> Finding:
        plain = seen["plain"]
        if plain.status != 200 or not isinstance(plain.document, dict):
            return cannot(f"{plain.probe.asks}: {plain.answered}", plain)
        owner: Any = plain.document
        *parents, name = path.split(".")
        for parent in parents:
            owner = owner.get(parent) if isinstance(owner, dict) else None
        if not isinstance(owner, dict) or name not in owner:
            return broken(f"{path} is missing", plain)
        value = owner[name]
        if not right(value, owner):
            return broken(f"{path} is {_cut(value)}, not {wanted}", plain)
        return kept(f"{path} is {wanted}", plain)

    return judge


def _cut(value: Any) -> str:
    shown = str(value)
    return shown if len(shown) <= _SHOWN_CHARS else shown[:_SHOWN_CHARS] + "…"


def _is_count(value: Any) -> bool:
    return isinstance(value, int) and not isinstance(value, bool) and value >= 0


def _is_sum(value: Any, usage: dict[str, Any]) -> bool:
    parts = [usage.get("prompt_tokens"), usage.get("completion_tokens")]
    counts: list[int] = [part for part in parts if isinstance(part, int) and _is_count(part)]
    return _is_count(value) and (len(counts) < len(parts) or value == sum(counts))


def _is_name(value: Any, _: object) -> bool:
    return isinstance(value, str) and bool(value.strip())


def request_ids(seen: Seen) -> Finding:
    """Every answer has an id of its own, of the documented form."""
    shape = _holds("request_id", lambda value, _: _is_id(value), "`req_` and seven hexadecimal digits")(seen)
    ids = [reply.all_of("x-request-id") for _, reply in seen.replies()]
    told = [values[0] for values in ids if values]
    if len(told) > len(set(told)):
        return together((shape, broken("the same id was told twice", seen["plain"])), "")
    return shape


def _is_id(value: Any) -> bool:
    return isinstance(value, str) and REQUEST_ID.fullmatch(value) is not None


JUDGES: Final[dict[str, Judge]] = {
    "answers.json": json_only,
    "answers.encoding": encoding,
    "answers.keys": keys,
    "response.success": _holds("success", lambda value, _: value is True, "true"),
    "response.model": _holds("model", _is_name, "a name"),
    "response.response": _holds("response", lambda value, _: isinstance(value, str), "a text"),
    "response.usage.prompt_tokens": _holds("usage.prompt_tokens", lambda value, _: _is_count(value), "a count"),
    "response.usage.completion_tokens": _holds("usage.completion_tokens", lambda value, _: _is_count(value), "a count"),
    "response.usage.total_tokens": _holds("usage.total_tokens", _is_sum, "the sum of both"),
    "response.provider": _holds("provider", _is_name, "a name"),
    "response.request_id": request_ids,
}

"""How a gateway streams."""

from __future__ import annotations

import re
from typing import Any, Final, NamedTuple

import msgspec

from mock_server.contract.messages import DONE, StreamClosing, StreamError, StreamOpening, StreamPiece
from mock_server.kit.conform.events import Event, events_of
from mock_server.kit.conform.finding import Finding, broken, cannot, kept, together
from mock_server.kit.conform.judges.taken import Judge
from mock_server.kit.conform.probes import NOWHERE_PROBE
from mock_server.kit.conform.seen import EVENT_STREAM, Exchange, Seen, read_json
from mock_server.kit.conform.wire import Reply

_BLANK_LINE: Final = re.compile(rb"\r\n\r\n|\n\n|\r\r")
MOST_HEAD_START_S: Final = 2.0
"""How long before the first piece the head may come, for whatever the network does; a gateway that sends it on its own
does so as soon as it has the request."""


class _Stream(NamedTuple):
    exchange: Exchange
    reply: Reply
    events: list[Event]
    failed: bool
    """Whether an error event ended it."""


def _stream(seen: Seen) -> _Stream | Finding:
    exchange = seen["stream"]
    reply = exchange.reply
    if reply is None or reply.status != 200:
        return cannot(f"{exchange.probe.asks}: {exchange.answered}", exchange)
    if isinstance(exchange.document, dict):
        return cannot(f"{exchange.probe.asks}: one JSON document was answered, no stream", exchange)
    events = events_of(reply.body)
    return _Stream(exchange, reply, events, _fails(events))


def _fails(events: list[Event]) -> bool:
    documents = [read_json(event.data.encode()) for event in events]
    return any(isinstance(document, dict) and document.get("success") is False for document in documents)


def framing(seen: Seen) -> Finding:
    """Events of one data line of JSON each, and the last is the terminal one."""
    found = _stream(seen)
    if isinstance(found, Finding):
        return found
    exchange, reply, events, failed = found
    if reply.media_type != EVENT_STREAM:
        return broken(f"a stream is declared as {reply.media_type[:60] or 'nothing'}", exchange)
    if failed:
        return cannot("the stream failed", exchange)
    if reply.broke:
        return broken(f"the stream did not end: {reply.broke}", exchange)
    if not events or events[-1].data != DONE:
        return broken(f"the last event is not {DONE}", exchange)
    if any(event.lines != 1 for event in events):
        return broken("an event has several data lines", exchange)
    if not all(isinstance(read_json(event.data.encode()), dict) for event in events[:-1]):
        return broken("an event is no JSON object", exchange)
    return kept(f"{len(events)} events, the last {DONE}", exchange)


def events(seen: Seen) -> Finding:
    """An opening, pieces, a closing."""
    found = _stream(seen)
    if isinstance(found, Finding):
        return found
    exchange, reply, every, failed = found
    if failed or reply.broke:
        return cannot("the stream failed" if failed else f"the stream did not end: {reply.broke}", exchange)
    bodies = [event.data for event in every if event.data != DONE]
    if any(read_json(body.encode()) is None for body in bodies):
        return cannot("an event is no JSON", exchange)
    if len(bodies) < 3:
        return broken(f"{len(bodies)} events, too few for an opening, a piece and a closing", exchange)
    types: list[Any] = [StreamOpening, *[StreamPiece] * (len(bodies) - 2), StreamClosing]
    names = ["the first event", *["a piece"] * (len(bodies) - 2), "the last event"]
    for body, kind, name in zip(bodies, types, names, strict=True):
        if fault := _fault(body, kind):
            return broken(f"{name}: {fault}", exchange)
    usage = msgspec.json.decode(bodies[-1], type=StreamClosing).usage
    if usage.prompt_tokens + usage.completion_tokens != usage.total_tokens:
        return broken("the last event: usage.total_tokens is not the sum", exchange)
    return kept("an opening, pieces and a closing with usage", exchange)


def _fault(body: str, kind: Any) -> str:
    """What an event lacks to be of a type; empty if nothing. Keys beyond it are allowed."""
    try:
        msgspec.json.decode(body, type=kind)
    except (msgspec.MsgspecError, RecursionError) as error:
        return str(error)[:120]
    return ""


def head(seen: Seen) -> Finding:
    """The head waits for the first piece, so that errors before it have their status and are JSON."""
    refused = seen["nowhere.stream"]
    findings = []
    if not refused.status or refused.status in (401, 403, 429) or refused.status >= 500:
        findings.append(cannot(f"{refused.probe.asks}: {refused.answered}", refused))
    elif refused.streamed and _fails(events_of(refused.reply.body if refused.reply is not None else b"")):
        findings.append(broken(f"{refused.probe.asks}: an error was streamed ({refused.status})", refused))
    elif refused.status < 300:
        findings.append(cannot(f"{refused.probe.asks}: {refused.answered}: it was not refused", refused))
    elif refused.status != seen[NOWHERE_PROBE].status:
        findings.append(broken(f"{refused.probe.asks}: {refused.answered}, {seen['nowhere'].answered} if not", refused))
    else:
        findings.append(kept(f"refused with {refused.status} and JSON", refused))
    found = _stream(seen)
    if isinstance(found, Finding):
        findings.append(found)
    elif (lead := _head_start(found.reply)) > MOST_HEAD_START_S:
        findings.append(broken(f"the head came {lead:.1f} s before the first piece", found.exchange))
    else:
        findings.append(kept("the head came with the first piece", found.exchange))
    return together(findings, "")


def _head_start(reply: Reply) -> float:
    """Seconds from the head to the first piece of text; 0 where there is none."""
    began = 0
    for end in _BLANK_LINE.finditer(reply.body):
        for event in events_of(reply.body[began : end.end()]):
            document = read_json(event.data.encode())
            if isinstance(document, dict) and document.get("response"):
                return next(at_s for at_s, size in reply.pieces if size >= end.end()) - reply.head_s
        began = end.end()
    return 0.0


def failure(seen: Seen) -> Finding:
    """A stream that failed, should one have been met."""
    found = _stream(seen)
    if isinstance(found, Finding) or not found.failed:
        return cannot("no stream failed, and none may be made to")
    exchange, reply, every, _ = found
    if fault := _fault(every[-1].data, StreamError):
        return broken(f"the last event of a stream that failed: {fault}", exchange)
    if reply.broke:
        return broken(f"the stream failed, and did not end: {reply.broke}", exchange)
    return kept("an error event was the last", exchange)


JUDGES: Final[dict[str, Judge]] = {
    "stream.framing": framing,
    "stream.events": events,
    "stream.head": head,
    "stream.failure": failure,
}

"""What one call tells of the gateway's habits: how fast, how long, and how it ended."""

from __future__ import annotations

import re
from sys import intern
from typing import Any, Final

from msgspec import Struct

from mock_server.contract.messages import ChatRequest
from mock_server.contract.tokens import estimate
from mock_server.core.prompts import task_of
from mock_server.core.world import Task
from mock_server.kit.proxy.reading import Call, Moment, moments

_ATTEMPTS: Final = re.compile(r'attempts;desc="(\d{1,4})"')
_MOST_NAME: Final = 128
LEAST_PACED: Final = 8
"""Tokens after the first piece from which on a stream tells its pace."""
ERROR_EVENT: Final = "an error event"
UNFINISHED: Final = "the end without a closing event"
NO_JSON: Final = "an answer that is no JSON object"
_LEAST_SPAN_S: Final = 0.010  # pieces that came closer together were sent at once, or read at once


class Sample(Struct, frozen=True, gc=False):
    """One answered or failed call. Seconds, tokens, tokens per second; None where it does not tell.

    ``model`` is `provider/model`, empty where nobody said who answered. ``first_s`` is the time from the request's last
    byte to the first piece of a stream, ``total_s`` that to the last byte of a plain answer. ``capped`` is whether the
    answer was cut at the length that was asked for. ``failure`` is how it failed: a status and its code, an error event
    or a break, and after how many pieces of a stream. ``gave_up_s`` is how long a client waited that left before the
    first piece, or before the end of a plain answer, and of such a call nothing else is known.
    """

    task: Task
    stream: bool
    model: str = ""
    first_s: float | None = None
    total_s: float | None = None
    pace: float | None = None
    prompt_tokens: int | None = None
    tokens: int | None = None
    capped: bool = False
    attempts: int | None = None
    status: int = 0
    code: str = ""
    failure: str = ""
    pieces: int = 0
    gave_up_s: float | None = None


def sample(call: Call) -> Sample | None:
    """What a call tells; None where the recorder ended it before it told anything, or where it is no such call."""
    record, exchange, request = call.record, call.exchange, call.request
    if not isinstance(request, ChatRequest) or not call.readable or not record.sent_at:
        return None
    stream = request.stream
    common: dict[str, Any] = {"task": task_of(request), "stream": stream, "status": record.status}
    common |= {"code": intern(call.hide(exchange.code)[:_MOST_NAME]), "attempts": _attempts(call)}
    if record.status == 200 and exchange.streamed:
        return _streamed(call, list(moments(record, record.answer)), common)
    if record.left:
        return Sample(**common, gave_up_s=record.ended_at - record.sent_at)
    if record.stopped:
        return None
    if record.broke:
        return Sample(**common, failure=record.broke)
    if record.status != 200:
        return Sample(**common, failure=intern(f"{record.status} {common['code']}".strip()))
    if len(record.answer) < record.answered_bytes:
        return None
    document = exchange.document
    if not isinstance(document, dict):
        return Sample(**common, failure=NO_JSON)
    return _plain(call, document, request, common)


def _plain(call: Call, document: dict[str, Any], request: ChatRequest, common: dict[str, Any]) -> Sample:
    prompt, tokens = _usage(document)
    most = request.max_tokens
    return Sample(
        **common,
        model=_name(call, document),
        total_s=call.record.ended_at - call.record.sent_at,
        prompt_tokens=prompt,
        tokens=tokens,
        capped=isinstance(most, int) and tokens is not None and tokens >= most,
    )


def _streamed(call: Call, events: list[Moment], common: dict[str, Any]) -> Sample | None:
    record = call.record
    spoken = [one for one in events if isinstance(one.document.get("response"), str) and one.document["response"]]
    opening = events[0].document if events else {}
    ends = [one.document for one in events if one.document.get("done") is True]
    closing = ends[-1] if ends else {}
    prompt, tokens = _usage(closing)
    failed = any(one.document.get("success") is False for one in events)
    ended = tokens is not None and not failed
    failure = "" if ended else ERROR_EVENT if failed else record.broke or UNFINISHED
    if failure and (record.left or record.stopped or len(record.answer) < record.answered_bytes):
        if not spoken:
            return Sample(**common, gave_up_s=record.ended_at - record.sent_at) if record.left else None
        failure = ""
    return Sample(
        **common,
        model=_name(call, opening),
        first_s=spoken[0].at - record.sent_at if spoken else None,
        pace=_pace(spoken, tokens) if ended else None,
        prompt_tokens=prompt,
        tokens=tokens if ended else None,
        capped=closing.get("finish_reason") == "length",
        failure=failure,
        pieces=len(spoken),
    )


def _pace(spoken: list[Moment], tokens: int | None) -> float | None:
    """Tokens after the first piece by the time from it to the last one."""
    if tokens is None or len(spoken) < 2:
        return None
    rest = tokens - max(1, estimate(spoken[0].document["response"]))
    span = spoken[-1].at - spoken[0].at
    return rest / span if rest >= LEAST_PACED and span >= _LEAST_SPAN_S else None


def _usage(document: dict[str, Any]) -> tuple[int | None, int | None]:
    usage = document.get("usage")
    if not isinstance(usage, dict):
        return None, None
    prompt, tokens = usage.get("prompt_tokens"), usage.get("completion_tokens")
    return (
        prompt if isinstance(prompt, int) and prompt >= 0 else None,
        tokens if isinstance(tokens, int) and tokens >= 1 else None,
    )


def _name(call: Call, document: dict[str, Any]) -> str:
    """`provider/model` as a world names it; empty where the answer does not tell, or tells what is no name."""
    provider, model = document.get("provider"), document.get("model")
    if not (isinstance(provider, str) and isinstance(model, str) and provider and model):
        return ""
    name = call.hide(f"{provider}/{model}")
    return intern(name) if len(name) <= _MOST_NAME and name.isprintable() and "/" not in provider else ""


def _attempts(call: Call) -> int | None:
    """How many providers were tried, where the answer tells."""
    reply = call.exchange.reply
    if reply is None:
        return None
    told = [*reply.all_of("x-attempt-count"), *_ATTEMPTS.findall(", ".join(reply.all_of("server-timing")))]
    return int(told[0]) if told and told[0].isascii() and told[0].isdigit() and len(told[0]) < 5 else None

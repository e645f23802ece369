"""Records as the relay makes them, without a relay."""

from __future__ import annotations

import json
from typing import Any

from mock_server.contract.endpoints import LLM_AUTO
from mock_server.kit.proxy.record import Lines, Record

KEY = "sk-own-key-of-a-client-0123"
LINES: Lines = (("Authorization", f"Bearer {KEY}"), ("Content-Type", "application/json"))
JSON = ("Content-Type", "application/json; charset=utf-8")
EVENTS = ("Content-Type", "text/event-stream")
USAGE = {"prompt_tokens": 4, "completion_tokens": 40, "total_tokens": 44}


def asks(**fields: Any) -> bytes:
    return json.dumps({"messages": [{"role": "user", "content": "hello"}], **fields}).encode()


def answered(
    status: int,
    answer: object,
    *,
    body: bytes | None = None,
    lines: Lines = LINES,
    answer_lines: Lines = (JSON,),
    request_id: str = "req_0000001",
    took_s: float = 0.5,
    **fields: Any,
) -> Record:
    """A call that was answered with a document at once, 0.5 s after it was sent."""
    asked = asks() if body is None else body
    content = answer if isinstance(answer, bytes) else json.dumps(answer, ensure_ascii=False).encode()
    return Record(
        fields.pop("method", LLM_AUTO.method),
        fields.pop("target", LLM_AUTO.path),
        lines,
        asked,
        len(asked),
        10.0,
        status,
        (*answer_lines, ("X-Request-Id", request_id)),
        content,
        len(content),
        10.0 + took_s,
        ((10.0 + took_s, len(content)),) if content else (),
        10.0 + took_s,
        **fields,
    )


def plain(
    model: str = "model", provider: str = "provider", *, request_id: str = "req_0000001", **fields: Any
) -> Record:
    """A plain answer that keeps the contract."""
    document = {
        "success": True,
        "model": model,
        "response": "hi",
        "usage": USAGE,
        "provider": provider,
        "request_id": request_id,
    }
    return answered(200, document, request_id=request_id, **fields)


def error(status: int, code: str, message: str, **fields: Any) -> Record:
    return answered(status, {"success": False, "error": {"code": code, "message": message}}, **fields)


def streamed(
    first_s: float = 0.5,
    per_s: float = 100.0,
    *,
    pieces: int = 40,
    model: str = "model",
    provider: str = "provider",
    failed: bool = False,
    tokens: int | None = None,
    request_id: str = "req_0000001",
    fields: dict[str, Any] | None = None,
    **record: Any,
) -> Record:
    """A stream of words of a token each, the first after ``first_s``."""
    opening = {"success": True, "request_id": request_id, "model": model, "provider": provider}
    events = [opening | {"response": "", "done": False}]
    events += [{"response": "word ", "done": False} for _ in range(pieces)]
    usage = USAGE | {"completion_tokens": tokens or pieces, "total_tokens": 4 + (tokens or pieces)}
    fails = {"code": "ALL_PROVIDERS_FAILED", "message": "All candidate model providers failed"}
    if failed:
        events.append({"success": False, "error": fails, "request_id": request_id, "done": True})
    else:
        events.append({"response": "", "done": True, "finish_reason": "stop", "usage": usage})
    content, came = b"", []
    for number, event in enumerate(events):
        content += b"data: " + json.dumps(event).encode() + b"\n\n"
        came.append((10.0 + first_s + min(max(number - 1, 0), pieces - 1) / per_s, len(content)))
    if not failed:
        content += b"data: [DONE]\n\n"
        came[-1] = (came[-1][0], len(content))
    asked = asks(stream=True, **(fields or {}))
    return Record(
        LLM_AUTO.method,
        LLM_AUTO.path,
        LINES,
        asked,
        len(asked),
        10.0,
        200,
        (EVENTS, ("X-Request-Id", request_id)),
        content,
        len(content),
        10.0 + first_s,
        tuple(came),
        came[-1][0],
        **record,
    )

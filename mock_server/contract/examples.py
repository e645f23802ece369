"""Examples of the documentation: the page's own, and one for each thing the page is silent about."""

from __future__ import annotations

from typing import Any, Final

from mock_server.contract.errors import ALL_PROVIDERS_FAILED, MODEL_UNAVAILABLE
from mock_server.contract.messages import (
    DONE,
    ENCODER,
    ChatResponse,
    ErrorBody,
    ErrorResponse,
    StreamClosing,
    StreamError,
    StreamOpening,
    StreamPiece,
    Usage,
)

DOCUMENTED_REQUEST: Final[dict[str, Any]] = {
    "messages": [{"role": "user", "content": "写一个产品介绍"}],
    "strategy": {"mode": "auto"},
    "stream": False,
}
EXAMPLE_REQUESTS: Final[dict[str, dict[str, Any]]] = {
    "documented": DOCUMENTED_REQUEST,
    "streamed": {"messages": [{"role": "user", "content": "Write a product introduction"}], "stream": True},
    "constrained": {
        "messages": [
            {"role": "system", "content": "Answer in one sentence."},
            {"role": "user", "content": "Translate to English: 你好，世界"},
        ],
        "strategy": {"mode": "cost", "max_latency_ms": 800, "providers": {"ignore": ["groq"]}},
        "max_tokens": 60,
    },
}

_RESPONSE: Final = ChatResponse(True, "gpt-4.1-mini", "…", Usage(398, 124, 522), "openai", "req_9f1a2e8")
_ERROR: Final = ErrorResponse(False, ErrorBody(MODEL_UNAVAILABLE.code, MODEL_UNAVAILABLE.message))

EXAMPLE_RESPONSE: Final[dict[str, Any]] = {
    "success": _RESPONSE.success,
    "model": _RESPONSE.model,
    "response": _RESPONSE.response,
    "usage": {"prompt_tokens": 398, "completion_tokens": 124, "total_tokens": 522},
    "provider": _RESPONSE.provider,
    "request_id": _RESPONSE.request_id,
}

EXAMPLE_ERROR: Final[dict[str, Any]] = {
    "success": _ERROR.success,
    "error": {"code": _ERROR.error.code, "message": _ERROR.error.message},
}

_EVENTS: Final = (
    StreamOpening(True, "req_9f1a2e8", "gpt-4.1-mini", "openai", "", False),
    StreamPiece("Hello ", False),
    StreamPiece("world", False),
    StreamClosing("", True, "stop", Usage(12, 2, 14)),
)
EXAMPLE_STREAM: Final = (
    "".join(f"data: {ENCODER.encode(event).decode()}\n\n" for event in _EVENTS) + f"data: {DONE}\n\n"
)
_FAILURE: Final = StreamError(
    False, ErrorBody(ALL_PROVIDERS_FAILED.code, ALL_PROVIDERS_FAILED.message), "req_9f1a2e8", True
)
EXAMPLE_STREAM_ERROR: Final = f"data: {ENCODER.encode(_FAILURE).decode()}\n\n"

"""OpenAPI 3.1, derived from the contract's tables and types; nothing is stated here that a table states."""

from __future__ import annotations

from typing import Any, Final, Literal

import msgspec

from mock_server.contract.accounts import TEST_KEYS
from mock_server.contract.endpoints import BASE_URL, ENDPOINTS, INTRODUCTION, TITLE, Endpoint
from mock_server.contract.errors import ATTEMPT_COUNT, ERRORS, LAST_ATTEMPT_STATUS, STATUSES, ErrorKind
from mock_server.contract.examples import EXAMPLE_REQUESTS, EXAMPLE_RESPONSE, EXAMPLE_STREAM
from mock_server.contract.headers import QUERY_DIRECTIVES, REQUEST_HEADERS, RESPONSE_HEADERS, Header, RequestHeader
from mock_server.contract.messages import (
    FIELDS,
    ChatRequest,
    ChatResponse,
    ErrorResponse,
    StreamClosing,
    StreamError,
    StreamOpening,
    StreamPiece,
)
from mock_server.contract.provenance import Provenance, Source

Document = dict[str, Any]

_TYPES: Final = (ChatRequest, ChatResponse, ErrorResponse, StreamOpening, StreamPiece, StreamClosing, StreamError)
_REF: Final = "#/components/schemas/{name}"
# Headers OpenAPI describes by other means: as security and as the body's media type.
_NOT_PARAMETERS: Final = ("Authorization", "Content-Type")
_ONLY_ON: Final[dict[str, tuple[int, ...]]] = {
    "Retry-After": (429, 502),
    "WWW-Authenticate": (401,),
    "Allow": (405,),
    ATTEMPT_COUNT: (502,),
    LAST_ATTEMPT_STATUS: (502,),
}
_ALWAYS: Final = ("X-Request-Id", "Server-Timing")
# Statuses that are answered before the key is known carry no rate-limit headers.
_UNAUTHENTICATED: Final = (401, 404, 405)


def openapi(version: str, *, directives: bool = False) -> Document:
    """The gateway's document as plain values, ready for JSON; with the mock's ``directives`` if asked for.

    Generators of clients and fuzzers take what is described for part of the API, so a mock's own is not.
    """
    return {
        "openapi": "3.1.0",
        "info": {"title": f"APIFlowX {TITLE}", "version": version, "description": INTRODUCTION},
        "servers": [{"url": "/"}, {"url": BASE_URL}],
        "security": [{"apiKey": []}],
        "paths": {endpoint.path: {endpoint.method.lower(): _operation(endpoint, directives)} for endpoint in ENDPOINTS},
        "components": {
            "schemas": _schemas(),
            "headers": {row.name: _header(row) for row in RESPONSE_HEADERS if _told(row.provenance, directives)},
            "securitySchemes": {
                "apiKey": {
                    "type": "http",
                    "scheme": "bearer",
                    "description": "; ".join(f"{row.key}: {row.use}" for row in TEST_KEYS),
                }
            },
        },
    }


def indented(document: Document) -> bytes:
    """A document as indented JSON."""
    return msgspec.json.format(msgspec.json.encode(document), indent=2) + b"\n"


def _schemas() -> Document:
    _, components = msgspec.json.schema_components(_TYPES, ref_template=_REF)
    for path, (meaning, provenance) in FIELDS.items():
        schema = _find(components, path)
        schema.setdefault("description", meaning)
        schema.update(_provenance(provenance))
    return components


def _find(components: Document, path: str) -> Document:
    """The schema of a request field named by a path such as ``strategy.mode``."""
    parent, _, name = path.rpartition(".")
    owner = {"messages[]": "UserMessage", "strategy": "Strategy", "": "ChatRequest"}[parent]
    schema: Document = components[owner]["properties"][name]
    return schema


def _told(provenance: Provenance, directives: bool) -> bool:
    """Whether a row is about the gateway, or the mock's own is asked for too."""
    return directives or provenance.source is not Source.MOCK


def _operation(endpoint: Endpoint, directives: bool) -> Document:
    headers = [row for row in REQUEST_HEADERS if row.name not in _NOT_PARAMETERS and _told(row.provenance, directives)]
    return {
        "operationId": "llmAuto",
        "summary": endpoint.name,
        "description": endpoint.summary,
        **_provenance(endpoint.provenance),
        "parameters": [
            *(_parameter(row, "header") for row in headers),
            *(_parameter(row, "query") for row in QUERY_DIRECTIVES if directives),
        ],
        "requestBody": {
            "required": True,
            "content": {
                "application/json": {
                    "schema": {"$ref": _REF.format(name="ChatRequest")},
                    "examples": {name: {"value": value} for name, value in EXAMPLE_REQUESTS.items()},
                }
            },
        },
        "responses": {
            "200": _success(directives),
            **{str(status): _failure(status, directives) for status in _error_statuses()},
        },
    }


def _parameter(header: RequestHeader, where: Literal["header", "query"]) -> Document:
    return {
        "name": header.name,
        "in": where,
        "required": header.required,
        "description": header.meaning,
        "schema": {"type": "string"} if header.pattern is None else {"type": "string", "pattern": header.pattern},
        "example": header.example,
        **_provenance(header.provenance),
    }


def _success(directives: bool) -> Document:
    events = [StreamOpening, StreamPiece, StreamClosing, StreamError]
    return {
        "description": _meaning(200),
        "headers": _headers_for(200, directives),
        "content": {
            "application/json": {
                "schema": {"$ref": _REF.format(name="ChatResponse")},
                "examples": {"documented": {"value": EXAMPLE_RESPONSE}},
            },
            "text/event-stream": {
                # No type: readers disagree whether this describes the whole body or each event of it.
                "schema": {
                    "description": "server-sent events; each `data:` line is one of the documents in x-events, "
                    "and the last is [DONE]",
                    "x-events": [{"$ref": _REF.format(name=event.__name__)} for event in events],
                },
                "examples": {"stream": {"value": EXAMPLE_STREAM}},
            },
        },
    }


def _failure(status: int, directives: bool) -> Document:
    kinds = [kind for kind in ERRORS if kind.status == status and _told(kind.provenance, directives)]
    return {
        "description": "; ".join(f"{kind.code}: {kind.when}" for kind in kinds),
        "headers": _headers_for(status, directives),
        "content": {
            "application/json": {
                "schema": {
                    "allOf": [
                        {"$ref": _REF.format(name="ErrorResponse")},
                        {"properties": {"error": {"properties": {"code": {"enum": [k.code for k in kinds]}}}}},
                    ]
                },
                "examples": {kind.code: _example(kind) for kind in kinds},
            }
        },
        "x-retry": any(kind.retry for kind in kinds),
        "x-provenance": {kind.code: _provenance(kind.provenance)["x-provenance"] for kind in kinds},
    }


def _example(kind: ErrorKind) -> Document:
    return {
        "summary": kind.when,
        "value": {"success": False, "error": {"code": kind.code, "message": kind.message}},
    }


def _error_statuses() -> list[int]:
    return sorted({kind.status for kind in ERRORS})


def _meaning(status: int) -> str:
    return next(row.meaning for row in STATUSES if row.status == status)


def _headers_for(status: int, directives: bool) -> Document:
    def applies(name: str) -> bool:
        if name in _ONLY_ON:
            return status in _ONLY_ON[name]
        return name in _ALWAYS or (status not in _UNAUTHENTICATED and (status >= 400 or name != "Preference-Applied"))

    return {
        header.name: {"$ref": f"#/components/headers/{header.name}"}
        for header in RESPONSE_HEADERS
        if applies(header.name) and _told(header.provenance, directives)
    }


def _header(header: Header) -> Document:
    schema: Document = {"type": "string"}
    if header.pattern is not None:
        schema["pattern"] = header.pattern
    return {
        "description": f"{header.meaning}. Sent: {header.when}",
        "required": header.name in _ALWAYS,
        "schema": schema,
        "example": header.example,
        **_provenance(header.provenance),
    }


def _provenance(provenance: Provenance) -> Document:
    mark: Document = {"source": provenance.source.value}
    if provenance.reason:
        mark["reason"] = provenance.reason
    return {"x-provenance": mark}

"""The mock's own OpenAPI document: the gateway's with the mock's directives, and the control plane's table."""

from __future__ import annotations

import re
from typing import Any, Final

import msgspec
from msgspec import Struct

from mock_server.contract.messages import ErrorResponse
from mock_server.contract.openapi import openapi
from mock_server.http.control.asked import Nothing, fields_of
from mock_server.http.control.table import OPERATIONS, PREFIX, Operation

Document = dict[str, Any]

_REF: Final = "#/components/schemas/{name}"
_ERROR: Final = {"$ref": _REF.format(name="ErrorResponse")}
IN_PATH: Final = re.compile(r"\{(\w+)(?::path)?\}")
"""A parameter in the path of an operation."""
_FAILURES: Final = {
    "400": "a directive that cannot be understood; the message lists what is allowed",
    "401": "the server has an admin token, and X-Mock-Admin-Token does not hold it",
    "404": "nothing of this name",
    "415": "the body must be JSON",
}


def whole_openapi(version: str) -> Document:
    """The gateway with the mock's directives, and the control plane, as plain values."""
    gateway, control = openapi(version, directives=True), control_openapi(version)
    gateway["info"]["title"] += ", as the mock answers it"
    gateway["servers"] = [{"url": "/"}]
    gateway["paths"] |= control["paths"]
    gateway["components"]["schemas"] |= control["components"]["schemas"]
    return gateway


def control_openapi(version: str) -> Document:
    """The control plane as plain values."""
    types: list[type[Struct]] = [ErrorResponse]
    for endpoint in OPERATIONS:
        types += [kind for kind in (endpoint.answer, endpoint.body) if kind is not None and kind not in types]
    _, schemas = msgspec.json.schema_components(types, ref_template=_REF)
    paths: Document = {}
    for endpoint in OPERATIONS:
        path = PREFIX + IN_PATH.sub(r"{\1}", endpoint.path)
        paths.setdefault(path, {})[endpoint.method.lower()] = _operation(endpoint)
    return {
        "openapi": "3.1.0",
        "info": {
            "title": "The mock's control plane",
            "version": version,
            "description": "What the simulated gateway saw, what it holds, and what is to happen. No part of the API.",
        },
        "paths": paths,
        "components": {"schemas": schemas},
    }


def _operation(endpoint: Operation) -> Document:
    operation: Document = {
        "operationId": endpoint.name,
        "security": [],
        "summary": endpoint.meaning,
        "description": f"Without a test id it is about {endpoint.without_test}.",
        "parameters": [*_path_parameters(endpoint), *_query_parameters(endpoint.query), *_HEADERS],
        "responses": {"200": _success(endpoint)}
        | {
            status: {"description": meaning, "content": {"application/json": {"schema": _ERROR}}}
            for status, meaning in _FAILURES.items()
        },
    }
    if endpoint.body is not None:
        schema = {"$ref": _REF.format(name=endpoint.body.__name__)}
        required = endpoint.body is not Nothing
        operation["requestBody"] = {"required": required, "content": {"application/json": {"schema": schema}}}
    return operation


_HEADERS: Final = [
    {
        "name": "X-Mock-Test",
        "in": "header",
        "required": False,
        "description": "the test id whose state is meant",
        "schema": {"type": "string", "maxLength": 128, "pattern": "^[!-~]*$"},
    },
    {
        "name": "X-Mock-Admin-Token",
        "in": "header",
        "required": False,
        "description": "the token of --admin-token, where the server has one",
        "schema": {"type": "string"},
    },
]


def _path_parameters(endpoint: Operation) -> list[Document]:
    return [
        {"name": name, "in": "path", "required": True, "schema": {"type": "string"}}
        for name in IN_PATH.findall(endpoint.path)
    ]


def _query_parameters(query: type[Struct]) -> list[Document]:
    _, components = msgspec.json.schema_components([query], ref_template=_REF)
    properties = components[query.__name__]["properties"]
    return [
        {
            "name": field.encode_name,
            "in": "query",
            "required": False,
            "description": properties[field.encode_name].get("description", ""),
            "schema": {k: v for k, v in properties[field.encode_name].items() if k != "description"},
        }
        for field in fields_of(query)
    ]


def _success(endpoint: Operation) -> Document:
    if endpoint.answer is None:
        return {"description": endpoint.meaning, "content": {"text/plain": {"schema": {"type": "string"}}}}
    schema = {"$ref": _REF.format(name=endpoint.answer.__name__)}
    return {"description": endpoint.meaning, "content": {"application/json": {"schema": schema}}}

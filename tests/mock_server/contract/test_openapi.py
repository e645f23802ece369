"""The OpenAPI document says everything the tables say, and says it validly."""

from __future__ import annotations

import json
import re
from collections.abc import Iterator
from typing import Any

import jsonschema_rs
import msgspec
import pytest

from mock_server.contract.errors import ERRORS
from mock_server.contract.headers import QUERY_DIRECTIVES, REQUEST_HEADERS, RESPONSE_HEADERS
from mock_server.contract.messages import (
    DONE,
    FIELDS,
    ChatRequest,
    ChatResponse,
    ErrorResponse,
    StreamClosing,
    StreamOpening,
    StreamPiece,
)
from mock_server.contract.openapi import indented, openapi
from mock_server.contract.provenance import MOCK
from mock_server.contract.reading import read_request

Document = dict[str, Any]


@pytest.fixture(scope="module")
def document() -> Document:
    """With the mock's directives."""
    return openapi("1", directives=True)


@pytest.fixture(scope="module")
def gateway() -> Document:
    """The gateway alone."""
    return openapi("1")


@pytest.fixture(scope="module")
def operation(document: Document) -> Document:
    found: Document = document["paths"]["/v1/llm/auto"]["post"]
    return found


def references(value: object) -> Iterator[str]:
    if isinstance(value, dict):
        yield from (str(target) for key, target in value.items() if key == "$ref")
        for inner in value.values():
            yield from references(inner)
    elif isinstance(value, list):
        for inner in value:
            yield from references(inner)


def validator(document: Document, schema: Document) -> Any:
    return jsonschema_rs.Draft202012Validator({"components": document["components"], **schema})


def source(thing: Document) -> str:
    return str(thing["x-provenance"]["source"])


def test_the_text_is_the_document(document: Document) -> None:
    assert json.loads(indented(document)) == json.loads(msgspec.json.encode(document))
    assert (document["openapi"], document["info"]["version"]) == ("3.1.0", "1")


def test_the_gateways_document_says_nothing_that_is_the_mocks_own(document: Document, gateway: Document) -> None:
    said = json.dumps(gateway)
    own = [row.name for row in (*REQUEST_HEADERS, *QUERY_DIRECTIVES) if row.provenance is MOCK]
    own += [row.name for row in RESPONSE_HEADERS if row.provenance is MOCK]
    own += [kind.code for kind in ERRORS if kind.provenance is MOCK]
    assert {"Prefer", "X-Mock-Fault", "X-Mock-Test", "__code", "__fault", "Server-Timing"} <= set(own)
    assert [name for name in own if name in said or name not in json.dumps(document)] == []
    assert gateway["paths"]["/v1/llm/auto"]["post"]["parameters"] == []
    assert '"mock"' not in said


def test_both_documents_say_the_same_of_the_gateway(document: Document, gateway: Document) -> None:
    assert gateway["components"]["schemas"] == document["components"]["schemas"]
    mine, whole = (each["paths"]["/v1/llm/auto"]["post"] for each in (gateway, document))
    assert mine["requestBody"] == whole["requestBody"]
    assert set(mine["responses"]) == set(whole["responses"])


def test_every_reference_leads_somewhere(document: Document) -> None:
    for reference in references(document):
        place: Any = document
        for step in reference.removeprefix("#/").split("/"):
            place = place[step]
        assert isinstance(place, dict)


def test_schemas_are_valid_json_schemas(document: Document) -> None:
    for schema in document["components"]["schemas"].values():
        jsonschema_rs.meta.validate(schema)
        validator(document, schema)


def test_every_error_has_its_status_code_example_and_mark(operation: Document) -> None:
    for kind in ERRORS:
        answer = operation["responses"][str(kind.status)]
        assert f"{kind.code}: {kind.when}" in answer["description"]
        assert answer["x-provenance"][kind.code]["source"] == kind.provenance.source.value
        example = answer["content"]["application/json"]["examples"][kind.code]["value"]
        assert example == {"success": False, "error": {"code": kind.code, "message": kind.message}}
        assert set(kind.headers) <= set(answer["headers"])
    assert set(operation["responses"]) == {"200"} | {str(kind.status) for kind in ERRORS}


def test_every_header_is_described_with_its_mark(document: Document, operation: Document) -> None:
    for header in RESPONSE_HEADERS:
        shown = document["components"]["headers"][header.name]
        assert source(shown) == header.provenance.source.value
        assert header.meaning in shown["description"]
    parameters = {parameter["name"]: parameter for parameter in operation["parameters"]}
    asked_for = (*REQUEST_HEADERS, *QUERY_DIRECTIVES)
    assert set(parameters) == {header.name for header in asked_for} - {"Authorization", "Content-Type"}
    assert {name for name, row in parameters.items() if row["in"] == "query"} == {"__code", "__fault"}
    for asked in asked_for:
        if asked.name in parameters:
            assert source(parameters[asked.name]) == asked.provenance.source.value
    assert document["components"]["securitySchemes"]["apiKey"]["scheme"] == "bearer"


def test_header_examples_keep_their_patterns() -> None:
    checked = [(row.example, row.pattern) for row in RESPONSE_HEADERS]
    checked += [(row.example, row.pattern) for row in REQUEST_HEADERS]
    assert [example for example, pattern in checked if pattern and not re.search(pattern, example)] == []
    assert sum(pattern is not None for _, pattern in checked) >= 6


def field(document: Document, path: str) -> Document:
    schemas = document["components"]["schemas"]
    owner = {"messages[]": "UserMessage", "strategy": "Strategy", "": "ChatRequest"}[path.rpartition(".")[0]]
    found: Document = schemas[owner]["properties"][path.rpartition(".")[2]]
    return found


@pytest.mark.parametrize("path", sorted(FIELDS))
def test_every_field_is_described_with_its_mark(document: Document, path: str) -> None:
    shown = field(document, path)
    assert source(shown) == FIELDS[path][1].source.value
    assert shown["description"]


def test_no_field_is_without_a_mark(document: Document) -> None:
    named = {path.partition(".")[0] for path in FIELDS} | set(FIELDS)
    assert {f"strategy.{name}" for name in document["components"]["schemas"]["Strategy"]["properties"]} <= named
    assert set(document["components"]["schemas"]["ChatRequest"]["properties"]) <= named


def test_request_examples_are_requests(document: Document, operation: Document) -> None:
    body = operation["requestBody"]["content"]["application/json"]
    check = validator(document, body["schema"])
    assert "documented" in body["examples"]
    for example in body["examples"].values():
        assert isinstance(read_request(json.dumps(example["value"]).encode(), strict=True), ChatRequest)
        check.validate(example["value"])
    assert not check.is_valid({"messages": []})
    assert not check.is_valid({"messages": [{"role": "system", "content": "x"}]})


def test_answer_examples_are_answers(document: Document, operation: Document) -> None:
    for status, answer in operation["responses"].items():
        content = answer["content"]["application/json"]
        check = validator(document, content["schema"])
        kind = ChatResponse if status == "200" else ErrorResponse
        for example in content["examples"].values():
            assert isinstance(msgspec.json.decode(json.dumps(example["value"]), type=kind), kind)
            check.validate(example["value"])
    assert not check.is_valid({"success": False, "error": {"code": "ANOTHER", "message": "x"}})


def test_the_stream_example_is_a_stream(operation: Document) -> None:
    stream = operation["responses"]["200"]["content"]["text/event-stream"]["examples"]["stream"]["value"]
    events = [event.removeprefix("data: ") for event in stream.split("\n\n")]
    assert events[-2:] == [DONE, ""]
    opening = msgspec.json.decode(events[0], type=StreamOpening)
    pieces = [msgspec.json.decode(event, type=StreamPiece) for event in events[1:-3]]
    closing = msgspec.json.decode(events[-3], type=StreamClosing)
    assert opening.request_id.startswith("req_")
    assert all(piece.response and not piece.done for piece in pieces)
    assert closing.usage.total_tokens == closing.usage.prompt_tokens + closing.usage.completion_tokens

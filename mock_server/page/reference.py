"""The chapters the original page leaves out: fields, headers, streaming, limits, test keys and mock directives."""

from __future__ import annotations

import json
from collections.abc import Sequence
from typing import Any, Final

import msgspec

from mock_server.contract.accounts import PLANS, PLANS_SOURCE, TEST_KEYS, Plan
from mock_server.contract.clauses import ANSWERS, CHECKS, FRAMING, LIMITS, REQUESTS, ROUTING, STREAM_FAILURE, STREAMING
from mock_server.contract.errors import INVALID_MOCK_DIRECTIVE
from mock_server.contract.examples import EXAMPLE_STREAM, EXAMPLE_STREAM_ERROR
from mock_server.contract.headers import REQUEST_HEADERS, RESPONSE_HEADERS
from mock_server.contract.messages import FIELDS, RESPONSE_FIELDS, ChatRequest
from mock_server.contract.provenance import MOCK, Source
from mock_server.page.code import code_block
from mock_server.page.elements import Html, clause_list, join, literal, mark, prose, section, table, tag

_UNLIMITED: Final = "no limit"


class Words(msgspec.Struct, frozen=True):
    """A vocabulary of the mock: a table whose first column holds the words."""

    caption: str
    columns: tuple[str, ...]
    rows: tuple[tuple[str, ...], ...]


def request() -> Html:
    """Fields and headers of a call."""
    fields = [
        (tag("code", path), *_type_and_default(path), prose(rule), mark(provenance))
        for path, (rule, provenance) in FIELDS.items()
    ]
    headers = [
        (
            tag("code", row.name),
            "yes" if row.required else "no",
            literal(row.example),
            prose(row.meaning),
            mark(row.provenance),
        )
        for row in REQUEST_HEADERS
    ]
    return section(
        "Request",
        tag("h3", "Request fields", id="request-fields"),
        table("Fields of the JSON body", ("Field", "Type", "Default", "Rule", "Source"), fields, class_="wide"),
        clause_list(REQUESTS),
        tag("h3", "Request headers", id="request-headers"),
        table("Headers that are read", ("Header", "Required", "Example", "Meaning", "Source"), headers, class_="wide"),
        tag("h3", "Order of checks", id="order-of-checks"),
        clause_list((CHECKS,)),
        tag("h3", "Routing", id="routing"),
        clause_list(ROUTING),
    )


def _type_and_default(path: str) -> tuple[str, str]:
    """A field's JSON type and its default, as the request's own type says."""
    _, components = msgspec.json.schema_components((ChatRequest,), ref_template="{name}")
    owner = {"messages[]": "UserMessage", "strategy": "Strategy"}.get(path.rpartition(".")[0], "ChatRequest")
    name = path.rpartition(".")[2]
    schema = components[owner]
    field: dict[str, Any] = schema["properties"][name]
    kinds = [option.get("type", "string") for option in field.get("anyOf", [field])]
    if "allOf" in field or "$ref" in field:
        kinds = ["object"]
    default = json.dumps(field["default"]) if "default" in field and kinds != ["object"] else ""
    return " or ".join(kinds), "required" if name in schema.get("required", ()) else default


def response() -> Html:
    """Keys and headers of an answer."""
    fields = [(tag("code", name), prose(meaning), mark(source)) for name, (meaning, source) in RESPONSE_FIELDS.items()]
    headers = [
        (
            tag("code", row.name),
            prose(row.when),
            join(tag("p", prose(row.meaning)), tag("p", literal(row.example))),
            mark(row.provenance),
        )
        for row in RESPONSE_HEADERS
    ]
    return section(
        "Response",
        tag("h3", "Response fields", id="response-fields"),
        table("Keys of the answer, in this order", ("Key", "Holds", "Source"), list(fields)),
        clause_list(ANSWERS),
        tag("h3", "Response headers", id="response-headers"),
        table(
            "Headers of the answer",
            ("Header", "Sent", "Meaning, with an example", "Source"),
            list(headers),
            class_="wide",
        ),
    )


def streaming() -> Html:
    """How an answer is streamed."""
    framing, failure = mark(FRAMING.provenance), mark(STREAM_FAILURE.provenance)
    return section(
        "Streaming",
        clause_list(STREAMING),
        tag("h3", "A stream", id="a-stream"),
        code_block("A whole stream", EXAMPLE_STREAM, "events", framing),
        code_block("The last event of a stream that failed", EXAMPLE_STREAM_ERROR, "events", failure),
    )


def limits_and_balance() -> Html:
    """What a key may do, and what it pays."""
    keys = [
        (
            tag("code", row.key),
            row.plan,
            "unlimited" if row.balance is None else f"{row.balance:,}",
            row.use,
        )
        for row in TEST_KEYS
    ]
    names = Plan.__struct_fields__
    plans = [(name, *(_limit(getattr(plan, field)) for field in names)) for name, plan in PLANS.items()]
    columns = ("Plan", "Requests per minute", "Requests per day", "Tokens per minute", "At once")
    return section(
        "Keys, plans and balance",
        tag("h3", "Test keys", id="test-keys"),
        tag("p", "Each documented error can be had by choosing a key. ", mark(MOCK)),
        table("Built-in keys of the mock", ("Key", "Plan", "Balance in tokens", "What for"), list(keys)),
        tag("h3", "Plans", id="plans"),
        mark(PLANS_SOURCE),
        table("Limits of each plan", columns, list(plans)),
        tag("h3", "How limits and balance work", id="limits"),
        clause_list(LIMITS),
    )


def _limit(value: int | None) -> str:
    return _UNLIMITED if value is None else f"{value:,}"


def mock_directives(vocabulary: Sequence[Words]) -> Html:
    """What a request can ask of the mock."""
    rows = [
        (tag("code", row.name), literal(row.example), prose(row.meaning))
        for row in REQUEST_HEADERS
        if row.provenance.source is Source.MOCK
    ]
    words = [
        table(group.caption, group.columns, [(tag("code", word), *map(prose, cells)) for word, *cells in group.rows])
        for group in vocabulary
    ]
    return section(
        "Mock directives",
        tag(
            "p", "These headers speak to the mock; a real gateway ignores them. Some have a form for the query string."
        ),
        table("Headers that steer the mock", ("Header", "Example", "Meaning"), list(rows)),
        *words,
        tag(
            "p",
            "A directive that cannot be understood is ",
            tag("code", f"{INVALID_MOCK_DIRECTIVE.status} {INVALID_MOCK_DIRECTIVE.code}"),
            ", and its message says what is allowed. Nothing is silently ignored.",
        ),
    )

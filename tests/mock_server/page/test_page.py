"""What the documentation page says, read from its markup."""

from __future__ import annotations

import re
from html import unescape
from itertools import pairwise
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from mock_server.contract.accounts import PLANS, PLANS_SOURCE, TEST_KEYS
from mock_server.contract.clauses import (
    ANSWERS,
    CHECKS,
    ENVELOPE,
    FRAMING,
    KEEP_ALIVE_S,
    LIMITS,
    REQUESTS,
    ROUTING,
    STREAM_FAILURE,
    STREAMING,
    VALIDATION,
)
from mock_server.contract.endpoints import ENDPOINTS, QUICK_TIPS
from mock_server.contract.errors import COMMON_ERRORS, ERRORS, FORCED, STATUSES
from mock_server.contract.examples import EXAMPLE_RESPONSE
from mock_server.contract.headers import REQUEST_HEADERS, RESPONSE_HEADERS
from mock_server.contract.messages import FIELDS, MODES, RESPONSE_FIELDS
from mock_server.contract.provenance import DOCUMENTED, MOCK, Provenance, Source
from mock_server.core.faults import FRAMINGS, KINDS, STAGES
from mock_server.core.world import GatewaySettings
from mock_server.page.document import documentation
from mock_server.page.elements import prose, tag
from mock_server.page.snippets import snippets
from tests.mock_server.page.reading import ParsedPage
from tests.mock_server.wire import Mock

ROOT = Path(__file__).parents[3]

# The public documentation, word for word. Typed here once more on purpose: this is what the tables are held to.
WORDS = """
API Documentation
Quick start guide with code examples
Our REST API provides programmatic access to manage and retrieve data. All requests require authentication using an API key passed in the Authorization header.
Base URL https://apiflowx.top
Authentication Bearer token
Response format JSON
POST /v1/llm/auto LLM Auto Route Automatically select and use the best LLM model for your task
Set strategy.mode to auto for best model selection
Pass stream: false for standard JSON response
Keep payload minimal for easier debugging
400 Missing required message content
401 Invalid API key in Authorization header
402 Insufficient token balance for this request
429 Rate limit exceeded for your current plan
502 All candidate model providers failed
200 OK Request successful
400 Bad Request Invalid request parameters
401 Unauthorized Authentication required or failed
402 Payment Required Insufficient token balance
429 Too Many Requests Rate limit exceeded
500 Internal Server Error Unexpected server error
502 Bad Gateway Upstream model provider failed
"""  # noqa: E501 - quoted as it is

ORIGINAL_NODE = """\
import fetch from "node-fetch";

const res = await fetch("https://apiflowx.top/v1/llm/auto", {
  method: "POST",
  headers: {
    Authorization: "Bearer YOUR_API_KEY",
    "Content-Type": "application/json"
  },
  body: JSON.stringify({
    messages: [{ role: "user", content: "写一个产品介绍" }],
    strategy: { mode: "auto" },
    stream: false
  })
});

const data = await res.json();
console.log(data.response);"""

RESPONSE_200 = """\
{
  "success": true,
  "model": "gpt-4.1-mini",
  "response": "…",
  "usage": {
    "prompt_tokens": 398,
    "completion_tokens": 124,
    "total_tokens": 522
  },
  "provider": "openai",
  "request_id": "req_9f1a2e8"
}"""
RESPONSE_ERROR = """\
{
  "success": false,
  "error": {
    "code": "MODEL_UNAVAILABLE",
    "message": "No provider matched your route policy or constraints"
  }
}"""


def test_the_page_in_docs_is_the_one_the_mock_serves() -> None:
    stale = "docs/api.html is stale: python -m mock_server.page > docs/api.html"
    assert (ROOT / "docs" / "api.html").read_bytes() == documentation(), stale


def test_the_mock_serves_the_page(mock: Mock) -> None:
    answer = mock.http.get("/docs")
    assert (answer.status_code, answer.headers["content-type"]) == (200, "text/html; charset=utf-8")
    assert answer.content == documentation()


@pytest.mark.parametrize("words", WORDS.strip().splitlines())
def test_what_is_documented_is_there_word_for_word(page: ParsedPage, words: str) -> None:
    assert words in page.text


def test_the_documented_examples_are_there_word_for_word(page: ParsedPage) -> None:
    assert page.code["Node.js"] == ORIGINAL_NODE
    assert page.code["200"] == RESPONSE_200
    assert page.code["4xx/5xx"] == RESPONSE_ERROR


def test_every_row_of_the_tables_is_there(page: ParsedPage) -> None:
    rows = [
        *(f"{row.method} {row.path} {row.name}" for row in ENDPOINTS),
        *(f"{row.code} {row.status} {row.when.replace('`', '')} “{row.message}”" for row in ERRORS),
        *(f"{row.status} {row.phrase} {row.meaning}" for row in STATUSES),
        *(f"{row.status} {row.phrase}" for row in STATUSES if row.status in FORCED),
        *FIELDS,
        *RESPONSE_FIELDS,
        *(row.name for row in REQUEST_HEADERS),
        *(row.name for row in RESPONSE_HEADERS),
        *(f"{row.key} {row.plan}" for row in TEST_KEYS),
        *PLANS,
        *MODES,
        *(
            row.text.replace("`", "")
            for row in (*REQUESTS, *ANSWERS, *STREAMING, *LIMITS, *ROUTING, CHECKS, ENVELOPE, VALIDATION)
        ),
        *(*KINDS, *STAGES, *FRAMINGS),
    ]
    assert [row for row in rows if " ".join(row.split()) not in page.text] == []


def test_every_assumption_is_marked_and_gives_its_reason(page: ParsedPage) -> None:
    marked: list[Provenance] = [
        *(row.provenance for row in ENDPOINTS),
        *(row.provenance for row in ERRORS),
        *(row.provenance for row in STATUSES),
        *(row.provenance for row in REQUEST_HEADERS),
        *(row.provenance for row in RESPONSE_HEADERS),
        *(provenance for _, provenance in (*FIELDS.values(), *RESPONSE_FIELDS.values())),
        *(row.provenance for row in (*REQUESTS, *ANSWERS, *STREAMING, *LIMITS, *ROUTING, CHECKS, ENVELOPE, VALIDATION)),
        *(FRAMING.provenance, STREAM_FAILURE.provenance),  # of the two examples of a stream
        *(DOCUMENTED for _ in (*COMMON_ERRORS, *QUICK_TIPS)),
        *(PLANS_SOURCE, MOCK),  # of plans and of test keys
        *(row.provenance for stream in (False, True) for row in snippets(stream=stream)),
    ]
    for source, besides in ((Source.ASSUMED, 1), (Source.DOCUMENTED, 7), (Source.MOCK, 1)):
        shown = page.values("class").count(f"mark {source}")
        assert shown == besides + sum(provenance.source is source for provenance in marked)
    text = page.text.lower()
    reasons = {provenance.reason for provenance in marked if provenance.source is Source.ASSUMED}
    assert [reason for reason in reasons if reason.replace("`", "").rstrip(".").lower() not in text] == []


def test_switches_are_named_where_a_clause_has_one(page: ParsedPage) -> None:
    knobs = [
        knob
        for knob in (*(row.knob for row in ERRORS), *(row.knob for row in (*REQUESTS, *STREAMING, *LIMITS, *ROUTING)))
        if knob
    ]
    assert knobs
    assert [knob for knob in knobs if f"Switch: {knob} in the world file." not in page.text] == []


def test_the_response_fields_are_the_keys_of_an_answer_in_order() -> None:
    flat = []
    for name, value in EXAMPLE_RESPONSE.items():
        flat += [f"{name}.{inner}" for inner in value] if isinstance(value, dict) else [name]
    assert list(RESPONSE_FIELDS) == flat


def test_the_silence_before_a_comment_is_the_one_the_mock_keeps() -> None:
    assert GatewaySettings().keep_alive_s == KEEP_ALIVE_S


def test_defaults_are_those_of_the_requests_type(page: ParsedPage) -> None:
    for row in ("stream boolean false", 'strategy.mode string "auto"', "messages array required", "max_tokens integer"):
        assert row in page.text
    assert "strategy.max_attempts integer 3" in page.text


def test_the_markup_is_well_formed(page: ParsedPage) -> None:
    assert page.source.startswith('<!DOCTYPE html>\n<html lang="en">')
    assert page.misnested == []
    ids = page.values("id")
    assert len(ids) == len(set(ids))
    levels = [int(name[1]) for name, _ in page.elements if name in ("h1", "h2", "h3", "h4")]
    assert levels[0] == 1
    assert levels.count(1) == 1
    assert all(later <= earlier + 1 for earlier, later in pairwise(levels))
    names = [name for name, _ in page.elements]
    assert [names.count(landmark) for landmark in ("main", "nav", "header", "footer")] == [1, 1, 1, 1]
    assert names.count("caption") == names.count("table") > 0
    assert all("scope" in found for name, found in page.elements if name == "th")


def test_every_reference_within_the_page_resolves(page: ParsedPage) -> None:
    ids = set(page.values("id"))
    links = [target for target in page.values("href") if target != "data:,"]
    assert links
    assert [target for target in links if target[0] != "#" or target[1:] not in ids] == []
    others = [
        name for attribute in ("for", "aria-labelledby", "aria-describedby", "list") for name in page.values(attribute)
    ]
    assert [name for name in others if name not in ids] == []


def test_nothing_runs_that_the_policy_does_not_name(page: ParsedPage) -> None:
    assert [key for _, found in page.elements for key in found if key.startswith("on") or key in ("style", "src")] == []
    assert "default-src 'none'" in page.values("content")[0]
    assert "unsafe" not in page.values("content")[0]


def test_chinese_is_marked_as_such(page: ParsedPage) -> None:
    assert page.source.count("写一个产品介绍") == page.source.count('<span lang="zh">写一个产品介绍</span>') + 1
    assert ("textarea", "zh") in [(name, found.get("lang")) for name, found in page.elements]


@given(st.text())
def test_any_text_is_shown_as_it_is(plain: str) -> None:
    shown = tag("p", plain, title=plain)
    found = re.fullmatch(r'<p title="([^"]*)">(.*)</p>', shown, re.DOTALL)
    assert found is not None
    assert unescape(found[1]) == plain
    inner = found[2].replace('<span lang="zh">', "").replace("</span>", "")
    assert not set(inner) & set('<>"')
    assert unescape(inner) == plain


def test_only_code_between_backticks_becomes_markup() -> None:
    assert prose("a `<b>` & c") == "a <code>&lt;b&gt;</code> &amp; c"
    assert tag("p", "<script>", prose("`x`"), hidden=False) == "<p>&lt;script&gt;<code>x</code></p>"

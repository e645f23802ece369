"""Bodies: what is refused, with which words, and that nothing whatever raises."""

from __future__ import annotations

import json
from typing import Any

import msgspec
import pytest
from hypothesis import example, given
from hypothesis import strategies as st

from mock_server.contract.errors import INVALID_REQUEST, Refusal
from mock_server.contract.messages import MAX_TOKENS, MODES, ChatRequest, text_of
from mock_server.contract.reading import read_request

INVALID = "Invalid request parameters: "
MISSING = "Missing required message content: "
USER = {"role": "user", "content": "hi"}
DEEP = 100_000


def body(**fields: Any) -> bytes:
    return json.dumps({"messages": [USER], **fields}, ensure_ascii=False).encode()


def content(value: object) -> bytes:
    return body(messages=[{"role": "user", "content": value}])


def as_json(request: ChatRequest) -> dict[str, Any]:
    found: dict[str, Any] = json.loads(msgspec.json.encode(request))
    return found


def refusal(raw: bytes, *, strict: bool = False) -> Refusal:
    result = read_request(raw, strict=strict)
    assert isinstance(result, Refusal), result
    assert result.kind is INVALID_REQUEST
    assert result.retry_after is None
    assert "\n" not in result.message
    return result


MISSING_CASES = [
    (b"{}", "messages", "messages is missing"),
    (body(messages=[]), "messages", "messages is empty"),
    (body(messages=None), "messages", "messages is null"),
    (body(messages=[{"role": "user"}]), "messages[0].content", "is missing"),
    (content(None), "messages[0].content", "is null"),
    (content(""), "messages[0].content", "is blank"),
    (content(" \t\n\u3000"), "messages[0].content", "is blank"),
    (content([]), "messages[0].content", "is empty"),
    (content([{"type": "text", "text": " "}, {"type": "text", "text": ""}]), "messages[0].content", "is blank"),
    (body(messages=[USER, {"role": "system", "content": " "}]), "messages[1].content", "is blank"),
    (body(messages=[USER, {"role": "assistant"}]), "messages[1].content", "is missing"),
    (body(messages=[USER, {"role": "tool", "content": None}]), "messages[1].content", "is null"),
]


@pytest.mark.parametrize(("raw", "field", "words"), MISSING_CASES, ids=str)
def test_missing_content_is_said_in_the_documented_words(raw: bytes, field: str, words: str) -> None:
    found = refusal(raw)
    assert found.field == field
    assert found.message.startswith(MISSING + field)
    assert found.message.endswith(words)


FIELD_CASES = [
    (body(messages="hi"), "messages", "must be array, not string"),
    (body(messages=[USER] * 1_001), "messages", "must be array of length <= 1000"),
    (body(messages=[{"role": "system", "content": "x"}]), "messages", "has no message with the role user"),
    (body(messages=[{"role": "assistant", "content": None}]), "messages", "has no message with the role user"),
    (body(messages=[1]), "messages[0]", "must be object, not integer"),
    (body(messages=[USER, None]), "messages[1]", "must be object, not null"),
    (body(messages=[{"content": "x"}]), "messages[0].role", "is missing"),
    (body(messages=[{"role": 5, "content": "x"}]), "messages[0].role", "must be one of system, developer, user"),
    (body(messages=[USER, {"role": "robot", "content": "x"}]), "messages[1].role", "assistant, tool, not 'robot'"),
    (content(7), "messages[0].content", "must be string or array, not integer"),
    (content({}), "messages[0].content", "must be string or array, not object"),
    (content(["x"]), "messages[0].content[0]", "must be object, not string"),
    (content([{"type": "image", "text": "x"}]), "messages[0].content[0].type", "must be one of text, not 'image'"),
    (content([{"text": "x"}]), "messages[0].content[0].type", "is missing"),
    (content([{"type": "text"}]), "messages[0].content[0].text", "is missing"),
    (content([{"type": "text", "text": 1}]), "messages[0].content[0].text", "must be string, not integer"),
    (body(stream="yes"), "stream", "must be boolean, not string"),
    (body(stream=1), "stream", "must be boolean, not integer"),
    (body(stream=None), "stream", "must be boolean, not null"),
    (body(max_tokens=0), "max_tokens", "must be integer >= 1"),
    (body(max_tokens=-1), "max_tokens", "must be integer >= 1"),
    (body(max_tokens=MAX_TOKENS + 1), "max_tokens", "must be integer <= 131072"),
    (body(max_tokens=10**40), "max_tokens", ""),
    (body(max_tokens=2.5), "max_tokens", "must be integer, not number"),
    (body(max_tokens="7"), "max_tokens", "must be integer, not string"),
    (body(max_tokens=True), "max_tokens", "must be integer, not boolean"),
    (body(max_tokens=None), "max_tokens", "must be integer, not null"),
    (body(strategy="auto"), "strategy", "must be object, not string"),
    (body(strategy=None), "strategy", "must be object, not null"),
    (body(strategy=[]), "strategy", "must be object, not array"),
    (body(strategy={"mode": "best"}), "strategy.mode", f"must be one of {', '.join(MODES)}, not 'best'"),
    (body(strategy={"mode": None}), "strategy.mode", f"must be one of {', '.join(MODES)}"),
    (body(strategy={"models": "gpt"}), "strategy.models", "must be array, not string"),
    (body(strategy={"models": ["a", 1]}), "strategy.models[1]", "must be string, not integer"),
    (body(strategy={"exclude_models": [""]}), "strategy.exclude_models[0]", "must be string of length >= 1"),
    (body(strategy={"providers": []}), "strategy.providers", "must be object, not array"),
    (body(strategy={"providers": {"only": "openai"}}), "strategy.providers.only", "must be array, not string"),
    (body(strategy={"providers": {"ignore": {}}}), "strategy.providers.ignore", "must be array, not object"),
    (body(strategy={"providers": {"order": [None]}}), "strategy.providers.order[0]", "must be string, not null"),
    (body(strategy={"max_price_per_1m": -0.1}), "strategy.max_price_per_1m", "must be number >= 0"),
    (body(strategy={"max_price_per_1m": "cheap"}), "strategy.max_price_per_1m", "must be number, not string"),
    (
        b'{"messages":[{"role":"user","content":"x"}],"strategy":{"max_latency_ms":1e999}}',
        "strategy.max_latency_ms",
        "",
    ),
    (body(strategy={"min_throughput_tps": True}), "strategy.min_throughput_tps", "must be number, not boolean"),
    (body(strategy={"allow_fallbacks": "no"}), "strategy.allow_fallbacks", "must be boolean, not string"),
    (body(strategy={"max_attempts": 0}), "strategy.max_attempts", "must be integer >= 1"),
    (body(strategy={"max_attempts": 11}), "strategy.max_attempts", "must be integer <= 10"),
]


@pytest.mark.parametrize(("raw", "field", "words"), FIELD_CASES, ids=lambda value: str(value)[:60])
def test_the_field_at_fault_is_named(raw: bytes, field: str, words: str) -> None:
    found = refusal(raw)
    assert found.field == field
    assert found.message.startswith(f"{INVALID}{field} ")
    assert words in found.message


BODY_CASES = [
    (b"", "the body is empty"),
    (b" \r\n ", "the body is empty"),
    (b"[]", "must be object, not array"),
    (b"null", "must be object, not null"),
    (b'"text"', "must be object, not string"),
    (b"messages=hi", "not valid JSON"),
    (body()[:-1], "not valid JSON"),
    (body() + b"x", "not valid JSON"),
    (b"\xef\xbb\xbf" + body(), "not valid JSON"),
    (body(extra=float("nan")), "not valid JSON"),
    (b'{"messages":[{"role":"user","content":"a\x00b"}]}', "not valid JSON"),
    (b'{"messages":[{"role":"user","content":"\\ud800"}]}', "lone surrogate"),
    (b'{"messages":[{"role":"user","content":"\\udc00 x"}]}', "lone surrogate"),
    (b'{"messages":[{"role":"user","content":"\xff"}]}', "not valid UTF-8 at byte 39"),
    (b'{"messages":[{"role":"user","content":"\xed\xa0\x80"}]}', "not valid UTF-8 at byte 39"),
    (json.dumps({"messages": [USER]}).encode("utf-16"), "not valid UTF-8 at byte 0"),
    (json.dumps({"messages": [USER]}).encode("utf-16-le"), "not valid JSON"),
    (b"[" * DEEP, "must be object, not array"),
    (body()[:-1] + b',"x":' + b"[" * DEEP + b"]" * DEEP + b"}", "nested too deeply"),
    (body()[:-1] + b',"x":' + b'{"a":' * DEEP + b"1" + b"}" * DEEP + b"}", "nested too deeply"),
]


@pytest.mark.parametrize(("raw", "words"), BODY_CASES, ids=lambda value: str(value)[:60])
def test_bodies_that_are_no_request_say_why(raw: bytes, words: str) -> None:
    for strict in (False, True):
        found = refusal(raw, strict=strict)
        assert found.message.startswith(INVALID)
        assert words in found.message


@pytest.mark.parametrize(
    ("raw", "field"),
    [
        (body(temperature=1), "temperature"),
        (body(strategy={"fallback": True}), "strategy.fallback"),
        (body(strategy={"providers": {"never": []}}), "strategy.providers.never"),
        (body(messages=[USER, {**USER, "name": "bo"}]), "messages[1].name"),
        (content([{"type": "text", "text": "x", "lang": "en"}]), "messages[0].content[0].lang"),
    ],
)
def test_unknown_fields_are_ignored_unless_strict(raw: bytes, field: str) -> None:
    assert isinstance(read_request(raw), ChatRequest)
    found = refusal(raw, strict=True)
    assert found.field == field
    assert found.message.startswith(f"{INVALID}{field} is not a known field; known here: ")


@pytest.mark.parametrize(
    "extra",
    [b'"x":1' + b"0" * 400, b'"x":1e999', b'"x":-1' + b"0" * 5_000, b'"a\\nb":1', b'"x":' + b"[" * 600 + b"]" * 600],
    ids=lambda value: str(value)[:20],
)
def test_strictness_never_raises_on_what_it_was_not_going_to_read(extra: bytes) -> None:
    raw = body()[:-1] + b"," + extra + b"}"
    read_request(raw)
    assert refusal(raw, strict=True).message.startswith(INVALID)


@pytest.mark.parametrize("strict", [False, True])
def test_strict_reading_accepts_everything_documented(strict: bool) -> None:
    everything = {
        "messages": [
            {"role": "system", "content": "x"},
            {"role": "developer", "content": [{"type": "text", "text": "y"}]},
            {"role": "assistant", "content": None},
            {"role": "tool", "content": "z"},
            USER,
        ],
        "strategy": {
            "mode": "cost",
            "models": ["*"],
            "exclude_models": ["x"],
            "providers": {"only": ["a"], "ignore": ["b"], "order": ["c"]},
            "max_price_per_1m": 1,
            "max_latency_ms": 2.5,
            "min_throughput_tps": 0,
            "allow_fallbacks": False,
            "max_attempts": 10,
        },
        "stream": True,
        "max_tokens": MAX_TOKENS,
    }
    request = read_request(json.dumps(everything).encode(), strict=strict)
    assert isinstance(request, ChatRequest)
    assert as_json(request) == everything


json_values = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats() | st.text(st.characters(), max_size=8),
    lambda inner: st.lists(inner, max_size=4) | st.dictionaries(st.text(max_size=6), inner, max_size=4),
    max_leaves=12,
)
messages = st.fixed_dictionaries(
    {}, optional={"role": st.sampled_from(["user", "assistant", "x"]) | json_values, "content": json_values}
)
shaped = st.fixed_dictionaries(
    {"messages": st.lists(messages, max_size=3) | json_values},
    optional={
        "strategy": st.fixed_dictionaries({}, optional={"mode": json_values, "providers": json_values}) | json_values,
        "stream": json_values,
        "max_tokens": json_values,
    },
)


@given(st.binary() | st.binary().map(lambda raw: body()[:-1] + raw), st.booleans())
def test_no_bytes_raise(raw: bytes, strict: bool) -> None:
    result = read_request(raw, strict=strict)
    assert isinstance(result, ChatRequest) or result.message.startswith((INVALID, MISSING))


@given(json_values | shaped, st.booleans(), st.booleans())
def test_no_json_raises_whatever_its_shape(document: object, strict: bool, ascii_only: bool) -> None:
    raw = json.dumps(document, ensure_ascii=ascii_only).encode("utf-8", "surrogatepass")
    result = read_request(raw, strict=strict)
    assert isinstance(result, ChatRequest) or result.message.startswith((INVALID, MISSING))


texts = st.text(min_size=1).filter(lambda text: text.strip() != "")
requests = st.fixed_dictionaries(
    {"messages": st.lists(st.fixed_dictionaries({"role": st.just("user"), "content": texts}), min_size=1, max_size=3)},
    optional={
        "stream": st.booleans(),
        "max_tokens": st.integers(1, MAX_TOKENS),
        "strategy": st.fixed_dictionaries({"mode": st.sampled_from(MODES[1:])}),
    },
)


@given(requests, st.booleans())
def test_valid_requests_are_read_as_they_were_meant(document: dict[str, Any], ascii_only: bool) -> None:
    request = read_request(json.dumps(document, ensure_ascii=ascii_only).encode(), strict=True)
    assert isinstance(request, ChatRequest)
    assert [text_of(message) for message in request.messages] == [row["content"] for row in document["messages"]]
    again = read_request(msgspec.json.encode(request), strict=True)
    assert again == request
    assert as_json(request) | document == as_json(request)


BEGINNINGS = ["写", "a写", "写/", '"写', "写\n", "a"]
ENDS = ["", '"', "\\", "\n", "é"]


@st.composite
def long_bodies(draw: st.DrawFn) -> bytes:
    """A long text, perhaps with escapes, beside unknown fields that begin like it; perhaps one byte is no UTF-8."""
    begins = draw(st.sampled_from(BEGINNINGS))
    text = f"{begins}{draw(st.sampled_from(ENDS))}{'产品' * 300}{draw(st.sampled_from(ENDS))}"
    other = st.sampled_from([text, text[:20], begins, 'x"' + text[:20], "\\" + text[:20], "", {text[:30]: text}])
    fields: list[tuple[str, Any]] = [("messages", [{"role": "user", "content": text}, USER])]
    fields += [(f"{draw(st.sampled_from(['a', 'z']))}{n}", draw(other)) for n in range(draw(st.integers(0, 3)))]
    spelled = []
    for name, value in sorted(fields, key=lambda field: field[0]):
        escaped = draw(st.sampled_from([False, False, True]))
        spelled.append(f'"{name}":{json.dumps(value, ensure_ascii=escaped)}')
    body = bytearray(f"{{{','.join(spelled)}}}".encode())
    strange = [at for at, byte in enumerate(body) if byte > 0x7F]
    spoilt = draw(st.booleans())
    if strange and spoilt:
        body[draw(st.sampled_from(strange))] = draw(st.sampled_from([0xFF, 0x80, 0xE5]))
    return bytes(body)


TEXT = "写一个产品介绍" * 100
RAW, ESCAPED = (json.dumps(TEXT, ensure_ascii=escaped)[1:-1].encode() for escaped in (False, True))


@given(long_bodies())
@example(b'{"a":"%b\xff","messages":[{"role":"user","content":"%b"}]}' % (RAW, RAW))
@example(b'{"a":"%b\xff","messages":[{"role":"user","content":"%b"}]}' % (RAW, ESCAPED))
@example(b'{"messages":[{"role":"user","content":"%b"}],"z":"%b\xff"}' % (ESCAPED, RAW))
@example(b'{"a":"/%b\xff","messages":[{"role":"user","content":"\\/%b"}]}' % (RAW, RAW))
@example(b'{"a":"\\"%b","b":"\xff","messages":[{"role":"user","content":"%b"}]}' % (ESCAPED, RAW))
@example(b'{"messages":[{"role":"user","content":"%b\\""}],"z":"\xff"}' % RAW)
@example(b'{"a":"\\"%b\xff","messages":[{"role":"user","content":"%b"}]}' % (RAW, ESCAPED))
def test_bytes_that_are_no_utf_8_are_found_wherever_they_are(body: bytes) -> None:
    found, wrong_at = read_request(body), None
    try:
        body.decode()
    except UnicodeDecodeError as error:
        wrong_at = error.start
    if wrong_at is None:
        assert isinstance(found, ChatRequest)
    else:
        assert isinstance(found, Refusal)
        assert found.message.endswith(f"the body is not valid UTF-8 at byte {wrong_at}")

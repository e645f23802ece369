"""Body bytes to a typed request, or a refusal that names the field at fault."""

from __future__ import annotations

import json
import re
from collections.abc import Iterator
from typing import Any, Final

import msgspec

from mock_server.contract.errors import INVALID_REQUEST, MISSING_CONTENT, Refusal
from mock_server.contract.messages import MODES, ChatRequest, ProviderPolicy, Strategy, UserMessage, text_of

_DECODER: Final = msgspec.json.Decoder(ChatRequest)
_LONG: Final = 512  # characters of a text that takes long enough to decode
_SPELLED_OTHERWISE: Final = re.compile(r'["\\/\0-\x1f]')
_AT: Final = re.compile(r"^(?P<reason>.*?)(?: - at `\$\.?(?P<path>.*)`)?$", re.DOTALL)
_MISSING: Final = re.compile(r"Object missing required field `(.+)`")
_EXPECTED: Final = re.compile(r"Expected `(?P<wanted>.+?)`(?:, got `(?P<got>.+)`)?(?P<rest>.*)$", re.DOTALL)
_BAD_VALUE: Final = re.compile(r"Invalid (?:enum )?value (.*)$", re.DOTALL)
_SHOWN_CHARS: Final = 60
_JSON_NAMES: Final = {"str": "string", "int": "integer", "float": "number", "bool": "boolean"}
_CONTENT: Final = re.compile(r"^messages(\[\d+\](\.content)?)?$")

_ALLOWED: Final[tuple[tuple[re.Pattern[str], str], ...]] = (
    (re.compile(r"\.role$"), "system, developer, user, assistant, tool"),
    (re.compile(r"^strategy\.mode$"), ", ".join(MODES)),
    (re.compile(r"\.type$"), "text"),
)


def read_request(body: bytes, *, strict: bool = False) -> ChatRequest | Refusal:
    """Decode and check ``body``; with ``strict``, unknown fields are refused too. Never raises."""
    try:
        request = _decode(body)
    except msgspec.ValidationError as error:
        return _invalid(*_explain(str(error)))
    except UnicodeDecodeError as error:
        return _invalid("", f"the body is not valid UTF-8 at byte {error.start}")
    except RecursionError:
        return _invalid("", "the body is nested too deeply")
    except msgspec.DecodeError as error:
        return _invalid("", _explain_syntax(body, str(error)))
    return _check_meaning(request) or (_check_unknown(body) if strict else None) or request


def _decode(body: bytes) -> ChatRequest:
    """Decode a body. Raises what msgspec raises, or ``UnicodeDecodeError`` wherever it is not UTF-8."""
    if body.isascii():
        return _DECODER.decode(body)
    try:
        request = _DECODER.decode(body)
    except (msgspec.MsgspecError, RecursionError, UnicodeDecodeError):
        body.decode()
        raise
    start, end = _longest_text(body, request)
    try:  # msgspec has not looked at what it skipped, unknown fields; the longest text need not be decoded twice
        (body[:start] + body[end:]).decode()
    except UnicodeDecodeError:
        body.decode()
        raise
    return request


def _longest_text(body: bytes, request: ChatRequest) -> tuple[int, int]:
    """Where the longest text, or its part up to a quote, stands in the body; (0, 0) where that is not certain.

    JSON can spell the first characters of the text only as they are or with ``\\u``. If a quote and these stand in one
    place only, and there is no ``\\u`` around it, the text begins there.
    """
    text = max((m.content for m in request.messages if isinstance(m.content, str)), key=len, default="")
    first = text[:16]
    if len(text) < _LONG or _SPELLED_OTHERWISE.search(first):
        return 0, 0
    begins = b'"%b' % first.encode()
    start = body.find(begins)
    end = body.find(b'"', start + 1)
    if start < 0 or body.find(begins, end) >= 0:
        return 0, 0
    return (0, 0) if body.find(b"\\u", 0, start) >= 0 or body.find(b"\\u", end) >= 0 else (start + 1, end)


def _check_meaning(request: ChatRequest) -> Refusal | None:
    asked = False
    for index, message in enumerate(request.messages):
        if type(message) is UserMessage:
            asked = True
        content = message.content
        if content is not None:
            text = content if type(content) is str else text_of(message)
            if not text or text.isspace():
                return _missing(f"messages[{index}].content", "is blank")
    return None if asked else _invalid("messages", "has no message with the role user")


def _explain(error: str) -> tuple[str, str]:
    """Turn msgspec's sentence into (path of the field, what is wrong with it)."""
    match = _AT.match(error)
    reason, path = (match["reason"], match["path"] or "") if match else (error, "")
    if missing := _MISSING.search(reason):
        return f"{path}.{missing[1]}".lstrip("."), "is missing"
    for pattern, allowed in _ALLOWED:
        if pattern.search(path):
            bad = _BAD_VALUE.match(reason)
            return path, f"must be one of {allowed}" + (f", not {_cut(bad[1])}" if bad else "")
    expected = _EXPECTED.match(reason)
    if expected is None:
        return path, reason[:1].lower() + reason[1:]
    wanted, got, rest = _in_json(expected["wanted"]), _in_json(expected["got"] or ""), expected["rest"].strip()
    if wanted == "array" and rest == "of length >= 1":
        return path, "is empty"
    return path, f"must be {wanted}" + (f" {rest}" if rest else "") + (f", not {got}" if got else "")


def _in_json(types: str) -> str:
    """Python's names of types as JSON names them."""
    return " or ".join(_JSON_NAMES.get(name, name) for name in types.split(" | "))


def _cut(value: str) -> str:
    """A bad value as it is repeated in a message: not at any length."""
    return value if len(value) <= _SHOWN_CHARS else value[:_SHOWN_CHARS] + "…"


def _explain_syntax(body: bytes, error: str) -> str:
    """Say why ``body`` is not JSON; msgspec takes a lone surrogate for a truncated document."""
    if not body.strip():
        return "the body is empty"
    try:
        json.loads(body)
    except (ValueError, RecursionError):
        return f"the body is not valid JSON: {error}"
    if re.search(rb"\\u[dD][89a-fA-F]", body):
        return "the body is not valid JSON: a \\u escape is a lone surrogate"
    return f"the body is not valid JSON: {error}"


def _invalid(field: str, reason: str) -> Refusal:
    if _CONTENT.match(field) and reason in ("is missing", "is empty", "is blank", *_NULLS):
        return _missing(field, "is null" if reason in _NULLS else reason)
    where = reason if reason.startswith("the body") else f"{field or 'the body'} {reason}"
    return Refusal(INVALID_REQUEST, f"{INVALID_REQUEST.message}: {where}", field=field)


_NULLS: Final = ("must be string or array, not null", "must be array, not null")


def _missing(field: str, reason: str) -> Refusal:
    return Refusal(INVALID_REQUEST, f"{MISSING_CONTENT}: {field} {reason}", field=field)


def _check_unknown(body: bytes) -> Refusal | None:
    try:
        document = json.loads(body, parse_int=float)  # unlike msgspec's, it takes numbers of any size
    except RecursionError:
        return _invalid("", "the body is nested too deeply")
    for field, allowed in _unknown_fields(document):
        shown = _cut(field if field.isprintable() else ascii(field))
        return _invalid(shown, f"is not a known field; known here: {', '.join(allowed)}")
    return None


def _unknown_fields(document: Any) -> Iterator[tuple[str, tuple[str, ...]]]:
    yield from _beyond(document, ChatRequest.__struct_fields__, "")
    strategy = document.get("strategy", {})
    yield from _beyond(strategy, Strategy.__struct_fields__, "strategy.")
    yield from _beyond(strategy.get("providers", {}), ProviderPolicy.__struct_fields__, "strategy.providers.")
    for index, message in enumerate(document["messages"]):
        yield from _beyond(message, ("role", "content"), f"messages[{index}].")
        parts = message["content"] if isinstance(message["content"], list) else []
        for number, part in enumerate(parts):
            yield from _beyond(part, ("type", "text"), f"messages[{index}].content[{number}].")


def _beyond(found: dict[str, object], known: tuple[str, ...], prefix: str) -> Iterator[tuple[str, tuple[str, ...]]]:
    for name in found:
        if name not in known:
            yield prefix + name, known

"""The calls of a script, as a scenario file writes them: one ``[[call]]`` table each."""

from __future__ import annotations

import re
from collections.abc import Iterable, Iterator
from difflib import get_close_matches
from typing import Annotated, Any, Final

import msgspec
from msgspec import Meta

from mock_server.contract.errors import BY_CODE
from mock_server.contract.messages import MAX_TOKENS
from scenarios.model.workload import ENDPOINT, Call, chat

# Several times what a body may have by the contract: enough to provoke a refusal, too little to fill the memory.
_MOST_CHARACTERS: Final = 16 << 20
_TOKEN: Final = re.compile(r"[A-Za-z0-9!#$%&'*+.^_`|~-]+")
_HEADER_VALUE: Final = re.compile(r"[\x20-\x7e]*")
_PATH: Final = re.compile(r"/[\x21-\x7e]*")


class ScriptedCall(msgspec.Struct, frozen=True, forbid_unknown_fields=True, omit_defaults=True):
    """One call: a question, ``ask`` said ``repeat`` times, with the API's own fields; or a ``body`` sent as it stands.

    ``kind`` is its name in the report. ``key`` replaces the run's API key; ``expect`` is the error code it provokes on
    purpose. What is ``mock_only`` means nothing to, or costs too much at, a real gateway, and is left out there.
    """

    kind: str
    ask: str | None = None
    repeat: Annotated[int, Meta(ge=1, le=_MOST_CHARACTERS)] = 1
    stream: bool = False
    strategy: dict[str, Any] | None = None
    max_tokens: Annotated[int, Meta(ge=1, le=MAX_TOKENS)] | None = None
    body: str | None = None
    key: str = ""
    method: str = "POST"
    path: str = ENDPOINT
    headers: dict[str, str] = {}
    content_type: str = "application/json"
    expect: str | None = None
    mock_only: bool = False


def contradictions(call: ScriptedCall) -> Iterator[tuple[tuple[str, ...], str]]:
    """What makes a call impossible, by the path of a key below its table."""
    if not call.kind or len(call.kind) > 64 or not call.kind.isprintable():
        yield ("kind",), "must be a name of 1 to 64 characters"
    if (call.ask is None) == (call.body is None):
        yield ("ask",), "a call has either ask, a question, or body, the whole request as it is sent"
    if call.ask is not None and len(call.ask) * call.repeat > _MOST_CHARACTERS:
        yield ("repeat",), f"makes a question of more than {_MOST_CHARACTERS:,} characters"
    if call.body is not None:
        for key, given in (("strategy", call.strategy), ("max_tokens", call.max_tokens), ("repeat", call.repeat - 1)):
            if given:
                yield (key,), "is for a question; a body is sent as it stands"
    if call.expect is not None and call.expect not in BY_CODE:
        near = get_close_matches(call.expect, BY_CODE, n=1)
        guess = f"; did you mean {near[0]!r}?" if near else ""
        yield ("expect",), f"must be one of {', '.join(BY_CODE)}, not {call.expect!r}{guess}"
    yield from _unsendable(call)


def _unsendable(call: ScriptedCall) -> Iterator[tuple[tuple[str, ...], str]]:
    """What cannot stand in the head of a request."""
    if not _TOKEN.fullmatch(call.method):
        yield ("method",), f"must be an HTTP method such as POST, not {call.method!r}"
    if not _PATH.fullmatch(call.path):
        yield ("path",), f"must begin with / and hold no spaces, not {call.path!r}"
    texts: dict[tuple[str, ...], str] = {("key",): call.key, ("content_type",): call.content_type}
    for name, value in call.headers.items():
        texts["headers", name] = value
        if not _TOKEN.fullmatch(name):
            yield ("headers", name), "is no name of a header"
    for path, value in texts.items():
        if not _HEADER_VALUE.fullmatch(value):
            yield path, "must be printable ASCII to stand in a header"


def scripted_calls(calls: Iterable[ScriptedCall], *, mock: bool) -> tuple[Call, ...]:
    """The calls in order; without those only the mock can answer unless the target is one."""
    return tuple(map(_call, (call for call in calls if mock or not call.mock_only)))


def _call(call: ScriptedCall) -> Call:
    if call.body is not None:
        body = call.body.encode()
    else:
        extra: dict[str, Any] = {} if call.max_tokens is None else {"max_tokens": call.max_tokens}
        body = chat((call.ask or "") * call.repeat, strategy=call.strategy, stream=call.stream, **extra)
    return Call(
        kind=call.kind,
        body=body,
        stream=call.stream,
        expected=call.expect,
        key=call.key,
        method=call.method,
        path=call.path,
        headers=tuple(call.headers.items()),
        content_type=call.content_type,
    )


def limited(call: ScriptedCall, max_tokens: int) -> ScriptedCall:
    """The call with no answer longer than ``max_tokens``; what only the mock answers costs nothing and stays."""
    if call.mock_only:
        return call
    if call.body is None:
        return msgspec.structs.replace(call, max_tokens=min(call.max_tokens or max_tokens, max_tokens))
    try:
        document = msgspec.json.decode(call.body)
    except msgspec.DecodeError:
        return call
    if not isinstance(document, dict):
        return call
    asked = document.get("max_tokens")
    document["max_tokens"] = min(asked, max_tokens) if isinstance(asked, int) else max_tokens
    return msgspec.structs.replace(call, body=msgspec.json.encode(document).decode())

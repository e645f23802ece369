"""What a gateway is asked: one table of requests, in the order they are sent.

Almost all of them cost nothing on a gateway that keeps the contract. Where a request has to be valid to show something,
it asks for a model that there is not, so that it is refused when it is routed, after every check that is of interest;
where it has to be invalid, it does so too, so that a gateway that takes it has nothing to charge.
"""

from __future__ import annotations

from typing import Any, Final

import msgspec
from msgspec import Struct

from mock_server.contract.endpoints import LLM_AUTO
from mock_server.contract.examples import DOCUMENTED_REQUEST
from mock_server.contract.messages import MAX_BODY_BYTES, MAX_MESSAGES, MAX_TOKENS, MODES, Strategy
from mock_server.contract.tokens import PER_MESSAGE, PER_REPLY, estimate
from mock_server.core.world import ConnectionSettings
from mock_server.kit.conform.defaults import GIVABLE
from mock_server.kit.conform.wire import Lines

OWN: Final = "own"
UNKNOWN: Final = "unknown"
NO_KEY: Final = ""
ATTEMPTS: Final = Strategy().max_attempts
"""How many providers may be paid for one call, should a gateway charge for failovers."""

JSON: Final = "application/json"
NOWHERE: Final = "conform-no-such-model"
NOWHERE_PROBE: Final = "nowhere"
NO_PROVIDER: Final = "conform-no-such-provider"
IDEMPOTENCY_KEY: Final = "Idempotency-Key"
_ANSWER_TOKENS: Final = 16
_HEAD_BYTES: Final = ConnectionSettings().head_bytes
TOO_LONG_WORDS: Final = 2_000_000


class Probe(Struct, frozen=True):
    """One request. ``body`` is a JSON value, or bytes as they are sent.

    ``key`` says whose key it carries: that of the caller, one that nobody knows, none, or one that the caller gave for
    a status. ``costs`` is how many tokens one attempt to answer it takes at worst, 0 where no gateway could answer it.
    ``padded`` is how many bytes long the body is made with spaces, ``words`` how many words the one message has, where
    they are too many to keep. ``tries`` is how often it may be sent in all, until an answer comes that is not the
    gateway's failure, or that has ``until_status``.
    """

    name: str
    asks: str
    body: Any = b""
    key: str = OWN
    content_type: str = JSON
    scheme: str = "Bearer "
    lines: Lines = ()
    method: str = LLM_AUTO.method
    path: str = LLM_AUTO.path
    costs: int = 0
    padded: int = 0
    words: int = 0
    tries: int = 1
    until_status: int = 0

    @property
    def nowhere(self) -> bool:
        """Whether it asks for a model that there is not."""
        strategy = self.body.get("strategy") if isinstance(self.body, dict) else None
        return isinstance(strategy, dict) and strategy.get("models") == [NOWHERE]

    def content(self) -> bytes:
        """The body's bytes."""
        if isinstance(self.body, bytes):
            return self.body
        body = self.body | {"messages": [_user("a " * self.words)]} if self.words else self.body
        return msgspec.json.encode(body).ljust(self.padded)


def _user(content: Any = "hi", role: str = "user") -> dict[str, Any]:
    return {"role": role, "content": content}


def _call(*messages: Any, strategy: dict[str, Any] | None = None, **fields: Any) -> dict[str, Any]:
    """A call that no model can answer, but for what is changed about it."""
    chosen = {"models": [NOWHERE]} | (strategy or {})
    return {"messages": list(messages or (_user(),)), "strategy": chosen, "max_tokens": 1} | fields


def _only(**strategy: Any) -> dict[str, Any]:
    """A valid call with these constraints alone."""
    return {"messages": [_user()], "strategy": strategy, "max_tokens": 1}


def _cost(body: Any) -> int:
    """Tokens of one answer at worst: the prompt by the contract's estimate, doubled, and what the answer may have."""
    prompt = estimate(msgspec.json.encode(body.get("messages", [])).decode())
    most = body.get("max_tokens", 1)
    return PER_REPLY + PER_MESSAGE + 2 * prompt + (most if isinstance(most, int) else 1)


def _probe(name: str, asks: str, body: Any, **settings: Any) -> Probe:
    free = not isinstance(body, dict) or settings.get("key") in (NO_KEY, UNKNOWN)
    return Probe(name, asks, body, costs=0 if free else _cost(body), **settings)


_PAID: Final = DOCUMENTED_REQUEST | {"max_tokens": _ANSWER_TOKENS}
_LONG_HEAD: Final = (("X-Conform-Filler", "x" * (_HEAD_BYTES + 1)),)
_ONCE: Final = ((IDEMPOTENCY_KEY, "{idempotency}"),)

FIRST: Final = _probe("body.truncated", "a JSON document that breaks off", b'{"messages": [{"role": "user"')
"""Shows whether there is such a gateway, and whether it knows the key; nobody can answer it."""

_ANSWERED: Final = (
    _probe("plain", "the documented example", _PAID, lines=_ONCE, tries=2),
    _probe("stream", "the documented example, streamed", _PAID | {"stream": True}, tries=2),
)
_ROUTED_NOWHERE: Final = (
    _probe(NOWHERE_PROBE, "a model that there is not", _call()),
    _probe("nowhere.stream", "a model that there is not, streamed", _call(stream=True)),
)
_KEYS: Final = (
    _probe("key.none", "no key", _call(), key=NO_KEY),
    _probe("key.unknown", "an unknown key", _call(), key=UNKNOWN),
    _probe("key.other_scheme", "the key after `Token`, not `Bearer`", _call(), scheme="Token "),
    _probe("key.bare", "the key without `Bearer`", _call(), scheme=""),
    _probe("key.twice", "two equal `Authorization` lines", _call(), lines=(("Authorization", "Bearer {key}"),)),
)
_SYNTAX: Final = (
    _probe("body.empty", "an empty body", b""),
    _probe("body.array", "a JSON array", b"[]"),
    _probe("body.not_utf8", "a body that is not UTF-8", b'{"messages": [{"role": "user", "content": "\xff"}]}'),
    _probe(
        "type.parameter", "`application/json` with a charset", _call(), content_type="application/json; charset=utf-8"
    ),
    _probe("type.text", "`text/plain`", _call(), content_type="text/plain"),
    _probe("type.none", "no `Content-Type`", _call(), content_type=""),
)
_MESSAGES: Final = (
    _probe("messages.missing", "no messages field", {"strategy": {"models": [NOWHERE]}}),
    _probe("messages.empty", "an empty list of messages", _call(messages=[])),
    _probe("messages.no_user", "no message by the user", _call(_user("Be brief.", "system"))),
    _probe("messages.most", f"{MAX_MESSAGES:,} messages", _call(*[_user()] * MAX_MESSAGES)),
    _probe("messages.too_many", f"{MAX_MESSAGES + 1:,} messages", _call(*[_user()] * (MAX_MESSAGES + 1))),
    *(
        _probe(f"role.{role}", f"a message by the {role}", _call(_user("Be brief.", role), _user()))
        for role in ("system", "assistant", "developer", "tool")
    ),
    _probe("role.unknown", "a message by nobody known", _call(_user("hi", "conform"), _user())),
    _probe("content.parts", "text parts", _call(_user([{"type": "text", "text": "hi"}]))),
    _probe("content.null_assistant", "null content of the assistant", _call(_user(), _user(None, "assistant"))),
    _probe("content.blank", "blank message content", _call(_user(" \n"))),
    _probe("content.null", "null content of the user", _call(_user(None))),
    _probe("content.unknown_part", "a part of unknown type", _call(_user([{"type": "conform", "text": "hi"}]))),
)
_STRATEGY: Final = (
    *(_probe(f"mode.{mode}", f"mode {mode}", _call(strategy={"mode": mode})) for mode in MODES),
    _probe("mode.unknown", "an unknown mode", _call(strategy={"mode": "conform"})),
    _probe("exclude_models", "every model excluded", _only(exclude_models=["*"])),
    _probe("providers", "only a provider that there is not", _only(providers={"only": [NO_PROVIDER]})),
    _probe("max_price_per_1m", "nothing but what is free", _only(max_price_per_1m=0)),
    _probe("max_latency_ms", "a first token after 0 ms", _only(max_latency_ms=0)),
    _probe("min_throughput_tps", "10^12 tokens per second", _only(min_throughput_tps=1e12)),
    _probe("allow_fallbacks", "no fallbacks", _call(strategy={"allow_fallbacks": False})),
    _probe("max_attempts.most", "10 attempts", _call(strategy={"max_attempts": 10})),
    _probe("max_attempts.none", "0 attempts", _call(strategy={"max_attempts": 0})),
    _probe("max_attempts.too_many", "11 attempts", _call(strategy={"max_attempts": 11})),
)
_FIELDS: Final = (
    _probe("max_tokens.none", "an answer of 0 tokens", _call(max_tokens=0)),
    _probe("max_tokens.too_many", f"an answer of {MAX_TOKENS + 1:,} tokens", _call(max_tokens=MAX_TOKENS + 1)),
    _probe("types.stream", "stream as a text", _call(stream="false")),
    _probe("types.max_tokens", "max_tokens as a text", _call(max_tokens="1")),
    _probe("types.strategy", "strategy as a text", _call() | {"strategy": "auto"}),
    _probe("types.messages", "messages as an object", _call(messages=_user())),
    _probe("unknown_field", "a field that nobody knows", _call(conform_unknown=True)),
)
_HTTP: Final = (
    _probe("path.other", "another path", _call(), path=f"{LLM_AUTO.path}/conform-no-such-path"),
    _probe("method.get", "GET", b"", method="GET"),
    _probe("method.head", "HEAD", b"", method="HEAD"),
    _probe("method.put", "PUT", _call(), method="PUT"),
    _probe("head.over", f"a head of more than {_HEAD_BYTES:,} bytes", b"{", key=UNKNOWN, lines=_LONG_HEAD),
    _probe("size.most", f"a body of {MAX_BODY_BYTES:,} bytes", _call(), padded=MAX_BODY_BYTES),
    _probe("size.over", f"a body of {MAX_BODY_BYTES + 1:,} bytes", _call(), padded=MAX_BODY_BYTES + 1),
)
_ORDER: Final = (
    _probe("order.path", "another path, with an unknown key", _call(), key=UNKNOWN, path=f"{LLM_AUTO.path}/conform"),
    _probe("order.method", "GET with an unknown key", b"", key=UNKNOWN, method="GET"),
    _probe("order.key", "an unknown key, `text/plain` and no JSON", b"{", key=UNKNOWN, content_type="text/plain"),
    _probe(
        "order.size",
        f"{MAX_BODY_BYTES + 1:,} bytes of `text/plain`",
        _call(),
        content_type="text/plain",
        padded=MAX_BODY_BYTES + 1,
    ),
    _probe("order.type", "`text/plain` and no JSON", b"{", content_type="text/plain"),
)
_LATE: Final = (
    _probe(
        "idempotency.conflict",
        "the example's idempotency key again, with another body",
        _call(),
        lines=_ONCE,
    ),
    Probe(
        "too_long", "a prompt longer than any window", {"max_tokens": 1}, words=TOO_LONG_WORDS, costs=2 * TOO_LONG_WORDS
    ),
)


def keyed(status: int) -> str:
    """The name of the probe with the key that the caller gave for a status."""
    return f"key.{status}"


def _with_given_keys() -> tuple[Probe, ...]:
    probes = []
    for status in GIVABLE:
        body = {"messages": [_user()], "max_tokens": 1}
        asks = f"a call with the key for {status}"
        probes.append(_probe(keyed(status), asks, body, key=str(status), tries=3, until_status=status))
    probes.append(_probe("order.balance", "the key for 402, and a model that there is not", _call(), key="402"))
    return tuple(probes)


def _plan() -> tuple[Probe, ...]:
    calls = (_ROUTED_NOWHERE, _ANSWERED, _KEYS, _SYNTAX, _MESSAGES, _STRATEGY, _FIELDS)
    groups = (*calls, _HTTP, _ORDER, _with_given_keys(), _LATE)
    return (FIRST, *(probe for group in groups for probe in group))


PROBES: Final[dict[str, Probe]] = {probe.name: probe for probe in _plan()}

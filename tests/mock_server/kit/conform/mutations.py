"""For each clause that is judged, the mock with just that clause broken."""

from __future__ import annotations

import json
from collections.abc import Callable
from typing import Any, NamedTuple

from mock_server.contract.messages import MODES
from mock_server.kit.conform.probes import NOWHERE
from tests.mock_server.kit.conform.gateways import BreakAnswer, BreakRequest, Got, Request

JSON = "application/json; charset=utf-8"
STREAM = "text/event-stream"


class Mutation(NamedTuple):
    """What is broken: the request on its way in, or the answer on its way out."""

    request: BreakRequest | None = None
    answer: BreakAnswer | None = None


def when_call(change: Callable[[dict[str, Any]], None]) -> Mutation:
    """A change of every call that is a JSON object."""

    def request(asked: Request) -> Request:
        call = asked.call
        before = json.dumps(call)
        if call:
            change(call)
        if (after := json.dumps(call)) == before:
            return asked
        return asked._replace(body=after.encode().ljust(len(asked.body)))

    return Mutation(request=request)


def when_header(name: str, change: Callable[[Request], list[str]]) -> Mutation:
    return Mutation(
        request=lambda asked: (
            asked._replace(headers=asked.headers | {name: change(asked)}) if name in asked.headers else asked
        )
    )


def when_status(status: int, change: Callable[[Got], Got]) -> Mutation:
    return Mutation(answer=lambda _, got: change(got) if got.status == status else got)


def when_answered(change: Callable[[dict[str, Any]], None], **keys: Any) -> Mutation:
    """A change of every plain answer."""

    def answer(asked: Request, got: Got) -> Got:
        document = got.document
        if got.status != 200 or not document or "paths" in document:
            return got
        change(document)
        return got._replace(body=json.dumps(document, ensure_ascii=False).encode())

    return Mutation(answer=answer)


def without(name: str, status: int | None = None) -> Mutation:
    """A header that is left away, on a status or on all."""

    def answer(_: Request, got: Got) -> Got:
        if status in (None, got.status):
            return got._replace(headers={n: v for n, v in got.headers.items() if n != name.lower()})
        return got

    return Mutation(answer=answer)


def error(change: Callable[[dict[str, Any]], None], only: Callable[[Request, Got], bool]) -> Mutation:
    """A change of some errors' envelopes."""

    def answer(asked: Request, got: Got) -> Got:
        document = got.document
        if got.status < 400 or not document or not only(asked, got):
            return got
        change(document)
        return got._replace(body=json.dumps(document, ensure_ascii=False).encode())

    return Mutation(answer=answer)


def other_code(code: str) -> Mutation:
    return error(lambda d: d["error"].update(code="OTHER"), lambda _, got: got.document["error"]["code"] == code)


def other_text(status: int) -> Mutation:
    return error(lambda d: d["error"].update(message="It did not work"), lambda _, got: got.status == status)


def put(document: dict[str, Any], path: str, value: Any) -> None:
    *parents, name = path.split(".")
    for parent in parents:
        document = document[parent]
    document[name] = value


def drop(call: dict[str, Any], name: str) -> None:
    call.get("strategy", {}).pop(name, None) if isinstance(call.get("strategy", {}), dict) else None


def contents(call: dict[str, Any]) -> list[dict[str, Any]]:
    messages = call.get("messages")
    return messages if isinstance(messages, list) else []


def _user_added(call: dict[str, Any]) -> None:
    if contents(call) and not any(message["role"] == "user" for message in contents(call)):
        call["messages"].append({"role": "user", "content": "hi"})


def _no_developers(call: dict[str, Any]) -> None:
    for message in contents(call):
        message["role"] = "nobody" if message["role"] == "developer" else message["role"]


def _null_is_text(call: dict[str, Any]) -> None:
    for message in contents(call):
        if message["role"] == "user" and message["content"] is None:
            message["content"] = "hi"


def _any_mode(call: dict[str, Any]) -> None:
    strategy = call.get("strategy", {})
    if isinstance(strategy, dict) and strategy.get("mode", "auto") not in MODES:
        del strategy["mode"]


def _models_ignored(call: dict[str, Any]) -> None:
    strategy = call.get("strategy")
    if isinstance(strategy, dict) and strategy.get("models") == [NOWHERE]:
        del strategy["models"]


def _without_fallbacks_refused(call: dict[str, Any]) -> None:
    strategy = call.get("strategy")
    if isinstance(strategy, dict) and strategy.get("allow_fallbacks") is False:
        strategy["allow_fallbacks"] = "no"


def _attempts_capped(call: dict[str, Any]) -> None:
    strategy = call.get("strategy")
    if isinstance(strategy, dict) and strategy.get("max_attempts", 0) > 10:
        strategy["max_attempts"] = 10


def _converted(call: dict[str, Any]) -> None:
    if call.get("stream") == "false":
        call["stream"] = False


def _unknown_refused(call: dict[str, Any]) -> None:
    if "conform_unknown" in call:
        call["messages"] = []


def _other_scheme(asked: Request) -> list[str]:
    return [value.replace("Token ", "Bearer ") for value in asked.headers["authorization"]]


def _without_parameters(asked: Request) -> list[str]:
    return ["text/plain" if ";" in value else value for value in asked.headers["content-type"]]


def _type_first(asked: Request) -> Request:
    """Looks at the content type before it looks at the key."""
    if asked.headers.get("content-type") == ["text/plain"] and "nobody" in asked.key:
        return asked._replace(headers=asked.headers | {"authorization": ["Bearer sk-test-pro"]})
    return asked


def _invalid_is_422(asked: Request, got: Got) -> Got:
    roles = {message.get("role") for message in contents(asked.call)}
    return got._replace(status=422) if got.status == 400 and roles == {"system"} else got


def _escaped(_: Request, got: Got) -> Got:
    return got._replace(body=json.dumps(got.document).encode()) if got.status == 200 and got.document else got


def _without_charset(_: Request, got: Got) -> Got:
    return got._replace(headers=got.headers | {"content-type": ["application/json"]}) if got.status == 404 else got


def _created(asked: Request, got: Got) -> Got:
    return got._replace(status=201) if got.status == 200 and not asked.call.get("stream") else got


class _Sinking:
    """Takes from the limit with every answer."""

    def __init__(self) -> None:
        self.left = 1_000

    def __call__(self, _: Request, got: Got) -> Got:
        self.left -= 1
        name = "x-ratelimit-remaining"
        return got._replace(headers=got.headers | {name: [str(self.left)]}) if name in got.headers else got


def streams(change: Callable[[str], str]) -> Mutation:
    def answer(_: Request, got: Got) -> Got:
        if STREAM not in got.headers["content-type"][0]:
            return got
        return got._replace(body=change(got.body.decode()).encode())

    return Mutation(answer=answer)


def _error_streamed(asked: Request, got: Got) -> Got:
    if got.status != 400 or asked.call.get("stream") is not True:
        return got
    return Got(200, got.headers | {"content-type": [STREAM]}, b"data: " + got.body + b"\n\n")


def _without_usage(body: str) -> str:
    *events, closing, done, rest = body.split("\n\n")
    document = json.loads(closing.removeprefix("data: "))
    del document["usage"]
    return "\n\n".join([*events, f"data: {json.dumps(document)}", done, rest])


def _failed_oddly(body: str) -> str:
    """A stream that fails after its second event, and does not say that it is done."""
    fails = {"success": False, "error": {"code": "INTERNAL_ERROR", "message": "Unexpected server error"}}
    return "\n\n".join([*body.split("\n\n")[:2], f"data: {json.dumps(fails)}", ""])


def _bytes_are_malformed(asked: Request, got: Got) -> bool:
    return got.status == 400 and not asked.call


def _is_blank(asked: Request, got: Got) -> bool:
    return got.status == 400 and [m.get("content") for m in contents(asked.call)] == [" \n"]


MUTATIONS: dict[str, Mutation] = {
    "endpoint": Mutation(answer=_created),
    "request.Authorization": when_header("authorization", _other_scheme),
    "request.Content-Type": when_header(
        "content-type",
        _without_parameters,
    ),
    "request.messages": when_call(_user_added),
    "request.messages[].role": when_call(_no_developers),
    "request.messages[].content": when_call(_null_is_text),
    "request.strategy.mode": when_call(_any_mode),
    "request.strategy.models": when_call(_models_ignored),
    "request.strategy.exclude_models": when_call(lambda call: drop(call, "exclude_models")),
    "request.strategy.providers": when_call(lambda call: drop(call, "providers")),
    "request.strategy.max_price_per_1m": when_call(lambda call: drop(call, "max_price_per_1m")),
    "request.strategy.max_latency_ms": when_call(lambda call: drop(call, "max_latency_ms")),
    "request.strategy.min_throughput_tps": when_call(lambda call: drop(call, "min_throughput_tps")),
    "request.strategy.allow_fallbacks": when_call(_without_fallbacks_refused),
    "request.strategy.max_attempts": when_call(_attempts_capped),
    "request.stream": when_call(lambda call: call.update(stream=False) if call.get("stream") is True else None),
    "request.max_tokens": when_call(lambda call: call.update(max_tokens=1) if call.get("max_tokens") == 0 else None),
    "request.types": when_call(_converted),
    "request.unknown_fields": when_call(_unknown_refused),
    "response.success": when_answered(lambda d: put(d, "success", "true")),
    "response.model": when_answered(lambda d: put(d, "model", "")),
    "response.response": when_answered(lambda d: put(d, "response", None)),
    "response.usage.prompt_tokens": when_answered(lambda d: put(d, "usage.prompt_tokens", "12")),
    "response.usage.completion_tokens": when_answered(lambda d: put(d, "usage.completion_tokens", -1)),
    "response.usage.total_tokens": when_answered(lambda d: put(d, "usage.total_tokens", 1)),
    "response.provider": when_answered(lambda d: put(d, "provider", None)),
    "response.request_id": when_answered(lambda d: d.pop("request_id")),
    "answers.json": when_status(404, lambda got: got._replace(headers=got.headers | {"content-type": ["text/html"]})),
    "answers.encoding": Mutation(answer=_escaped),
    "answers.keys": when_answered(lambda d: put(d, "id", "1")),
    "header.X-Request-Id": without("X-Request-Id", 404),
    "header.X-RateLimit-Limit": without("X-RateLimit-Limit"),
    "header.X-RateLimit-Remaining": without("X-RateLimit-Remaining"),
    "header.X-RateLimit-Reset": without("X-RateLimit-Reset", 413),
    "header.RateLimit-Policy": without("RateLimit-Policy"),
    "header.RateLimit": when_status(200, lambda got: got._replace(headers=got.headers | {"ratelimit": ["minute"]})),
    "header.Retry-After": without("Retry-After", 429),
    "header.X-Attempt-Count": without("X-Attempt-Count"),
    "header.X-Last-Attempt-Status": without("X-Last-Attempt-Status"),
    "header.WWW-Authenticate": without("WWW-Authenticate"),
    "header.Allow": without("Allow"),
    "errors.envelope": error(lambda d: put(d, "request_id", "req_0000000"), lambda _, got: got.status == 415),
    "errors.validation": Mutation(answer=_invalid_is_422),
    "errors.order": Mutation(request=_type_first),
    "documented.400": error(lambda d: d["error"].update(message="Bad content"), _is_blank),
    "documented.401": other_text(401),
    "documented.402": other_text(402),
    "documented.429": other_text(429),
    "documented.502": other_text(502),
    "error.INVALID_REQUEST": error(lambda d: d["error"].update(code="BAD_JSON"), _bytes_are_malformed),
    **{
        f"error.{code}": other_code(code)
        for code in (
            *("CONTEXT_LENGTH_EXCEEDED", "MODEL_UNAVAILABLE", "INVALID_API_KEY", "INSUFFICIENT_BALANCE", "NOT_FOUND"),
            *("METHOD_NOT_ALLOWED", "IDEMPOTENCY_CONFLICT", "PAYLOAD_TOO_LARGE", "UNSUPPORTED_MEDIA_TYPE"),
            *("HEADERS_TOO_LARGE", "RATE_LIMIT_EXCEEDED", "INTERNAL_ERROR", "ALL_PROVIDERS_FAILED"),
        )
    },
    "stream.framing": streams(lambda body: body.replace("data: [DONE]\n\n", "")),
    "stream.events": streams(_without_usage),
    "stream.head": Mutation(answer=_error_streamed),
    "stream.failure": streams(_failed_oddly),
    "routing.failed_chain": when_status(
        502, lambda got: got._replace(headers=got.headers | {"x-attempt-count": ["0"]})
    ),
    "limits.refusals_are_free": Mutation(answer=_Sinking()),
}

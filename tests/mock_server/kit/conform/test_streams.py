"""A stream is judged by what it says, not by how it is framed."""

from __future__ import annotations

import json
from collections.abc import Callable

import pytest

from mock_server.contract.examples import EXAMPLE_STREAM
from mock_server.kit.conform.finding import Finding, Result
from mock_server.kit.conform.judges.streams import JUDGES, MOST_HEAD_START_S
from mock_server.kit.conform.probes import PROBES
from mock_server.kit.conform.seen import Exchange, Seen
from mock_server.kit.conform.wire import NoReply, Reply

EVENTS = (("Content-Type", "text/event-stream; charset=utf-8"),)
REFUSED = Exchange(PROBES["nowhere"], Reply(400, (), b"{}", 0.0))
REFUSED_STREAM = Exchange(PROBES["nowhere.stream"], Reply(400, (), b"{}", 0.0))


def judged(clause: str, body: bytes, **reply: object) -> Finding:
    stream = Reply(200, EVENTS, body, 0.0, **reply)  # type: ignore[arg-type]
    return JUDGES[clause](Seen((REFUSED, REFUSED_STREAM, Exchange(PROBES["stream"], stream))))


@pytest.mark.parametrize(
    "reframe",
    [
        lambda body: body,
        lambda body: body.replace("\n", "\r\n"),
        lambda body: body.replace("\n", "\r"),
        lambda body: ": hello\n\n" + body.replace("data: [DONE]", ": keep-alive\n\ndata: [DONE]"),
        lambda body: "\ufeff" + body.replace("data: ", "id: 1\nevent: message\nretry: 10\ndata:"),
    ],
)
def test_any_framing_that_the_specification_allows_keeps_the_clauses(reframe: Callable[[str], str]) -> None:
    body = reframe(EXAMPLE_STREAM).encode()
    assert {judged(clause, body).result for clause in ("stream.framing", "stream.events")} == {Result.KEPT}


@pytest.mark.parametrize(
    ("change", "framing", "events"),
    [
        (lambda body: body.replace("data: [DONE]\n\n", ""), Result.BROKEN, Result.KEPT),
        (lambda body: body + "data: {}\n\n", Result.BROKEN, Result.BROKEN),
        (lambda body: body.replace('data: {"success"', 'data: \ndata: {"success"'), Result.BROKEN, Result.KEPT),
        (lambda body: body.replace('"done":false}', '"done":false'), Result.BROKEN, Result.CANNOT_CHECK),
        (lambda body: body.replace('"finish_reason":"stop"', '"finish_reason":"done"'), Result.KEPT, Result.BROKEN),
        (lambda body: body.replace('"total_tokens":14', '"total_tokens":15'), Result.KEPT, Result.BROKEN),
        (lambda body: body.replace('"provider":"openai",', ""), Result.KEPT, Result.BROKEN),
        (lambda _: "data: [DONE]\n\n", Result.KEPT, Result.BROKEN),
        (lambda _: "", Result.BROKEN, Result.BROKEN),
    ],
)
def test_what_a_stream_lacks_is_found(change: Callable[[str], str], framing: Result, events: Result) -> None:
    body = change(EXAMPLE_STREAM).encode()
    assert (judged("stream.framing", body).result, judged("stream.events", body).result) == (framing, events)


def test_a_stream_that_broke_off_breaks_the_framing_alone() -> None:
    half = EXAMPLE_STREAM.encode()[:120]
    assert judged("stream.framing", half, broke="the connection closed").result is Result.BROKEN
    assert judged("stream.events", half, broke="the connection closed").result is Result.CANNOT_CHECK


def test_a_stream_that_failed_as_agreed_is_no_fault_of_the_gateways() -> None:
    failure = {"success": False, "error": {"code": "X", "message": "y"}, "request_id": "req_9f1a2e8", "done": True}
    body = (EXAMPLE_STREAM.partition("\n\n")[0] + f"\n\ndata: {json.dumps(failure)}\n\n").encode()
    assert judged("stream.failure", body).result is Result.KEPT
    assert judged("stream.framing", body).result is judged("stream.events", body).result is Result.CANNOT_CHECK


@pytest.mark.parametrize(("piece_s", "result"), [(1.0, Result.KEPT), (1.0 + MOST_HEAD_START_S + 0.1, Result.BROKEN)])
def test_a_head_that_came_long_before_the_first_piece_came_too_soon(piece_s: float, result: Result) -> None:
    body = EXAMPLE_STREAM.encode()
    opening = body.index(b"\n\n") + 2
    reply = Reply(200, EVENTS, body, 1.0, ((1.0, opening), (piece_s, len(body))))
    seen = Seen((REFUSED, REFUSED_STREAM, Exchange(PROBES["stream"], reply)))
    assert JUDGES["stream.head"](seen).result is result


def test_no_stream_at_all_cannot_be_judged() -> None:
    seen = Seen((REFUSED, REFUSED_STREAM, Exchange(PROBES["stream"], NoReply("no answer in time"))))
    assert {judge(seen).result for name, judge in JUDGES.items() if name != "stream.head"} == {Result.CANNOT_CHECK}

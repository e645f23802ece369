"""What calls that pass by show of the contract, on both sides."""

from __future__ import annotations

import gzip
from collections.abc import Iterable

import pytest
from msgspec.structs import replace

from mock_server.kit.conform.pack import PACK
from mock_server.kit.conform.probes import NO_KEY, UNKNOWN
from mock_server.kit.conform.seen import Exchange, Seen
from mock_server.kit.conform.wire import Reply
from mock_server.kit.proxy.record import Record
from mock_server.kit.proxy.tally import Tally
from tests.mock_server.kit.conform.gateways import KEYS, Mock
from tests.mock_server.kit.conform.mutations import MUTATIONS
from tests.mock_server.kit.proxy.records import KEY, LINES, answered, asks, error, plain, streamed

WORLD = """
extends = "instant"
description = "no latency, no failures, with idempotency"
[gateway]
idempotency = true
"""
# Gateways that are broken in one clause, and the clause under which calls that pass by show it: that one, or the one
# that a caller meets. What the judges of `conform` find by themselves is one for each module of them.
CAUGHT = {
    "endpoint": "endpoint",
    "request.Authorization": "request.Authorization",
    "request.Content-Type": "endpoint",
    "request.messages": "request.messages",
    "request.messages[].role": "endpoint",
    "request.messages[].content": "request.messages[].content",
    "request.strategy.mode": "request.strategy.mode",
    "request.strategy.allow_fallbacks": "endpoint",
    "request.max_tokens": "request.max_tokens",
    "request.stream": "request.stream",
    "request.types": "request.stream",
    "request.unknown_fields": "endpoint",
    "errors.validation": "error.INVALID_REQUEST",
    "documented.400": "documented.400",
    "documented.401": "documented.401",
    "error.MODEL_UNAVAILABLE": "error.INVALID_REQUEST",
    "error.PAYLOAD_TOO_LARGE": "error.PAYLOAD_TOO_LARGE",
    "answers.keys": "answers.keys",
    "errors.envelope": "errors.envelope",
    "header.Retry-After": "header.Retry-After",
    "stream.events": "stream.events",
    "stream.head": "stream.failure",
}
# Of these no call that passes by tells anything.
INVISIBLE = ("request.strategy.models", "request.strategy.max_latency_ms", "errors.order", "limits.refusals_are_free")


@pytest.fixture(scope="module")
def mock(tmp_path_factory: pytest.TempPathFactory) -> Mock:
    world = tmp_path_factory.mktemp("worlds") / "idempotent.toml"
    world.write_text(WORLD)
    return Mock(str(world))


def passed(exchange: Exchange) -> Record | None:
    """A question of `conform` as a call that passes by."""
    probe, reply = exchange.probe, exchange.answer
    if not isinstance(reply, Reply):
        return None
    key = {NO_KEY: "", UNKNOWN: "sk-nobody-knows-this-key"}.get(probe.key, KEYS.own)
    lines = [("Authorization", f"{probe.scheme}{key}")] if key else []
    lines += [("Content-Type", probe.content_type)] if probe.content_type else []
    lines += [(name, value.format(key=key, idempotency="once")) for name, value in probe.lines]
    body = probe.content()
    return Record(
        probe.method,
        probe.path,
        tuple(lines),
        body,
        len(body),
        10.0,
        reply.status,
        reply.lines,
        reply.body,
        len(reply.body),
        10.1,
        ((10.1, len(reply.body)),),
        10.1,
    )


def tally(records: Iterable[Record | None]) -> Tally:
    found = Tally()
    for record in records:
        if record is not None:
            found.add(record)
    return found


def broken(side: str, *records: Record) -> dict[str, list[str]]:
    """The clauses that one side broke, with what is said of them."""
    found = tally(records)
    return {name: list(seen.said) for name, seen in found.clauses[side].items() if seen.broken}


def by_gateway(seen: Seen) -> dict[str, list[str]]:
    return broken("gateway", *(record for one in seen.exchanges if (record := passed(one)) is not None))


def test_a_gateway_that_keeps_the_contract_breaks_nothing_whatever_it_is_asked(mock: Mock) -> None:
    assert by_gateway(mock.seen()) == {}


@pytest.mark.parametrize("clause", CAUGHT)
def test_a_gateway_broken_in_one_clause_is_caught_by_what_passes(mock: Mock, clause: str) -> None:
    mutation = MUTATIONS[clause]
    assert CAUGHT[clause] in by_gateway(mock.seen(mutation.request, mutation.answer))


@pytest.mark.parametrize("clause", INVISIBLE)
def test_what_cannot_be_seen_is_not_guessed(mock: Mock, clause: str) -> None:
    mutation = MUTATIONS[clause]
    assert by_gateway(mock.seen(mutation.request, mutation.answer)) == {}


@pytest.mark.parametrize(
    ("record", "clause"),
    [
        (error(404, "NOT_FOUND", "No such path", target="/v1/chat/completions"), "endpoint"),
        (error(405, "METHOD_NOT_ALLOWED", "Method not allowed for this path", method="GET"), "endpoint"),
        (error(401, "INVALID_API_KEY", "…", lines=LINES[1:]), "request.Authorization"),
        (error(401, "INVALID_API_KEY", "…", lines=(("Authorization", KEY), LINES[1])), "request.Authorization"),
        (error(415, "UNSUPPORTED_MEDIA_TYPE", "…", lines=LINES[:1]), "request.Content-Type"),
        (error(400, "INVALID_REQUEST", "…", body=b"{"), "error.INVALID_REQUEST"),
        (error(400, "INVALID_REQUEST", "…", body=asks(stream="yes")), "request.stream"),
        (error(400, "INVALID_REQUEST", "…", body=asks(strategy={"mode": "best"})), "request.strategy.mode"),
        (error(400, "INVALID_REQUEST", "…", body=asks(messages=[])), "request.messages"),
        (
            error(400, "INVALID_REQUEST", "…", body=asks(messages=[{"role": "user", "content": " "}])),
            "request.messages[].content",
        ),
        (error(400, "INVALID_REQUEST", "…", body=asks(max_tokens=0)), "request.max_tokens"),
        (error(413, "PAYLOAD_TOO_LARGE", "…", body=b" " * (4 * 2**20 + 1)), "error.PAYLOAD_TOO_LARGE"),
    ],
)
def test_a_request_that_breaks_the_contract_is_the_clients_breach(record: Record, clause: str) -> None:
    assert list(broken("client", record)) == [clause]
    assert "endpoint" not in broken("gateway", record)


def test_a_request_that_keeps_the_contract_is_no_breach_and_neither_is_its_answer() -> None:
    assert broken("client", plain()) == broken("gateway", plain()) == {}
    assert broken("client", streamed()) == broken("gateway", streamed()) == {}


def test_what_is_wrong_and_taken_nevertheless_is_drift_of_the_gateway_too() -> None:
    record = plain(body=asks(max_tokens=0))
    assert list(broken("client", record)) == ["request.max_tokens"]
    (said,) = broken("gateway", record)["request.max_tokens"]
    assert said.startswith("taken (200): ")


def test_what_is_right_and_refused_is_drift_of_the_gateway() -> None:
    record = error(400, "INVALID_REQUEST", "Invalid request parameters: we changed our mind")
    assert broken("client", record) == {}
    assert "endpoint" in broken("gateway", record)


@pytest.mark.parametrize(("status", "code"), [(400, "CONTEXT_LENGTH_EXCEEDED"), (400, "MODEL_UNAVAILABLE")])
def test_a_refusal_for_reasons_nobody_here_knows_is_no_drift(status: int, code: str) -> None:
    assert "endpoint" not in broken("gateway", error(status, code, "…"))


@pytest.mark.parametrize(
    ("status", "code", "clause"),
    [
        (503, "ALL_PROVIDERS_FAILED", "routing.failed_chain"),
        (422, "INVALID_PARAMETERS", "errors.validation"),
        (429, "SLOW_DOWN", "error.RATE_LIMIT_EXCEEDED"),
        (400, "RATE_LIMIT_EXCEEDED", "error.RATE_LIMIT_EXCEEDED"),
        (418, "TEAPOT", "endpoint"),
    ],
)
def test_a_status_and_a_code_that_do_not_belong_together_are_drift(status: int, code: str, clause: str) -> None:
    assert clause in broken("gateway", error(status, code, "…"))


def test_a_stream_that_is_not_asked_for_and_one_that_does_not_come_are_drift() -> None:
    assert "request.stream" in broken("gateway", replace(streamed(), body=asks(), asked_bytes=len(asks())))
    asked = asks(stream=True)
    assert "request.stream" in broken("gateway", replace(plain(), body=asked, asked_bytes=len(asked)))


def test_a_silence_longer_than_the_contract_allows_is_drift() -> None:
    record = streamed(per_s=1 / 20, pieces=3)
    assert list(broken("gateway", record)) == ["stream.keep_alive"]


def test_the_same_id_told_twice_is_drift_and_two_ids_are_not() -> None:
    assert list(broken("gateway", plain(), plain())) == ["response.request_id"]
    assert broken("gateway", plain(), plain(request_id="req_0000002")) == {}


def test_who_is_cut_off_by_the_client_or_the_recorder_is_not_blamed() -> None:
    whole = streamed()
    half = replace(whole, answer=whole.answer[:200], answered_bytes=200, pieces=((10.5, 200),))
    assert "stream.framing" in broken("gateway", replace(half, broke="the connection was reset"))
    assert broken("gateway", replace(half, left=True)) == broken("gateway", replace(half, stopped=True)) == {}


def test_an_answer_that_is_packed_is_judged_and_timed_as_if_it_were_not() -> None:
    whole = plain()
    packed = gzip.compress(whole.answer)
    lines = (*whole.answer_lines, ("Content-Encoding", "gzip"))
    record = replace(
        whole, answer=packed, answered_bytes=len(packed), pieces=((10.5, len(packed)),), answer_lines=lines
    )
    assert broken("gateway", record) == {}
    found = tally([record])
    assert (found.unreadable, [one.tokens for one in found.samples]) == (0, [40])
    unknown = replace(record, answer_lines=(*whole.answer_lines, ("Content-Encoding", "br")))
    assert (tally([unknown]).unreadable, broken("gateway", unknown)) == (1, {})


def test_what_a_mock_has_besides_the_api_is_nobodys_breach() -> None:
    found = tally([answered(200, {}, target="/__mock__/health", method="GET", lines=()), plain(method="OPTIONS")])
    assert (found.calls, found.others, [*found.clauses["client"], *found.clauses["gateway"]]) == (0, 2, [])


def test_a_key_that_an_answer_repeats_is_told_to_nobody() -> None:
    record = error(429, f"BAD {KEY}", f"{KEY} is over its limit", request_id=KEY)
    found = tally([record])
    told = [
        *found.samples,
        *((said, seen.request_ids) for side in found.clauses.values() for seen in side.values() for said in seen.said),
    ]
    assert any("***" in str(one) for one in told)
    assert not any(KEY[at : at + 8] in str(told) for at in range(len(KEY) - 7))


def test_every_clause_that_is_told_of_is_one_of_the_contract(mock: Mock) -> None:
    found = tally(passed(one) for one in mock.seen().exchanges)
    assert {name for side in found.clauses.values() for name in side} <= set(PACK)

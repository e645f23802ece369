from __future__ import annotations

import json
from collections.abc import Sequence
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from mock_server.contract.errors import ERRORS
from reports.sample import Outcome
from scenarios.wire.reader import Reader, Reading
from scenarios.wire.sse import EventParser
from scenarios.wire.timing import Announced, retry_after, server_timing

JSON = {"content-type": "application/json; charset=utf-8"}
SSE = {"content-type": "text/event-stream"}


def plain(document: Any, status: int = 200, headers: dict[str, str] | None = None) -> Reading:
    reader = Reader(stream=False)
    reader.head(status, headers or JSON)
    reader.data(document if isinstance(document, bytes) else json.dumps(document).encode(), 2.0)
    return reader.complete(9.0)


def streamed(events: Sequence[str], *, broken: str | None = None, status: int = 200) -> Reading:
    reader = Reader(stream=True)
    reader.head(status, SSE)
    for moment, event in enumerate(events):
        reader.data(f"data: {event}\n\n".encode(), float(moment))
    return reader.complete(9.0) if broken is None else reader.broken(broken)


def test_a_good_answer_gives_all_it_says(document: dict[str, Any]) -> None:
    facts = plain(document)
    assert facts.outcome is Outcome.OK
    assert (facts.provider, facts.model, facts.request_id) == ("p-1", "m-1", "req_0000001")
    assert (facts.prompt_tokens, facts.completion_tokens, facts.first_byte_s) == (5, 3, 2.0)
    assert facts.chunks is None


@pytest.mark.parametrize("key", ["success", "model", "response", "provider", "request_id", "usage"])
def test_a_missing_or_wrongly_typed_key_is_malformed(document: dict[str, Any], key: str) -> None:
    without = {name: value for name, value in document.items() if name != key}
    wrong = {**document, key: ["x"]}
    assert plain(without).outcome is plain(wrong).outcome is Outcome.MALFORMED


@pytest.mark.parametrize(
    "usage",
    [
        {"prompt_tokens": 5, "completion_tokens": 3, "total_tokens": 9},
        {"prompt_tokens": -1, "completion_tokens": 3, "total_tokens": 2},
        {"prompt_tokens": 5.0, "completion_tokens": 3, "total_tokens": 8},
        {"prompt_tokens": True, "completion_tokens": 3, "total_tokens": 4},
        {},
    ],
)
def test_usage_must_be_whole_and_sum_up(document: dict[str, Any], usage: dict[str, Any]) -> None:
    facts = plain({**document, "usage": usage})
    assert (facts.outcome, facts.error_code) == (Outcome.MALFORMED, "BadUsage")


@pytest.mark.parametrize(
    ("body", "code"),
    [
        (b"", "BadJson"),
        (b"{", "BadJson"),
        (b'"\xff"', "BadJson"),
        (b"[" * 100_000, "BadJson"),
        (b"[]", "BadDocument"),
        (b'{"success": false, "error": {"code": "INTERNAL_ERROR", "message": "x"}}', "BadDocument"),
    ],
)
def test_bodies_that_are_no_answer_are_malformed(body: bytes, code: str) -> None:
    facts = plain(body)
    assert (facts.outcome, facts.error_code) == (Outcome.MALFORMED, code)


@pytest.mark.parametrize("error", ERRORS, ids=lambda error: error.code)
def test_every_documented_error_is_a_refusal(error: Any) -> None:
    facts = plain({"success": False, "error": {"code": error.code, "message": "m"}}, error.status)
    assert (facts.outcome, facts.error_code, facts.status) == (Outcome.REFUSED, error.code, error.status)


def test_the_one_status_left_open_is_accepted() -> None:
    error = {"success": False, "error": {"code": "MODEL_UNAVAILABLE", "message": "m"}}
    assert [plain(error, status).outcome for status in (404, 502, 503)] == [Outcome.REFUSED] * 3
    assert plain(error, 418).outcome is Outcome.MALFORMED


@pytest.mark.parametrize(
    ("document", "status", "code"),
    [
        ({"success": False, "error": {"code": "INTERNAL_ERROR", "message": "m"}}, 502, "UnknownError"),
        ({"success": False, "error": {"code": "NO_SUCH", "message": "m"}}, 500, "UnknownError"),
        ({"success": False, "error": {"code": "INTERNAL_ERROR", "message": "m", "x": 1}}, 500, "BadEnvelope"),
        ({"success": False, "error": {"code": "INTERNAL_ERROR", "message": "m"}, "x": 1}, 500, "BadEnvelope"),
        ({"success": False, "error": {"code": "INTERNAL_ERROR"}}, 500, "BadEnvelope"),
        ({"success": True, "error": {"code": "INTERNAL_ERROR", "message": "m"}}, 500, "BadEnvelope"),
        ({"detail": "x"}, 500, "BadEnvelope"),
    ],
)
def test_other_errors_are_malformed(document: Any, status: int, code: str) -> None:
    facts = plain(document, status)
    assert (facts.outcome, facts.error_code) == (Outcome.MALFORMED, code)


def test_the_content_type_counts(document: dict[str, Any]) -> None:
    assert plain(document, headers={"content-type": "text/html"}).error_code == "BadContentType"
    assert plain(document, headers={"x": "y"}).outcome is Outcome.MALFORMED
    reader = Reader(stream=True)
    reader.head(200, JSON)
    reader.data(json.dumps(document).encode(), 0.0)
    assert reader.complete(9.0).outcome is Outcome.MALFORMED


def test_a_plain_answer_cut_short_is_a_connection_failure() -> None:
    reader = Reader(stream=False)
    reader.head(200, JSON)
    reader.data(b'{"succ', 1.0)
    facts = reader.broken("IncompleteBodyError")
    assert (facts.outcome, facts.error_code) == (Outcome.CONNECTION, "IncompleteBodyError")
    assert Reader(stream=True).broken("NoAnswerError").outcome is Outcome.CONNECTION


def test_a_refused_stream_is_a_refusal() -> None:
    reader = Reader(stream=True)
    reader.head(502, JSON)
    reader.data(b'{"success": false, "error": {"code": "ALL_PROVIDERS_FAILED", "message": "m"}}', 1.0)
    assert reader.complete(9.0).outcome is Outcome.REFUSED


def test_a_good_stream_is_timed_by_its_pieces(events: list[str]) -> None:
    facts = streamed(events)
    assert facts.outcome is Outcome.OK
    assert (facts.chunks, facts.first_byte_s, facts.max_gap_s) == (3, 1.0, 1.0)
    assert (facts.prompt_tokens, facts.completion_tokens, facts.provider) == (5, 3, "p-1")


@pytest.mark.parametrize(("kept", "code"), [(0, "NoTerminal"), (1, "NoTerminal"), (4, "NoTerminal"), (5, "NoDone")])
def test_a_stream_that_ends_early_is_broken_however_cleanly(events: list[str], kept: int, code: str) -> None:
    facts = streamed(events[:kept])
    assert (facts.outcome, facts.error_code) == (Outcome.STREAM_BROKEN, code)
    assert streamed(events[:kept], broken="ConnectionResetError").error_code == "ConnectionResetError"


def test_an_error_event_breaks_the_stream_with_its_code(events: list[str]) -> None:
    error = {
        "success": False,
        "error": {"code": "ALL_PROVIDERS_FAILED", "message": "m"},
        "request_id": "r",
        "done": True,
    }
    for broken in (None, "IncompleteBodyError"):
        facts = streamed([*events[:2], json.dumps(error)], broken=broken)
        assert (facts.outcome, facts.error_code) == (Outcome.STREAM_BROKEN, "ALL_PROVIDERS_FAILED")


@pytest.mark.parametrize(
    ("place", "event", "code"),
    [
        (0, '{"response": "x", "done": false}', "BadOpening"),
        (1, "garbage", "BadJson"),
        (1, '{"choices": []}', "BadEvent"),
        (1, "[DONE]", "EarlyDone"),
        (4, '{"response": "", "done": true, "finish_reason": "stop"}', "BadUsage"),
        (4, '{"response": "", "done": true, "finish_reason": "tired"}', "BadFinishReason"),
        (5, '{"response": "x", "done": false}', "BadEvent"),
        (6, '{"response": "x", "done": false}', "AfterDone"),
    ],
)
def test_events_out_of_shape_are_malformed(events: list[str], place: int, event: str, code: str) -> None:
    facts = streamed([*events[:place], event, *events[place:]])
    assert (facts.outcome, facts.error_code) == (Outcome.MALFORMED, code)


def test_what_broke_the_contract_stays_malformed_when_the_connection_breaks_too() -> None:
    assert streamed(["garbage"], broken="ConnectionResetError").outcome is Outcome.MALFORMED


@given(st.data())
def test_any_framing_of_a_stream_reads_the_same(data: st.DataObject) -> None:
    texts = data.draw(st.lists(st.text(min_size=1), min_size=1, max_size=5))
    wanted = [text.replace("\r\n", "\n").replace("\r", "\n") for text in texts]
    # One ending throughout: a CR before an LF would be one ending, not two.
    end = data.draw(st.sampled_from(["\n", "\r", "\r\n"]))
    framed = "\ufeff" if data.draw(st.booleans()) else ""
    for text in wanted:
        noise = st.lists(st.sampled_from([": keep-alive", "id: 7", "retry: 100", "event: message", "data2: x", ":"]))
        lines = [*data.draw(noise), *(f"data: {line}" for line in text.split("\n"))]
        framed += "".join(line + end for line in lines) + end
        # Another kind of event is none of a message listener's business.
        framed += data.draw(st.sampled_from(["", "event: ping\ndata: x\n\n", "\n", ": c\n"])).replace("\n", end)
    raw = framed.encode("utf-8", "surrogatepass")
    cuts = sorted(data.draw(st.lists(st.integers(0, len(raw)), max_size=20)))
    parser = EventParser()
    found: list[str] = []
    for start, stop in zip([0, *cuts], [*cuts, len(raw)], strict=True):
        found += parser.feed(raw[start:stop])
    assert found == [text.encode("utf-8", "surrogatepass").decode("utf-8", "replace") for text in wanted]


def test_bytewise_reading_of_a_stream_reads_the_same(events: list[str]) -> None:
    raw = ("\ufeff" + "".join(f": c\r\ndata:{event}\r\n\r\n" for event in events)).encode()
    parser = EventParser()
    found = [event for index in range(len(raw)) for event in parser.feed(raw[index : index + 1])]
    assert found == events
    assert EventParser().feed(raw) == events


def test_a_read_that_brought_nothing_splits_no_line_ending() -> None:
    parser = EventParser()
    pieces = [b"event: ping\r", b"", b"\ndata: x\r\n\r\ndata: a\r\n\r\n"]
    assert [event for piece in pieces for event in parser.feed(piece)] == ["a"]


def test_an_event_without_its_blank_line_is_dropped() -> None:
    assert EventParser().feed(b"data: a\n\ndata: b\n") == ["a"]


def test_server_timing_tells_the_plan() -> None:
    header = 'planned;dur=812.3, first;dur=512.4, overhead;dur=0.2, attempts;desc="2", wasted;dur=100'
    assert server_timing(header) == Announced(812.3, 512.4, 0.2, 100.0, 2)


@pytest.mark.parametrize(
    ("header", "planned"),
    [
        ('cache;desc="a, b;dur=9", planned ; dur = 5', 5.0),
        ('planned;desc="x";dur=7', 7.0),
        ("PLANNED;DUR=3", 3.0),
        ("planned", None),
        ("planned;dur=nan", None),
        ("planned;dur=-1", None),
        ("", None),
        (None, None),
        (";;,,==", None),
    ],
)
def test_server_timing_takes_any_spelling_and_no_nonsense(header: str | None, planned: float | None) -> None:
    assert server_timing(header).planned_ms == planned


@given(st.text())
def test_no_header_breaks_the_reader(header: str) -> None:
    server_timing(header)
    assert retry_after(header) is None or float(header) >= 0

from __future__ import annotations

import json
from itertools import pairwise
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from mock_server.contract.messages import Usage
from mock_server.core.faults import FRAMINGS, Framing
from mock_server.edge import sse
from mock_server.edge.framing import COALESCED, Framer
from tests.mock_server.wire import data_of

TEXTS = st.text(st.characters(codec="utf-8"), max_size=20) | st.sampled_from(
    ["今天", "é\r\n", "\u2028", "\\n", "🙂 ok", "[DONE]"]
)


def events_of(texts: list[str]) -> list[bytes]:
    """A whole stream with these pieces."""
    pieces = [sse.piece(text) for text in texts]
    return [sse.opening("req_0000001", "m", "p"), *pieces, sse.usage("stop", Usage(1, 2, 3)), sse.DONE_EVENT]


def documents(body: bytes) -> list[Any]:
    *found, last = data_of(body)
    assert last == "[DONE]"
    return [json.loads(each) for each in found]


def framed(framing: Framing | None, batches: list[list[bytes]]) -> list[bytes]:
    """The writes of a stream whose events become due in these batches."""
    framer = Framer(framing)
    writes = [write for batch in batches for write in framer.writes(batch)]
    return [*writes, *framer.flush()]


def batched(events: list[bytes], sizes: list[int]) -> list[list[bytes]]:
    """Cut ``events`` into batches of these sizes, and the rest."""
    cuts = [0, *(min(sum(sizes[: n + 1]), len(events)) for n in range(len(sizes))), len(events)]
    return [events[start:end] for start, end in pairwise(cuts)]


@pytest.mark.parametrize("framing", [None, *FRAMINGS])
@given(texts=st.lists(TEXTS, max_size=20), sizes=st.lists(st.integers(0, 9), max_size=6))
def test_any_framing_of_any_events_says_the_same(framing: Framing | None, texts: list[str], sizes: list[int]) -> None:
    events = events_of(texts)
    plain = documents(b"".join(events))
    assert [document["response"] for document in plain[1:-1]] == texts
    writes = framed(framing, batched(events, sizes))
    assert documents(b"".join(writes)) == plain
    assert all(writes)


EVENTS = events_of(["Hello", "今天", " ünd", "🙂"])


def test_without_a_framing_what_is_due_leaves_together() -> None:
    assert framed(None, [EVENTS[:2], [], EVENTS[2:]]) == [b"".join(EVENTS[:2]), b"".join(EVENTS[2:])]


def test_comments_come_before_every_event_in_a_write_of_its_own() -> None:
    assert framed("comments", [EVENTS]) == [b": a comment\n" + event for event in EVENTS]


def test_crlf_ends_every_line() -> None:
    writes = framed("crlf", [EVENTS])
    assert [write.replace(b"\r\n", b"\n") for write in writes] == EVENTS
    body = b"".join(writes)
    assert body.count(b"\r\n") == body.count(b"\n") == body.count(b"\r") == 2 * len(EVENTS)


def test_bytewise_writes_single_bytes() -> None:
    writes = framed("bytewise", [EVENTS])
    assert {len(write) for write in writes} == {1}
    assert b"".join(writes) == b"".join(EVENTS)


def test_split_utf8_ends_a_write_inside_every_character_of_several_bytes() -> None:
    writes = framed("split_utf8", [EVENTS])
    assert b"".join(writes) == b"".join(EVENTS)
    inside = [write for write in writes if write[-1] >= 0xC0]
    assert len(inside) == len("今天ü🙂")
    assert len(writes) == len(EVENTS) + len(inside)


@pytest.mark.parametrize("size", [1, 3, COALESCED, 100])
def test_coalesced_holds_events_back_until_eight_leave_together(size: int) -> None:
    events = [sse.piece(str(number)) for number in range(2 * COALESCED + 3)]
    batches = [events[start : start + size] for start in range(0, len(events), size)]
    writes = framed("coalesced", batches)
    assert [len(data_of(write)) for write in writes] == [COALESCED, COALESCED, 3]


def test_what_is_held_back_leaves_once() -> None:
    framer = Framer("coalesced")
    assert framer.writes(EVENTS[:2]) == []
    assert framer.flush() == [b"".join(EVENTS[:2])]
    assert framer.flush() == []


def test_multiline_spreads_json_over_data_lines_and_leaves_the_end_as_it_is() -> None:
    writes = framed("multiline", [EVENTS])
    assert writes[-1] == sse.DONE_EVENT
    for write in writes[:-1]:
        lines = write.removesuffix(b"\n\n").split(b"\n")
        assert len(lines) > 2
        assert all(line.startswith(b"data: ") for line in lines)


def test_retry_lines_uses_every_field_and_events_without_data_between() -> None:
    writes = framed("retry_lines", [EVENTS])
    for number, (write, event) in enumerate(zip(writes, EVENTS, strict=True), 1):
        assert write == b"event: ping\n\nretry: 3000\nid: %d\nevent: message\n%s" % (number, event)


@pytest.mark.parametrize("framing", FRAMINGS)
def test_a_comment_survives_every_framing(framing: Framing) -> None:
    body = b"".join(framed(framing, [[sse.piece("a"), sse.KEEP_ALIVE, sse.piece("b")]]))
    assert [json.loads(document)["response"] for document in data_of(body)] == ["a", "b"]

from __future__ import annotations

from typing import Any

import msgspec
import pytest
from hypothesis import given
from hypothesis import strategies as st

from mock_server.edge.journal import Entry
from mock_server.edge.notes import LONG, MAX_CONTENT_TYPE, MAX_TEXT, BodyHash, Notes, hash_of
from mock_server.edge.request import Head

FIRST = "arrived_unix_s"
NOW = 1_800_000_000.0  # Fri, 15 Jan 2027 08:00:00 GMT


def noted(*headers: tuple[str, str], **known: Any) -> dict[str, Any]:
    """The fields that notes of a request with these headers give an entry."""
    head = Head([(name.encode(), value.encode("latin-1")) for name, value in headers])
    notes = Notes(head, 0.0, 0.0)
    for name, value in known.items():
        setattr(notes, name, value)
    names = [field.name for field in msgspec.structs.fields(Entry)]
    return dict(zip(names[names.index(FIRST) :], notes.fields(None), strict=False))


def test_all_fields_of_an_entry_from_the_first_on_are_told_but_for_what_comes_later() -> None:
    names = [field.name for field in msgspec.structs.fields(Entry)]
    assert [name for name in names[names.index(FIRST) :] if name not in noted()] == ["attested"]


@given(st.binary(max_size=50), st.binary(max_size=50))
def test_short_bodies_have_one_hash_if_they_are_one(one: bytes, two: bytes) -> None:
    assert (hash_of(one) == hash_of(two)) == (one == two)


@pytest.mark.parametrize("size", [1, LONG - 1, LONG, LONG + 1, 40_000])
def test_a_hash_heeds_every_byte_and_is_the_same_in_every_process(size: int) -> None:
    body = b"a" * size
    others = [body[:at] + b"b" + body[at + 1 :] for at in (0, size // 2, size - 1)]
    assert hash_of(body) not in {hash_of(other) for other in [*others, body + b"a"]}
    assert len(hash_of(body)) == 16
    assert hash_of(b"hello") == "a7b6eda801e5347d"
    assert hash_of(b"") == ""


@given(st.binary(min_size=1, max_size=50), st.integers(LONG, LONG + 50), st.integers(0, LONG))
def test_a_long_body_has_one_hash_whole_and_in_pieces(part: bytes, size: int, cut: int) -> None:
    body = (part * size)[:size]
    state = BodyHash(body[:cut])
    state.add(body[cut:])
    assert state.text() == hash_of(body)


@pytest.mark.parametrize(
    ("line", "seconds"),
    [
        (b"2", 2.0),
        (b" 0.5 ", 0.5),
        (b"Fri, 15 Jan 2027 08:00:30 GMT", 30.0),
        (b"Fri, 15 Jan 2027 08:00:30", 30.0),
        (b"Fri, 15 Jan 2027 07:59:00 GMT", 0.0),
        (b"soon", None),
        (b"-1", None),
        (b"inf", None),
        (b"nan", None),
        (b"", None),
    ],
)
def test_an_announced_wait_is_seconds_or_a_date(line: bytes, seconds: float | None) -> None:
    notes = Notes(Head([]), 0.0, 0.0)
    notes.announce([(b"retry-after", line)], lambda: NOW)
    assert notes.retry_after_s == seconds


@pytest.mark.parametrize(("line", "said"), [(b"true", True), (b"FALSE", False), (b"maybe", None)])
def test_should_retry_is_read_as_clients_read_it(line: bytes, said: bool | None) -> None:
    notes = Notes(Head([]), 0.0, 0.0)
    notes.announce([(b"x-should-retry", line)], lambda: NOW)
    assert notes.should_retry is said


@pytest.mark.parametrize(("line", "count"), [("0", 0), ("12", 12), ("-1", None), ("x", None), ("9" * 5_000, None)])
def test_a_retry_count_is_a_small_whole_number(line: str, count: int | None) -> None:
    assert noted(("x-stainless-retry-count", line))["retry_count"] == count


def test_no_key_is_shown_wherever_it_was_put() -> None:
    key, other = "sk-own-secret-abcd", "sk-own-secret-wxyz"
    fields = noted(
        ("authorization", f"Bearer {key}"),
        ("content-type", f"text/{key}"),
        ("idempotency-key", f"{key}-{other}"),
        path=f"/v1/{other}/auto",
        key=other,
        key_place="path",
    )
    assert key not in str(fields)
    assert other not in str(fields)
    assert (fields["path"], fields["content_type"], fields["idempotency_key"]) == (
        "/v1/…wxyz/auto",
        "text/…abcd",
        "…abcd-…wxyz",
    )


def test_long_texts_are_cut_and_remain_different() -> None:
    one, two = (noted(("idempotency-key", "k" * 5_000 + end), ("content-type", "t" * 5_000)) for end in "ab")
    assert len(one["idempotency_key"]) == MAX_TEXT
    assert one["idempotency_key"] != two["idempotency_key"]
    assert one["content_type"] == "t" * MAX_CONTENT_TYPE


def test_a_client_that_leaves_when_all_was_handed_over_has_not_left_early() -> None:
    early = noted(left=2.0, stage="mid_stream")
    assert (early["left_ms"], early["left_in"]) == (2_000.0, "mid_stream")
    late = noted(left=2.0, stage="")
    assert (late["left_ms"], late["left_in"]) == (None, "")

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from mock_server.core.added import FRAMING, OWN, added
from mock_server.core.faults import FaultError


def refused(name: str, value: str = "x", **others: str) -> str:
    with pytest.raises(FaultError) as caught:
        added({name: value} | others)
    assert "\n" not in str(caught.value)
    return str(caught.value)


@pytest.mark.parametrize("value", ["", "false", "7", "Wed, 21 Oct 2026 07:28:00 GMT", "a\tb", "größe", 'a; q="b"'])
def test_any_line_of_a_header_may_be_added(value: str) -> None:
    assert added({"x-should-retry": value, "Retry-After": "7"}) == (("x-should-retry", value), ("Retry-After", "7"))


@pytest.mark.parametrize("name", sorted(FRAMING))
def test_what_http_frames_messages_by_is_refused_in_any_case(name: str) -> None:
    for written in (name, name.upper(), name.title()):
        assert refused(written).startswith(f"headers: {written} belongs to HTTP's own framing")


@pytest.mark.parametrize("name", sorted(OWN))
def test_what_the_mock_says_of_every_answer_is_refused(name: str) -> None:
    assert refused(name.title()) == f"headers: {name.title()} is the mock's own to say"


@pytest.mark.parametrize("name", ["", "a b", "a:", "a\r\nb", "größe", "a\x00", "(a)"])
def test_what_is_no_name_is_refused(name: str) -> None:
    assert refused(name) == f"headers: {name!r} is not the name of a header"


@pytest.mark.parametrize("value", ["a\r\nSet-Cookie: b", "a\nb", "a\rb", "\x00", "a\x7f", " a", "a ", "\t", "密"])
def test_a_value_that_is_not_one_line_is_refused(value: str) -> None:
    assert "the value of x-a must be one line of Latin-1 text" in refused("x-a", value)


def test_a_name_given_twice_is_refused() -> None:
    assert refused("Retry-After", **{"retry-after": "2"}) == "headers: retry-after is given twice"


@given(st.dictionaries(st.text(max_size=5), st.text(max_size=8), max_size=3))
def test_nothing_that_is_added_can_end_its_line(headers: dict[str, str]) -> None:
    try:
        lines = added(headers)
    except FaultError:
        return
    for name, value in lines:
        line = f"{name}: {value}".encode("latin-1")
        assert not set(line) & {*range(9), *range(10, 32), 127}
        assert line.count(b":") >= 1

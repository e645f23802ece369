"""Where messages begin and end, however they come in."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from mock_server.kit.proxy.messages import (
    MOST_HEAD_BYTES,
    Scanner,
    method_and_target,
    request_size,
    response_size,
)

LENGTH = b"POST /a?b=1 HTTP/1.1\r\nHost: x\r\nContent-Length: 5\r\n\r\nhello"
CHUNKED = b"POST /b HTTP/1.1\r\nTransfer-Encoding: chunked\r\n\r\n3;x=1\r\nabc\r\n2\r\nde\r\n0\r\nTrailer: 1\r\n\r\n"
BARE = b"GET /c HTTP/1.1\r\nHost: x\r\n\r\n"
MESSAGES = {LENGTH: ("/a?b=1", b"hello"), CHUNKED: ("/b", b"abcde"), BARE: ("/c", b"")}


def scanned(pieces: list[bytes], scanner: Scanner) -> tuple[bytes, list[tuple[str, bytes, bool]]]:
    """All raw bytes, and of each message its target, its body and whether it ended."""
    raw, found = b"", list[tuple[str, bytes, bool]]()
    for piece in pieces:
        for part in scanner.feed(piece):
            raw += part.raw
            if part.head is not None:
                found.append((method_and_target(part.head)[1], b"", False))
            if found:
                target, body, ended = found[-1]
                found[-1] = (target, body + part.body, ended or part.end)
    return raw, found


@given(st.lists(st.sampled_from(sorted(MESSAGES)), min_size=1, max_size=4), st.data())
def test_messages_are_told_apart_wherever_the_reads_are_cut(messages: list[bytes], data: st.DataObject) -> None:
    whole = b"".join(messages)
    cuts = sorted(data.draw(st.sets(st.integers(1, len(whole) - 1), max_size=8)))
    pieces = [whole[start:end] for start, end in zip([0, *cuts], [*cuts, len(whole)], strict=True)]
    raw, found = scanned(pieces, Scanner(request_size))
    assert raw == whole
    assert found == [(*MESSAGES[message], True) for message in messages]


@given(st.binary(max_size=200), st.data())
def test_whatever_comes_is_passed_on_or_held_and_never_lost(noise: bytes, data: st.DataObject) -> None:
    at = data.draw(st.integers(0, len(noise)))
    scanner = Scanner(request_size)
    raw, _ = scanned([noise[:at], noise[at:]], scanner)
    assert raw + scanner.held == noise


@pytest.mark.parametrize(
    "start",
    [
        b"\x16\x03\x01\x02\x00 something else\r\n\r\n",
        b"PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n",
        b"CONNECT a:1 HTTP/1.1\r\n\r\n",
        b"POST / HTTP/1.1\r\nContent-Length: 1\r\nContent-Length: 2\r\n\r\n",
        b"POST / HTTP/1.1\r\nno colon\r\n\r\n",
        b"x" * (MOST_HEAD_BYTES + 1),
    ],
)
def test_what_is_not_http_is_passed_on_blindly_from_there_on(start: bytes) -> None:
    scanner = Scanner(request_size)
    raw, found = scanned([start, b"and more"], scanner)
    assert (raw, found, scanner.blind) == (start + b"and more", [], True)


@pytest.mark.parametrize(
    ("head", "method", "ends"),
    [
        (b"HTTP/1.1 200 OK\r\nContent-Length: 9\r\n\r\n", "HEAD", True),
        (b"HTTP/1.1 204 No Content\r\n\r\n", "POST", True),
        (b"HTTP/1.1 304 Not Modified\r\nContent-Length: 9\r\n\r\n", "GET", True),
        (b"HTTP/1.1 100 Continue\r\n\r\n", "POST", True),
        (b"HTTP/1.1 200 OK\r\n\r\n", "POST", False),
    ],
)
def test_an_answer_without_a_body_ends_with_its_head(head: bytes, method: str, ends: bool) -> None:
    scanner = Scanner(lambda found: response_size(found, method))
    (part,) = scanner.feed(head)
    assert part.end is ends
    assert scanner.ends_with_connection is not ends

"""Whole answers that are wrong, or slow to come."""

from __future__ import annotations

from typing import Final, assert_never

from msgspec import Struct

from mock_server.core.faults import DEFAULT_DRIBBLE_S, Kind
from mock_server.edge.answers import Headers, WholeAnswer, length_line

DRIBBLES: Final = 20
_HTML: Final = b"<!doctype html><title>502 Bad Gateway</title><h1>502 Bad Gateway</h1>\n"
_HTML_TYPE: Final = (b"content-type", b"text/html; charset=utf-8")


class Spoiled(Struct, frozen=True):
    """What is sent instead of a good answer; when not ``complete``, the connection closes after it."""

    headers: Headers
    body: bytes
    complete: bool = True


def spoil(kind: Kind | None, whole: WholeAnswer) -> Spoiled | None:
    """What is sent instead of a good answer; None where a fault of this kind leaves the answer what it is."""
    headers, half = list(whole.headers), whole.body[: len(whole.body) // 2]
    match kind:
        case "empty":
            return Spoiled([*headers, length_line(b"")], b"")
        case "truncated_json":
            return Spoiled([*headers, length_line(whole.body)], half, complete=False)
        case "malformed_json":
            return Spoiled([*headers, length_line(half)], half)
        case "wrong_type":
            headers = [_HTML_TYPE if name == b"content-type" else (name, value) for name, value in headers]
            return Spoiled([*headers, length_line(_HTML)], _HTML)
        case None | "delay" | "dribble" | "stall" | "reset" | "fin":
            return None
        case "eof" | "error_event" | "garbage_event" | "bad_chunk" | "done_then_hang":
            return None  # streams alone have events
        case _:
            assert_never(kind)


def dribbled(body: bytes, over_s: float | None) -> list[tuple[float, bytes]]:
    """Small pieces of ``body``, each with the simulated seconds after which it leaves: the first at once."""
    size = -(-len(body) // DRIBBLES)
    pieces = [body[start : start + size] for start in range(0, len(body), size)]
    pause = (DEFAULT_DRIBBLE_S if over_s is None else over_s) / max(1, len(pieces) - 1)
    return [(number * pause, piece) for number, piece in enumerate(pieces)]

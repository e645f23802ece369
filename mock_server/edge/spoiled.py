"""Whole answers that are wrong, or slow to come."""

from __future__ import annotations

from typing import Final

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


def spoil(kind: Kind, whole: WholeAnswer) -> Spoiled:
    """Spoil a good answer. Raises KeyError for a kind that is not about whole answers."""
    half = whole.body[: len(whole.body) // 2]
    bodies = {"empty": b"", "truncated_json": half, "malformed_json": half, "wrong_type": _HTML}
    body = bodies[kind]
    if kind == "truncated_json":
        return Spoiled([*whole.headers, length_line(whole.body)], body, complete=False)
    headers = list(whole.headers)
    if kind == "wrong_type":
        headers = [_HTML_TYPE if name == b"content-type" else (name, value) for name, value in headers]
    return Spoiled([*headers, length_line(body)], body)


def dribbled(body: bytes, over_s: float | None) -> list[tuple[float, bytes]]:
    """Small pieces of ``body``, each with the simulated seconds after which it leaves: the first at once."""
    size = -(-len(body) // DRIBBLES)
    pieces = [body[start : start + size] for start in range(0, len(body), size)]
    pause = (DEFAULT_DRIBBLE_S if over_s is None else over_s) / max(1, len(pieces) - 1)
    return [(number * pause, piece) for number, piece in enumerate(pieces)]

"""Where the API key of a request stood, which is not always where it belongs."""

from __future__ import annotations

from collections.abc import Container, Iterable, Iterator
from typing import Final
from urllib.parse import parse_qsl

import msgspec
from msgspec import Struct

from mock_server.edge.request import Head

_HEADERS: Final = (
    b"x-api-key",
    b"api-key",
    b"apikey",
    b"x-goog-api-key",
    b"x-auth-token",
    b"x-access-token",
    b"proxy-authorization",
)
_NAMES: Final = frozenset({"api_key", "apikey", "api-key", "key", "token", "access_token", "authorization"})
_MAX_NAME: Final = 64


class _Body(Struct, rename={"camel": "apiKey", "dashed": "api-key"}):
    """What a body may call a key; whatever else it holds is passed over."""

    api_key: object = None
    camel: object = None
    dashed: object = None
    apikey: object = None
    key: object = None
    token: object = None
    access_token: object = None
    authorization: object = None


_BODY: Final = msgspec.json.Decoder(_Body)


def find_key(head: Head, path: str, query: bytes, body: bytes, known: Iterable[str]) -> tuple[str, str]:
    """The place where a key stood, and the key; both empty where none did.

    A place with a ``known`` key comes before one that only looks as if it held one. Places are "path", "query", the
    name of a header, or "body".
    """
    known = frozenset(known)
    first: tuple[str, str] | None = None
    for place, key in places(head, path, query, body, known):
        if key in known:
            return place, key
        first = first or (place, key)
    return first or ("", "")


def places(head: Head, path: str, query: bytes, body: bytes, known: Iterable[str]) -> Iterator[tuple[str, str]]:
    """Every place where a key stood, or what looks like one, and the key; see `find_key`."""
    for key in known:
        if key in path:
            yield "path", key
    if query:
        yield from _in_query(query, frozenset(known))
    if value := head.named.get(b"authorization"):
        yield "authorization", _token(value)
    for name in _HEADERS:
        if value := head.named.get(name):
            yield name.decode(), _token(value)
    for name, value in head.named.items():
        text = value.decode("latin-1")
        if key := next((key for key in known if key in text), ""):
            yield name.decode("latin-1")[:_MAX_NAME], key
    yield from _in_body(body)


def _in_query(query: bytes, known: Container[str]) -> Iterator[tuple[str, str]]:
    for name, value in parse_qsl(query.decode("latin-1")):
        if value in known or name.lower() in _NAMES:
            yield "query", value


def _in_body(body: bytes) -> Iterator[tuple[str, str]]:
    try:
        fields = _BODY.decode(body)
    except (msgspec.DecodeError, UnicodeDecodeError, RecursionError):
        return
    for value in msgspec.structs.astuple(fields):
        if isinstance(value, str) and value:
            yield "body", _token(value.encode("utf-8", "replace"))


def _token(value: bytes) -> str:
    """A credential without the scheme before it."""
    return value.decode("latin-1").strip().rpartition(" ")[2]

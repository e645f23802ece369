"""Addresses that carry a test id: `/__test__/ID` before any path says what `X-Mock-Test: ID` does."""

from __future__ import annotations

from urllib.parse import unquote, unquote_to_bytes

from starlette.types import Scope

from mock_server.contract.endpoints import TEST_PREFIX

_PREFIX = TEST_PREFIX.encode()
_HEADER = b"x-mock-test"
BEFORE_PATH = "mock.prefix"
"""Where the scope holds what was before the path."""


def without_test(scope: Scope) -> Scope:
    """The request as if the test id of its address, if there is one, had come in the header."""
    raw: bytes = scope.get("raw_path") or scope["path"].encode()
    if not raw.startswith(_PREFIX):
        return scope
    test, _, rest = raw[len(_PREFIX) :].partition(b"/")
    if not test:
        return scope
    path = b"/" + rest
    return {
        **scope,
        BEFORE_PATH: raw[: len(raw) - len(rest)].decode("latin-1").rstrip("/"),
        "path": unquote(path.decode("latin-1")),
        "raw_path": path,
        "headers": [*scope["headers"], (_HEADER, unquote_to_bytes(test))],
    }

from __future__ import annotations

import json

import pytest

from mock_server.edge.keys import find_key
from mock_server.edge.request import Head

KNOWN = {"sk-test-pro": None, "sk-test-free": None}


@pytest.mark.parametrize(
    ("headers", "query", "body", "found"),
    [
        ({}, "", "", ("", "")),
        ({"authorization": "Bearer sk-test-pro"}, "", "", ("authorization", "sk-test-pro")),
        ({"authorization": "sk-test-pro"}, "", "", ("authorization", "sk-test-pro")),
        ({"authorization": "Bearer unknown"}, "", "", ("authorization", "unknown")),
        ({"x-api-key": "sk-test-pro"}, "", "", ("x-api-key", "sk-test-pro")),
        ({"api-key": "unknown"}, "", "", ("api-key", "unknown")),
        ({"x-own-name": "sk-test-pro"}, "", "", ("x-own-name", "sk-test-pro")),
        ({"cookie": "a=b; key=sk-test-pro"}, "", "", ("cookie", "sk-test-pro")),
        ({}, "api_key=unknown", "", ("query", "unknown")),
        ({}, "anything=sk-test-pro", "", ("query", "sk-test-pro")),
        ({"authorization": "Bearer sk-test-pro"}, "api_key=sk-test-free", "", ("query", "sk-test-free")),
        ({"authorization": "Bearer sk-test-pro"}, "key=of-a-map", "", ("authorization", "sk-test-pro")),
        ({"authorization": "Bearer dummy"}, "", {"api_key": "sk-test-pro"}, ("body", "sk-test-pro")),
        ({}, "", {"messages": [{"api_key": "sk-test-pro"}], "apiKey": "unknown"}, ("body", "unknown")),
        ({}, "", {"api_key": 5, "token": None, "messages": []}, ("", "")),
        ({}, "", '{"api_key": "sk-test-pro"', ("", "")),
        ({}, "", "[" * 100_000, ("", "")),
        ({}, "", '{"token": ' + "[" * 100_000, ("", "")),
        ({}, "", b'{"token": "\xff"}', ("", "")),
    ],
    ids=lambda value: str(value)[:60],
)
def test_a_key_is_found_where_it_stands(
    headers: dict[str, str], query: str, body: object, found: tuple[str, str]
) -> None:
    head = Head([(name.encode(), value.encode()) for name, value in headers.items()])
    content = body if isinstance(body, bytes) else (body if isinstance(body, str) else json.dumps(body)).encode()
    assert find_key(head, "/v1/llm/auto", query.encode(), content, KNOWN) == found


def test_a_key_in_the_path_comes_before_all_others() -> None:
    head = Head([(b"authorization", b"Bearer sk-test-free")])
    assert find_key(head, "/v1/sk-test-pro/auto", b"", b"", KNOWN) == ("path", "sk-test-pro")

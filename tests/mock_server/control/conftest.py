"""The control plane, asked in short."""

from __future__ import annotations

import json
from typing import Any

import httpx
import pytest

from tests.mock_server.wire import Mock


class Plane:
    """A mock's control plane."""

    def __init__(self, mock: Mock) -> None:
        self.mock = mock

    def ask(self, method: str, path: str, body: object = None, *, test: str = "", **params: Any) -> httpx.Response:
        """Any request; ``body`` is a JSON value or raw bytes."""
        content = body if isinstance(body, bytes) else b"" if body is None else json.dumps(body).encode()
        headers = {"Content-Type": "application/json"} | ({"X-Mock-Test": test} if test else {})
        return self.mock.http.request(method, f"/__mock__/{path}", content=content, headers=headers, params=params)

    def say(self, method: str, path: str, body: object = None, *, test: str = "", **params: Any) -> Any:
        """What a request that must succeed is answered with."""
        answer = self.ask(method, path, body, test=test, **params)
        assert answer.status_code == 200, answer.text
        return answer.json()

    def get(self, path: str, *, test: str = "", **params: Any) -> Any:
        return self.say("GET", path, test=test, **params)

    def post(self, path: str, body: object, *, test: str = "") -> Any:
        return self.say("POST", path, body, test=test)

    def put(self, path: str, body: object, *, test: str = "") -> Any:
        return self.say("PUT", path, body, test=test)

    def delete(self, path: str, *, test: str = "") -> Any:
        return self.say("DELETE", path, test=test)


@pytest.fixture
def plane(mock: Mock) -> Plane:
    return Plane(mock)


@pytest.fixture
def slow_plane(slow_mock: Mock) -> Plane:
    return Plane(slow_mock)

"""How a client team tests its client: a mock for the whole test session, one test id for each test.

Run it with `pytest examples`; it needs httpx and the mock (`pip install .`).
"""

from __future__ import annotations

import time
from collections.abc import Iterator

import httpx
import pytest

from mock_server.launch import launch


@pytest.fixture(scope="session")
def gateway() -> Iterator[str]:
    """The address of a mock that runs as long as the tests do."""
    with launch("--world", "instant") as mock:
        yield mock.url


@pytest.fixture
def client(gateway: str, request: pytest.FixtureRequest) -> Iterator[httpx.Client]:
    """A client of the mock; the test's name keeps its limits, balances and faults apart from other tests'."""
    headers = {"Authorization": "Bearer sk-test-basic", "X-Mock-Test": request.node.name[:128]}
    with httpx.Client(base_url=gateway, headers=headers) as http:
        yield http


def ask(client: httpx.Client, text: str, tries: int = 3) -> str:
    """The client under test: it tries again on 429 and 5xx, waits as it is told, and reads a plain answer."""
    body = {"messages": [{"role": "user", "content": text}]}
    for left in reversed(range(tries)):
        answer = client.post("/v1/llm/auto", json=body)
        if answer.status_code == 200 or not left or answer.status_code not in (429, 500, 502):
            break
        time.sleep(float(answer.headers.get("retry-after", 0)))
    answer.raise_for_status()
    return str(answer.json()["response"])


def queue_fault(client: httpx.Client, **fault: object) -> None:
    """Let the next matching calls of this test fail."""
    client.post("/__mock__/faults", json=fault).raise_for_status()


def test_the_client_tries_again_after_a_502(client: httpx.Client) -> None:
    queue_fault(client, code=502, times=2)
    assert ask(client, "hello")


def test_the_client_gives_up_after_three_failures(client: httpx.Client) -> None:
    queue_fault(client, code=500, times=3)
    with pytest.raises(httpx.HTTPStatusError, match="500"):
        ask(client, "hello")


def test_a_wrong_key_is_not_tried_again(client: httpx.Client) -> None:
    client.headers["Authorization"] = "Bearer sk-test-revoked"
    with pytest.raises(httpx.HTTPStatusError, match="401"):
        ask(client, "hello")
    seen = client.get("/__mock__/requests/count", params={"status": "401"}).json()
    assert seen["count"] == 1

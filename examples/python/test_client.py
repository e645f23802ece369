"""How a client team tests its client: the fixture `llm_mock` comes with the mock (`pip install .`).

Run it with `pytest examples/python`; the client needs httpx.
"""

from __future__ import annotations

from collections.abc import Iterator

import pytest
from client import Client, GatewayError

from mock_server.kit.pytest_plugin.mock import LlmMock


@pytest.fixture
def client(llm_mock: LlmMock) -> Iterator[Client]:
    with Client(llm_mock.base_url, llm_mock.api_key) as client:
        yield client


def test_the_answer_is_what_the_gateway_said(client: Client, llm_mock: LlmMock) -> None:
    llm_mock.canned("Sunny.", contains="weather")
    assert client.ask("How is the weather?") == "Sunny."
    assert llm_mock.ledger().balanced


def test_the_client_tries_again_after_a_502(client: Client, llm_mock: LlmMock) -> None:
    llm_mock.fail_next(502, times=2)
    assert client.ask("hello")
    llm_mock.assert_called(times=2, status=502)
    llm_mock.assert_called(times=1, status=200)


def test_the_client_waits_as_it_is_told(client: Client, llm_mock: LlmMock) -> None:
    llm_mock.fail_next(429, headers={"Retry-After": "1"})
    assert client.ask("hello")
    assert llm_mock.verdict(retries=True).result in ("PASS", "WARN")


def test_the_client_gives_up_after_three_failures(client: Client, llm_mock: LlmMock) -> None:
    with llm_mock.incident("outage"), pytest.raises(GatewayError, match="ALL_PROVIDERS_FAILED"):
        client.ask("hello")
    llm_mock.assert_called(times=3, status=502)


def test_a_wrong_key_is_not_tried_again(llm_mock: LlmMock) -> None:
    with Client(llm_mock.base_url, "sk-test-revoked") as client, pytest.raises(GatewayError, match="INVALID_API_KEY"):
        client.ask("hello")
    llm_mock.assert_called(times=1)


@pytest.mark.parametrize("fault", ["eof;after=1", "error_event", "garbage_event", "reset;stage=mid_stream;after=1"])
def test_half_a_stream_is_no_answer(client: Client, llm_mock: LlmMock, fault: str) -> None:
    llm_mock.fail_next(fault)
    with pytest.raises(GatewayError):
        list(client.stream("hello"))
    llm_mock.assert_called(times=1, stream=True)  # and it was not asked for again blindly


@pytest.mark.parametrize("framing", ["comments", "crlf", "bytewise", "multiline", "retry_lines"])
def test_a_stream_may_be_written_in_any_way(client: Client, llm_mock: LlmMock, framing: str) -> None:
    llm_mock.canned("It is sunny today.")
    llm_mock.fail_next(f"framing={framing}")
    assert "".join(client.stream("hello")) == "It is sunny today."

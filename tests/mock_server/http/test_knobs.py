"""What a world's switches change on the wire."""

from __future__ import annotations

from pathlib import Path

import pytest

from tests.mock_server.conftest import StartMock
from tests.mock_server.wire import assert_refused, chat

WORLD = """
extends = "instant"
[gateway]
reserve = "model_max"
failed_chain_status = "last"
[accounts.sk-own-purse]
balance = 1_000
"""


def test_a_402_says_what_is_affordable_and_that_is_then_answered(start_mock: StartMock, tmp_path: Path) -> None:
    world = tmp_path / "world.toml"
    world.write_text(WORLD)
    mock, key, strategy = start_mock("--world", str(world)), "sk-own-purse", {"models": ["gpt-4.1"]}
    refused = mock.call(chat(strategy=strategy), key=key)
    message = assert_refused(refused, 402, "INSUFFICIENT_BALANCE", says="its answer may have 32,768 tokens, and ")
    affordable = int(message.split(" tokens, and ")[1].split()[0].replace(",", ""))
    assert_refused(mock.call(chat(strategy=strategy, max_tokens=affordable + 1), key=key), 402, "INSUFFICIENT_BALANCE")
    answer = mock.call(chat(strategy=strategy, max_tokens=affordable), key=key)
    assert answer.status_code == 200
    account = mock.account(key)
    assert (account["reserved"], account["balance"] + answer.json()["usage"]["total_tokens"]) == (0, 1_000)


@pytest.mark.parametrize(("last", "status"), [(True, 500), (False, 502)])
def test_a_failed_chain_says_how_often_it_tried_and_how_it_failed(
    start_mock: StartMock, tmp_path: Path, last: bool, status: int
) -> None:
    world = tmp_path / "world.toml"
    world.write_text(WORLD if last else WORLD.replace('failed_chain_status = "last"', ""))
    mock = start_mock("--world", str(world))
    refused = mock.call(key="sk-test-outage")
    assert_refused(refused, status, "ALL_PROVIDERS_FAILED")
    assert (refused.headers["x-attempt-count"], refused.headers["x-last-attempt-status"]) == ("3", "500")
    (entry,) = mock.control("requests")["entries"]
    assert (entry["status"], len(entry["attempts"])) == (status, 3)
    good, forced = mock.call(), mock.call(headers={"Prefer": "code=502"})
    assert [a.headers.get("x-attempt-count") for a in (good, forced)] == [None, None]

"""Where mock and gateway disagree is said, with what each answered and who should change."""

from __future__ import annotations

import json
from pathlib import Path

import pytest

from mock_server.__main__ import main
from mock_server.kit.conform.diff import differences
from mock_server.kit.conform.report import Difference, judge
from tests.mock_server.conftest import StartMock
from tests.mock_server.kit.conform.gateways import Mock
from tests.mock_server.kit.conform.mutations import MUTATIONS, Mutation, when_status


@pytest.fixture(scope="module")
def mock() -> Mock:
    return Mock("instant")


def compared(mock: Mock, ours: Mutation, theirs: Mutation) -> list[Difference]:
    one, other = mock.seen(ours.request, ours.answer), mock.seen(theirs.request, theirs.answer)
    return list(differences(judge(one), judge(other), one, other))


AS_IT_IS = Mutation()


def test_a_mock_does_not_differ_from_itself(mock: Mock) -> None:
    assert compared(mock, AS_IT_IS, AS_IT_IS) == []


@pytest.mark.parametrize(
    ("clause", "change", "advice"),
    [
        ("documented.402", "gateway", "the documentation promises it"),
        ("request.strategy.max_attempts", "mock", "the contract only assumes it: mock and contract should follow"),
        ("error.MODEL_UNAVAILABLE", "mock", "set `gateway.model_unavailable_status` in its world file"),
    ],
)
def test_what_the_gateway_breaks_is_laid_to_who_should_change(
    mock: Mock, clause: str, change: str, advice: str
) -> None:
    found = {one.clause: one for one in compared(mock, AS_IT_IS, MUTATIONS[clause]) if one.clause}
    assert list(found) == [clause]
    assert found[clause].change == change
    assert advice in found[clause].advice
    assert found[clause].mock.startswith("KEPT: ")
    assert found[clause].gateway.startswith("BROKEN: ")


def test_what_the_mock_breaks_and_what_both_break_is_not_laid_to_the_gateway(mock: Mock) -> None:
    broken = MUTATIONS["documented.402"]
    (one,) = compared(mock, broken, AS_IT_IS)
    assert (one.clause, one.change) == ("documented.402", "mock")
    (both,) = compared(mock, broken, broken)
    assert (both.change, both.advice) == (
        "document",
        "mock and gateway agree with each other, and not with the documentation",
    )


def test_what_the_contract_leaves_open_is_shown_and_nobody_is_to_change(mock: Mock) -> None:
    other = when_status(402, lambda got: got._replace(headers=got.headers | {"retry-after": ["9"]}))
    (one,) = [one for one in compared(mock, AS_IT_IS, other) if one.probe == "key.402"]
    assert (one.clause, one.change) == ("", "nobody")
    assert "Retry-After" in one.gateway
    assert "Retry-After" not in one.mock


def test_the_command_compares_with_a_running_mock(
    start_mock: StartMock, tmp_path: Path, capfd: pytest.CaptureFixture[str]
) -> None:
    world = tmp_path / "other.toml"
    world.write_text('extends = "instant"\ndescription = "404"\n[gateway]\nmodel_unavailable_status = 404\n')
    gateway, mock = start_mock("--world", str(world)), start_mock("--world", "instant")
    command = ["conform", "--target", gateway.url, "--api-key", "sk-test-basic", "--diff", mock.url]
    assert main(command) == 1
    out = capfd.readouterr().out
    assert f"differs from {mock.url}:" in out
    lines = out.splitlines()
    at = lines.index("  error.MODEL_UNAVAILABLE")
    assert lines[at + 1].split()[:2] == ["mock:", "KEPT:"]
    assert lines[at + 2].split()[:2] == ["gateway:", "BROKEN:"]
    assert "change mock: " in lines[at + 3]
    assert "gateway.model_unavailable_status" in lines[at + 3]
    assert main([*command, "--json"]) == 1
    report = json.loads(capfd.readouterr().out)
    assert report["compared_with"] == mock.url
    assert [one["clause"] for one in report["differences"] if one["clause"]] == ["error.MODEL_UNAVAILABLE"]

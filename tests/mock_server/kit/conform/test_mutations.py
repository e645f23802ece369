"""Each clause that is judged can be broken by itself, and nothing is broken on the mock as it is."""

from __future__ import annotations

import pytest

from mock_server.kit.conform.asking import Keys
from mock_server.kit.conform.defaults import MOCK_KEY, MOCK_KEYS
from mock_server.kit.conform.finding import Result
from mock_server.kit.conform.pack import PACK
from mock_server.kit.conform.report import judge
from mock_server.kit.conform.seen import Seen
from tests.mock_server.kit.conform.gateways import Mock
from tests.mock_server.kit.conform.mutations import MUTATIONS

# Whatever can be judged is judged: idempotency is on.
WORLD = """
extends = "instant"
description = "no latency, no failures, with idempotency"
[gateway]
idempotency = true
"""


@pytest.fixture(scope="module")
def mock(tmp_path_factory: pytest.TempPathFactory) -> Mock:
    world = tmp_path_factory.mktemp("worlds") / "idempotent.toml"
    world.write_text(WORLD)
    return Mock(str(world))


def results(seen: Seen) -> dict[str, Result]:
    return {found.clause: found.result for found in judge(seen)}


def said(seen: Seen, result: Result) -> dict[str, str]:
    return {found.clause: found.said for found in judge(seen) if found.result is result}


def test_the_mock_as_it_is_keeps_all_that_can_be_judged(mock: Mock) -> None:
    seen = mock.seen()
    assert said(seen, Result.BROKEN) == {}
    judged = {name for name, row in PACK.items() if row.judge is not None}
    # A stream fails only where something is broken.
    assert {name for name, result in results(seen).items() if result is Result.KEPT} == judged - {"stream.failure"}


def test_every_clause_that_is_judged_has_a_gateway_that_breaks_it() -> None:
    assert set(MUTATIONS) == {name for name, row in PACK.items() if row.judge is not None}


@pytest.mark.parametrize("clause", MUTATIONS)
def test_a_gateway_broken_in_one_clause_is_broken_in_that_one_and_no_other(mock: Mock, clause: str) -> None:
    mutation = MUTATIONS[clause]
    seen = mock.seen(mutation.request, mutation.answer)
    assert list(said(seen, Result.BROKEN)) == [clause], said(seen, Result.BROKEN)


def test_an_answer_to_head_is_not_blamed_for_having_no_body(mock: Mock) -> None:
    seen = mock.seen(answer=lambda asked, got: got._replace(status=402) if asked.method == "HEAD" else got)
    assert not {"documented.402", "error.INSUFFICIENT_BALANCE"} & said(seen, Result.BROKEN).keys()


@pytest.mark.parametrize("key", [MOCK_KEY, "sk-mistyped"])
def test_a_key_that_is_not_what_it_was_said_to_be_is_not_held_against_the_gateway(mock: Mock, key: str) -> None:
    seen = mock.seen(keys=Keys(MOCK_KEY, {**MOCK_KEYS, 402: key}))
    assert said(seen, Result.BROKEN) == {}
    cannot = said(seen, Result.CANNOT_CHECK)
    for clause in ("documented.402", "errors.order", "error.INSUFFICIENT_BALANCE"):
        assert "the key for 402 did not call it forth" in cannot[clause]


def test_another_refusal_of_a_key_without_balance_is_the_gateways(mock: Mock) -> None:
    seen = mock.seen(answer=lambda _, got: got._replace(status=403) if got.status == 402 else got)
    assert "documented.402" in said(seen, Result.BROKEN)

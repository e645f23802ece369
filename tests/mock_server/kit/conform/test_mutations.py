"""Each clause that is judged can be broken by itself, and nothing is broken on the mock as it is."""

from __future__ import annotations

import pytest

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

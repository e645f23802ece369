"""What real clients do, typed from their sources by hand; and what our own policies promise."""

from __future__ import annotations

from math import inf, isclose

import pytest
from hypothesis import given
from hypothesis import strategies as st

from mock_server.contract.errors import BY_CODE
from reports.sample import Outcome
from scenarios.model.client import Feedback, may_try_again, one_call
from scenarios.model.load import Open
from scenarios.model.policy import POLICIES, PolicyName
from scenarios.model.scenario import ClientRules, Scenario
from scenarios.model.workload import Call

CALL = Call("k", b"{}")
BY_STATUS = {kind.status: kind.code for kind in BY_CODE.values()}


def waits(name: PolicyName, status: int | None, retry_after_s: float | None = None, *, most: int = 12) -> list[float]:
    """Between the tries of a call that always ends like this, which takes no time; ``None``: a lost connection."""
    client = one_call(7, 0.0, CALL, POLICIES[name], 0)
    ask, found = next(client), list[float]()
    while len(found) < most:
        outcome = Outcome.CONNECTION if status is None else Outcome.REFUSED
        code = None if status is None else BY_STATUS[status]
        try:
            again = client.send(Feedback(outcome, ask.at_s, code, retry_after_s, status))
        except StopIteration:
            break
        found.append(again.at_s - ask.at_s)
        ask = again
    return found


def between(found: list[float], wanted: list[tuple[float, float]]) -> bool:
    return len(found) == len(wanted) and all(
        low - 1e-9 <= wait <= high + 1e-9 for wait, (low, high) in zip(found, wanted, strict=True)
    )


STAINLESS = [(0.375, 0.5), (0.75, 1.0)]


# The waits after a 500, after a 429 that says 2, and after one that says 90; None: as after a 500.
ROWS: list[tuple[PolicyName, list[tuple[float, float]], list[float] | None, list[float] | None]] = [
    ("openai-python", STAINLESS, [2, 2], [90, 90]),
    ("openai-node", STAINLESS, [2, 2], [90, 90]),
    ("anthropic", STAINLESS, [2, 2], [90, 90]),
    ("openai-go", STAINLESS, [2, 2], [8, 8]),
    ("groq", STAINLESS, [2, 2], None),
    ("vercel-ai", [(2, 2), (4, 4)], [2, 2], None),
    ("langchain-js", [(2**n, 2 * 2**n) for n in range(6)], [2] * 6, []),
    ("langchain4j", [(0.5, 0.6), (0.75, 0.9)], None, None),
    ("spring-ai", [(2, 2), (10, 10), (50, 50), *[(180, 180)] * 6], [], []),
    ("go-retryablehttp", [(1, 1), (2, 2), (4, 4), (8, 8)], [2] * 4, [90] * 4),
    ("aiohttp-retry", [(0.2, 0.2), (0.4, 0.4)], [], []),
    ("axios-retry", [], [], []),
    ("fetch-retry", [], [], []),
    ("p-retry", [(2**n, 2**n) for n in range(10)], None, None),
    ("stamina", [(0.1 * 2**n, min(5, 0.1 * 2**n + 1)) for n in range(6)] + [(3, 5)] * 3, None, None),
    ("tenacity-bare", [(0, 0)] * 12, [0] * 12, [0] * 12),
]


@pytest.mark.parametrize(("name", "after_500", "told_2", "told_90"), ROWS, ids=[row[0] for row in ROWS])
def test_a_real_client_does_what_its_source_does(
    name: PolicyName,
    after_500: list[tuple[float, float]],
    told_2: list[float] | None,
    told_90: list[float] | None,
) -> None:
    assert between(waits(name, 500), after_500)
    for told, seconds in ((told_2, 2.0), (told_90, 90.0)):
        found = waits(name, 429, seconds)
        assert between(found, after_500) if told is None else all(map(isclose, found, told)) and len(found) == len(told)
    assert bool(waits(name, None)) is (name != "aiohttp-retry")
    assert waits(name, 400) == waits(name, 401) == []
    assert bool(waits(name, 402)) is (name == "tenacity-bare")


def test_openai_python_gives_up_what_asks_for_more_than_two_minutes_and_langchain_js_what_does_not_say() -> None:
    assert waits("openai-python", 429, 121.0) == []
    assert waits("langchain-js", 429) == []
    assert len(waits("openai-python", 429)) == 2


def test_only_lost_connections_are_tried_again_by_axios_and_fetch() -> None:
    assert waits("axios-retry", None) == [0, 0, 0]
    assert waits("fetch-retry", None) == [1, 1, 1]


def test_stamina_stops_after_45_seconds() -> None:
    client = one_call(1, 10.0, CALL, POLICIES["stamina"], 0)
    next(client)
    client.send(Feedback(Outcome.REFUSED, 54.9, "INTERNAL_ERROR", None, 500))
    with pytest.raises(StopIteration):
        client.send(Feedback(Outcome.REFUSED, 56.0, "INTERNAL_ERROR", None, 500))


def test_every_name_has_a_policy_and_every_real_client_a_test() -> None:
    assert set(POLICIES) == set(PolicyName.__args__)  # type: ignore[attr-defined]  # of a Literal
    assert {row[0] for row in ROWS} == set(POLICIES) - {"none", "polite", "rude"}
    assert all(bool(policy.source) is (name not in ("none", "polite", "rude")) for name, policy in POLICIES.items())


@given(
    st.sampled_from(sorted(POLICIES)),
    st.integers(0, 120),
    st.none() | st.floats(0, 1e6),
    st.floats(0, 1, exclude_max=True),
    st.floats(0, 1, exclude_max=True),
)
def test_a_wait_is_finite_and_never_before_now(
    name: PolicyName, attempt: int, retry_after_s: float | None, one: float, two: float
) -> None:
    delay_s = POLICIES[name].delay_s(attempt, retry_after_s, (one, two))
    assert delay_s is None or 0 <= delay_s < inf


@given(st.sampled_from(sorted(POLICIES)), st.sampled_from(Outcome), st.none() | st.sampled_from([200, 429, 500, 502]))
def test_nobody_tries_again_once_an_answer_is_good_or_has_begun_to_come(
    name: PolicyName, outcome: Outcome, status: int | None
) -> None:
    again = may_try_again(POLICIES[name], Feedback(outcome, 0.0, BY_STATUS.get(status or 0), None, status))
    if outcome in (Outcome.OK, Outcome.STREAM_BROKEN, Outcome.CUT_OFF, Outcome.NEVER_SENT) or status == 200:
        assert not again


def scenario(client: ClientRules) -> Scenario:
    return Scenario(name="mix", world="instant", duration_s=1, load=Open(rate_per_s=1), client=client)


def test_a_mix_is_by_its_weights_and_the_same_for_one_seed() -> None:
    mixed = scenario(ClientRules(policies={"openai-python": 3, "rude": 1, "polite": 0}))
    drawn = [mixed.policy_of(0, number) for number in range(4_000)]
    share = drawn.count(POLICIES["rude"]) / len(drawn)
    assert 0.21 < share < 0.29
    assert POLICIES["polite"] not in drawn
    assert drawn == [mixed.policy_of(0, number) for number in range(4_000)]
    assert drawn != [mixed.policy_of(1, number) for number in range(4_000)]
    assert mixed.most_tries == POLICIES["rude"].max_tries
    assert scenario(ClientRules(policy="rude")).policy_of(5, 5) is POLICIES["rude"]

"""What holds for every journal."""

from __future__ import annotations

import dataclasses
from random import Random

from hypothesis import given, settings
from hypothesis import strategies as st
from msgspec.structs import replace

from mock_server.edge.journal import Entry
from mock_server.judge.calls import link
from mock_server.judge.coverage import cover
from mock_server.judge.rules import RULES
from mock_server.judge.verdict import Verdict, judge
from tests.mock_server.judge.rows import ROWS
from tests.mock_server.judge.simulator import (
    BROKEN,
    EOF,
    ERROR_EVENT,
    OK,
    RESET,
    START_UNIX_S,
    Answer,
    Client,
    Policy,
    entry,
    refused,
)

ABOUT_RETRIES = {rule.name for rule in RULES if rule.needs == "retries"} | {"non_retryable_retried"}
ANSWERS = st.sampled_from(
    [
        OK,
        RESET,
        BROKEN,
        EOF,
        ERROR_EVENT,
        *(refused(status) for status in (400, 401, 402, 429, 500, 502)),
        *(refused(429, wait) for wait in (1, 4, 20, 100)),
        Answer(402, more={"should_retry": True}),
    ]
)
PLANS = st.lists(st.lists(ANSWERS, min_size=1, max_size=4), min_size=1, max_size=6)
POLICIES = st.sampled_from([row.policy for row in ROWS.values()])


def play(policy: Policy, plan: list[list[Answer]], test: str, seed: int = 0) -> list[Entry]:
    client = Client(policy, seed=seed, test=test)
    for answers in plan:
        client.call(answers)
    return client.entries


def failed(verdict: Verdict) -> set[str]:
    return {rule.rule for rule in verdict.rules if rule.result == "FAIL"}


@given(POLICIES, PLANS, st.integers(0, 99))
@settings(deadline=None)
def test_the_order_of_entries_does_not_matter(policy: Policy, plan: list[list[Answer]], seed: int) -> None:
    entries = [*play(policy, plan, "one", seed), *play(policy, plan, "two", seed + 1)]
    shuffled = Random(seed).sample(entries, len(entries))  # noqa: S311 - any order will do
    assert judge(shuffled) == judge(entries)
    assert cover(shuffled) == cover(entries)


@given(POLICIES, PLANS, POLICIES, PLANS)
@settings(deadline=None)
def test_calls_of_another_client_are_no_evidence_against_this_one(
    policy: Policy, plan: list[list[Answer]], other: Policy, others: list[list[Answer]]
) -> None:
    ours, theirs = play(policy, plan, "ours"), play(other, others, "theirs")
    assert failed(judge(ours + theirs)) == failed(judge(ours)) | failed(judge(theirs))


@given(POLICIES, PLANS, st.floats(0, 20), st.integers(1, 5))
@settings(deadline=None)
def test_a_good_call_of_another_body_fails_nothing(
    policy: Policy, plan: list[list[Answer]], later_s: float, count: int
) -> None:
    ours = play(policy, plan, "t")
    more = [
        entry(request_id=f"req_fffff{n:02x}", arrived_unix_s=START_UNIX_S + later_s + n, body_hash=f"new-{n}")
        for n in range(count)
    ]
    assert failed(judge(ours + more)) == failed(judge(ours))


@given(PLANS, st.booleans(), st.booleans())
@settings(deadline=None)
def test_who_never_sends_anything_again_fails_no_rule_about_it(
    plan: list[list[Answer]], stainless: bool, pooled: bool
) -> None:
    never = Policy(0, stainless=stainless, pooled=pooled)
    assert failed(judge(play(never, plan, "t"))) & ABOUT_RETRIES == set()


@given(st.lists(ANSWERS, min_size=1, max_size=20))
@settings(deadline=None)
def test_a_loop_over_one_prompt_fails_no_rule_about_retries_once_it_shows(answers: list[Answer]) -> None:
    client = Client(Policy(0))
    for answer in [OK, OK, *answers]:
        client.call([answer], body="same")
    assert failed(judge(client.entries)) & ABOUT_RETRIES == set()


@given(
    st.integers(2, 50),
    st.floats(0.0, 0.01),
    st.floats(0.1, 400.0),
    st.sampled_from([OK, refused(402), refused(429, 2), refused(500), BROKEN]),
)
@settings(deadline=None)
def test_equal_requests_at_once_are_never_one_call(count: int, every_s: float, took_ms: float, answer: Answer) -> None:
    every_s = min(every_s, took_ms / 2e3)
    entries = [
        entry(
            request_id=f"req_{n:07x}",
            arrived_unix_s=START_UNIX_S + n * every_s,
            connection=n + 1,
            **(answer.fields() | {"took_ms": took_ms}),
        )
        for n in range(count)
    ]
    assert all(len(call.tries) == 1 for call in link(entries))
    assert failed(judge(entries)) & ABOUT_RETRIES == set()


@given(POLICIES, PLANS, st.floats(0.00015, 0.004), st.sampled_from([0.05, 1.0, 300.0]))
@settings(deadline=None)
def test_however_fast_a_client_tries_again_on_new_connections_it_is_seen_to(
    policy: Policy, plan: list[list[Answer]], reaction_s: float, took_ms: float
) -> None:
    fast = dataclasses.replace(policy, pooled=False, reaction_s=reaction_s, own_wait=lambda _n, _dice: 0.0)
    hasty = [[dataclasses.replace(each, took_s=took_ms / 1e3) for each in answers] for answers in plan]
    assert len(link(play(fast, hasty, "t"))) == len(plan)


@given(
    st.lists(st.tuples(st.floats(0, 0.9), st.floats(0.05, 400.0)), min_size=2, max_size=20),
    st.sampled_from([refused(400), refused(401), refused(402), refused(429, 2), refused(500), RESET, BROKEN]),
)
@settings(deadline=None)
def test_what_was_on_its_way_before_the_first_answer_was_over_is_never_a_retry(
    sent: list[tuple[float, float]], answer: Answer
) -> None:
    entries = [
        entry(
            request_id=f"req_{n:07x}",
            arrived_unix_s=START_UNIX_S + at_s,
            connection=n + 1,
            connected_ms=0.04 + at_s * 1e3,
            **(answer.fields() | {"took_ms": took_ms}),
        )
        for n, (at_s, took_ms) in enumerate(sorted(sent))
    ]
    assert all(len(call.tries) == 1 for call in link(entries))
    assert failed(judge(entries)) & ABOUT_RETRIES == set()


@given(POLICIES, PLANS)
@settings(deadline=None)
def test_every_request_is_a_try_of_one_call(policy: Policy, plan: list[list[Answer]]) -> None:
    entries = play(policy, plan, "t")
    ids = [each.entry.request_id for call in link(entries) for each in call.tries]
    assert sorted(ids) == sorted(each.request_id for each in entries)
    assert all([each.number for each in call.tries] == [*range(1, len(call.tries) + 1)] for call in link(entries))


@given(POLICIES, PLANS)
@settings(deadline=None)
def test_attesting_the_truth_never_makes_a_good_client_fail(policy: Policy, plan: list[list[Answer]]) -> None:
    entries = play(policy, plan, "t")
    truth = [replace(each, attested="error" if each.ending == "fault" or each.code else "ok") for each in entries]
    assert failed(judge(truth)) <= failed(judge(entries))

"""Real clients by their defaults: none is failed but for what it does wrong."""

from __future__ import annotations

import pytest

from mock_server.judge.finding import Result
from mock_server.judge.verdict import Verdict, judge
from tests.mock_server.judge.rows import PLAN, ROWS, journal
from tests.mock_server.judge.simulator import START_UNIX_S

SEEDS = range(20)


def results(verdict: Verdict) -> dict[str, Result]:
    return {rule.rule: rule.result for rule in verdict.rules}


def failed(verdict: Verdict) -> set[str]:
    return {name for name, result in results(verdict).items() if result == "FAIL"}


@pytest.mark.parametrize("name", ROWS)
def test_a_real_client_fails_only_what_it_breaks(name: str) -> None:
    row = ROWS[name]
    for seed in SEEDS:
        verdict = judge(journal(row.policy, seed).entries)
        assert failed(verdict) == row.breaks
        assert verdict.result == ("FAIL" if row.breaks else "WARN" if "WARN" in results(verdict).values() else "PASS")


@pytest.mark.parametrize("name", ROWS)
def test_the_tries_of_a_real_client_are_told_from_its_calls(name: str) -> None:
    client = journal(ROWS[name].policy)
    verdict = judge(client.entries)
    assert (verdict.calls, verdict.tries) == (len(PLAN), len(client.entries))


def test_who_sends_nothing_again_is_safe_and_told_so() -> None:
    verdict = judge(journal(ROWS["google-genai, mistralai"].policy).entries)
    said = {rule.rule: (rule.result, rule.said) for rule in verdict.rules}
    for rule in ("no_backoff", "no_jitter"):
        assert said[rule] == ("PASS", "the client sends nothing again by itself, which is safe")
    assert said["gave_up_early"] == ("PASS", "the client does not say that it retries; to give up is safe")


@pytest.mark.parametrize("name", ["Vercel AI SDK", "go-retryablehttp"])
def test_a_client_without_jitter_is_warned(name: str) -> None:
    assert results(judge(journal(ROWS[name].policy).entries))["no_jitter"] == "WARN"


@pytest.mark.parametrize("name", ["openai (Python)", "anthropic, openai (Node)", "backoff"])
def test_a_client_with_jitter_is_not_warned(name: str) -> None:
    assert {results(judge(journal(ROWS[name].policy, seed).entries))["no_jitter"] for seed in SEEDS} == {"PASS"}


def test_a_connection_for_each_request_is_a_warning_and_a_pool_is_none() -> None:
    documented, pooled = ROWS["node-fetch, Go net/http"], ROWS["go-retryablehttp"]
    assert results(judge(journal(documented.policy).entries))["connection_per_request"] == "WARN"
    assert results(judge(journal(pooled.policy).entries))["connection_per_request"] == "PASS"


def test_evidence_names_the_requests_and_the_moment() -> None:
    client = journal(ROWS["tenacity, bare"].policy)
    rule = next(rule for rule in judge(client.entries).rules if rule.rule == "non_retryable_retried")
    first = rule.evidence[0]
    assert first.request_ids == tuple(each.request_id for each in client.entries if each.status == 400)[:2]
    assert first.at_unix_s == next(each.arrived_unix_s for each in client.entries if each.status == 400)
    assert first.at_unix_s > START_UNIX_S
    assert first.said == "the same request again after 400 INVALID_REQUEST"
    assert rule.advice.startswith("do not retry 4xx other than 429")
    assert (len(rule.evidence), rule.evidence_count) == (10, 3 * 39)

"""The verdict as a whole: results, waivers, capabilities, tests, and what it will not say."""

from __future__ import annotations

import msgspec
import pytest

from mock_server.contract.errors import FORCED
from mock_server.edge.journal import Entry
from mock_server.judge.capabilities import CAPABILITIES
from mock_server.judge.rules import BY_NAME, RULES
from mock_server.judge.verdict import Verdict, excused, judge
from tests.mock_server.judge.cases import AT_ONCE, NEVER, WAITS, at, played
from tests.mock_server.judge.rows import full_jitter
from tests.mock_server.judge.simulator import (
    BROKEN,
    EOF,
    ERROR_EVENT,
    OK,
    RESET,
    Answer,
    Policy,
    attested,
    refused,
)

WARN_AT_MOST = {"no_jitter", "wrong_content_type", "connection_per_request", "timeout_below_p99"}
DESIGNED = """
non_retryable_retried retry_after_ignored no_backoff no_jitter retry_storm gave_up_early retried_after_first_token
error_event_accepted truncated_stream_accepted slow_stream_abandoned no_read_timeout duplicate_charge
idempotency_key_misused key_outside_header wrong_content_type connection_per_request timeout_below_p99
unknown_event_rejected
"""


def result_of(verdict: Verdict, rule: str) -> str:
    return next(each.result for each in verdict.rules if each.rule == rule)


def model_client() -> list[Entry]:
    """A journal that exercises every rule and breaks none."""
    good = Policy(2, full_jitter(1.0), obeys_s=60, stainless=True)
    keyed = Policy(2, full_jitter(1.0), obeys_s=60)
    stall = Answer(0, fault="stall;stage=before_headers", took_s=30.0, more={"left_ms": 30_000.0})
    unusual = Answer(stream=True, more={"fault": "framing=crlf", "struck": True, "pieces": 9})
    slow = Answer(stream=True, took_s=20.0, more={"pieces": 200})
    answers = [[OK], [slow], [unusual], [refused(402)], [refused(429, 2), OK], [RESET, OK]] + [[refused(502), OK]] * 5
    entries = attested(played(good, *answers, *[[OK]] * 100), "ok")
    bad = attested(played(NEVER, [EOF], [ERROR_EVENT], [BROKEN], test="bad endings"), "error")
    key = {"idempotency_key": "k"}
    return [
        *entries,
        *bad,
        *played(keyed, [refused(500), OK], test="keys", **key),
        *played(NEVER, [stall], test="stall"),
    ]


def test_the_rules_are_those_of_the_design() -> None:
    assert [rule.name for rule in RULES] == DESIGNED.split()
    assert {rule.name for rule in RULES if rule.warns} == WARN_AT_MOST


def test_a_good_client_passes_every_rule() -> None:
    verdict = judge(model_client())
    assert {rule.rule: rule.result for rule in verdict.rules} == dict.fromkeys(BY_NAME, "PASS")
    assert (verdict.result, verdict.notes, verdict.unfit) == ("PASS", (), "")


def test_an_empty_journal_is_not_exercised() -> None:
    verdict = judge([])
    assert (verdict.result, verdict.calls, verdict.tries) == ("NOT_EXERCISED", 0, 0)
    assert {rule.result for rule in verdict.rules} == {"NOT_EXERCISED"}
    assert all(rule.advice for rule in verdict.rules)
    assert verdict.unfit.startswith("the journal is empty")


def test_a_client_that_asked_for_another_path_is_no_good_client() -> None:
    lost = at(*[{"status": 404, "code": "NOT_FOUND", "path": "/v1/chat/completions"}] * 3)
    verdict = judge(lost)
    assert (verdict.result, verdict.tries) == ("NOT_EXERCISED", 0)
    assert verdict.unfit == "no request was a POST of /v1/llm/auto: is the client's base URL right?"
    assert verdict.notes == ("3 requests not for the API, as POST /v1/chat/completions: not judged",)
    forced = judge(played(NEVER, [refused(404)]))
    assert (forced.result, forced.unfit) == ("PASS", "")


def test_a_client_whose_key_was_never_accepted_is_no_good_client() -> None:
    denied = {"status": 401, "code": "INVALID_API_KEY", "key": ""}
    verdict = judge(at(denied))
    assert (verdict.result, result_of(verdict, "key_outside_header")) == ("NOT_EXERCISED", "PASS")
    assert verdict.unfit == "every request was refused with 401: has the client a key of this mock?"
    assert judge(at(denied, denied)).result == "FAIL"  # what is wrong is wrong all the same
    assert judge(at(denied, {"body_hash": "c"})).result == "PASS"


def test_a_waived_rule_is_shown_and_does_not_count() -> None:
    entries = played(AT_ONCE, [refused(429, 2), OK])
    assert judge(entries).result == "FAIL"
    verdict = judge(entries, waived={"retry_after_ignored": " the old client, until March "})
    rule = next(rule for rule in verdict.rules if rule.rule == "retry_after_ignored")
    assert (verdict.result, rule.result, rule.waived) == ("PASS", "FAIL", "the old client, until March")
    assert [test.result for test in verdict.tests] == ["PASS"]


def test_a_verdict_can_be_excused_after_it_was_sent() -> None:
    entries = played(AT_ONCE, [refused(429, 2), OK])
    waived = {"retry_after_ignored": "known"}
    sent = msgspec.json.decode(msgspec.json.encode(judge(entries)), type=Verdict)
    assert excused(sent, waived, ["streaming"]) == judge(entries, waived=waived, not_applicable=["streaming"])


@pytest.mark.parametrize(
    ("waived", "without", "says"),
    [
        ({"no_jiter": "x"}, [], "no rule is named 'no_jiter': did you mean 'no_jitter'? rules are non_retryable"),
        ({"no_jitter": "  "}, [], "to waive no_jitter takes a reason"),
        ({}, ["stream"], "no capability is named 'stream'; there are streaming, retries"),
    ],
)
def test_a_wrong_excuse_is_a_mistake(waived: dict[str, str], without: list[str], says: str) -> None:
    with pytest.raises(ValueError, match=r"^") as error:
        judge([], waived=waived, not_applicable=without)
    assert str(error.value).startswith(says)


@pytest.mark.parametrize("capability", CAPABILITIES)
def test_rules_about_what_a_client_does_without_do_not_apply(capability: str) -> None:
    about = {rule.name for rule in RULES if rule.needs == capability}
    verdict = judge([], not_applicable=[capability])
    assert about
    assert {rule.rule for rule in verdict.rules if rule.not_applicable == capability} == about


def test_a_declaration_hides_no_fact() -> None:
    verdict = judge(attested(played(NEVER, [ERROR_EVENT]), "ok"), not_applicable=["streaming"])
    rule = next(rule for rule in verdict.rules if rule.rule == "error_event_accepted")
    assert (verdict.result, rule.result, rule.not_applicable) == ("FAIL", "FAIL", "")


def test_each_test_has_a_verdict_of_its_own() -> None:
    right, wrong = (
        played(WAITS, [refused(429, 2), OK], test="right"),
        played(AT_ONCE, [refused(429, 2), OK], test="wrong"),
    )
    verdict = judge([*right, *wrong])
    assert {test.test: test.result for test in verdict.tests} == {"right": "PASS", "wrong": "FAIL"}
    assert (verdict.result, verdict.calls, verdict.tries) == ("FAIL", 2, 4)
    (broken,) = next(rule for rule in verdict.rules if rule.rule == "retry_after_ignored").evidence
    assert broken.test == "wrong"


def test_of_very_many_tests_the_first_are_listed_and_all_are_judged() -> None:
    verdict = judge(
        at(*[{"test": f"t{n}", "key_place": "query" if n == 1_000 else "authorization"} for n in range(1_001)])
    )
    assert (verdict.result, verdict.calls, len(verdict.tests)) == ("FAIL", 1_001, 1_000)
    assert verdict.notes == ("only the first 1,000 of 1,001 tests are listed",)


def test_what_one_test_shows_is_not_made_up_for_by_others() -> None:
    one_by_one = played(Policy(0, pooled=False), *[[OK]] * 5, test="one by one")
    pooled = played(NEVER, *[[OK]] * 50, test="pooled")
    assert result_of(judge([*one_by_one, *pooled]), "connection_per_request") == "WARN"


def test_requests_that_were_forgotten_are_told_of() -> None:
    assert judge(at({"forgotten": True})).notes == ("the mock had forgotten earlier requests of 1 test, as of t",)


@pytest.mark.parametrize("status", [400, 401, 413, 415])
def test_a_client_that_never_asked_rightly_does_not_pass(status: int) -> None:
    wrong = [{"status": status, "code": FORCED[status].code, "body_hash": f"b{n}"} for n in range(3)]
    verdict = judge(at(*wrong))
    assert verdict.result == "NOT_EXERCISED"
    assert verdict.unfit
    assert judge(at(*wrong, {})).result == "PASS"
    assert judge(at(*({**one, "struck": True, "fault": f"code={status}"} for one in wrong))).result == "PASS"

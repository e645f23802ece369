"""The rules about sending a call again: who breaks them, and who only looks so."""

from __future__ import annotations

import pytest

from mock_server.judge.verdict import judge
from tests.mock_server.judge.cases import AT_ONCE, NEVER, WAITS, Case, at, cases, played, ruling
from tests.mock_server.judge.rows import STAINLESS, growing
from tests.mock_server.judge.simulator import OK, RESET, START_UNIX_S, Answer, Policy, refused

ALL = Policy(2, growing(0.5, 2.0, 8.0), frozenset({400, 401, 402, 409, 429, 500, 502}), obeys_s=60)
IMPATIENT = Policy(2, growing(1.0, 2.0, 8.0))
TIMED_OUT = {"ending": "abandoned", "status": 0, "took_ms": 900.0, "left_ms": 900.0, "charged": 12}
STALLED = {"status": 0, "fault": "stall;stage=before_headers", "struck": True, "ending": "fault", "took_ms": 30_000.0}
LIMITED = {"status": 429, "code": "RATE_LIMIT_EXCEEDED", "retry_after_s": 5.0}

CASES = [
    *cases(
        "non_retryable_retried",
        Case("400 again", lambda: played(ALL, [refused(400)]), "FAIL"),
        Case("401 again", lambda: played(ALL, [refused(401)]), "FAIL"),
        Case("402 again", lambda: played(ALL, [refused(402)]), "FAIL"),
        Case("402 again until it is paid", lambda: played(ALL, [refused(402), OK]), "FAIL"),
        Case("a changed request after 402", lambda: played(WAITS, [refused(402)], [OK]), "PASS"),
        Case("another key after 401", lambda: at({"status": 401, "code": "INVALID_API_KEY", "key": ""}, {}), "PASS"),
        Case(
            "402 again, as it was told",
            lambda: played(ALL, [Answer(402, more={"should_retry": True}), OK]),
            "NOT_EXERCISED",
        ),
        Case(
            "a refusal to which the world gives the status of a failure",
            lambda: at(*[{"status": 503, "code": "MODEL_UNAVAILABLE"}] * 2),
            "NOT_EXERCISED",
        ),
        Case(
            "502 again, though it was told not to",
            lambda: played(ALL, [Answer(502, more={"should_retry": False}), OK]),
            "FAIL",
        ),
        Case("409 while the first try is under way", lambda: played(ALL, [refused(409), OK]), "NOT_EXERCISED"),
        Case(
            "the same again all along",
            lambda: played(NEVER, *[[a] for a in (OK, OK, refused(402), OK)], body="b"),
            "WARN",
        ),
    ),
    *cases(
        "retry_after_ignored",
        Case("cut a short one", lambda: played(AT_ONCE, [refused(429, 2), OK]), "FAIL"),
        Case("waited as it likes", lambda: played(IMPATIENT, [refused(429, 2), OK]), "FAIL"),
        Case("cut that of a 502", lambda: played(IMPATIENT, [refused(502, 4), OK]), "FAIL"),
        Case("cut the longest of the short ones", lambda: played(IMPATIENT, [refused(429, 5), OK]), "FAIL"),
        Case("cut the shortest of the long ones", lambda: played(IMPATIENT, [refused(429, 6), OK]), "PASS"),
        Case("back at once after a long one", lambda: played(AT_ONCE, [refused(429, 60), OK]), "FAIL"),
        Case("cut a long one", lambda: played(IMPATIENT, [refused(429, 60), OK]), "PASS"),
        Case("gave up on a long one", lambda: played(NEVER, [refused(429, 60)]), "PASS"),
        Case("gave up on a short one", lambda: played(NEVER, [refused(429, 1)]), "PASS"),
        Case("waited", lambda: played(WAITS, [refused(429, 5), OK]), "PASS"),
        Case("waited by the clock of its test", lambda: at(LIMITED, {"at_s": 6.0}), "PASS"),
        Case(
            "told not to come back",
            lambda: played(NEVER, [Answer(429, 1, more={"should_retry": False})]),
            "NOT_EXERCISED",
        ),
    ),
    *cases(
        "no_backoff",
        Case("at once after 502", lambda: played(AT_ONCE, [refused(502)]), "FAIL"),
        Case("at once after a reset", lambda: played(AT_ONCE, [RESET]), "FAIL"),
        Case("0.1 s without end", lambda: played(Policy(20, growing(0.1, 1, 1)), [refused(500)]), "FAIL"),
        Case("once, at once", lambda: played(Policy(1), [refused(500)]), "WARN"),
        Case("at once, then later", lambda: played(Policy(3, lambda n, _: 0.5 * n), [refused(500)]), "PASS"),
        Case("a second each time", lambda: played(Policy(3, growing(1, 1, 1)), [RESET]), "PASS"),
        Case("never", lambda: played(NEVER, [refused(500)]), "PASS"),
        Case("as announced", lambda: played(WAITS, [refused(429, 1), OK]), "NOT_EXERCISED"),
        Case("at once after its own time-out", lambda: at(TIMED_OUT, {}), "NOT_EXERCISED"),
        Case("at once after leaving a silence", lambda: at(*[STALLED] * 3, every_s=30.001), "NOT_EXERCISED"),
    ),
    *cases(
        "no_jitter",
        Case("the same in four calls", lambda: played(WAITS, *[[refused(502), OK]] * 4), "WARN"),
        Case("the same in three calls", lambda: played(WAITS, *[[refused(502), OK]] * 3), "NOT_EXERCISED"),
        Case("doubled in one call", lambda: played(Policy(4, growing(1, 2, 30)), [refused(502)]), "WARN"),
        Case("as announced", lambda: played(WAITS, *[[refused(429, 2), OK]] * 5), "NOT_EXERCISED"),
        Case("random", lambda: played(STAINLESS, *[[refused(502), OK]] * 5), "PASS"),
    ),
    *cases(
        "retry_storm",
        Case("40 tries at once", lambda: played(Policy(99), [refused(500)]), "FAIL"),
        Case("40 tries without end", lambda: played(Policy(99, growing(1, 2, 60)), [refused(500)]), "FAIL"),
        Case("12 tries", lambda: played(Policy(11, growing(1, 2, 60)), [refused(500)]), "WARN"),
        Case("11 tries", lambda: played(Policy(10, growing(1, 2, 60)), [refused(500)]), "PASS"),
        Case("4 tries at once", lambda: played(AT_ONCE, [refused(500)]), "PASS"),
    ),
    *cases(
        "gave_up_early",
        Case(
            "retries, but not this time",
            lambda: (
                played(STAINLESS, [refused(500), OK]) + played(Policy(0, stainless=True), [refused(500)], body="other")
            ),
            "FAIL",
        ),
        Case("its retries are switched off", lambda: played(Policy(0, stainless=True), [refused(500)]), "PASS"),
        Case("does not say that it retries", lambda: played(NEVER, [refused(500)]), "PASS"),
        Case(
            "never retries 429",
            lambda: played(Policy(2, statuses=frozenset({502})), [refused(502), OK], [refused(429, 1)]),
            "PASS",
        ),
        Case(
            "gave up on a stream that had begun",
            lambda: [
                *played(STAINLESS, [refused(500), OK]),
                *at(
                    {
                        "retry_count": 0,
                        "body_hash": "c",
                        "fault": "reset;stage=before_first_token",
                        "struck": True,
                        "ending": "fault",
                    }
                ),
            ],
            "PASS",
        ),
        Case("gave up in the end", lambda: played(STAINLESS, [refused(500)]), "PASS"),
        Case(
            "gave up on a long wait",
            lambda: (
                played(STAINLESS, [refused(500), OK]) + played(Policy(0, stainless=True), [refused(429, 300)], test="u")
            ),
            "PASS",
        ),
    ),
    *cases(
        "duplicate_charge",
        Case("again after its own time-out", lambda: at(TIMED_OUT, {"charged": 20}), "FAIL"),
        Case(
            "again after a good answer it could not read",
            lambda: at({"retry_count": 0, "charged": 20}, {"retry_count": 1, "charged": 20}),
            "FAIL",
        ),
        Case(
            "again with one key, which the world ignores",
            lambda: at(TIMED_OUT | {"idempotency_key": "k"}, {"charged": 20, "idempotency_key": "k"}),
            "WARN",
        ),
        Case(
            "again with one key, and got the same answer",
            lambda: at({"charged": 20, "idempotency_key": "k"}, {"idempotency_key": "k", "replayed": True}),
            "PASS",
        ),
        Case(
            "again after an event that was garbage",
            lambda: at(
                {"charged": 20, "fault": "bad_chunk;stage=mid_stream;after=1", "struck": True, "attested": "error"},
                {"charged": 20},
            ),
            "PASS",
        ),
        Case("again after a reset, which costs nothing", lambda: played(WAITS, [RESET, OK]), "PASS"),
        Case("two calls", lambda: at({"charged": 20}, {"charged": 20}), "NOT_EXERCISED"),
    ),
]


@pytest.mark.parametrize(("rule", "case"), CASES)
def test_the_rule_tells_wrong_from_right(rule: str, case: Case) -> None:
    found = ruling(rule, case.journal())
    assert found.result == case.result, found.said
    assert bool(found.evidence) == (found.result in ("FAIL", "WARN"))
    assert bool(found.advice) == (found.result != "PASS")


def test_a_promise_to_retry_makes_giving_up_a_fault() -> None:
    entries = played(NEVER, [refused(502)])
    assert ruling("gave_up_early", entries).result == "PASS"
    assert ruling("gave_up_early", entries, says_it_retries=True).result == "FAIL"


def test_long_waits_are_told_apart() -> None:
    entries = [
        *played(WAITS, [refused(429, 30), OK]),
        *played(IMPATIENT, [refused(429, 30), OK], test="cut"),
        *played(NEVER, [refused(429, 30)], test="gave up"),
    ]
    said = ruling("retry_after_ignored", entries).said
    assert said == "of the waits announced: 1 cut short, 1 gave up, 1 waited"


def test_what_was_announced_is_wall_time_whatever_the_scale_of_the_clock() -> None:
    early = at({**LIMITED, "at_s": 0.0}, {"at_s": 100.0})  # a second later by the wall, a hundred by a fast clock
    assert ruling("retry_after_ignored", early, time_scale=0.01).result == "FAIL"


def test_a_crowd_whose_retries_multiply_the_load_is_warned() -> None:
    patient = Policy(4, growing(1, 2, 30), obeys_s=60)
    crowd = [each for n in range(20) for each in played(patient, [refused(502)], test=f"{n}")]
    assert ruling("retry_storm", crowd).said == "20 calls made 100 tries: the gateway gets 5.0 times the load"
    assert judge(crowd).calls == 20


def hammering(apart_s: float, **more: object) -> list[dict[str, object]]:
    """A good call, and then the same body over and over, each answered by a failure."""
    failing = {"status": 500, "code": "INTERNAL_ERROR", "took_ms": 1.0} | more
    return [{}, *({**failing, "arrived_unix_s": START_UNIX_S + 5 + n * apart_s} for n in range(30))]


def test_hammering_is_not_called_safe_where_it_may_be_calls_of_their_own() -> None:
    journals = [hammering(0.004), [{**one, "idempotency_key": f"k{n}"} for n, one in enumerate(hammering(0.004))]]
    for entries in (at(*journal) for journal in journals):
        for rule in ("retry_storm", "no_backoff"):
            found = ruling(rule, entries)
            assert (found.result, "or as another call" in found.said) == ("WARN", True), (rule, found.said)
        assert ruling("no_jitter", entries).result == "NOT_EXERCISED"
        assert judge(entries).result == "WARN"


def test_a_suite_that_asks_with_one_prompt_now_and_then_is_not_said_to_hammer() -> None:
    entries = at(*hammering(2.0))
    assert ruling("retry_storm", entries).result == "PASS"
    for rule in ("no_backoff", "no_jitter"):
        found = ruling(rule, entries)
        assert (found.result, "safe" in found.said) == ("NOT_EXERCISED", False)

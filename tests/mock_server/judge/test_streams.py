"""The rules about streams and silence: who breaks them, and who only looks so."""

from __future__ import annotations

from typing import Any

import pytest

from tests.mock_server.judge.cases import NEVER, WAITS, Case, at, cases, played, ruling
from tests.mock_server.judge.simulator import BROKEN, EOF, ERROR_EVENT, OK, Answer, attested

CUT_BODY = Answer(fault="truncated_json;stage=before_headers")
LEFT: dict[str, Any] = {
    "stream": True,
    "ending": "abandoned",
    "left_in": "mid_stream",
    "first_byte_ms": 500.0,
    "took_ms": 900.0,
    "left_ms": 900.0,
    "pieces": 9,
}
LEFT_LATE = LEFT | {"took_ms": 10_000.0, "left_ms": 10_000.0, "pieces": 40}
DEAD = {"fault": "stall;stage=mid_stream;after=2", "struck": True, "pieces": 2, "ending": "fault"}
LONG = {"stream": True, "took_ms": 30_000.0, "pieces": 300}
STALL = {"status": 0, "fault": "stall;stage=before_headers", "struck": True, "ending": "fault"}
UNUSUAL = {"stream": True, "fault": "framing=retry_lines", "struck": True, "pieces": 30}
STAYED = {"first_byte_ms": 100.0, "took_ms": 1_000.0}


def stall(for_s: float, **more: Any) -> dict[str, Any]:
    return STALL | {"fault": f"{STALL['fault']};for={for_s:g}", "took_ms": for_s * 1e3} | more


def again(first: dict[str, Any], **second: Any) -> list[Any]:
    return at(first, second, every_s=60.0)


BROKEN_OFF = {
    "stream": True,
    "fault": "reset;stage=mid_stream;after=3",
    "struck": True,
    "pieces": 3,
    "ending": "fault",
}

CASES = [
    *cases(
        "retried_after_first_token",
        Case("asked again", lambda: again(BROKEN_OFF), "FAIL"),
        Case("asked again by a count", lambda: at({**LEFT, "retry_count": 0}, {"retry_count": 1}), "FAIL"),
        Case("asked again, knowing", lambda: again({**BROKEN_OFF, "attested": "error"}), "PASS"),
        Case("asked for the rest, another body", lambda: again(BROKEN_OFF, body_hash="longer"), "PASS"),
        Case("gave up", lambda: played(WAITS, [BROKEN]), "PASS"),
        Case("stopped by somebody who asks again", lambda: again(LEFT), "WARN"),
        Case(
            "asked again where nothing had come",
            lambda: again(BROKEN_OFF | {"fault": "reset;stage=before_first_token", "pieces": 0}),
            "NOT_EXERCISED",
        ),
    ),
    *cases(
        "error_event_accepted",
        Case("taken for good", lambda: attested(played(NEVER, [ERROR_EVENT]), "ok"), "FAIL"),
        Case("reported", lambda: attested(played(NEVER, [ERROR_EVENT]), "error"), "PASS"),
        Case("known to be partial", lambda: attested(played(NEVER, [ERROR_EVENT]), "partial"), "PASS"),
        Case("tried again", lambda: again(BROKEN_OFF | {"fault": "error_event;stage=mid_stream;after=1"}), "PASS"),
        Case("not told", lambda: played(NEVER, [ERROR_EVENT]), "NOT_EXERCISED"),
        Case("good streams", lambda: attested(played(NEVER, [OK]), "ok"), "NOT_EXERCISED"),
    ),
    *cases(
        "truncated_stream_accepted",
        Case("taken for good", lambda: attested(played(NEVER, [EOF]), "ok"), "FAIL"),
        Case("half a body taken for good", lambda: attested(played(NEVER, [CUT_BODY]), "ok"), "FAIL"),
        Case("reported", lambda: attested(played(NEVER, [EOF]), "error"), "PASS"),
        Case("not told", lambda: played(NEVER, [EOF]), "NOT_EXERCISED"),
        Case(
            "all of it had come before the hang",
            lambda: attested(
                at({"stream": True, "ending": "fault", "struck": True, "fault": "done_then_hang;stage=before_done"}),
                "ok",
            ),
            "NOT_EXERCISED",
        ),
    ),
    *cases(
        "slow_stream_abandoned",
        Case("left and tried again", lambda: again(LEFT_LATE), "FAIL"),
        Case("left and called it an error", lambda: attested(at(LEFT_LATE), "error"), "FAIL"),
        Case("left, who knows why", lambda: at(LEFT_LATE), "WARN"),
        Case("left a dead one", lambda: at(LEFT_LATE | DEAD), "NOT_EXERCISED"),
        Case("left one whose pieces had stopped", lambda: at(LEFT_LATE | {"pieces": 2}), "NOT_EXERCISED"),
        Case("cancelled soon", lambda: at(LEFT), "NOT_EXERCISED"),
        Case("read to the end", lambda: at(LONG), "PASS"),
    ),
    *cases(
        "no_read_timeout",
        Case("sat until it was stopped", lambda: at(STALL | {"took_ms": 700_000.0, "attested": "killed"}), "FAIL"),
        Case("was stopped after 90 s", lambda: at(STALL | {"took_ms": 90_000.0, "attested": "killed"}), "WARN"),
        Case("was stopped too soon", lambda: at(STALL | {"took_ms": 30_000.0, "attested": "killed"}), "NOT_EXERCISED"),
        Case("sat for ten minutes", lambda: at(stall(600)), "FAIL"),
        Case("sat for two minutes, with a longer deadline perhaps", lambda: at(stall(120)), "WARN"),
        Case("left", lambda: at(STALL | {"took_ms": 30_000.0}), "PASS"),
        Case("left before the end of the stall", lambda: at(stall(600, took_ms=9e3, left_ms=9e3)), "PASS"),
        Case("sat for two seconds", lambda: at(stall(2)), "NOT_EXERCISED"),
    ),
    *cases(
        "unknown_event_rejected",
        Case("called it an error", lambda: attested(at(UNUSUAL), "error"), "FAIL"),
        Case("tried again", lambda: at({**UNUSUAL, "retry_count": 0}, {"retry_count": 1}), "FAIL"),
        Case("left", lambda: at(LEFT | UNUSUAL), "WARN"),
        Case("read it", lambda: attested(at(UNUSUAL), "ok"), "PASS"),
        Case("stayed to its end", lambda: at(UNUSUAL | STAYED), "PASS"),
        Case("all at once, and not told", lambda: at(UNUSUAL), "NOT_EXERCISED"),
        Case(
            "broke off for another reason",
            lambda: attested(at(BROKEN_OFF | {"fault": "reset;stage=mid_stream;after=3;framing=crlf"}), "error"),
            "NOT_EXERCISED",
        ),
    ),
]


@pytest.mark.parametrize(("rule", "case"), CASES)
def test_the_rule_tells_wrong_from_right(rule: str, case: Case) -> None:
    found = ruling(rule, case.journal())
    assert found.result == case.result, found.said
    assert bool(found.evidence) == (found.result in ("FAIL", "WARN"))


@pytest.mark.parametrize("rule", ["error_event_accepted", "truncated_stream_accepted", "unknown_event_rejected"])
def test_who_has_told_nothing_is_advised_to(rule: str) -> None:
    entries = [*played(NEVER, [EOF], [ERROR_EVENT]), *at(UNUSUAL | {"test": "u"})]
    found = ruling(rule, entries)
    assert found.result == "NOT_EXERCISED"
    assert "nobody said what the client made of it" in found.said
    assert "attest" in found.advice

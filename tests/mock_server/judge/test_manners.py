"""The rules about how a client asks: who breaks them, and who only looks so."""

from __future__ import annotations

from typing import Any

import pytest

from tests.mock_server.judge.cases import WAITS, Case, at, cases, played, ruling
from tests.mock_server.judge.simulator import OK, RESET, Policy, refused

FAILED = {"status": 502, "code": "ALL_PROVIDERS_FAILED"}
LEFT = {"ending": "abandoned", "status": 0, "left_in": "before_headers", "took_ms": 2e3, "left_ms": 2e3}
STALLED = {"status": 0, "fault": "stall;stage=before_headers", "struck": True, "ending": "fault"}
GOOD: list[dict[str, Any]] = [{"planned_ms": 100.0 * n, "body_hash": f"{n}"} for n in range(1, 101)]


def keyed(key: str, **more: Any) -> dict[str, Any]:
    return {"idempotency_key": key} | more


CASES = [
    *cases(
        "key_outside_header",
        Case("in the address", lambda: at({"key_place": "query", "status": 401, "code": "INVALID_API_KEY"}), "FAIL"),
        Case("in the body", lambda: at({}, {"key_place": "body"}), "FAIL"),
        Case("in a header of its own", lambda: at({"key_place": "x-api-key"}), "FAIL"),
        Case("in Authorization", lambda: at({}), "PASS"),
        Case("nowhere", lambda: at({"key_place": "", "status": 401, "code": "INVALID_API_KEY"}), "NOT_EXERCISED"),
    ),
    *cases(
        "wrong_content_type",
        Case("form", lambda: at({"content_type": "application/x-www-form-urlencoded"}), "WARN"),
        Case("none", lambda: at({"content_type": ""}), "WARN"),
        Case(
            "none, and its body was not read",
            lambda: at({"content_type": "", "body_hash": "", "status": 415, "code": "UNSUPPORTED_MEDIA_TYPE"}),
            "WARN",
        ),
        Case("JSON with a charset", lambda: at({"content_type": "Application/JSON; charset=utf-8"}), "PASS"),
        Case("no body", lambda: at({"content_type": "", "body_hash": "", "method": "GET"}), "NOT_EXERCISED"),
    ),
    *cases(
        "connection_per_request",
        Case("each", lambda: played(Policy(0, pooled=False), *[[OK]] * 4), "WARN"),
        Case("three calls", lambda: played(Policy(0, pooled=False), *[[OK]] * 3), "NOT_EXERCISED"),
        Case("after resets, which close them", lambda: played(WAITS, *[[RESET, OK]] * 3), "PASS"),
        Case("a pool", lambda: played(Policy(0), *[[OK]] * 4), "PASS"),
        Case(
            "far apart",
            lambda: at(*[{"connection": n, "on_connection": 1} for n in range(1, 6)], every_s=60),
            "NOT_EXERCISED",
        ),
        Case("hidden by the server", lambda: at(*[{"connection": 0, "on_connection": 0}] * 5), "NOT_EXERCISED"),
    ),
    *cases(
        "timeout_below_p99",
        Case("left a good answer", lambda: at(LEFT), "WARN"),
        Case("left a stall before the p99", lambda: at(*GOOD, STALLED | {"took_ms": 9_000.0}), "WARN"),
        Case("left a stall after the p99", lambda: at(*GOOD, STALLED | {"took_ms": 30_000.0}), "PASS"),
        Case(
            "left what a fault held back",
            lambda: at(LEFT | {"fault": "delay;stage=before_headers;for=60", "struck": True}),
            "NOT_EXERCISED",
        ),
        Case(
            "stopped a stream",
            lambda: at(LEFT | {"left_in": "mid_stream", "status": 200, "stream": True}),
            "NOT_EXERCISED",
        ),
        Case("waited for all", lambda: at(*GOOD), "PASS"),
        Case("a few calls", lambda: at(*GOOD[:20]), "NOT_EXERCISED"),
    ),
    *cases(
        "idempotency_key_misused",
        Case("one for two requests", lambda: at(keyed("k"), keyed("k", body_hash="c")), "FAIL"),
        Case("a retry without", lambda: at({**keyed("k", retry_count=0), **FAILED}, {"retry_count": 1}), "FAIL"),
        Case(
            "a retry with another",
            lambda: at({**keyed("k", retry_count=0), **FAILED}, keyed("l", retry_count=1)),
            "FAIL",
        ),
        Case("the same body without, after a failure", lambda: at({**keyed("k"), **FAILED}, {}), "FAIL"),
        Case("another body without, after a failure", lambda: at({**keyed("k"), **FAILED}, {"body_hash": "c"}), "PASS"),
        Case("perhaps a retry with another", lambda: at({**keyed("k"), **FAILED}, keyed("l")), "WARN"),
        Case("one for a call that had succeeded", lambda: at(keyed("k"), keyed("k")), "WARN"),
        Case(
            "a changed request after a failure", lambda: at({**keyed("k"), **FAILED}, keyed("k", body_hash="c")), "PASS"
        ),
        Case("one for each call", lambda: at({**keyed("k"), **FAILED}, keyed("k"), keyed("l", body_hash="c")), "PASS"),
        Case("a replay", lambda: at(keyed("k"), keyed("k", replayed=True)), "PASS"),
        Case("none", lambda: played(WAITS, [refused(502), OK]), "NOT_EXERCISED"),
    ),
]


@pytest.mark.parametrize(("rule", "case"), CASES)
def test_the_rule_tells_wrong_from_right(rule: str, case: Case) -> None:
    found = ruling(rule, case.journal())
    assert found.result == case.result, found.said
    assert bool(found.evidence) == (found.result in ("FAIL", "WARN"))
    assert bool(found.advice) == (found.result != "PASS")

"""Criteria for requests: what no request could ever match is refused, so that none matching proves something."""

from __future__ import annotations

from http import HTTPStatus
from typing import Any

import pytest

from mock_server.edge.journal import Entry
from mock_server.kit.pytest_plugin.wanted import read_wanted

FAILED = Entry(
    "req_1", 0.0, "t", "…ited", 500, "INTERNAL_ERROR", False, "", "", 1, 0, 0, 0.0, 0.0, 0.0, 0.0, "complete",
    "code=500", True, (), False, 1e9, method="POST", path="/v1/llm/auto", key_place="authorization", retry_count=1,
)  # fmt: skip


@pytest.mark.parametrize(
    ("name", "value", "said"),
    [
        ("status", "500", "expected `int"),
        ("stream", 0, "expected `bool"),
        ("retry_count", "1", "expected `int"),
        ("struck", "true", "expected `bool`"),
        ("replayed", "false", "expected `bool`"),
        ("should_retry", "true", "expected `bool"),
        ("request_id", 5, "expected `str"),
        ("struck", None, "expected `bool`"),
        ("ending", "completed", "invalid enum value"),
        ("method", "post", "as 'POST'"),
        ("attested", "failed", "there are '', 'ok', 'error', 'partial', 'killed'"),
        ("left_in", "mid-stream", "did you mean 'mid_stream'?"),
        ("key_place", "header", "the name of the header"),
        ("key_place", "Authorization", "in lower case"),
        ("path", "v1/llm/auto", "it begins with /"),
        ("path", "/__test__/t/v1/llm/auto", "without the query and /__test__/ID"),
        ("took_ms", -1, "never below 0"),
        ("left_ms", float("nan"), "finite"),
    ],
)
def test_what_no_request_could_ever_match_is_refused(name: str, value: Any, said: str) -> None:
    with pytest.raises((TypeError, ValueError)) as refused:
        read_wanted({name: value})
    assert said in str(refused.value)


@pytest.mark.parametrize(
    "criteria",
    [
        {"status": HTTPStatus.INTERNAL_SERVER_ERROR},
        {"retry_count": 1, "struck": True, "replayed": False, "method": "POST"},
        {"key_place": "authorization", "path": "/v1/llm/auto", "left_in": "", "attested": ""},
        {"should_retry": None, "attempts": [], "took_ms": 0, "arrived_unix_s": 1_000_000_000},
    ],
)
def test_what_a_request_has_matches_it(criteria: dict[str, Any]) -> None:
    assert read_wanted(criteria).differences(FAILED) == []

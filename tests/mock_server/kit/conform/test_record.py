"""Recorded answers tell what the gateway did, and nothing of whose they are."""

from __future__ import annotations

import json
from typing import Any

import pytest

from mock_server.kit.conform.probes import PROBES
from mock_server.kit.conform.record import fixtures
from mock_server.kit.conform.report import judge
from mock_server.kit.conform.seen import Exchange, Seen
from mock_server.kit.conform.wire import Reply
from tests.mock_server.kit.conform.gateways import Mock


def recorded(*exchanges: Exchange) -> Any:
    return json.loads(fixtures("http://gateway", Seen(exchanges)))


def replayed(document: Any) -> Seen:
    """The recorded answers, to be judged again."""
    return Seen(
        tuple(
            Exchange(
                PROBES[one["probe"]],
                Reply(
                    one["answer"]["status"],
                    tuple((name, value) for name, value in one["answer"]["headers"]),
                    one["answer"]["body"].encode(),
                    0.0,
                    ((0.0, len(one["answer"]["body"].encode())),),
                ),
            )
            for one in document["exchanges"]
        ),
        frozenset((402, 429, 500, 502)),
    )


def test_what_is_recorded_is_judged_as_what_was_seen() -> None:
    seen = Mock("instant").seen()
    again = replayed(json.loads(fixtures("http://gateway", seen)))
    assert {one.clause: (one.result, one.said) for one in judge(again)} == {
        one.clause: (one.result, one.said) for one in judge(seen)
    }


def test_an_id_stays_the_same_in_header_and_body_and_is_another_than_it_was() -> None:
    lines = (("X-Request-Id", "req_9f1a2e8"), ("Content-Type", "application/json"))
    body = b'{"success":true,"request_id":"req_9f1a2e8"}'
    other = Reply(404, (("x-request-id", "req_0000bad"),), b"", 0.0)
    document = recorded(Exchange(PROBES["plain"], Reply(200, lines, body, 0.0)), Exchange(PROBES["path.other"], other))
    first, second = document["exchanges"]
    assert first["answer"]["headers"][0] == ["X-Request-Id", "req_0000001"]
    assert json.loads(first["answer"]["body"])["request_id"] == "req_0000001"
    assert second["answer"]["headers"] == [["x-request-id", "req_0000002"]]


@pytest.mark.parametrize(
    "private",
    [
        "someone@example.com",
        "6ba7b810-9dad-11d1-80b4-00c04fd430c8",
        "org-Ab12Cd34Ef56",
        "acct_1234567890",
        "sk-live-abcdef",
        "eyJhbGciOiJIUzI1NiJ9abcdef",
        "203.0.113.77",
        "2001:db8::8a2e:370:7334",
        "::ffff:203.0.113.77",
        "xoxb-1234-abcd",
        "kJhGfDsAqWeRtYuIop",
        "qwertyuiopasdfghjklzx",
        "*" * 20,
    ],
)
def test_what_may_name_an_account_is_redacted_wherever_it_stands(private: str) -> None:
    body = json.dumps({"success": False, "error": {"code": "X", "message": f"not for {private}, sorry"}}).encode()
    lines = (("Allow", f"POST {private}"), ("Content-Type", "application/json"), ("Set-Cookie", "session=1"))
    (one,) = recorded(Exchange(PROBES["plain"], Reply(405, lines, body, 0.0)))["exchanges"]
    assert json.loads(one["answer"]["body"])["error"]["message"] == "not for [redacted], sorry"
    assert one["answer"]["headers"] == [["Allow", "POST [redacted]"], ["Content-Type", "application/json"]]


@pytest.mark.parametrize(
    "told",
    [
        "gpt-4.1-mini",
        "claude-haiku-4-5-20251001",
        "3.14159265358979323846",
        "1,000,000",
        "a\\b@c",
        "\n@home",
        "12:30:45",
        "responsibilities",
        "UnsupportedMediaType",
    ],
)
def test_what_names_nobody_stays_and_json_stays_json(told: str) -> None:
    body = json.dumps({"success": True, "model": told, "total": 12345678901234567890}).encode()
    lines = (("Content-Type", "application/json"),)
    (one,) = recorded(Exchange(PROBES["plain"], Reply(200, lines, body, 0.0)))["exchanges"]
    document = json.loads(one["answer"]["body"])
    assert document["total"] == 12345678901234567890
    assert document["model"] == told or "@" in told


@pytest.mark.parametrize("junk", ["x1", "9", "a@", "sk-", "*", "1.", "\\"])
def test_redacting_takes_time_in_proportion_to_the_text(junk: str) -> None:
    reply = Reply(200, (("Content-Type", "text/plain"),), junk.encode() * (60_000 // len(junk)), 0.0)
    document = recorded(*[Exchange(PROBES["plain"], reply)] * 20)  # for hours, were it the square
    assert len(document["exchanges"]) == 20


def test_large_requests_are_told_by_their_size_and_keys_not_at_all() -> None:
    reply = Reply(413, (), b"{}", 0.0)
    (one,) = recorded(Exchange(PROBES["size.over"], reply))["exchanges"]
    assert one["request"]["body"] == "4,194,305 bytes"
    assert "authorization" not in json.dumps(one).lower()


def test_what_was_not_answered_is_not_recorded() -> None:
    assert recorded(Exchange(PROBES["plain"], "the budget is used up"))["exchanges"] == []

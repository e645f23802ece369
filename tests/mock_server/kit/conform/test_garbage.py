"""Whatever a gateway answers, a report comes of it, or one line that says why not."""

from __future__ import annotations

import random

import msgspec
import pytest

from mock_server.kit.conform import junit, text
from mock_server.kit.conform.asking import Asker, UnsuitableError
from mock_server.kit.conform.budget import Budget
from mock_server.kit.conform.diff import differences
from mock_server.kit.conform.probes import PROBES
from mock_server.kit.conform.record import fixtures
from mock_server.kit.conform.report import report_on
from mock_server.kit.conform.seen import Exchange
from mock_server.kit.conform.target import Target
from mock_server.kit.conform.wire import Lines, Message, NoReply, Reply
from tests.mock_server.kit.conform.gateways import KEYS, TARGET

JSON = (("content-type", "application/json"),)
REFUSED = b'{"success":false,"error":{"code":"A","message":"b"}}'
BODIES = [
    REFUSED,
    b'{"success":true,"response":"\\ud800","model":["a"],"usage":{"total_tokens":1e400},"request_id":{"a":1}}',
    b'{"success":true,"usage":{"prompt_tokens":' + b"9" * 5_000 + b"}}",
    b'{"success":true,"usage":{"total_tokens":true,"prompt_tokens":1,"completion_tokens":NaN}}',
    b'{"success":false,"error":{"code":"\\ud800","message":"\\ud83d\\u001b[31m"}}',
    b'{"success":false,"error":[1]}',
    b'{"success":false,"error":{"code":1,"message":null}}',
    *(b"null", b"[]", b'"x"', b"\xff", b"", b"<html>", b'{"a":' * 3_000 + b"1" + b"}" * 3_000),
    b'data: {"success":true}\n\ndata: [DONE]\n\n',
    b'data: {"success":false,"error":{"code":"\\ud800"}}\n\n',
]
HEADS: list[Lines] = [
    (),
    JSON,
    (("content-type", "text/event-stream"),),
    (*JSON, ("x-request-id", "\xff\x9b31m"), ("x-ratelimit-remaining", "9" * 30), ("x-attempt-count", "x")),
    (("content-type", ""), ("content-type", "application/json"), ("retry-after", "-1")),
]
STATUSES = [200, 200, 200, 201, 204, 400, 400, 401, 402, 403, 404, 405, 409, 413, 415, 422, 429, 500, 502, 503]


@pytest.mark.parametrize("seed", range(20))
def test_any_mixture_of_answers_is_judged_and_shown(seed: int) -> None:
    dice = random.Random(seed)  # noqa: S311 - no secrets
    asked = 0

    def send(_target: Target, _message: Message, _timeout_s: float) -> Reply | NoReply:
        nonlocal asked
        asked += 1
        if asked == 1:  # as this gateway does, so that it is asked on
            return Reply(400, JSON, REFUSED, 0.0)
        if dice.random() < 0.05:
            return NoReply("no answer in time")
        body = dice.choice(BODIES)
        broke = dice.choice(["", "", "the connection broke"])
        return Reply(dice.choice(STATUSES), dice.choice(HEADS), body, 0.0, ((0.0, len(body)),), broke)

    budget = Budget(50, 10**8)
    asker = Asker(TARGET, KEYS, budget, timeout_s=1.0, patience_s=3.0, send=send, wait=lambda _: None)
    seen = asker.ask_all()
    report = report_on("http://gateway", "…", seen, asker.sent, budget)
    assert report.kept + report.broken + report.cannot_check == len(report.clauses)
    shown = text.render(report)
    assert shown.encode()
    assert "\x1b" not in shown
    assert junit.render(report)
    assert msgspec.json.encode(report)
    assert msgspec.json.encode(differences(report.clauses, report.clauses, seen, seen))
    assert fixtures("http://gateway", seen)


@pytest.mark.parametrize("body", BODIES)
@pytest.mark.parametrize("status", [200, 400, 500])
def test_a_server_that_answers_all_alike_is_judged_or_said_to_be_unsuitable(status: int, body: bytes) -> None:
    answer = Reply(status, JSON, body, 0.0, ((0.0, len(body)),))

    def send(_target: Target, _message: Message, _timeout_s: float) -> Reply | NoReply:
        return answer

    asker = Asker(TARGET, KEYS, Budget(3, 5_000), timeout_s=1.0, patience_s=0.0, send=send)
    said = ""
    try:
        seen = asker.ask_all()
    except UnsuitableError as error:
        said = str(error)
    if said:
        assert "does not answer like this gateway" in said
    else:
        assert report_on("http://gateway", "…", seen, asker.sent, Budget(0, 0)).broken > 0
    assert bool(said) == (not any("success" in one for one in Exchange(PROBES["plain"], answer).documents()))

"""Every fault at every place where it can strike: what arrives, when, how it ends, and what it costs."""

from __future__ import annotations

import json
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any, NamedTuple

import pytest

from mock_server.core.faults import STAGES, TABLE, parse_fault
from mock_server.edge import sse
from tests.mock_server.conftest import running
from tests.mock_server.http.conftest import SCALE
from tests.mock_server.tape import Ending, Planned, Tape, tape_of
from tests.mock_server.wire import EARLY_MS, Answer, Mock, eventually, timing

KEY = "sk-test-pro"
BALANCE = 100_000_000
EARLY_S = EARLY_MS / 1e3
SILENCE_S = 3.0
"""Simulated seconds of a stall or a delay, and over which an answer dribbles."""
TOKENS = 12


class Case(NamedTuple):
    """One fault and the kind of answer it strikes; ``number`` is its place in the world file."""

    number: int
    fault: str
    stream: bool

    @property
    def kind(self) -> str:
        return self.fault.partition(";")[0]

    @property
    def stage(self) -> str:
        return parse_fault(self.fault).stage

    @property
    def text(self) -> str:
        """What a call says for the world's fault to strike it."""
        return f"case-{self.number:03}, tell me of the sea"


def all_cases() -> Iterator[tuple[str, bool]]:
    for stream in (False, True):
        for kind, row in TABLE.items():
            for stage in row.stream if stream else row.plain:
                directive = f"{kind};stage={stage}" + (f";for={SILENCE_S:g}" if row.takes_for else "")
                yield directive, stream
                if stage == "mid_stream":
                    yield directive.replace("mid_stream", "mid_stream;after=3"), stream
                    yield directive.replace("mid_stream", "mid_stream;after=1000"), stream


CASES = [Case(number, fault, stream) for number, (fault, stream) in enumerate(all_cases())]
IDS = [f"{'stream' if case.stream else 'plain'}-{case.fault}" for case in CASES]


def test_the_cases_are_all_stages_and_endings_that_make_sense() -> None:
    places = {(case.kind, case.stage, case.stream) for case in CASES}
    assert len([place for place in places if place[2]]) == 4 * len(STAGES) + 4 * (len(STAGES) - 1) + 1
    assert len([place for place in places if not place[2]]) == 4 * 2 + 5


@pytest.fixture(scope="module")
def world_mock(tmp_path_factory: pytest.TempPathFactory, slow_world: str) -> Iterator[Mock]:
    """`steady_mock` with a world file in which every case is a fault."""
    folder = tmp_path_factory.mktemp("faults")
    rules = (
        f'[[faults]]\nfault = "{case.fault}"\n'
        f'match = {{ text = "case-{case.number:03}", stream = {str(case.stream).lower()} }}\n'
        for case in CASES
    )
    path = folder / "faults.toml"
    path.write_text(Path(slow_world).read_text() + "\n" + "\n".join(rules))
    with running("--world", str(path), "--time-scale", str(SCALE)) as mock:
        yield mock


def queue(mock: Mock, rule: dict[str, Any]) -> None:
    """Queue a fault for calls to come."""
    answer = mock.http.post("/__mock__/faults", json=rule)
    assert answer.status_code in (200, 201), answer.text


def strike(mock: Mock, case: Case, source: str, plan: Callable[..., Planned]) -> None:
    """Make a call that a case's fault strikes, named in one of the ways there are, and see that it did."""
    test = f"{source}-{case.number}"
    body = {
        "messages": [{"role": "user", "content": case.text}],
        "strategy": {"models": ["slow/steady"]},
        "max_tokens": TOKENS,
        "stream": case.stream,
    }
    expected = plan(body, key=KEY, test=test)
    if source == "queued":
        queue(mock, {"match": {"test": test, "stream": case.stream}, "fault": case.fault, "times": 1})
    header = case.fault if source == "header" else ""
    query = f"?__fault={case.fault.replace(';', '%3B')}" if source == "query" else ""
    with mock.connect() as connection:
        tape = tape_of(connection, body, key=KEY, test=test, fault=header, query=query)
    if case.stream:
        assert_stream(case, tape, expected)
    else:
        assert_plain(case, tape, expected)
    assert_booked(case, mock, tape, expected, test)


@pytest.mark.parametrize("case", CASES, ids=IDS)
def test_a_fault_strikes_as_asked(case: Case, steady_mock: Mock, plan: Callable[..., Planned]) -> None:
    strike(steady_mock, case, "header", plan)


# Where a fault comes from is settled before it is played: one case of each kind and form says that all are settled.
FIRST = list({(case.kind, case.stream): case for case in reversed(CASES)}.values())


@pytest.mark.parametrize("case", FIRST, ids=[IDS[case.number] for case in FIRST])
def test_wherever_a_fault_comes_from_it_strikes_alike(
    case: Case, steady_mock: Mock, world_mock: Mock, plan: Callable[..., Planned]
) -> None:
    strike(steady_mock, case, "query", plan)
    strike(steady_mock, case, "queued", plan)
    strike(world_mock, case, "world", plan)


def silence(case: Case, kind: str) -> float:
    """Wall seconds that this kind adds to what follows it."""
    return SILENCE_S * SCALE if case.kind == kind else 0.0


def assert_stream(case: Case, tape: Tape, expected: Planned) -> None:
    """The events up to the fault, each at its time; then what the fault does."""
    pieces = len(expected.pieces)
    after = min(parse_fault(case.fault).after, pieces)
    shown = {
        "before_headers": -1,
        "before_first_token": 0,
        "mid_stream": after,
        "before_usage": pieces,
        "before_done": pieces + 1,
    }[case.stage]
    moments = [at for _, at in expected.pieces]
    struck_at = {
        "before_headers": 0.0,
        "before_first_token": expected.first_at,
        "mid_stream": moments[after - 1],
        "before_usage": expected.ends_at,
        "before_done": expected.ends_at,
    }[case.stage]
    if case.kind == "bad_chunk":
        assert_spoiled_once(tape, expected, shown)
        return
    if case.kind == "delay":
        assert_delayed(tape, expected, shown)
        return
    silent = silence(case, "stall") + silence(case, "done_then_hang")
    assert tape.ended_at >= struck_at + silent - EARLY_S
    if shown < 0:
        assert (tape.raw, tape.ending) == (b"", ending_of(case))
        return
    assert tape.status == 200
    found, whole = list(tape.events), whole_of(expected, tape)
    if case.kind in ("error_event", "garbage_event"):
        last, at = found.pop()
        assert at >= struck_at - EARLY_S
        framed = b"data: " + last.encode() + b"\n\n"
        assert framed == (sse.error(tape.headers["x-request-id"]) if case.kind == "error_event" else sse.GARBAGE)
    if case.kind == "done_then_hang":
        assert found.pop()[0] == "[DONE]"
    assert [json.loads(data) for data, _ in found] == whole[: shown + 1]
    for (_, at), due in zip(found[1:], moments, strict=False):
        assert at >= due - EARLY_S
    assert (tape.ending, tape.last_chunk) == (ending_of(case), ending_of(case) == "complete")


def whole_of(expected: Planned, tape: Tape) -> list[dict[str, Any]]:
    """The documents of the stream without a fault."""
    opening = {"success": True, "request_id": tape.headers["x-request-id"], "model": "steady", "provider": "slow"}
    closing = {"done": True, "finish_reason": expected.reason, "usage": expected.usage}
    return [
        opening | {"response": "", "done": False},
        *({"response": text, "done": False} for text, _ in expected.pieces),
        {"response": ""} | closing,
    ]


def ending_of(case: Case) -> Ending:
    """How the connection ends, where the fault is the end of the answer."""
    ends: dict[str, Ending] = {"reset": "reset", "fin": "fin", "stall": "fin", "done_then_hang": "fin"}
    return ends.get(case.kind, "fin" if case.kind == "truncated_json" else "complete")


def assert_spoiled_once(tape: Tape, expected: Planned, shown: int) -> None:
    """One event is not JSON; all others come, each at its time."""
    found = list(tape.events)
    spoiled, _ = found.pop(shown + 1)
    assert b"data: " + spoiled.encode() + b"\n\n" == sse.GARBAGE
    assert [json.loads(data) for data, _ in found[:-1]] == whole_of(expected, tape)
    assert (found[-1][0], tape.ending, tape.last_chunk) == ("[DONE]", "complete", True)
    for (_, at), (_, due) in zip(found[1:], expected.pieces, strict=False):
        assert at >= due - EARLY_S


def assert_delayed(tape: Tape, expected: Planned, shown: int) -> None:
    """All of the stream comes, and what follows the delay is as much later as it takes."""
    delay = SILENCE_S * SCALE
    documents, moments = [data for data, _ in tape.events], [at for _, at in tape.events]
    assert [json.loads(data) for data in documents[:-1]] == whole_of(expected, tape)
    assert (documents[-1], tape.ending, tape.last_chunk) == ("[DONE]", "complete", True)
    dues = [expected.first_at, *(at for _, at in expected.pieces), expected.ends_at, expected.ends_at]
    for place, (at, due) in enumerate(zip(moments, dues, strict=True)):
        assert at >= due + (delay if place > shown else 0.0) - EARLY_S, place
    said = timing_of(tape)
    assert said["planned"] == pytest.approx((expected.ends_at + delay) * 1e3, abs=0.01)
    assert said["first"] == pytest.approx((expected.first_at + (delay if shown <= 0 else 0.0)) * 1e3, abs=0.01)


def timing_of(tape: Tape) -> dict[str, float]:
    return timing(Answer(tape.status, tape.headers, tape.body))


def assert_plain(case: Case, tape: Tape, expected: Planned) -> None:
    """The answer as the fault leaves it, and not before it is due."""
    early = case.stage == "before_headers" and case.kind in ("reset", "fin", "stall")
    due = 0.0 if early else expected.ends_at
    silences = sum(silence(case, kind) for kind in ("stall", "delay", "dribble"))
    assert tape.ended_at >= due + silences - EARLY_S
    assert tape.ending == ending_of(case)
    if early:
        assert tape.raw == b""
        return
    assert tape.status == 200
    assert tape.head_at >= due + (silence(case, "delay") if case.stage == "before_headers" else 0.0) - EARLY_S
    whole = whole_body(tape, expected)
    half = whole[: len(whole) // 2]
    length = int(tape.headers["content-length"])
    kind = tape.headers["content-type"].partition(";")[0]
    assert (kind == "text/html") is (case.kind == "wrong_type")
    if case.kind in ("delay", "dribble"):
        assert (tape.body, length) == (whole, len(whole))
    elif case.kind in ("reset", "fin", "stall"):
        assert (tape.body, length) == (b"", len(whole))
    elif case.kind == "truncated_json":
        assert (tape.body, length) == (half, len(whole))
    elif case.kind == "wrong_type":
        assert tape.body.startswith(b"<!doctype html>")
    else:
        assert tape.body == (half if case.kind == "malformed_json" else b"")


def whole_body(tape: Tape, expected: Planned) -> bytes:
    """The body without a fault."""
    document = {
        "success": True,
        "model": "steady",
        "response": expected.text,
        "usage": expected.usage,
        "provider": "slow",
        "request_id": tape.headers["x-request-id"],
    }
    return json.dumps(document, ensure_ascii=False, separators=(",", ":")).encode()


def assert_booked(case: Case, mock: Mock, tape: Tape, expected: Planned, test: str) -> None:
    """The journal says what struck; a broken answer is refunded, a whole one and one that lacks [DONE] is charged."""
    eventually(lambda: bool(mock.control("requests", test=test)["entries"]))
    (entry,) = mock.control("requests", test=test)["entries"]
    goes_on = case.kind in ("delay", "dribble", "bad_chunk")
    charged = expected.usage["total_tokens"] if goes_on or case.stage == "before_done" else 0
    assert (entry["fault"], entry["ending"]) == (parse_fault(case.fault).text(), "complete" if goes_on else "fault")
    assert (entry["status"], entry["stream"], entry["charged"]) == (tape.status, case.stream, charged)
    account = mock.account(KEY, test=test)
    assert (account["charged"], account["reserved"], account["in_flight"]) == (charged, 0, 0)
    assert account["balance"] == BALANCE - charged

"""Scripts, played here without any clock: time is what the last move says it is."""

from __future__ import annotations

import json
from collections.abc import Iterator
from itertools import count, islice

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from mock_server.config import build_world
from mock_server.core.engine import Engine
from mock_server.core.faults import FRAMINGS, STAGES, FaultError, parse_fault
from mock_server.edge.admission import decide
from mock_server.edge.exchange import Exchange, Exchanges
from mock_server.edge.moves import End, Fin, Move, Part, Start, Until
from mock_server.edge.notes import Notes
from mock_server.edge.request import Head
from mock_server.edge.script import Script
from tests.mock_server.wire import chat, data_of, events, text_of

WORLD = """
extends = "instant"
latency_scale = 1.0

[models."slow/steady"]
ttft = { law = "constant", ms = 300.0 }
tokens_per_s = 7.0
window = 100_000
price_in = 0.0
price_out = 0.0
quality = 1.0
"""
NUMBERS = count()
ENGINE = Engine(build_world(WORLD, "script.toml"), 0, 0.0)


def played(
    fault: str,
    now: float,
    *,
    stream: bool = True,
    leaves_after: int = 10_000,
    late_s: float = 0.0,
    jump_s: float = 0.0,
    test: str = "",
) -> tuple[Exchange, list[tuple[float, Move]]]:
    """A call that arrives at ``now``, and all moves of its script with the moments at which they are made.

    It is the first of its ``test``, which is a new one unless given. Every wait ends ``jump_s`` late.
    """
    if test:
        ENGINE.reset(test, now)
    head = Head(
        [
            (b"authorization", b"Bearer sk-test-unlimited"),
            (b"content-type", b"application/json"),
            (b"x-mock-test", (test or f"test-{next(NUMBERS)}").encode()),
            *([(b"x-mock-fault", fault.encode())] if fault else []),
        ]
    )
    exchange = Exchanges(ENGINE, 1.0, lambda: 0.0).open(now, Notes(head, 0.0, 0.0))
    body = chat(strategy={"models": ["slow/steady"]}, max_tokens=20, stream=stream)
    decision = decide(exchange, head, b"", json.dumps(body).encode())
    made = list(islice(made_moves(exchange, decision, now + late_s, leaves_after, jump_s), 2_000))
    assert len(made) < 2_000, "it does not come to an end"
    return exchange, made


def made_moves(
    exchange: Exchange, decision: object, now: float, leaves_after: int, jump_s: float
) -> Iterator[tuple[float, Move]]:
    moves = Script(exchange, now).moves(decision)  # type: ignore[arg-type]  # what was decided
    move: Move | None = next(moves, None)
    while move is not None:
        if isinstance(move, Until):
            now = max(now, move.at) + jump_s
        yield now, move
        leaves_after -= 1
        try:
            move = moves.send(now if leaves_after > 0 else None)
        except StopIteration:
            move = None
    exchange.close(now)


@given(st.floats(0, 1e6), st.floats(0, 100), st.sampled_from(["before_headers", "mid_stream"]))
@settings(max_examples=200)
def test_a_delay_never_keeps_a_script_from_its_end(now: float, for_s: float, stage: str) -> None:
    exchange, made = played(f"delay;for={for_s!r};stage={stage}", now)
    assert exchange.ending == "complete"
    body = b"".join(move.data for _, move in made if isinstance(move, Part | End))
    found, _ = events(body)
    assert len(text_of(found)) > 0
    assert made[-1][0] >= now + for_s


@pytest.mark.parametrize("kind", ["delay", "stall"])
def test_a_fault_before_the_headers_counts_from_the_arrival_however_late_the_call_is_played(kind: str) -> None:
    _, made = played(f"{kind};for=10;stage=before_headers", 0.0, late_s=9.0)
    first = made[0][1]
    assert isinstance(first, Until)
    assert first.at == 10.0


@pytest.mark.parametrize("kind", ["delay;for=10", "stall;for=10", "dribble;for=10", "done_then_hang;for=10"])
@pytest.mark.parametrize("stage", [None, *STAGES[1:]])
def test_a_fault_counts_from_its_place_in_the_plan_however_late_that_is_seen(kind: str, stage: str | None) -> None:
    text, stream = kind if stage is None else f"{kind};stage={stage}", stage is not None or "hang" in kind
    try:
        parse_fault(text)
    except FaultError:
        return
    exchange, made = played(text, 0.0, stream=stream, jump_s=1_000.0)
    session = exchange.session
    assert session is not None
    waits = [move.at for _, move in made if isinstance(move, Until)]
    assert max(waits) <= session.attempt.ends_at + 10.0
    assert exchange.struck


def test_a_whole_answer_is_one_move_at_its_planned_moment() -> None:
    _, made = played("", 5.0, stream=False)
    waits = [at for at, move in made if isinstance(move, Until)]
    assert len(waits) == len(made) - 1 == 1
    assert waits[0] == made[-1][0] > 5.3


@pytest.mark.parametrize("stream", [False, True])
def test_a_client_that_leaves_ends_the_script(stream: bool) -> None:
    exchange, made = played("", 0.0, stream=stream, leaves_after=1)
    assert len(made) == 1
    assert exchange.ending == "abandoned"


@pytest.mark.parametrize("fault", ["", *(f"eof;stage={stage};" for stage in STAGES[1:])])
def test_a_client_that_leaves_between_two_writes_is_written_nothing_more(fault: str) -> None:
    fault += "framing=bytewise"
    for leaves_after in range(3, len(played(fault, 0.0, test="same")[1]), 97):
        exchange, made = played(fault, 0.0, leaves_after=leaves_after, test="same")
        assert (len(made), exchange.ending) == (leaves_after, "abandoned")


def handed_over(moves: list[tuple[float, Move]]) -> tuple[bytes, int]:
    """The body that these moves hand over, and how many pieces of text are in it to their end."""
    body = b"".join(move.data for _, move in moves if isinstance(move, Part | End))
    found = [json.loads(data) for data in data_of(body.decode("utf-8", "ignore").encode()) if data != "[DONE]"]
    return body, sum("success" not in event and event["done"] is False for event in found)


@pytest.mark.parametrize(
    "directive",
    [
        "",
        *(f"framing={framing}" for framing in FRAMINGS),
        *(f"delay;for=1;stage={stage}" for stage in STAGES),
        "delay;for=1;stage=mid_stream;after=3;framing=coalesced",
    ],
)
def test_what_was_handed_over_is_noted_wherever_the_client_leaves(directive: str) -> None:
    _, complete = played(directive, 0.0, test="same")
    total = handed_over(complete)[1]
    seen = set()
    for leaves_after in range(1, len(complete) + 1, max(1, len(complete) // 40)):
        exchange, made = played(directive, 0.0, leaves_after=leaves_after, test="same")
        notes, there = exchange.notes, made[: leaves_after - 1]
        body, pieces = handed_over(there)
        assert (notes.sent_bytes, notes.pieces) == (len(body), pieces)
        begun = any(isinstance(move, Start) for _, move in there)
        stages = {"mid_stream"} if pieces else {"before_first_token"} if begun else {"before_headers"}
        if pieces == total:
            stages |= {"before_usage", "before_done"} if b"usage" in body.replace(b"\n", b"") else {"before_usage"}
        assert notes.stage in stages
        seen.add(notes.stage)
    assert seen >= {"before_headers", "mid_stream"} | {
        stage for stage in STAGES if directive.endswith(f"stage={stage}")
    }


def test_a_stall_waits_until_the_client_has_left_and_then_closes() -> None:
    _, made = played("stall;stage=mid_stream;after=2", 0.0)
    assert [type(move) for _, move in made][-2:] == [Until, Fin]
    assert made[-1][0] == float("inf")
    assert sum(isinstance(move, Start) for _, move in made) == 1

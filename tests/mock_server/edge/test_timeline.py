"""Which pieces of a stream are due when, and how many of them at a time."""

from __future__ import annotations

from itertools import chain, repeat

from hypothesis import given
from hypothesis import strategies as st
from msgspec.structs import replace

from mock_server.config import load_world
from mock_server.contract.messages import ChatRequest, UserMessage
from mock_server.core.account import Account
from mock_server.core.canned import CannedPassage
from mock_server.core.engine import Engine
from mock_server.core.faults import Fault, parse_fault
from mock_server.core.provider import Attempt
from mock_server.core.session import Session
from mock_server.edge.timeline import WRITE_CHARS, Timeline

ENGINE = Engine(load_world("instant"), 0, 0.0)
WORD = st.sampled_from(["a ", "word ", "今天", "x" * 3_000 + " ", "y" * 9_000 + " "])
WORDS = st.lists(WORD, min_size=1, max_size=60)
PACES = st.sampled_from([0.0, 0.01, 2.0])


def attempt_of(text: str, pace_s: float) -> Attempt:
    """An answer of this text that begins at 5 s."""
    scope = ENGINE.scope("", 0.0)
    account = ENGINE.authenticate(scope, "sk-test-unlimited", 0.0)
    assert isinstance(account, Account)
    session = ENGINE.start(scope, account, ChatRequest((UserMessage("Hello"),)), 0.0)
    assert isinstance(session, Session)
    attempt = session.attempt
    session.abandon(0.0)
    return replace(attempt, first_at=5.0, pace_s=pace_s, passage=CannedPassage(text, len(text)))


def timeline_of(text: str, pace_s: float, fault: Fault | None = None) -> Timeline:
    return Timeline(ENGINE.planner, attempt_of(text, pace_s), fault or Fault())


@given(WORDS, PACES, st.lists(st.floats(0, 50), max_size=20))
def test_the_pieces_make_up_the_text_whenever_they_are_asked_for(
    words: list[str], pace_s: float, moments: list[float]
) -> None:
    text = "".join(words)
    timeline, pieces = timeline_of(text, pace_s), list[str]()
    for at in chain(sorted(moments), repeat(1e9)):
        if timeline.finished:
            break
        before = timeline.next_at
        due = timeline.due(at)
        assert bool(due) == (before <= at)
        assert len("".join(due)) <= WRITE_CHARS or len(due) == 1
        pieces += due
        assert timeline.sent_tokens == len("".join(pieces))
    assert "".join(pieces) == text


@given(WORDS, PACES, st.integers(1, 70))
def test_a_fault_strikes_once_after_its_piece_or_the_last_one(words: list[str], pace_s: float, after: int) -> None:
    timeline = timeline_of("".join(words), pace_s, parse_fault(f"reset;stage=mid_stream;after={after}"))
    sent, struck_after = 0, list[int]()
    while not timeline.finished:
        sent += len(timeline.due(1e9))
        if timeline.at_fault:
            struck_after.append(sent)
            timeline.at_fault = False
    assert struck_after == [min(after, sent)]


def test_nothing_is_due_before_the_first_moment() -> None:
    for pace_s in (0.0, 1.0):
        timeline = timeline_of("one two", pace_s)
        assert timeline.due(4.9) == []
        assert timeline.due(5.0)[0] == "one "

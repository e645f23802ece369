from __future__ import annotations

from typing import Any

import msgspec
import pytest
from hypothesis import given
from hypothesis import strategies as st

from mock_server.contract.tokens import estimate
from mock_server.core.canned import MAX_RULES, AnswerBook, AnswerRule, CannedPassage, Question, passage_of
from mock_server.core.faults import FaultError, parse_fault

CALL = Question("How is the weather?", "openai", "gpt-4.1-mini", "sk-test-pro", "t1")


def answer(*texts: str, **fields: Any) -> AnswerRule:
    """A rule as a world file or a request has it."""
    replies = [{"text": text} for text in texts or ("fine",)]
    return msgspec.convert({"replies": replies} | fields, AnswerRule)


def texts(book: AnswerBook, calls: int, asked: Question = CALL) -> list[str]:
    """What so many calls are answered with."""
    found = []
    for _ in range(calls):
        active = book.find(asked)
        assert active is not None
        found.append(active.next_reply()[0].text)
        active.answered += 1
    return found


@pytest.mark.parametrize(
    ("match", "why"),
    [
        ({}, []),
        ({"text": "How is the weather?"}, []),
        ({"text": "how is the weather?"}, ["text is 'how is the weather?'"]),
        ({"text": "How is"}, ["text is 'How is'"]),
        ({"contains": "weather"}, []),
        ({"contains": "Weather"}, ["contains is 'Weather'"]),
        ({"regex": r"weather\?$"}, []),
        ({"regex": "^How.*weather"}, []),
        ({"regex": "^weather"}, ["regex is '^weather'"]),
        ({"model": "gpt-4.1-mini"}, []),
        ({"model": "gpt-*"}, []),
        ({"model": "openai/*"}, []),
        ({"model": "openai"}, ["model is 'openai'"]),
        ({"model": "groq/*"}, ["model is 'groq/*'"]),
        ({"key": "sk-test-pro"}, []),
        ({"key": "sk-test-free"}, ["the key is another"]),
        ({"test": "t1"}, []),
        ({"test": "t2"}, ["test is 't2'"]),
        ({"contains": "sun", "regex": "moon", "test": "t1"}, ["contains is 'sun'", "regex is 'moon'"]),
    ],
)
def test_a_rule_matches_what_it_names_or_says_what_it_wanted(match: dict[str, str], why: list[str]) -> None:
    book = AnswerBook([answer(match=match)])
    assert book.rules[0].misses(CALL) == why
    assert (book.find(CALL) is None) is bool(why)


def test_a_dot_of_a_regular_expression_also_means_a_line_feed() -> None:
    book = AnswerBook([answer(match={"regex": "one.two"})])
    assert book.find(Question("one\ntwo", "", "", "", "")) is not None


def test_replies_come_one_after_the_other_and_the_last_repeats() -> None:
    assert texts(AnswerBook([answer("first", "second", "then")]), 5) == ["first", "second", "then", "then", "then"]


def test_a_reply_may_have_a_fault() -> None:
    replies = [{"text": "a", "fault": "reset;after=2"}, {"text": "b"}]
    active = AnswerBook([answer(replies=replies)]).rules[0]
    faults = []
    for active.answered in range(3):
        faults.append(active.next_reply()[1])
    assert faults == [parse_fault("reset;after=2"), None, None]


def test_the_first_rule_that_matches_answers() -> None:
    book = AnswerBook([answer("no", match={"text": "else"}), answer("yes", match={"contains": "weather"}), answer()])
    assert texts(book, 2) == ["yes", "yes"]
    assert texts(book, 1, Question("other", "", "", "", "")) == ["fine"]


def test_when_nothing_matches_the_three_nearest_are_named_with_their_reasons() -> None:
    wanted = ["zzz", "How is the weather", "How is the sea?", "How was it?"]
    book = AnswerBook([answer(match={"text": text}) for text in wanted])
    assert book.explain(CALL) == (
        "no canned answer matches; nearest: answer 1 wants text is 'How is the weather'; "
        "answer 2 wants text is 'How is the sea?'; answer 3 wants text is 'How was it?'"
    )


def test_where_there_are_no_canned_answers_it_says_so() -> None:
    assert AnswerBook().explain(CALL) == "no canned answer matches: there are none"


def test_an_explanation_never_shows_a_key() -> None:
    book = AnswerBook([answer(match={"key": "sk-very-secret"})])
    assert book.explain(CALL) == "no canned answer matches; nearest: answer 0 wants the key is another"


def test_a_bad_regular_expression_is_refused() -> None:
    with pytest.raises(FaultError, match=r"^match\.regex is not a regular expression: "):
        AnswerBook([answer(match={"regex": "("})])


def test_a_bad_fault_is_refused() -> None:
    with pytest.raises(FaultError, match="unknown fault kind 'boom'"):
        AnswerBook([answer(replies=[{"text": "a", "fault": "boom"}])])


@pytest.mark.parametrize(
    "fields",
    [
        {"replies": []},
        {"replies": [{"text": ""}]},
        {"replies": [{}]},
        {"replies": [{"text": "a", "prompt_tokens": -1}]},
        {"replies": [{"text": "a", "delay_s": -1}]},
        {"replies": [{"text": "a", "finish_reason": "tired"}]},
        {"replies": [{"text": "a", "txet": 1}]},
        {"match": {"regexp": "a"}},
    ],
)
def test_a_field_that_is_unknown_or_out_of_range_is_refused(fields: dict[str, Any]) -> None:
    with pytest.raises(msgspec.ValidationError):
        answer(**fields)


def test_the_number_of_rules_is_bounded() -> None:
    book = AnswerBook(answer() for _ in range(MAX_RULES))
    with pytest.raises(FaultError) as caught:
        book.add(answer())
    assert str(caught.value) == f"there are {MAX_RULES} canned answers already; clear some first"


def test_clearing_removes_all_rules() -> None:
    book = AnswerBook([answer("a"), answer("b")])
    assert (book.clear(), book.find(CALL)) == (2, None)


def test_the_tokens_of_a_reply_are_as_given_or_estimated() -> None:
    replies = answer(replies=[{"text": "It is fine"}, {"text": "It is fine", "completion_tokens": 99}]).replies
    assert [passage_of(reply).tokens for reply in replies] == [estimate("It is fine"), 99]


@given(st.text(min_size=1), st.integers(0, 1_000))
def test_the_pieces_of_any_text_make_it_up_again_and_share_its_tokens(text: str, tokens: int) -> None:
    pieces = CannedPassage(text, tokens).pieces()
    assert pieces.ends == sorted(set(pieces.ends))
    assert pieces.ends[0] > 0
    assert pieces.ends[-1] == len(text)
    shares = [pieces.tokens_to(place) for place in range(len(pieces.ends))]
    assert shares == sorted(shares)
    assert shares[-1] == tokens


def test_a_piece_is_a_word_or_one_or_two_chinese_characters() -> None:
    text = "It is fine.\n今天天气很好，真的"
    ends = CannedPassage(text, 10).pieces().ends
    pieces = [text[start:end] for start, end in zip([0, *ends], ends, strict=False)]
    assert [piece.strip() for piece in pieces] == ["It", "is", "fine.", "今天", "天气", "很好，", "真的"]

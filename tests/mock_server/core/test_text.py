"""Answers of simulated models: exact token counts, streamable pieces, the same in every process."""

from __future__ import annotations

import ast
import json
import subprocess
import sys

import pytest
from hypothesis import given
from hypothesis import strategies as st

from mock_server.contract import tokens
from mock_server.core.text import FENCED_FROM, SENTENCES, WHOLE_FROM, Corpus, Language, Passage, corpus_of

MAX_TOKENS = 131_072

languages = st.sampled_from(["en", "zh"])
flavours = st.sampled_from(["prose", "code"])
draws = st.integers(min_value=0, max_value=2**64 - 1)
lengths = st.one_of(st.integers(1, 60), st.integers(1, 2_000), st.integers(1, 40_000))


@pytest.fixture(scope="module")
def corpus() -> Corpus:
    return Corpus(7)


def joined(passage: Passage) -> list[str]:
    ends = passage.pieces().ends
    return [passage.text[start:end] for start, end in zip([0, *ends], ends, strict=False)]


@given(language=languages, length=lengths, draw=draws, flavour=flavours)
def test_passages_have_exactly_the_tokens_asked_for(
    corpus: Corpus, language: Language, length: int, draw: int, flavour: str
) -> None:
    passage = corpus.passage(language, length, draw, flavour=flavour)
    assert passage.tokens == length == tokens.estimate(passage.text)
    assert passage.text == passage.text.strip()


@pytest.mark.parametrize("flavour", ["prose", "code"])
@pytest.mark.parametrize("language", ["en", "zh"])
def test_no_length_is_missed(corpus: Corpus, language: Language, flavour: str) -> None:
    for length in range(1, 300):
        for draw in range(0, 5_000, 401):
            passage = corpus.passage(language, length, draw, flavour=flavour)
            assert tokens.estimate(passage.text) == length


@given(language=languages, length=lengths, draw=draws, flavour=flavours)
def test_pieces_tile_the_text_and_count_what_was_sent(
    corpus: Corpus, language: Language, length: int, draw: int, flavour: str
) -> None:
    passage = corpus.passage(language, length, draw, flavour=flavour)
    pieces = passage.pieces()
    ends, token_ends = pieces.ends, [pieces.tokens_to(place) for place in range(len(pieces.ends))]
    assert ends == sorted(set(ends))
    assert ends[0] > 0
    assert ends[-1] == len(passage.text)
    assert token_ends == sorted(token_ends)
    assert token_ends[-1] == length
    for index in range(0, len(ends), 1 + len(ends) // 20):
        assert token_ends[index] == tokens.estimate(passage.text[: ends[index]])


@pytest.mark.parametrize("flavour", ["prose", "code"])
@pytest.mark.parametrize("language", ["en", "zh"])
def test_the_longest_answer_goes_round_the_corpus(corpus: Corpus, language: Language, flavour: str) -> None:
    passage = corpus.passage(language, MAX_TOKENS, 2**64 - 1, flavour=flavour)
    assert tokens.estimate(passage.text) == MAX_TOKENS
    pieces = passage.pieces()
    assert pieces.ends[-1] == len(passage.text)
    for place in range(0, len(pieces.ends), 9_999):
        assert pieces.tokens_to(place) == tokens.estimate(passage.text[: pieces.ends[place]])
    assert pieces.tokens_to(len(pieces.ends) - 1) == MAX_TOKENS


@pytest.mark.parametrize("language", ["en", "zh"])
def test_the_last_sentence_is_followed_by_the_first(corpus: Corpus, language: Language) -> None:
    for length in range(1, 60):
        passage = corpus.passage(language, length, SENTENCES - 1)
        assert tokens.estimate(passage.text) == length
        assert passage.pieces().ends[-1] == len(passage.text)
    assert corpus.passage(language, 200, 0).text[:40] in corpus.passage(language, 200, SENTENCES - 1).text


def test_a_passage_shows_its_text_and_not_the_corpus(corpus: Corpus) -> None:
    assert len(repr(corpus.passage("en", 20, 1))) < 400


def test_english_pieces_are_words(corpus: Corpus) -> None:
    pieces = joined(corpus.passage("en", 400, 11))
    assert all(len(piece.split()) == 1 for piece in pieces)
    assert all(sum(run.isalpha() for run in piece) for piece in pieces)


def test_chinese_pieces_are_one_or_two_characters_with_their_punctuation(corpus: Corpus) -> None:
    for piece in joined(corpus.passage("zh", 400, 11)):
        assert 1 <= sum("一" <= character <= "鿿" for character in piece) <= 2
        assert piece.strip("，。\n").isalpha()


@given(draw=draws, length=st.integers(WHOLE_FROM, 500))
def test_prose_begins_and_ends_like_sentences(corpus: Corpus, draw: int, length: int) -> None:
    english = corpus.passage("en", length, draw).text
    assert english[0].isupper()
    assert english.endswith(".")
    assert not english.endswith((" the.", " and.", " a.", " of."))
    assert corpus.passage("zh", length, draw).text.endswith("。")


def test_each_language_is_written_in_its_own_script(corpus: Corpus) -> None:
    assert corpus.passage("en", 2_000, 3).text.isascii()
    chinese = corpus.passage("zh", 2_000, 3).text
    assert not any(character.isascii() and character.isalnum() for character in chinese)


@pytest.mark.parametrize("language", ["en", "zh"])
def test_code_is_fenced_python(corpus: Corpus, language: Language) -> None:
    for draw in range(50):
        lines = corpus.passage(language, 700, draw, flavour="code").text.split("\n")
        assert (lines[0], lines[-1]) == ("```python", "```")
        whole, _, _unfinished = "\n".join(lines[1:-1]).rpartition("\n\n")
        assert len(ast.parse(whole).body) >= 3


def test_short_code_has_no_room_for_a_fence(corpus: Corpus) -> None:
    assert "```" not in corpus.passage("en", FENCED_FROM - 1, 5, flavour="code").text
    assert "```" in corpus.passage("en", FENCED_FROM, 5, flavour="code").text


def test_other_tasks_get_prose(corpus: Corpus) -> None:
    assert corpus.passage("en", 80, 5, flavour="translation") == corpus.passage("en", 80, 5)


def test_draws_decide_where_an_answer_begins(corpus: Corpus) -> None:
    texts = {corpus.passage("en", 30, draw).text for draw in range(500)}
    assert len(texts) == 500


def test_seeds_decide_the_words(corpus: Corpus) -> None:
    assert Corpus(0).passage("en", 200, 1).text != corpus.passage("en", 200, 1).text


def test_an_answer_of_no_tokens_is_refused(corpus: Corpus) -> None:
    with pytest.raises(ValueError, match="at least 1 token, not 0"):
        corpus.passage("en", 0, 1)


def test_another_process_answers_the_same(corpus: Corpus) -> None:
    calls = [("en", 120, 2**63 + 5, "prose"), ("zh", 77, 4, "prose"), ("zh", 300, 99, "code")]
    program = (
        "import json, sys; from mock_server.core.text import Corpus; corpus = Corpus(7)\n"
        "calls = json.loads(sys.argv[1])\n"
        "print(json.dumps([corpus.passage(a, b, c, flavour=d).text for a, b, c, d in calls]))"
    )
    answer = subprocess.run(
        [sys.executable, "-c", program, json.dumps(calls)], capture_output=True, check=True, text=True
    )
    here = [
        corpus.passage("zh" if language == "zh" else "en", length, draw, flavour=flavour).text
        for language, length, draw, flavour in calls
    ]
    assert json.loads(answer.stdout) == here


def test_mocks_of_one_seed_in_one_process_share_a_corpus() -> None:
    assert corpus_of(7) is corpus_of(7)
    assert corpus_of(8).passage("en", 200, 1).text == Corpus(8).passage("en", 200, 1).text

"""Counting runs by arithmetic gives what counting them one by one gives, wherever a text is cut for it."""

from __future__ import annotations

from itertools import groupby

import pytest
from hypothesis import example, given
from hypothesis import strategies as st

from mock_server.contract import runs
from mock_server.contract.runs import Runs, count_runs


def kind(character: str) -> str:
    if character in "\r\n":
        return "newline"
    if character.isspace():
        return "space"
    if character == "?":
        return "alone"
    return "word" if character.isalpha() else "digit" if character.isdecimal() else "mark"


CLASS_OF = {
    "newline": runs.BREAK,
    "space": runs.SPACE,
    "alone": runs.ALONE,
    "word": runs.LETTER,
    "digit": runs.DIGIT,
    "mark": runs.MARK,
}


def classes(text: str) -> bytes:
    return b"".join(CLASS_OF[kind(character)] for character in text)


def runs_one_by_one(text: str) -> Runs:
    words = more_letters = digits = marks = newlines = alone = 0
    broken = False
    for name, run in groupby(text, kind):
        length = len(list(run))
        words += name == "word"
        more_letters += (length - 1) // 7 if name == "word" else 0
        digits += -(-length // 3) if name == "digit" else 0
        marks += name == "mark"
        newlines += name == "newline" and not broken
        alone += length if name == "alone" else 0
        broken = name == "newline" or (name == "space" and broken)
    return words, more_letters, digits, marks, newlines, alone


ASCII = st.text(st.characters(max_codepoint=127), max_size=40)
LONG_RUNS = st.builds(str.__mul__, st.sampled_from("aZ1?._ \t\n\r\0"), st.integers(1, 400))
PIECES = [
    "a ",
    "word ",
    "x" * 63,
    "x" * 64,
    "x" * 65,
    "9" * 28,
    "1,",
    "2024-11-24",
    "\n",
    "\n  \n",
    " \n",
    "\t\t",
    "\r\n",
]
PIECES += ["    if x:\n        y = f(z)\n", "snake_case", "internationalisation ", "...", "??", "?\n", "? \n", "a?b"]


@st.composite
def long_texts(draw: st.DrawFn) -> str:
    pieces = draw(st.lists(st.one_of(st.sampled_from(PIECES), ASCII, LONG_RUNS), min_size=1, max_size=60))
    return "".join(pieces) * draw(st.integers(1, 12))


@given(long_texts())
@example("a" * 500)
@example("a" * 9_000)
@example("word " * 100 + "\n" + " \n" * 100 + "word " * 100)
@example("word\n" * 100 + "\n" * 200 + "word" * 100)
def test_every_run_is_counted_once(text: str) -> None:
    assert count_runs(classes(text)) == runs_one_by_one(text)


@pytest.mark.parametrize(
    "unit", ["word ", "a b\n", "?", "?.", "1,", "x" * 50 + " ", "x", " ", "\n ", "1", "_a1 \n?", "a1", "\n", "?\n "]
)
def test_texts_of_several_spans_too(unit: str) -> None:
    for shift in (0, 1, 2, 5):
        text = "y" * shift + unit * (100_000 // len(unit)) + "z" * shift
        assert count_runs(classes(text)) == runs_one_by_one(text)

"""Every character has the class that the published table says, whatever stands around it."""

from __future__ import annotations

import sys

import pytest
from hypothesis import given

from mock_server.contract import runs
from mock_server.contract.classes import classes_of
from tests.mock_server.contract.test_tokens import naive_class, texts

CLASS_OF = {
    "newline": runs.BREAK,
    "space": runs.SPACE,
    "alone": runs.ALONE,
    "word": runs.LETTER,
    "digit": runs.DIGIT,
    "punctuation": runs.MARK,
}


def one_by_one(text: str) -> bytes:
    return b"".join(CLASS_OF[naive_class(character)] for character in text)


def test_every_character_has_its_class_alone_and_in_chinese() -> None:
    blocks = ["".join(map(chr, range(start, start + 64))) for start in range(0, 0x10000, 64)]
    blocks.append("".join(map(chr, range(0x10000, sys.maxunicode + 1, 0x401))))
    for block in blocks:
        expected = one_by_one(block)
        assert classes_of(block) == expected, hex(ord(block[0]))
        spread = classes_of("".join(f"{character}中" for character in block))
        assert spread == b"".join(b"%c%b" % (known, runs.ALONE) for known in expected), hex(ord(block[0]))
        few = classes_of("".join(f"{character}{'中' * 40}" for character in block[::7]))
        assert few == b"".join(b"%c%b" % (known, runs.ALONE * 40) for known in expected[::7]), hex(ord(block[0]))


@given(texts)
def test_texts_have_the_classes_of_their_characters(text: str) -> None:
    assert classes_of(text) == one_by_one(text)


@pytest.mark.parametrize("rare", ["%", "％", "😀", "々〆", "\ud800", "…", "я", "é"])
@pytest.mark.parametrize("text", ["Some words, 12 of them?\n", "一些汉字，“十二”个。\n"])
def test_a_rare_character_changes_no_other(rare: str, text: str) -> None:
    whole = text * 20 + rare + text * 20 + rare
    assert classes_of(whole) == one_by_one(whole)

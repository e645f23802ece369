"""The token estimate: its formula, its laws, and that hostile text costs no more time than any other."""

from __future__ import annotations

import argparse
import inspect
import time
import unicodedata
from functools import cache
from itertools import groupby
from pathlib import Path

import pytest
from faker import Faker
from hypothesis import given
from hypothesis import strategies as st

from mock_server.contract import tokens

ALONE = [(0x1100, 0x11FF), (0x2600, 0x27BF), (0x2E80, 0x2FDF), (0x3005, 0x3007), (0x3021, 0x3029)]
ALONE += [(0x3031, 0x3035), (0x3041, 0x3096), (0x309D, 0x309F), (0x30A1, 0x30FA), (0x30FC, 0x318F)]
ALONE += [(0x31A0, 0x31FF), (0x3400, 0x4DBF), (0x4E00, 0xA4CF), (0xA960, 0xA97F), (0xAC00, 0xD7FF)]
ALONE += [(0xF900, 0xFAFF), (0xFF66, 0xFFDC), (0x10000, 0x10FFFF)]

texts = st.one_of(
    st.text(st.characters()),  # lone surrogates included
    st.text(st.sampled_from("aZé中あ한я1٣½ \t\r\n.,_?\0\x1c\u2028\u3000，。ि\u0301😀\ud800")),
    st.text(st.characters(max_codepoint=0x2FFF)),
)


@cache
def naive_class(character: str) -> str:
    if any(low <= ord(character) <= high for low, high in ALONE):
        return "alone"
    if character in "\r\n":
        return "newline"
    if character.isspace():
        return "space"
    if character.isdecimal():
        return "digit"
    return "word" if unicodedata.category(character)[0] in "LMN" else "punctuation"


def naive_cost(text: str) -> float:
    """The published formula, run by run."""
    cost, broken = 0.0, False
    for kind, run in groupby(text, naive_class):
        length = len(list(run))
        match kind:
            case "alone":
                cost += 0.70 * length
            case "word":
                cost += 0.90 + 0.63 * ((length - 1) // 7)
            case "digit":
                cost += 1.35 * -(-length // 3)
            case "punctuation":
                cost += 0.90
            case "newline":
                cost += 0 if broken else 1.50
        broken = kind == "newline" or (kind == "space" and broken)
    return cost


@given(texts)
def test_the_fast_estimate_follows_the_formula(text: str) -> None:
    assert tokens.cost(text) == pytest.approx(naive_cost(text), abs=1e-6)


DOCS = Path(__file__).parents[3] / "docs"


def prose(locale: str) -> str:
    faker = Faker(locale)
    faker.seed_instance(1)
    return "\n\n".join(faker.text(400) for _ in range(30))


REAL = {
    "code": inspect.getsource(argparse),
    "documentation": (DOCS / "contract-testing.md").read_text("utf-8"),
    "English": prose("en_US").replace("'", "’").replace(", ", " — "),
    "Chinese": prose("zh_CN").replace(".", "。") + "１９９９年１２月，“你好”……（≥３０℃）",
    "French": prose("fr_FR"),
    "Russian": prose("ru_RU"),
    "Japanese": prose("ja_JP").replace(".", "。"),
}
REAL["mixed"] = "".join(text[start : start + 700] for start in range(0, 7_000, 700) for text in list(REAL.values()))


@pytest.mark.parametrize("name", REAL)
def test_long_texts_are_counted_whole(name: str) -> None:
    text = REAL[name]
    assert tokens.price(text) == round(100 * naive_cost(text))


@given(texts)
def test_estimates_are_the_rounded_cost_and_at_least_one(text: str) -> None:
    expected = int(tokens.cost(text) + 0.5) if tokens.cost(text) >= 0.5 else 1
    assert tokens.estimate(text) == (expected if text else 0)


@given(texts, texts)
def test_longer_texts_cost_no_less(head: str, tail: str) -> None:
    assert tokens.price(head + "." + tail) >= max(tokens.price(head), tokens.price(tail))


@given(texts, texts)
def test_costs_add_across_spaces(head: str, tail: str) -> None:
    joined = f"{head}x {tail}"
    assert tokens.price(joined) == tokens.price(f"{head}x") + tokens.price(tail)


@given(st.characters())
def test_every_visible_character_costs_something(character: str) -> None:
    assert (tokens.price(character) > 0) == (not character.isspace() or character in "\r\n")


@pytest.mark.parametrize(
    ("text", "cost"),
    [
        ("", 0),
        (" \t ", 0),
        ("hello", 0.90),
        ("internationalisation", 0.90 + 2 * 0.63),
        ("Hello, world!", 4 * 0.90),
        ("2024", 2 * 1.35),
        ("one\n\n  \ntwo\n", 2 * 0.90 + 2 * 1.50),
        ("写一个产品介绍", 7 * 0.70),
        ("我们，可以。", 4 * 0.70 + 2 * 0.90),
        ("カタカナ 한국어", 7 * 0.70),
        ("Привет мир", 2 * 0.90),
        ("مرحبا بالعالم", 2 * 0.90),
        ("हिन्दी", 0.90),
        ("cafe\u0301", 0.90),
        ("👍🏽👍🏽", 4 * 0.70),
        ("\ud800", 0.90),
        ("snake_case", 3 * 0.90),
    ],
)
def test_costs_of_known_texts(text: str, cost: float) -> None:
    assert tokens.cost(text) == pytest.approx(cost)


@given(st.text(st.characters(max_codepoint=127), max_size=300))
def test_a_short_text_costs_the_same_the_second_time(text: str) -> None:
    assert [tokens.price(text), tokens.price(text)] == [round(100 * naive_cost(text))] * 2


def test_the_words_of_short_texts_are_remembered_within_bounds(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(tokens, "_MAX_WORDS", 100)
    for number in range(1_000):
        text = f"w{number}, and more"
        assert tokens.price(text) == round(100 * naive_cost(text))
        assert number < 100 or len(tokens._words) <= 100


@pytest.mark.parametrize(("cost", "whole"), [(0, 1), (149, 1), (150, 2), (249, 2), (250, 3)])
def test_halves_round_up(cost: int, whole: int) -> None:
    assert tokens.whole(cost) == whole


CHINESE_AND_CODE = "写一个产品介绍，" * 40 + "def f(x):\n    return x[0:12]\n\n" * 20
BASE64 = ("q83vASNFZ4mrze8BI0VniavN7wEjRWeJq83vASNFZ4k/" * 2)[:76] + "\n"


@pytest.mark.parametrize(
    "unit",
    [
        BASE64,
        BASE64[:76],
        CHINESE_AND_CODE,
        "a",
        "é",
        "中",
        "1",
        "٣",
        " ",
        "\u3000",
        "\n",
        "\n ",
        "._",
        "“",
        "?\0",
        "\ud800",
        "e1.\n ",
        "я1，中\n ",
    ],
)
def test_a_megabyte_of_anything_is_priced_in_linear_time(unit: str) -> None:
    text = unit * (1_000_000 // len(unit))
    began = time.process_time()
    tokens.estimate(text)
    # It takes 0.01 to 0.15 s; anything quadratic takes minutes.
    assert time.process_time() - began < 3

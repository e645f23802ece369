"""Long texts are remembered within bounds, and never taken for one another."""

from __future__ import annotations

from mock_server.contract.tokens import estimate
from mock_server.core.known_texts import Texts

LONG = "A sentence of forty characters or so. 一句话。\n" * 40


def test_a_text_is_remembered_and_never_taken_for_another() -> None:
    known = Texts(limit=1_000_000)
    for _ in range(2):
        for at in range(0, len(LONG), 7):
            text = LONG[:at] + "1 2" + LONG[at + 3 :]
            found = known.read(text)
            assert (found.text, found.tokens) == (text, estimate(text))
    assert known.read(str(LONG[:1_000])) is known.read(str(LONG[:1_000]))


def test_remembered_texts_are_bounded() -> None:
    known = Texts(limit=50_000)
    sizes = []
    for number in range(500):
        known.read(f"{number} " * 500)
        sizes.append(known.size)
    assert 40_000 < max(sizes) <= 50_000
    known.read("x" * 7_000)
    assert known.size <= 50_000
    before = known.size
    assert known.read("y" * 10_000).tokens == estimate("y" * 10_000)
    assert known.size == before  # too large to be kept

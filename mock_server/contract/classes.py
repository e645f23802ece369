"""The class of each character of a text, as `runs` counts them: one byte for each character.

Latin text takes one `bytes.translate`. Any other is taken in UTF-16, where each of the two bytes of a character is put
into one of 16 groups. Two groups are two hexadecimal digits, so they make one byte, and it tells the class mostly.
"""

from __future__ import annotations

import re
import unicodedata
from binascii import unhexlify
from functools import lru_cache
from typing import Final

from mock_server.contract.runs import ALONE, BREAK, DIGIT, LETTER, MARK, SPACE

_STAND_ALONE: Final = (
    (0x1100, 0x11FF),  # Hangul jamo
    (0x2600, 0x27BF),  # emoji of the first generation
    (0x2E80, 0x2FDF),  # radicals
    (0x3005, 0x3007),
    (0x3021, 0x3029),
    (0x3031, 0x3035),
    (0x3041, 0x3096),  # kana
    (0x309D, 0x309F),
    (0x30A1, 0x30FA),
    (0x30FC, 0x318F),  # bopomofo, Hangul letters
    (0x31A0, 0x31FF),
    (0x3400, 0x4DBF),  # Han
    (0x4E00, 0xA4CF),  # Han, Yi
    (0xA960, 0xA97F),
    (0xAC00, 0xD7FF),  # Hangul syllables
    (0xF900, 0xFAFF),  # Han, for compatibility
    (0xFF66, 0xFFDC),  # kana and Hangul of half width
    (0x10000, 0x10FFFF),  # emoji, rarer Han
)


@lru_cache(maxsize=4_096)
def _class_of(character: str) -> bytes:
    if any(low <= ord(character) <= high for low, high in _STAND_ALONE):
        return ALONE
    if character.isspace():
        return BREAK if character in "\r\n" else SPACE
    if character.isdecimal():
        return DIGIT
    # Marks belong to words: most of the world's scripts need them inside words.
    return LETTER if unicodedata.category(character)[0] in "LMN" else MARK


_ASCII_OF: Final = {SPACE: " ", LETTER: "a", MARK: ".", DIGIT: "0", BREAK: "\n", ALONE: "?"}


class _SameClass(dict[int, str]):
    """An ASCII character of the same class for each character, for ``str.translate``. Mutable: filled on demand."""

    def __missing__(self, code: int) -> str:
        self[code] = same = _ASCII_OF[_class_of(chr(code))]
        return same


_same_class: Final = _SameClass()


def _bytes_in(ranges: str) -> list[int]:
    """The bytes that hexadecimal ranges such as ``41-4C 4E`` name."""
    ends = ([int(end, 16) for end in part.split("-")] for part in ranges.split())
    return [byte for first, *last in ends for byte in range(first, (last or [first])[0] + 1)]


# The groups are such that ASCII, Han, and what is common of the pages 20, 30 and FF (curly quotes, dashes, full stops,
# commas and digits of Chinese) can be told by the groups of their two bytes.
_GROUPS: Final = (
    "00",
    "0A 0D",
    "20",
    "1C-1F",
    "09 0B 0C",
    "30",
    "31-39",
    "41-4C 4E-5A 61-7A C0-D6",
    "4D AA D8-F6 F8-FE",
    "5B-60 7B-7F",
    "3A-40 28 29 2F 05-07 D7 F7",
    "21-27 2A-2E A4-A9 AB",
    "01-04 08 0E 0F 1A 1B",
    "10-19",
    "80-A3 AC-BF",
    "FF",
)
_GROUP_OF: Final = {byte: group for group, ranges in enumerate(_GROUPS) for byte in _bytes_in(ranges)}
_DIGIT_OF: Final = bytes(b"0123456789abcdef"[_GROUP_OF[byte]] for byte in range(256))
_UNSURE: Final = b"X"


def _pairs() -> bytes:
    """By the groups of both bytes the class of every character that has them, or that it is not sure."""
    pages: list[list[int]] = [[] for _ in _GROUPS]
    for page, group in _GROUP_OF.items():
        pages[group].append(page)
    table = bytearray(_UNSURE * 256)
    for group, alike in enumerate(pages):
        if all(_class_of(chr(page << 8)) == _class_of(chr(page << 8 | 0xFF)) == ALONE for page in alike):
            table[group << 4 : (group + 1) << 4] = ALONE * 16  # no page has others between two of these
        elif len(alike) == 1:
            for low_group in range(16):
                classes = {_class_of(chr(alike[0] << 8 | low)) for low, of in _GROUP_OF.items() if of == low_group}
                table[group << 4 | low_group] = ord(classes.pop() if len(classes) == 1 else _UNSURE)
    return bytes(table)


_LATIN: Final = b"".join(map(_class_of, map(chr, range(256))))
_OF_PAIR: Final = _pairs()
_split_unsure: Final = re.compile(b"(%b%b*)" % (_UNSURE, _UNSURE)).split  # so written `re` looks for a single byte
_RARE: Final = 32  # where fewer than one character in so many is not sure, these are read one by one

# Alternately what is neither ASCII nor stands alone, and what is.
_split_others: Final = re.compile(f"([\0-\x7f{''.join(f'{chr(a)}-{chr(b)}' for a, b in _STAND_ALONE)}]+)").split
_ASCII_OR_ALONE: Final = bytes(ord(ALONE) if code == ord("?") else kind for code, kind in enumerate(_LATIN))


def classes_of(text: str) -> bytes:
    """The class of each character, for any ``str``."""
    if text.isascii():
        return text.encode().translate(_LATIN)
    try:
        return text.encode("latin-1").translate(_LATIN)
    except UnicodeEncodeError:
        pass
    units = text.encode("utf-16-be", "surrogatepass")
    classes = unhexlify(units.translate(_DIGIT_OF)).translate(_OF_PAIR)
    if _UNSURE not in classes:
        return classes
    if classes.count(_UNSURE) * _RARE > len(classes):
        return _by_words(text)
    pieces, at = _split_unsure(classes), 0
    for number, piece in enumerate(pieces):
        end = at + 2 * len(piece)
        if number % 2:
            pieces[number] = b"".join(map(_class_of, units[at:end].decode("utf-16-be", "surrogatepass")))
        at = end
    return b"".join(pieces)


def _by_words(text: str) -> bytes:
    """The classes of a text in another script: what is neither ASCII nor stands alone is taken word by word."""
    pieces = _split_others(text.replace("?", "."))
    pieces[::2] = map(_in_ascii, pieces[::2])
    return "".join(pieces).encode("ascii", "replace").translate(_ASCII_OR_ALONE)  # question marks stand alone


def _in_ascii(others: str) -> str:
    return "a" * len(others) if others.isalpha() else others.translate(_same_class)

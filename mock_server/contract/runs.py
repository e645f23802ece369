"""How many runs of each class of characters an ASCII text holds: what the token estimate is a sum over.

A long text is counted by arithmetic on integers as long as a quarter of it, in a fifth of the time that splitting it
takes. Four bits of such an integer are a lane, and a lane is one place in each quarter. A plane is an integer for one
class: its bits say where that class is. Shifting a plane by a lane compares every character with the one before it.
"""

from __future__ import annotations

from binascii import unhexlify
from typing import Final

ALONE: Final = b"?"
"""What stands for a character outside ASCII that is a run by itself."""

Runs = tuple[int, int, int, int, int, int]
"""Words; one for every 7 letters of a word beyond its first; one for every 3 digits begun; runs of punctuation; runs of
white space that hold a line break; what stands alone."""

_LETTERS_STEP: Final = 7
_DIGITS_STEP: Final = 3
_SHORT: Final = 400  # characters up to which splitting is faster
_SPAN: Final = 1 << 15  # characters counted at a time, so that all fits the processor's cache
_LOOK_BACK: Final = 256  # how far before the place that is wanted a text may be cut
_MOST_STEPS: Final = 9  # a text with a word or a number of more steps is counted by splitting

_ASCII: Final = [chr(code) for code in range(128)]
_LETTERS: Final = "".join(filter(str.isalpha, _ASCII)).encode()
_NUMERALS: Final = b"0123456789"
_LINE_BREAKS: Final = b"\r\n"
_SPACES: Final = "".join(c for c in _ASCII if c.isspace() and c not in "\r\n").encode()
_MARKS: Final = bytes(set(range(128)) - {*_LETTERS, *_NUMERALS, *_LINE_BREAKS, *_SPACES, *ALONE})
_WHITE: Final = _LINE_BREAKS + _SPACES
_CLASS_OF: Final = [next((kind for kind in (_LETTERS, _NUMERALS, _MARKS) if code in kind), b"") for code in range(256)]


def count_runs(text: bytes) -> Runs:
    """The runs of an ASCII text, in time linear in its length whatever it holds."""
    if len(text) <= _SPAN:
        return _count(text)
    counts, start = [], 0
    while len(text) - start > _SPAN and (end := _cut(text, start + _SPAN)):
        counts.append(_count(text[start:end]))
        start = end
    rest = text[start:]
    counts.append(_count(rest) if len(rest) <= _SPAN else _split(rest))
    words, more_letters, digits, punctuation, newlines, alone = map(sum, zip(*counts, strict=True))
    return words, more_letters, digits, punctuation, newlines, alone


def _count(text: bytes) -> Runs:
    return (_count_in_lanes(text) if len(text) > _SHORT else None) or _split(text)


def _cut(text: bytes, at: int) -> int:
    """The last place up to ``at`` where a run begins that is not white space; 0 if there is none nearby."""
    start = max(0, at - _LOOK_BACK)
    before = text[start:at].rstrip(_WHITE)
    length = len(before[:-1].rstrip(_CLASS_OF[before[-1]])) if before else 0
    return start + length if length else 0


def _keep(kept: bytes) -> bytes:
    """A ``bytes.translate`` table that turns every character not in ``kept`` into a space."""
    return bytes(code if code in kept else 0x20 for code in range(256))


_ONLY_WORDS: Final = _keep(_LETTERS)
_ONLY_DIGITS: Final = _keep(_NUMERALS)
_ONLY_MARKS: Final = _keep(_MARKS)
_NOT_BREAKS: Final = bytes(0x20 if code in _LINE_BREAKS else 0x2E for code in range(256))


def _split(text: bytes) -> Runs:
    """The runs one by one: blank all classes but one, and split what is left."""
    words = text.translate(_ONLY_WORDS).split()
    more_letters = digits = 0
    for word in words:
        if len(word) > _LETTERS_STEP:
            more_letters += (len(word) - 1) // _LETTERS_STEP
    for number in text.translate(_ONLY_DIGITS).split():
        digits += (len(number) + _DIGITS_STEP - 1) // _DIGITS_STEP
    marks = text.translate(_ONLY_MARKS).split()
    return len(words), more_letters, digits, len(marks), _count_newlines(text), text.count(ALONE)


def _count_newlines(text: bytes) -> int:
    if b"\n" not in text and b"\r" not in text:
        return 0
    # White space gone, line breaks are the gaps; the dots make a gap of one at either end.
    return len((b".%b." % text.translate(_NOT_BREAKS, _SPACES)).split()) - 1


# Each class is a hexadecimal digit of one bit; white space has none, what stands alone has two.
_DIGIT_OF: Final = {b"1": _LETTERS, b"2": _MARKS, b"4": _NUMERALS, b"8": _LINE_BREAKS, b"3": ALONE}
_CODES: Final = bytes(next((ord(d) for d, kind in _DIGIT_OF.items() if code in kind), 0x30) for code in range(256))
_integer: Final = int.from_bytes
_TWO_LOW: Final = _integer(b"\x33" * (_SPAN // 2))  # the two low bits of every lane
_TWO_HIGH: Final = _TWO_LOW << 2
_EVEN: Final = _integer(b"\x55" * (_SPAN // 2))
_ODD: Final = _EVEN << 1


def _count_in_lanes(text: bytes) -> Runs | None:
    """The runs of up to `_SPAN` characters; None where these cannot be cut in four, or hold very long runs."""
    size = len(text)
    i, j, k = _cut(text, size // 4), _cut(text, size // 2), _cut(text, 3 * size // 4)
    if not (i and j and k):
        return None
    codes = text.translate(_CODES)
    lanes = max(i, j - i, k - j, size - k) + 1 & ~1  # two make a byte
    a = _integer(unhexlify(codes[:i].ljust(lanes, b"0")))
    b = _integer(unhexlify(codes[i:j].ljust(lanes, b"0")))
    c = _integer(unhexlify(codes[j:k].ljust(lanes, b"0")))
    d = _integer(unhexlify(codes[k:].ljust(lanes, b"0")))
    # Four bits of four quarters become four planes: the lanes are transposed, in two steps.
    low_ab, high_ab = a & _TWO_LOW | (b & _TWO_LOW) << 2, a >> 2 & _TWO_LOW | b & _TWO_HIGH
    low_cd, high_cd = c & _TWO_LOW | (d & _TWO_LOW) << 2, c >> 2 & _TWO_LOW | d & _TWO_HIGH
    words, marks = low_ab & _EVEN | (low_cd & _EVEN) << 1, low_ab >> 1 & _EVEN | low_cd & _ODD
    digits, breaks = high_ab & _EVEN | (high_cd & _EVEN) << 1, high_ab >> 1 & _EVEN | high_cd & _ODD
    visible = words | marks | digits
    if alone := words & marks:
        words ^= alone
        marks ^= alone
    more_letters, threes = _letters_beyond(words), _threes(digits)
    if more_letters is None or threes is None:
        return None
    newlines = 0
    if breaks:
        starts = _starts(breaks)
        # Does each come right after something visible? Else it may go on a run of white space that is counted already.
        newlines = starts.bit_count() if starts == starts & visible >> 4 else _count_newlines(text)
    return (
        _starts(words).bit_count(),
        more_letters.bit_count(),
        threes.bit_count(),
        _starts(marks).bit_count(),
        newlines,
        alone.bit_count(),
    )


def _starts(plane: int) -> int:
    return plane ^ (plane & plane >> 4)


def _letters_beyond(words: int) -> int | None:
    """Every seventh letter beyond the first of a word."""
    two = words & words >> 4
    four = two & two >> 8
    return _steps(words ^ two, four & four >> 16, 4 * _LETTERS_STEP)


def _threes(digits: int) -> int | None:
    """The first digit of a number, and every third from there."""
    two = digits & digits >> 4
    starts = digits ^ two
    more = _steps(starts, two & two >> 8, 4 * _DIGITS_STEP)
    return None if more is None else starts | more


def _steps(starts: int, within: int, step: int) -> int | None:
    """The places one, two and more steps from a start, as long as they are ``within`` a run; None if too many."""
    places = 0
    for _ in range(_MOST_STEPS):
        starts = starts >> step & within
        if not starts:
            return places
        places |= starts
    return None

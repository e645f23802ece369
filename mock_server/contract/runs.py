"""How many runs of each class of characters a text holds: what the token estimate is a sum over.

A text comes as the class of each of its characters, a hexadecimal digit, and is counted by arithmetic on integers. Four
bits of such an integer are a lane. A plane is an integer for one class: its bits say where that class is. Shifting a
plane by a lane compares every character with the one before it. A lane has room for one place in each quarter of a long
text, so that its planes are as long as a quarter of it.
"""

from __future__ import annotations

from binascii import unhexlify
from typing import Final

# Each class is a hexadecimal digit of one bit; white space has none, what stands alone has two.
SPACE: Final = b"0"
LETTER: Final = b"1"
MARK: Final = b"2"
ALONE: Final = b"3"
"""A character that is a run by itself."""
DIGIT: Final = b"4"
BREAK: Final = b"8"

Runs = tuple[int, int, int, int, int, int]
"""Words; one for every 7 letters of a word beyond its first; one for every 3 digits begun; runs of punctuation; runs of
white space that hold a line break; what stands alone."""

_LETTERS_STEP: Final = 7
_DIGITS_STEP: Final = 3
_SHORT: Final = 1_000  # characters up to which cutting in quarters does not pay
_SPAN: Final = 1 << 15  # characters counted at a time, so that all fits the processor's cache
_LOOK_BACK: Final = 256  # how far before the place that is wanted a text may be cut

_integer: Final = int.from_bytes
_EVERY_LANE: Final = _integer(b"\x11" * (_SPAN // 2))
_TWO_LOW: Final = _EVERY_LANE * 3  # the two low bits of every lane
_TWO_HIGH: Final = _TWO_LOW << 2
_EVEN: Final = _EVERY_LANE * 5
_ODD: Final = _EVEN << 1


def count_runs(classes: bytes) -> Runs:
    """The runs of a text, in time linear in its length whatever it holds."""
    if len(classes) <= _SPAN:
        return _count(classes)
    counts, start = [], 0
    while len(classes) - start > _SPAN and (end := _end_of_span(classes, start + _SPAN)):
        counts.append(_count(classes[start:end]))
        start = end
    counts.append(_count(classes[start:]))
    words, more_letters, digits, punctuation, newlines, alone = map(sum, zip(*counts, strict=True))
    return words, more_letters, digits, punctuation, newlines, alone


def _end_of_span(classes: bytes, at: int) -> int:
    """The last place up to ``at`` before white space, or else after what stands alone; 0 if there is none nearby."""
    start = at - _LOOK_BACK
    nearby = classes[start:at]
    white = max(nearby.rfind(SPACE), nearby.rfind(BREAK))
    end = len(nearby[:white].rstrip(SPACE + BREAK)) if white > 0 else nearby.rfind(ALONE) + 1
    return start + end if end else 0


def _cut(classes: bytes, after: int, at: int) -> int:
    """An even place beside the last white space up to ``at``, or what stands alone; 0 if there is none nearby.

    ``after`` is even; the place does not come before it.
    """
    start = max(after, at - _LOOK_BACK)
    place = classes.rfind(SPACE, start, at)
    if place < 0:
        place = max(classes.rfind(ALONE, start, at), classes.rfind(BREAK, start, at))
    return place + 1 & ~1


def _count(classes: bytes) -> Runs:
    size = len(classes)
    if size & 1:
        classes += SPACE
    if _SHORT < size <= _SPAN:
        i = _cut(classes, 0, size // 4)
        j = _cut(classes, i, size // 2)
        k = _cut(classes, j, 3 * size // 4)
        if i and j and k:
            a, b = _integer(unhexlify(classes[:i])), _integer(unhexlify(classes[i:j]))
            c, d = _integer(unhexlify(classes[j:k])), _integer(unhexlify(classes[k:]))
            # Four bits of four quarters become four planes: the lanes are transposed, in two steps.
            low_ab, high_ab = a & _TWO_LOW | (b & _TWO_LOW) << 2, a >> 2 & _TWO_LOW | b & _TWO_HIGH
            low_cd, high_cd = c & _TWO_LOW | (d & _TWO_LOW) << 2, c >> 2 & _TWO_LOW | d & _TWO_HIGH
            words, marks = low_ab & _EVEN | (low_cd & _EVEN) << 1, low_ab >> 1 & _EVEN | low_cd & _ODD
            digits, breaks = high_ab & _EVEN | (high_cd & _EVEN) << 1, high_ab >> 1 & _EVEN | high_cd & _ODD
            return _count_planes(words, marks, digits, breaks, classes)
    lanes = _integer(unhexlify(classes))
    every = _EVERY_LANE if size <= _SPAN else _integer(b"\x11" * (size // 2 + 1))
    return _count_planes(lanes & every, lanes >> 1 & every, lanes >> 2 & every, lanes >> 3 & every, classes)


def _count_planes(words: int, marks: int, digits: int, breaks: int, classes: bytes) -> Runs:
    """The runs by the places where each class is."""
    if alone := words & marks:
        words ^= alone
        marks ^= alone
    two = words & words >> 4
    four = two & two >> 8
    threes = newlines = 0
    if digits:
        in_number = digits & digits >> 4
        starts = digits ^ in_number
        threes = _steps(starts, in_number & in_number >> 8, 4 * _DIGITS_STEP).bit_count()
    if breaks:
        starts = breaks ^ breaks & breaks >> 4
        # Does each come right after something visible? Else it may go on a run of white space that is counted already.
        after_visible = starts & (words | marks | digits | alone) >> 4
        newlines = starts.bit_count() if starts == after_visible else _count_newlines(classes)
    starts = words ^ two
    word_count = starts.bit_count()
    return (
        word_count,
        _steps(starts, four & four >> 16, 4 * _LETTERS_STEP).bit_count() - word_count,
        threes,
        (marks ^ marks & marks >> 4).bit_count(),
        newlines,
        alone.bit_count(),
    )


def _steps(starts: int, within: int, step: int) -> int:
    """The starts, and every place one, two and more steps from one.

    ``within`` are the places a step from which, and all the way, there is the same run.
    """
    while more := starts >> step & within:
        starts |= more
        within &= within >> step
        step *= 2
    return starts


_NOT_BREAKS: Final = bytes(0x20 if code == ord(BREAK) else 0x2E for code in range(256))


def _count_newlines(classes: bytes) -> int:
    # White space gone, line breaks are the gaps; the dots make a gap of one at either end.
    return len((b".%b." % classes.translate(_NOT_BREAKS, SPACE)).split()) - 1

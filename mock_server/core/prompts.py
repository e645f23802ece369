"""What a request says: how many tokens it has, what it asks for, and in which language."""

from __future__ import annotations

import re
from collections.abc import Iterable
from typing import Final

from mock_server.contract.messages import ChatRequest, UserMessage, text_of
from mock_server.contract.tokens import PER_MESSAGE, PER_REPLY, estimate
from mock_server.core.known_texts import LONG, known_texts
from mock_server.core.text import Language
from mock_server.core.world import Task

_READ_CHARS: Final = 400
"""Language and task show in the beginning of a text."""


def count_prompt(request: ChatRequest) -> int:
    """Prompt tokens as billed: the texts, and a few per message and for the reply."""
    tokens = PER_REPLY
    for message in request.messages:
        content = message.content
        text = content if type(content) is str else text_of(message)
        tokens += PER_MESSAGE + (estimate(text) if len(text) < LONG else known_texts.read(text).tokens)
    return tokens


_HAN: Final = bytes(range(0x4E, 0xA0))  # the first bytes of U+4E00 to U+9FFF


def language_of(request: ChatRequest) -> Language:
    """The language to answer in: Chinese when the last message begins with more of its characters than of words."""
    content = request.messages[-1].content
    text = (content if type(content) is str else text_of(request.messages[-1]))[:_READ_CHARS]
    if text.isascii():
        return "en"
    first_bytes = text.encode("utf-16-be", "surrogatepass")[::2]
    chinese = len(first_bytes) - len(first_bytes.translate(None, _HAN))
    # Where these are most of the text, there can be no more words, which are slow to count.
    return "zh" if 2 * chinese > len(text) + 1 or chinese > len(text.split()) else "en"


# Words that tell a task, the weightiest task first. English ones count at the beginning of a word, Chinese anywhere.
_SIGNS: Final[tuple[tuple[Task, tuple[str, ...], tuple[str, ...]], ...]] = (
    (
        "code",
        ("```", "code", "function", "python", "javascript", "typescript", "sql", "regex", "compile", "refactor"),
        ("代码", "函数", "编程", "程序", "脚本"),
    ),
    ("translation", ("translat",), ("翻译", "译成", "译为")),
    ("extraction", ("extract", "classify", "list all", "parse", "json", "entities"), ("提取", "抽取", "分类", "列出")),
    (
        "reasoning",
        ("prove", "proof", "step by step", "why ", "calculat", "solve", "derive", "puzzle", "equation"),
        ("证明", "推理", "计算", "为什么", "求解"),
    ),
)
_TASKS: Final = tuple(task for task, _, _ in _SIGNS)
_ENGLISH: Final = {word.encode(): rank for rank, (_, words, _) in enumerate(_SIGNS) for word in words}
_CHINESE: Final = {word: rank for rank, (_, _, words) in enumerate(_SIGNS) for word in words}
_WORD_BEGINS: Final = b"\n\r\t(['\""  # read as spaces
_TO_LOWER: Final = bytes(0x20 if code in _WORD_BEGINS else ord(chr(code).lower()) for code in range(128)).ljust(256)


def _by_first_letter(words: Iterable[bytes]) -> bytes:
    """A pattern for any of the words. `re` tries one alternative after the other, so these should be few."""
    rests: dict[bytes, list[bytes]] = {}
    for word in words:
        rests.setdefault(re.escape(word[:1]), []).append(re.escape(word[1:]))
    return b"|".join(b"%b(?:%b)" % (first, b"|".join(rest)) for first, rest in rests.items())


_find_english: Final = re.compile(b" (?=(%b))" % _by_first_letter(_ENGLISH)).findall
_find_chinese: Final = re.compile("|".join(_CHINESE)).findall


def task_of(request: ChatRequest) -> Task:
    """What kind of task the last user message asks for, told from its beginning."""
    for message in reversed(request.messages):
        if type(message) is UserMessage:
            content = message.content
            return _task_in((content if type(content) is str else text_of(message))[:_READ_CHARS])
    return "chat"


def _task_in(text: str) -> Task:
    lower = b" " + text.encode("ascii", "replace").translate(_TO_LOWER)
    if english := _find_english(lower):
        return _TASKS[min(map(_ENGLISH.__getitem__, english))]
    if not text.isascii() and (chinese := _find_chinese(text)):
        return _TASKS[min(map(_CHINESE.__getitem__, chinese))]
    return "chat"

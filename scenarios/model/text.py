"""Prompts as text: slices of word rings made once per process, so that building one costs microseconds."""

from __future__ import annotations

import random
from functools import cache
from typing import Final, Literal, TypeVar

from mock_server.contract.tokens import PER_MESSAGE, PER_REPLY

Language = Literal["en", "zh"]
Task = Literal["conversation", "code", "reasoning", "documents"]

_EN_TOKENS_PER_WORD: Final = 1.01
_ZH_TOKENS_PER_CHARACTER: Final = 0.71
_CORPUS_WORDS: Final = 1 << 15

_INSTRUCTIONS: Final[dict[tuple[Task, Language], str]] = {
    ("conversation", "en"): "Please answer my question about the following: ",
    ("conversation", "zh"): "请回答我关于以下内容的问题：",
    ("code", "en"): "Write a Python function for this, then explain the code: ",
    ("code", "zh"): "请编写一个 Python 函数实现以下需求，并解释代码：",
    ("reasoning", "en"): "Think step by step and prove or refute the claim: ",
    ("reasoning", "zh"): "请一步一步推理，证明或反驳下面的结论：",
    ("documents", "en"): "Translate the following document into Chinese: ",
    ("documents", "zh"): "请把下面的文档翻译成英文：",
}
SYSTEM: Final[dict[Language, str]] = {"en": "You are a concise assistant.", "zh": "你是一名言简意赅的助手。"}

_EN_TEXT: Final = """
the a of to and in for with on by from as at this that which when where how model request answer
token price customer order payment delivery product report market summer school teacher river winter
kitchen garden engine sample number table latency router provider service budget system network page
letter signal window morning evening city station train ticket number history reason method result
value change improve compare describe explain support build measure small large fast slow early late
simple common open public quiet green bright steady careful useful average final second third
because however although while before after
"""
_ZH_TEXT: Final = """
我们 产品 介绍 市场 用户 请求 模型 回答 价格 订单 支付 服务 系统 网络 报告 城市 学校
老师 河流 冬天 厨房 花园 引擎 样本 数字 表格 延迟 路由 供应商 预算 页面 信件 信号
窗口 早晨 晚上 车站 火车 历史 原因 方法 结果 变化 改进 比较 描述 解释 支持 建立 测量
因此 但是 虽然 以前 以后 快速 简单 常见 公开 安静 明亮 稳定 有用 平均 最后 的 是 在
和 了
"""


@cache
def _english() -> list[str]:
    """A fixed ring of words, some with punctuation; sliced, never drawn from."""
    rng = random.Random(1)  # noqa: S311 - text, not a secret
    words = rng.choices(_EN_TEXT.split(), k=_CORPUS_WORDS)
    for index in range(11, _CORPUS_WORDS, 12):
        words[index] += rng.choice([".", ",", ".", ";"])
    return words * 2


@cache
def _chinese() -> str:
    """A fixed ring of characters with punctuation; sliced, never drawn from."""
    rng = random.Random(2)  # noqa: S311 - text, not a secret
    words = rng.choices(_ZH_TEXT.split(), k=_CORPUS_WORDS)
    for index in range(7, _CORPUS_WORDS, 8):
        words[index] += rng.choice("。，；，")
    return "".join(words) * 2


def warm() -> None:
    """Build the word rings now, so that the first request does not pay for them."""
    _english()
    _chinese()


_Piece = TypeVar("_Piece", str, list[str])


def _slice(ring: _Piece, at: int, count: int) -> _Piece:
    """``count`` words or characters from ``at`` on, around the ring as often as that takes."""
    while at + count > len(ring):
        ring = ring + ring
    return ring[at : at + count]


def _units(text: str, language: Language) -> int:
    return len(text.split()) if language == "en" else len(text)


def text(task: Task, language: Language, tokens: int, start: float) -> str:
    """A prompt of about ``tokens`` tokens (within some 15 %); ``start`` in [0, 1) chooses where it begins.

    It opens with the task's instruction where there is room for it.
    """
    per_unit = _EN_TOKENS_PER_WORD if language == "en" else _ZH_TOKENS_PER_CHARACTER
    count = max(1, round(tokens / per_unit))
    head = _INSTRUCTIONS[task, language]
    head_units = _units(head, language)
    if count <= head_units:
        head = ""
    else:
        count -= head_units
    if language == "en":
        return head + " ".join(_slice(_english(), int(start * _CORPUS_WORDS), count))
    ring = _chinese()
    return head + _slice(ring, int(start * (len(ring) // 2)), count)


def overhead_tokens(language: Language, system: bool) -> int:
    """What a conversation of one question costs beside the question: its framing, and the system message."""
    if not system:
        return PER_MESSAGE + PER_REPLY
    per_unit = _EN_TOKENS_PER_WORD if language == "en" else _ZH_TOKENS_PER_CHARACTER
    return 2 * PER_MESSAGE + PER_REPLY + round(_units(SYSTEM[language], language) * per_unit)

"""What is asked: prompts of mixed tasks, lengths and languages, the same for one seed in any process.

Everything about a call follows from (seed, call_id) by a keyed hash. Texts are slices of word lists made once
per process, so that building a body costs microseconds.
"""

from __future__ import annotations

import hashlib
import math
import random
from collections.abc import Mapping
from functools import cache
from statistics import NormalDist
from typing import Any, Final, Literal, TypeVar

import msgspec

from mock_server.contract.lengths import LENGTHS

Language = Literal["en", "zh"]
Task = Literal["conversation", "code", "reasoning", "documents"]

# Longer prompts exist in the traces but say more about upload bandwidth than about a gateway.
LONGEST_PROMPT_TOKENS: Final = 20_000
_SHORTEST_PROMPT_TOKENS: Final = 4
_EN_TOKENS_PER_WORD: Final = 1.2
_ZH_TOKENS_PER_CHARACTER: Final = 0.72
_CORPUS_WORDS: Final = 1 << 15

ENDPOINT: Final = "/v1/llm/auto"


class Call(msgspec.Struct, frozen=True):
    """One request to make, complete but for the run's own API key.

    ``key`` replaces the run's key where it is not empty; ``expected`` is the error code this call provokes on
    purpose, ``None`` where a good answer is wanted.
    """

    kind: str
    body: bytes
    stream: bool = False
    expected: str | None = None
    key: str = ""
    method: str = "POST"
    path: str = ENDPOINT
    headers: tuple[tuple[str, str], ...] = ()
    content_type: str = "application/json"


class Mix(msgspec.Struct, frozen=True):
    """Shares of a traffic mix; weights need not sum to one. ``max_tokens`` bounds every answer."""

    tasks: dict[Task, float]
    modes: dict[str, float]
    chinese: float
    streamed: float
    max_tokens: int


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
_SYSTEM: Final[dict[Language, str]] = {"en": "You are a concise assistant.", "zh": "你是一名言简意赅的助手。"}

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


def text(task: Task, language: Language, tokens: int, start: float) -> str:
    """A prompt of about ``tokens`` tokens (within some 15 %); ``start`` in [0, 1) chooses where it begins."""
    head = _INSTRUCTIONS[task, language]
    if language == "en":
        count = max(1, round(tokens / _EN_TOKENS_PER_WORD) - len(head.split()))
        at = int(start * _CORPUS_WORDS)
        return head + " ".join(_english()[at : at + count])
    count = max(1, round(tokens / _ZH_TOKENS_PER_CHARACTER) - len(head))
    at = int(start * (len(_chinese()) // 2))
    return head + _chinese()[at : at + count]


def uniforms(seed: int, call_id: int, concern: str) -> tuple[float, ...]:
    """Eight independent numbers in [0, 1) for one concern of one call, by a keyed hash."""
    digest = hashlib.blake2b(f"{seed}/{call_id}/{concern}".encode(), digest_size=64).digest()
    return tuple(int.from_bytes(digest[i : i + 7], "little") / 2**56 for i in range(0, 64, 8))


_Key = TypeVar("_Key", bound=str)


def pick(weights: Mapping[_Key, float], u: float) -> _Key:
    """The key on which ``u`` in [0, 1) falls when the weights are laid end to end."""
    left = u * sum(weights.values())
    for key, weight in weights.items():
        left -= weight
        if left < 0:
            return key
    return next(reversed(list(weights)))


def prompt_tokens(task: Task, u: float) -> int:
    """The prompt's length at quantile ``u``: the task's lognormal, cut at `LONGEST_PROMPT_TOKENS`."""
    law = LENGTHS[task].prompt
    normal = NormalDist().inv_cdf(min(max(u, 1e-12), 1 - 1e-12))
    return max(_SHORTEST_PROMPT_TOKENS, min(LONGEST_PROMPT_TOKENS, round(math.exp(law.mu + law.sigma * normal))))


def chat(content: str, *, mode: str = "auto", stream: bool = False, system: str = "", **extra: Any) -> bytes:
    """The documented body, in UTF-8; ``extra`` fields follow it."""
    messages = [{"role": "system", "content": system}] if system else []
    messages.append({"role": "user", "content": content})
    document = {"messages": messages, "strategy": {"mode": mode}, "stream": stream, **extra}
    return msgspec.json.encode(document)


def _traits(mix: Mix, u: tuple[float, ...]) -> tuple[Task, Language, bool]:
    return pick(mix.tasks, u[0]), "zh" if u[1] < mix.chinese else "en", u[2] < mix.streamed


def mixed_kind(mix: Mix, seed: int, call_id: int) -> tuple[str, bool]:
    """Kind of a call and whether it is streamed, without making its body."""
    task, language, stream = _traits(mix, uniforms(seed, call_id, "workload"))
    return f"{task}-{language}", stream


def mixed_call(mix: Mix, seed: int, call_id: int) -> Call:
    """Call number ``call_id`` of a mixed traffic; equal arguments give equal bytes in any process."""
    u = uniforms(seed, call_id, "workload")
    task, language, stream = _traits(mix, u)
    of_mode, of_length, of_system, of_start = u[3:7]
    body = chat(
        text(task, language, prompt_tokens(task, of_length), of_start),
        mode=pick(mix.modes, of_mode),
        stream=stream,
        system=_SYSTEM[language] if of_system < 0.5 else "",
        max_tokens=mix.max_tokens,
    )
    return Call(f"{task}-{language}", body, stream)

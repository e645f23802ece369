"""Which models may answer a call, and in which order they are tried."""

from __future__ import annotations

import re
from collections.abc import Iterable, Mapping
from fnmatch import fnmatchcase
from typing import Final

from msgspec import UNSET, Struct

from mock_server.contract.messages import ChatRequest, Mode, Strategy, UserMessage, text_of
from mock_server.core.world import Model, Task

QUALITY_BAND: Final[dict[Mode, float]] = {"auto": 0.15, "balanced": 0.05}
"""How far below the best a model's quality may lie and still win by price (Azure publishes such bands)."""

_READ_CHARS: Final = 2_000  # a task shows in the beginning of the last question

# Words that tell a task, each looked for at the beginning of a word; Chinese ones anywhere.
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
_BEFORE_A_WORD: Final = "\n\r\t(['\""  # read as spaces
_ENGLISH: Final = tuple((task, tuple(f" {word}" for word in words)) for task, words, _ in _SIGNS)
_ANY_ENGLISH: Final = re.compile("|".join(re.escape(word) for _, words in _ENGLISH for word in words))
_CHINESE: Final = tuple((task, words) for task, _, words in _SIGNS)


def task_of(request: ChatRequest) -> Task:
    """What kind of task the last user message asks for, told from its beginning."""
    for message in reversed(request.messages):
        if type(message) is UserMessage:
            return _task_in(text_of(message)[:_READ_CHARS])
    return "chat"


def _task_in(text: str) -> Task:
    lower = " " + text.lower()
    for character in _BEFORE_A_WORD:
        lower = lower.replace(character, " ")
    if _ANY_ENGLISH.search(lower):  # most texts hold no sign, and one search is faster than one for each
        for task, words in _ENGLISH:
            for word in words:
                if word in lower:
                    return task
    if not text.isascii():
        for task, words in _CHINESE:
            for word in words:
                if word in text:
                    return task
    return "chat"


class Candidate(Struct, frozen=True, gc=False):
    """A model as routing sees it."""

    name: str
    provider: str
    model: str
    settings: Model


def candidates_of(models: Mapping[str, Model]) -> tuple[Candidate, ...]:
    """The catalogue in name order; keys are ``provider/model``."""
    return tuple(
        Candidate(name, name.partition("/")[0], name.partition("/")[2], settings)
        for name, settings in sorted(models.items())
    )


def quality_for(candidate: Candidate, task: Task) -> float:
    """The model's quality for ``task``."""
    return candidate.settings.quality + candidate.settings.task_quality.get(task, 0.0)


def mean_price(candidate: Candidate) -> float:
    """Mean of input and output price, USD per million tokens."""
    return (candidate.settings.price_in + candidate.settings.price_out) / 2


def rank(catalogue: Iterable[Candidate], strategy: Strategy, task: Task) -> tuple[Candidate, ...]:
    """The candidates that satisfy ``strategy``, best first, health aside; ties by name. Empty when none does."""
    fitting = [candidate for candidate in catalogue if _satisfies(candidate, strategy)]
    if not fitting:
        return ()
    fitting.sort(key=lambda candidate: (*_score(candidate, strategy.mode, task), candidate.name))
    band = QUALITY_BAND.get(strategy.mode)
    if band is not None:
        floor = max(quality_for(candidate, task) for candidate in fitting) - band - 1e-9
        good = [candidate for candidate in fitting if quality_for(candidate, task) >= floor]
        winner = min(good, key=lambda candidate: (mean_price(candidate), candidate.name))
        fitting.remove(winner)
        fitting.insert(0, winner)
    order = strategy.providers.order
    if order:
        place = {provider: index for index, provider in reversed(list(enumerate(order)))}
        fitting.sort(key=lambda candidate: place.get(candidate.provider, len(order)))
    return tuple(fitting)


def _satisfies(candidate: Candidate, strategy: Strategy) -> bool:
    providers, settings = strategy.providers, candidate.settings
    return (
        (not strategy.models or _named(candidate, strategy.models))
        and not _named(candidate, strategy.exclude_models)
        and (not providers.only or candidate.provider in providers.only)
        and candidate.provider not in providers.ignore
        and (strategy.max_price_per_1m is UNSET or mean_price(candidate) <= strategy.max_price_per_1m)
        and (strategy.max_latency_ms is UNSET or settings.ttft.median_s() * 1000 <= strategy.max_latency_ms)
        and (strategy.min_throughput_tps is UNSET or settings.tokens_per_s >= strategy.min_throughput_tps)
    )


def _named(candidate: Candidate, globs: tuple[str, ...]) -> bool:
    return any(fnmatchcase(candidate.model, glob) or fnmatchcase(candidate.name, glob) for glob in globs)


def _score(candidate: Candidate, mode: Mode, task: Task) -> tuple[float, ...]:
    """Smaller is better."""
    match mode:
        case "cost":
            return (mean_price(candidate),)
        case "latency":
            return (candidate.settings.ttft.median_s(),)
        case "throughput":
            return (-candidate.settings.tokens_per_s,)
        case "quality" | "auto" | "balanced":
            return (-quality_for(candidate, task),)

"""Which models may answer a call, and in which order they are tried."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from fnmatch import fnmatchcase
from typing import Final

from msgspec import UNSET, Struct

from mock_server.contract.messages import MAX_TOKENS, Mode, Strategy
from mock_server.core.world import Model, Task

QUALITY_BAND: Final[dict[Mode, float]] = {"auto": 0.15, "balanced": 0.05}
"""How far below the best a model's quality may lie and still win by price (Azure publishes such bands)."""


class Candidate(Struct, frozen=True, gc=False):
    """A model as routing sees it."""

    name: str
    provider: str
    model: str
    settings: Model

    def most_output(self, prompt_tokens: int) -> int:
        """How many tokens an answer to such a prompt may have."""
        settings = self.settings
        left = settings.window - prompt_tokens
        return min(left, MAX_TOKENS if settings.max_output is None else settings.max_output)


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

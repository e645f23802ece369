"""A simulated model: from draws and load to one attempt's timeline.

Load (SplitwiseSim's table, per replica): with ``n`` requests in flight the gap between tokens is multiplied by
``1 + 0.7 * (n - 1) / 63``, and prefill is serial, about 45 ms per queued 512 tokens. The least loaded replica serves.
"""

from __future__ import annotations

from copy import copy
from heapq import heapify, heappop, heappush, heapreplace
from math import exp
from typing import Final, Literal

from msgspec import Struct

from mock_server.contract.lengths import LENGTHS, Lognormal
from mock_server.core.canned import CannedPassage
from mock_server.core.dice import Concern, Roll
from mock_server.core.latency import TTFT_CAP_S, GapTable
from mock_server.core.routing import Candidate
from mock_server.core.text import Corpus, Language, Passage
from mock_server.core.world import AnswerLength, FailureKind, FailureMix, Incident, Task, World

BATCH_SLOWDOWN: Final = 0.7 / 63
PREFILL_QUEUE_S_PER_TOKEN: Final = 0.045 / 512
_RATE_LIMITED_S: Final = 0.05  # a limiter answers before any work is done
_REFUSED_S: Final = 0.002  # one round trip

ANSWER_LENGTHS: Final[dict[Task, str]] = {
    "chat": "conversation",
    "code": "code",
    "translation": "conversation",
    "extraction": "conversation",
    "reasoning": "reasoning",
}


class Attempt(Struct, frozen=True, gc=False):
    """One provider's planned answer or failure; every moment is absolute, in simulated seconds.

    ``failure`` is None for a good answer. ``first_at`` is when the first piece is due, ``ends_at`` the last byte or
    the failure. Piece ``i`` of a stream is due at ``first_at + pace_s * span`` of the tokens between the two.
    """

    candidate: Candidate
    started: float
    failure: FailureKind | None
    first_at: float
    ends_at: float
    queue_s: float = 0.0
    pace_s: float = 0.0
    gaps: int = 0
    passage: Passage | CannedPassage | None = None
    finish_reason: Literal["stop", "length"] = "stop"


class Demand(Struct, frozen=True, gc=False):
    """What is asked of a model: prompt size in tokens, the answer's cap (None: no cap), task and language."""

    prompt_tokens: int
    max_tokens: int | None
    task: Task
    language: Language


class Trouble(Struct, frozen=True, gc=False):
    """What an incident does to an attempt: the share that fails, whether by a limit, and the factor on latency."""

    limited: bool
    rate: float
    slow: float


class SimulatedModel:
    """One model under load.

    Mutable: its settings and incidents, which the control plane may change; the planned ends of the requests it
    serves; and when each replica can prefill.
    """

    __slots__ = ("_begun", "_ends", "_incidents", "_prefill_free", "candidate", "own_failures", "own_pace")

    def __init__(self, candidate: Candidate, incidents: tuple[Incident, ...], now: float) -> None:
        self.candidate = candidate
        self.own_failures = False  # whether its failure rates are meant as they stand, the world's scale aside
        self.own_pace = False  # whether its latencies are
        self.meet(incidents)
        self._begun = now  # incidents count from here
        self._ends: list[float] = []
        self._prefill_free = [now] * candidate.settings.replicas
        heapify(self._prefill_free)

    def snapshot(self) -> SimulatedModel:
        """The same model under the same load, to try out what would be planned."""
        twin = copy(self)
        twin._ends, twin._prefill_free = self._ends.copy(), self._prefill_free.copy()
        return twin

    def meet(self, incidents: tuple[Incident, ...]) -> None:
        """From now on, of these incidents the ones about this model happen to it."""
        self._incidents = tuple(i for i in incidents if i.concerns(self.candidate.provider, self.candidate.model))

    def incident(self, now: float) -> tuple[Incident, float] | None:
        """The first incident acting at ``now``, and how strongly."""
        for incident in self._incidents:
            if strength := incident.strength(now - self._begun):
                return incident, strength
        return None

    def trouble(self, now: float) -> Trouble | None:
        """What the first incident acting at ``now`` does."""
        if not self._incidents or (found := self.incident(now)) is None:
            return None
        incident, strength = found
        return Trouble(incident.kind == "rate_limited", incident.rate * strength, 1 + (incident.slow - 1) * strength)

    def known_bad(self, now: float) -> bool:
        """Whether an announced incident goes on."""
        return any(incident.announced and incident.active(now - self._begun) for incident in self._incidents)

    def queue(self, prompt_tokens: int, now: float) -> tuple[float, float]:
        """Seconds until prefill can start, and the factor on the gaps, for one more request at ``now``."""
        settings, ends = self.candidate.settings, self._ends
        while ends and ends[0] <= now:
            heappop(ends)
        start = heappop(ends) if len(ends) >= settings.replicas * settings.batch else now
        start = max(start, self._prefill_free[0])
        heapreplace(self._prefill_free, start + prompt_tokens * PREFILL_QUEUE_S_PER_TOKEN)
        fellows = len(ends) // settings.replicas  # others on the least loaded replica
        return start - now, 1 + BATCH_SLOWDOWN * fellows

    def occupy(self, until: float) -> None:
        """A request is served until ``until``; an abandoned one keeps its place, as an upstream goes on generating."""
        heappush(self._ends, until)


class Planner:
    """Plans attempts; holds what does not change during a run."""

    __slots__ = ("_corpus", "_gaps", "_lengths", "_mix", "_world")

    def __init__(self, world: World, corpus: Corpus, gaps: GapTable) -> None:
        self._world = world
        self._corpus = corpus
        self._gaps = gaps
        self._mix = _normalised(world.failure_mix)
        self._lengths: dict[Task, Lognormal | AnswerLength] = {**_ANSWERS, **world.answer_tokens}

    def plan(
        self, model: SimulatedModel, demand: Demand, limit: int, roll: Roll, now: float, cached: int = 0
    ) -> Attempt:
        """One attempt at ``now``: a failure if the dice say so, else an answer of at most ``limit`` tokens.

        ``cached`` tokens of the prompt need no prefill.
        """
        trouble = model.trouble(now)
        failure = self._failure(model, trouble, roll)
        if failure is not None:
            return self.plan_failure(model, failure, now)
        return self._plan_answer(model, demand, limit, trouble, roll, now, cached)

    def _scale(self, model: SimulatedModel) -> float:
        return 1.0 if model.own_pace else self._world.latency_scale

    def plan_failure(self, model: SimulatedModel, failure: FailureKind, now: float) -> Attempt:
        """An attempt that fails in the given way."""
        candidate = model.candidate
        after = {
            "error": candidate.settings.ttft.median_s() / 2,
            "timeout": self._world.gateway.attempt_timeout_s,
            "refused": _REFUSED_S,
            "rate_limited": _RATE_LIMITED_S,
        }[failure]
        ends_at = now + after * self._scale(model)
        return Attempt(candidate, now, failure, ends_at, ends_at)

    def _failure(self, model: SimulatedModel, trouble: Trouble | None, roll: Roll) -> FailureKind | None:
        scale, settings = 1.0 if model.own_failures else self._world.failure_scale, model.candidate.settings
        errors = settings.error_rate * scale
        failures = errors + settings.rate_limit_rate * scale
        if trouble is None and not failures:
            return None
        fate = roll.uniform(Concern.FATE)
        if trouble is not None and fate < trouble.rate:
            return "rate_limited" if trouble.limited else self._kind(roll)
        if fate < errors:
            return self._kind(roll)
        return "rate_limited" if fate < failures else None

    def _kind(self, roll: Roll) -> FailureKind:
        draw = roll.uniform(Concern.FAILURE)
        for kind, upto in self._mix:
            if draw < upto:
                return kind
        return self._mix[-1][0]

    def _plan_answer(
        self,
        model: SimulatedModel,
        demand: Demand,
        limit: int,
        trouble: Trouble | None,
        roll: Roll,
        now: float,
        cached: int,
    ) -> Attempt:
        settings, scale = model.candidate.settings, self._scale(model)
        wanted = _wanted_tokens(self._lengths[demand.task], roll)
        passage = self._corpus.passage(
            demand.language,
            min(wanted, limit),
            roll.bits(Concern.TEXT),
            flavour=demand.task,
        )
        reason: Literal["stop", "length"] = "length" if wanted > limit else "stop"
        if scale == 0:
            return Attempt(model.candidate, now, None, now, now, passage=passage, finish_reason=reason)
        slow = scale * (trouble.slow if trouble is not None else 1.0)
        unread = max(0, demand.prompt_tokens - cached)
        queue_s, crowding = model.queue(unread, now)
        first = settings.ttft.draw_s(roll) + settings.prefill_ms_per_token / 1000 * unread
        wait = min(queue_s + first * slow, TTFT_CAP_S * max(1.0, scale))
        timeout = self._world.gateway.attempt_timeout_s * scale
        if wait > timeout:
            model.occupy(now + max(queue_s, timeout))  # giving up frees no place upstream
            return self.plan_failure(model, "timeout", now)
        pace = slow * crowding / (settings.tokens_per_s * exp(settings.pace_log_sd * roll.normal(Concern.PACE)))
        gaps = roll.bits(Concern.GAPS)
        first_at = now + wait
        ends_at = first_at + pace * self._gaps.span(gaps, passage.tokens - 1)
        model.occupy(ends_at)
        return Attempt(model.candidate, now, None, first_at, ends_at, queue_s, pace, gaps, passage, reason)

    def piece_at(self, attempt: Attempt, tokens: int) -> float:
        """When the piece that ends the first ``tokens`` tokens of the answer is due."""
        return attempt.first_at + attempt.pace_s * self._gaps.span(attempt.gaps, tokens - 1)


_ANSWERS: Final = {task: LENGTHS[kind].answer for task, kind in ANSWER_LENGTHS.items()}


def _wanted_tokens(law: Lognormal | AnswerLength, roll: Roll) -> int:
    return max(1, round(exp(law.mu + law.sigma * roll.normal(Concern.LENGTH))))


def _normalised(mix: FailureMix) -> tuple[tuple[FailureKind, float], ...]:
    shares: tuple[tuple[FailureKind, float], ...] = (
        ("error", mix.error),
        ("timeout", mix.timeout),
        ("refused", mix.refused),
    )
    total = sum(share for _, share in shares)
    upto, table = 0.0, []
    for kind, share in shares:
        if share:
            upto += share / total
            table.append((kind, upto))
    return tuple(table) or (("error", 1.0),)

"""Samples to what a world says of a gateway: its models, how they fail, and how long answers are. Pure."""

from __future__ import annotations

from collections import Counter, defaultdict
from collections.abc import Hashable, Iterable, Iterator, Mapping, Sequence
from math import ceil
from statistics import median
from typing import Final, NamedTuple, TypeVar

from msgspec import Struct

from mock_server.contract.errors import ALL_PROVIDERS_FAILED, FORCED, RATE_LIMIT_EXCEEDED
from mock_server.core.latency import Law
from mock_server.core.rules import FaultRule, Match
from mock_server.core.world import AnswerLength, Model, Task
from mock_server.kit.proxy.fit import LEAST, fit_latency, fit_lengths, fit_pace, fit_prefill, quantile, share
from mock_server.kit.proxy.relay import RESET
from mock_server.kit.proxy.samples import ERROR_EVENT, LEAST_PACED, NO_JSON, UNFINISHED, Sample

QUANTILES: Final = (0.5, 0.9, 0.95, 0.99)
AT_ONCE_PER_S: Final = 1_000_000.0
"""The pace of a model of which only whole answers were seen, and whose time to the first token is that of all."""
_UNSEEN_QUALITY: Final = 0.8
_UNSEEN_WINDOW: Final = 1_000_000


class Learned(Struct, frozen=True):
    """What was learned of one model.

    ``settings`` are as a world has them, ``notes`` say of each where it comes from. ``answers`` are the calls it
    answered, ``streams`` those of them that were streamed. Quantiles are of what was measured, by `QUANTILES`.
    """

    name: str
    answers: int
    streams: int
    settings: Model
    notes: Mapping[str, str]
    first_ms: tuple[float, ...] = ()
    tokens_per_s: tuple[float, ...] = ()


class Habit(Struct, frozen=True):
    """A failure that a world can play, and from how many calls its rate comes."""

    rule: FaultRule
    note: str


class Lesson(Struct, frozen=True):
    """All that was learned. ``unfitted`` says in sentences what was not seen enough, or cannot be played."""

    samples: int
    models: tuple[Learned, ...]
    lengths: Mapping[Task, tuple[AnswerLength, str]]
    failures: tuple[Habit, ...]
    unfitted: tuple[str, ...]


def learn(samples: Sequence[Sample], known: Mapping[str, Model]) -> Lesson:
    """What a world is to say.

    ``known`` are models whose prices, window and quality are taken over, as no answer tells them.
    """
    unfitted = list(_impatient(samples))
    samples = [one for one in samples if one.gave_up_s is None]
    by_model: dict[str, list[Sample]] = defaultdict(list)
    for one in samples:
        if one.model:
            by_model[one.model].append(one)
    unfitted += _nameless(samples)
    rate, rate_note = _attempt_failures(samples)
    models = []
    for rank, (name, own) in enumerate(sorted(by_model.items(), key=lambda item: (-len(item[1]), item[0])), 1):
        found = _model(name, own, known.get(name), rank, len(samples), (rate, rate_note))
        if isinstance(found, Learned):
            models.append(found)
        else:
            unfitted.append(found)
    lengths, short = _lengths(samples)
    names = {one.name for one in models}
    played = {name: own for name, own in by_model.items() if name in names}
    failures, told = _failures(samples, played, by_attempt=rate is not None)
    return Lesson(len(samples), tuple(models), lengths, failures, (*unfitted, *short, *told))


def _impatient(samples: Iterable[Sample]) -> Iterable[str]:
    waits = [one.gave_up_s for one in samples if one.gave_up_s is not None]
    if waits:
        yield (
            f"{len(waits)} calls were left by their client before it was told anything, after up to {max(waits):.1f} s:"
            " whatever was slower than that is missing from ttft"
        )


def _nameless(samples: Iterable[Sample]) -> Iterable[str]:
    nameless = sum(not one.model and not one.failure for one in samples)
    if nameless:
        yield f"{nameless} answers do not tell provider and model: nothing is learned from them"


def _model(
    name: str, own: Sequence[Sample], known: Model | None, rank: int, of: int, failing: tuple[float | None, str]
) -> Learned | str:
    """What is to be said of one model; a sentence where nothing can be."""
    timed = [one for one in own if one.attempts in (None, 1)]  # of others a part of the time is somebody else's
    firsts = [(one.first_s * 1e3, one.prompt_tokens) for one in timed if one.first_s is not None]
    totals = [one.total_s * 1e3 for one in timed if one.total_s is not None]
    paces = [one.pace for one in timed if one.pace is not None]
    if not firsts and not totals:
        return f"{name}: {len(own)} calls, and none of them tells how long it took"
    notes: dict[str, str] = {}
    late = len(own) - len(timed)
    beside = f"; {late} calls that were answered by a second provider are left out" if late else ""
    law, prefill = _first(firsts, totals, notes, beside)
    if not firsts:
        per_s, log_sd = AT_ONCE_PER_S, 0.0
        notes["tokens_per_s"] = "not measured, as no stream was seen: all of an answer's time is in ttft"
    elif not paces:
        per_s, log_sd = (known.tokens_per_s, known.pace_log_sd) if known else (AT_ONCE_PER_S, 0.0)
        where = "as in the preset" if known else "at once"
        notes["tokens_per_s"] = f"not measured: no stream had {LEAST_PACED} tokens after its first piece; {where}"
    else:
        per_s, log_sd = fit_pace(paces)
        notes["tokens_per_s"] = f"{len(paces)} samples, median"
        few = f"too few for a spread ({LEAST} at least)"
        notes["pace_log_sd"] = f"{len(paces)} samples" + (f": {few}" if len(paces) < LEAST else "")
    rate, rate_note = failing
    notes["error_rate"] = rate_note
    facts = known if known is not None else _unseen(law, rank)
    notes["price_in"] = (
        "prices, window and quality are those of the preset: no answer tells them"
        if known is not None
        else f"prices, window and quality are not known from answers; priced by how often it answered: place {rank}"
    )
    settings = Model(
        law,
        per_s,
        facts.window,
        facts.price_in,
        facts.price_out,
        facts.quality,
        prefill,
        log_sd,
        rate or 0.0,
        max_output=facts.max_output,
        task_quality=facts.task_quality,
    )
    notes["name"] = f"answered {share(len(own), of)} of the calls"
    streams = sum(one.stream for one in own)
    return Learned(name, len(own), streams, settings, notes, _at([ms for ms, _ in firsts]), _at(paces))


def _first(
    firsts: Sequence[tuple[float, int | None]], totals: Sequence[float], notes: dict[str, str], beside: str
) -> tuple[Law, float]:
    """The law of the first token, and what each prompt token adds to it."""
    if not firsts:
        fit = fit_latency(totals)
        notes["ttft"] = f"no stream was seen, so this is the time of whole answers; {fit.said}{beside}"
        return fit.law, 0.0
    prompts = [(ms, tokens) for ms, tokens in firsts if tokens is not None]
    prefill = fit_prefill(prompts)
    if prefill:
        said = f"{len(prompts)} samples: from the thirds with the shortest and longest prompts"
    else:
        said = "longer prompts were not plainly slower: what they cost is in ttft"
    notes["prefill_ms_per_token"] = said
    fit = fit_latency([ms - prefill * (tokens or 0) for ms, tokens in firsts])
    notes["ttft"] = f"{fit.said}{beside}"
    return fit.law, prefill


def _unseen(law: Law, rank: int) -> Model:
    """A model nobody knows: the more often one answered, the cheaper it is, so that `auto` prefers it likewise."""
    return Model(law, 1.0, _UNSEEN_WINDOW, float(rank), float(rank), _UNSEEN_QUALITY)


def _at(values: Sequence[float]) -> tuple[float, ...]:
    ordered = sorted(values)
    return tuple(float(f"{quantile(ordered, one):.4g}") for one in QUANTILES) if ordered else ()


def _attempt_failures(samples: Sequence[Sample]) -> tuple[float | None, str]:
    """The share of attempts that failed, where answers tell how many were made; they do not tell whose."""
    told = [one for one in samples if one.attempts]
    tried = sum(one.attempts or 0 for one in told)
    failed = sum((one.attempts or 0) - (one.status == 200) for one in told)
    if not told:
        return None, "how many providers were tried no answer tells; what failed in the end is below, as faults"
    return round(failed / tried, 6), f"{share(failed, tried)} of the attempts failed; whose, no answer tells"


def _lengths(samples: Sequence[Sample]) -> tuple[dict[Task, tuple[AnswerLength, str]], list[str]]:
    found: dict[Task, tuple[AnswerLength, str]] = {}
    few = []
    by_task: dict[Task, list[Sample]] = defaultdict(list)
    for one in samples:
        if one.tokens is not None:
            by_task[one.task].append(one)
    for task, own in sorted(by_task.items()):
        cut = [one.tokens for one in own if one.capped and one.tokens is not None]
        whole = [one.tokens for one in own if not one.capped and one.tokens is not None]
        fit = fit_lengths(whole, cut)
        counted = f"{len(whole)} answers that ended by themselves and {len(cut)} that were cut at max_tokens"
        if fit is None:
            few.append(
                f"answer_tokens.{task}: {counted}: {LEAST} of the former are needed, and not fewer than cut ones"
            )
        else:
            found[task] = AnswerLength(*fit), counted
    return found, few


def _failures(
    samples: Sequence[Sample], by_model: Mapping[str, Sequence[Sample]], *, by_attempt: bool
) -> tuple[tuple[Habit, ...], list[str]]:
    """Faults that strike as often as failures were seen: of a model where it is known whose they are, else of all."""
    habits, told = [], []
    for name, own in by_model.items():
        streams = [one for one in own if one.stream]
        kinds = Counter(one.failure for one in streams if one.failure)
        for kind, count, rate in _rates(kinds, len(streams)):
            pieces = ceil(median([one.pieces for one in streams if one.failure == kind]))
            rule = FaultRule(Match(model=name, stream=True), fault=_fault(kind, pieces), rate=rate)
            habits.append(Habit(rule, f"{share(count, len(streams))} of its streams: {kind}"))
    played: Counter[_Failure] = Counter()
    for key, count in Counter(_overall(one) for one in samples if one.failure and not one.model).most_common():
        said = f"{share(count, len(samples))} of all calls: {key.kind}"
        if key.status == ALL_PROVIDERS_FAILED.status and by_attempt:
            told.append(f"{said}: they come of the models' error_rate")
        elif 400 <= key.status < 500:
            limited = key.status == RATE_LIMIT_EXCEEDED.status
            told.append(f"{said}: not played, {'that is up to a key and its plan' if limited else 'they were refused'}")
        else:
            played[key] = count
    for key, count, rate in _rates(played, len(samples)):
        habits.append(Habit(_rule(key, rate), f"{share(count, len(samples))} of all calls: {key.kind}{_other(key)}"))
    return tuple(habits), told


class _Failure(NamedTuple):
    """How a call of nobody's failed; ``stream`` is None where it makes no difference."""

    status: int
    kind: str
    stream: bool | None


def _overall(one: Sample) -> _Failure:
    return _Failure(one.status, one.failure, one.stream if one.status == 200 else None)


_Key = TypeVar("_Key", bound=Hashable)


def _rates(counts: Counter[_Key], of: int) -> Iterator[tuple[_Key, int, float]]:
    """Each with its count, and the rate among the calls that none before it struck."""
    left = of
    for key, count in counts.most_common():
        yield key, count, max(round(count / left, 6), _LEAST_RATE)
        left -= count


def _rule(failure: _Failure, rate: float) -> FaultRule:
    if failure.status == 200:
        return FaultRule(Match(stream=failure.stream), fault=_fault(failure.kind), rate=rate)
    if not failure.status:
        return FaultRule(fault=f"{_FAULTS.get(failure.kind, _CLOSED)};stage=before_headers", rate=rate)
    return FaultRule(code=_played_as(failure.status), rate=rate)


def _played_as(status: int) -> int:
    return status if status in FORCED else ALL_PROVIDERS_FAILED.status


def _other(failure: _Failure) -> str:
    code = _played_as(failure.status)
    different = failure.status not in (0, 200, code)
    return f"; the contract knows no {failure.status}, so that {code} is played" if different else ""


_LEAST_RATE: Final = 1e-6
_CLOSED: Final = "fin"
_FAULTS: Final = {RESET: "reset", ERROR_EVENT: "error_event", UNFINISHED: "eof", NO_JSON: "malformed_json"}


def _fault(kind: str, pieces: int = 0) -> str:
    """The directive that breaks an answer so after its head, or after so many pieces of a stream."""
    if kind == NO_JSON:
        return _FAULTS[kind]
    where = f"mid_stream;after={pieces}" if pieces else "before_first_token"
    return f"{_FAULTS.get(kind, _CLOSED)};stage={where}"

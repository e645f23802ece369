"""Where a record contradicts itself or the plan of its run: each problem as a phrase that points at an example."""

from __future__ import annotations

import math
from collections import Counter
from collections.abc import Iterator
from typing import Final

import numpy as np
from msgspec.structs import replace

from reports.columns import Mask, Samples
from reports.dependence import Floats
from reports.frame import Run
from reports.health import Readings
from reports.manifest import Manifest, Stage
from reports.rules import COVERED_SHARE
from reports.sample import MOCK_WORKER, TICK_S, Outcome, Phase

# Two clocks' readings of one moment, rounded on their way, may differ by this much.
_ROUNDED_S: Final = 1e-3
# The readings of a process begin and end with whole beats, and a beat with a tick taken or to be taken.
BEAT_S: Final = 0.5
_SPARE_TICKS: Final = 5
_TICKS_SHARE: Final = 0.01
# So rarely does a planned run hold so long a gap between two arrivals by chance.
_CHANCE: Final = 1e-9
_NAMED: Final = 3
# Timers may fire early, and the processes of a run are told to stop one after another.
_PATIENCE_SHARE: Final = 0.95
_STOPPING_S: Final = 0.25
# An answer that was there when its client's patience ended may be read a little later.
_LATE_SHARE: Final = 1.05
_LATE_S: Final = 5.0
_NEVER_NEGATIVE: Final = (
    "max_gap_s",
    "planned_ms",
    "planned_first_ms",
    "overhead_ms",
    "wasted_ms",
    "connect_ms",
    "try",
    "attempts",
    "prompt_tokens",
    "completion_tokens",
    "chunks",
)


def moments(run: Run) -> list[str]:
    """What the moments and outcomes of single rows say against each other, or against the run's end."""
    samples = run.samples
    found = []
    for what, wrong in _contradictions(run):
        count = int(np.count_nonzero(wrong))
        if count:
            at = int(np.argmax(wrong))
            call, number = (samples.whole_numbers(name)[at] for name in ("call_id", "try"))
            found.append(f"tries that {what}: {count:,} (the first is call {call}, try {number})")
    return found


def _contradictions(run: Run) -> Iterator[tuple[str, Mask]]:
    samples, late = run.samples, run.manifest.ended_s + _ROUNDED_S
    planned, ready, sent, first, end = (
        samples.numbers(name) for name in ("planned_s", "ready_s", "sent_s", "first_byte_s", "end_s")
    )
    outcome, status = samples.words("outcome"), samples.numbers("status")
    ok, unsent = outcome.among(Outcome.OK), outcome.among(Outcome.NEVER_SENT)
    with np.errstate(invalid="ignore"):
        yield "were sent before they were planned", sent < planned - _ROUNDED_S
        yield "were sent before their client was ready", sent < ready - _ROUNDED_S
        yield "had a first byte before they were sent", first < sent
        yield "ended before they were sent", end < sent
        yield "ended before their first byte", end < first
        yield "ended after the run did", end > late
        yield "were under way after the run's end", (sent > late) | (first > late) | (ready > late)
        yield "lie before the run's start", (planned < 0) | (ready < 0) | (sent < 0)
        yield "are ok without the times of an answer", ok & (np.isnan(sent) | np.isnan(end))
        yield "are ok by another status than 2xx", ok & ~((status >= 200) & (status <= 299))
        yield "are refused by a status below 400", outcome.among(Outcome.REFUSED) & ~(status >= 400)
        yield "are never_sent and were sent", unsent & ~np.isnan(sent)
        yield "were never sent and were answered", np.isnan(sent) & ~(np.isnan(end) & np.isnan(first))
        yield from _beyond_the_manifest(run.manifest, samples, sent, end)
        yield "follow a try that was ok, or had not ended", _needless(samples, ok, sent, end)
        for name in _NEVER_NEGATIVE:
            yield f"hold a negative {name}", samples.numbers(name) < 0


def _beyond_the_manifest(manifest: Manifest, samples: Samples, sent: Floats, end: Floats) -> Iterator[tuple[str, Mask]]:
    """What cannot be by the client's own patience, or by when the run let go of its calls."""
    outcome, begun = samples.words("outcome"), samples.whole_numbers("try") == 0
    patience = manifest.timeout_s
    if patience is not None:
        impatient = end - sent < _PATIENCE_SHARE * patience - _ROUNDED_S
        yield f"timed out before the {patience:g} s were over", outcome.among(Outcome.TIMEOUT) & impatient
        late = end - sent > _LATE_SHARE * patience + _LATE_S
        yield f"are ok long after the timeout of {patience:g} s", outcome.among(Outcome.OK) & late
    if manifest.stopped_s is not None:
        yield (
            f"were begun after the stop at {manifest.stopped_s:g} s",
            begun & (sent > manifest.stopped_s + _STOPPING_S),
        )
    if not manifest.interrupted and not manifest.mock_died and manifest.load.kind != "script":
        over = manifest.warmup_s + manifest.duration_s if manifest.stopped_s is None else manifest.stopped_s
        yield "were cut off before the drain", outcome.among(Outcome.CUT_OFF) & (end < over - _STOPPING_S)


def _needless(samples: Samples, ok: Mask, sent: Floats, end: Floats) -> Mask:
    """Tries of a call that no client makes: after one that was ok, or while the one before was still under way."""
    tries = samples.whole_numbers("try")
    wrong = np.zeros(len(tries), dtype=bool)
    if tries.any():
        calls = samples.whole_numbers("call_id")
        order = np.lexsort((tries, calls))
        before, after = order[:-1], order[1:]
        same = calls[before] == calls[after]
        before, after = before[same], after[same]
        wrong[after] = ok[before] | (sent[after] < end[before] - _ROUNDED_S)
    return wrong


def plan(run: Run) -> list[str]:
    """What phases, counts and spacing of the calls say against the plan in the manifest."""
    manifest, samples = run.manifest, run.samples
    planned = samples.numbers("planned_s")
    measure = samples.words("phase").among(Phase.MEASURE)
    begun = samples.whole_numbers("try") == 0
    problems = []
    wrong = int(np.count_nonzero((planned >= manifest.warmup_s) != measure))
    if wrong:
        problems.append(f"tries in another phase than their planned moment: {wrong:,}")
    window_end = manifest.warmup_s + manifest.duration_s
    if manifest.load.kind != "script" and manifest.duration_s > 0:
        outside = int(np.count_nonzero(begun & (planned > window_end + _ROUNDED_S)))
        if outside:
            problems.append(f"calls planned after the window's end at {window_end:g} s: {outside:,}")
        if manifest.load.kind == "closed" and not manifest.interrupted and manifest.ended_s < window_end - _ROUNDED_S:
            problems.append(f"the run ended at {manifest.ended_s:g} s, before its window did at {window_end:g} s")
    if manifest.load.kind == "open":
        problems += _counts(manifest, int(np.count_nonzero(begun & ~measure)), int(np.count_nonzero(begun & measure)))
        problems += _gaps(manifest, np.sort(planned[begun & measure]))
    return problems


def _counts(manifest: Manifest, warming: int, measured: int) -> Iterator[str]:
    """The plan of an open load holds an exact number of arrivals before and in its window; until it was stopped."""
    window = manifest.load.window(manifest.duration_s)
    if not window:
        return
    stopped = manifest.stopped_s is not None and not manifest.interrupted
    before = replace(window[0], for_s=manifest.warmup_s, to_rate_per_s=None).calls
    calls = sum(stage.calls for stage in window)
    if manifest.load.calls not in (None, calls) and not stopped:
        yield f"{manifest.load.calls:,} calls were planned for the window, which its rate makes {calls:,}"
    for what, seen, wanted in (("warm-up", warming, before), ("window", measured, calls)):
        if seen > wanted or (seen < wanted and not stopped):
            yield f"{wanted:,} calls were planned for the {what}, {seen:,} are recorded"


def _gaps(manifest: Manifest, planned: Floats) -> Iterator[str]:
    """Stretches in which nothing was planned though the rate did not allow it, one per stage; `planned` is sorted."""
    begin, last = manifest.warmup_s, manifest.warmup_s + manifest.duration_s
    for stage in manifest.load.window(manifest.duration_s):
        end = min(begin + stage.for_s, last)
        if stage.steady and end > begin:
            gap = _improbable_gap(planned[(planned >= begin) & (planned <= end)], begin, end - begin, stage)
            if gap is not None:
                yield f"nothing was planned for {gap:.1f} s in a row at {stage.rate_per_s:g}/s, {stage.arrivals}"
        begin = end


def _improbable_gap(planned: Floats, begin: float, length: float, stage: Stage) -> float | None:
    """Longest time in which nothing was planned, s; None where the plan can hold it.

    n Poisson arrivals in T leave a gap above g with a probability of at most (n + 1)(1 - g/T)^n. Gaps of a gamma
    process are not judged: they can be of any length.
    """
    n = stage.rate_per_s * length
    gap = min(float(np.diff(np.concatenate(([begin], planned, [begin + length]))).max()), length)
    if stage.arrivals == "constant":
        return gap if gap > 1.5 * length / max(n, 1) + _ROUNDED_S else None
    if stage.arrivals != "poisson" or n < 1:
        return None
    if gap >= length:
        return gap if n > -math.log(_CHANCE) else None
    return gap if math.log(n + 1) + n * math.log1p(-gap / length) < math.log(_CHANCE) else None


def strangers(run: Run, found: dict[str, Readings] | None) -> list[str]:
    """Workers and scenarios that nobody knows, and names that mean two processes."""
    names = [worker.worker for worker in run.manifest.workers]
    problems = []
    double = sorted(name for name, count in Counter([*names, MOCK_WORKER]).items() if count > 1)
    if double:
        problems.append(f"two processes are called {_listed(double)}")
    foreign = sorted(run.samples.words("scenario").used - {run.manifest.scenario})
    if foreign:
        problems.append(f"samples of scenario {_listed(foreign)}, not of {run.manifest.scenario[:40]}")
    senders = run.samples.words("worker").used
    for where, seen in (("samples", senders), ("health readings", set(found or {}) - {MOCK_WORKER})):
        unknown = sorted(seen - set(names))
        if unknown:
            problems.append(f"{where} of {_listed(unknown)}, which the manifest does not know")
    return problems


def real(run: Run, found: dict[str, Readings] | None) -> list[str]:
    """What a run that says it was played in virtual time can hold only if it was not."""
    manifest, samples = run.manifest, run.samples
    problems = []
    if manifest.target_kind != "mock" or manifest.world is None:
        problems.append("in virtual time only a mock of the run's own can be asked")
    if found is not None:
        problems.append("health readings, though virtual time has no machine")
    planned, ready, sent = (samples.numbers(name) for name in ("planned_s", "ready_s", "sent_s"))
    with np.errstate(invalid="ignore"):
        late = int(np.count_nonzero(sent - np.where(np.isnan(ready), planned, ready) > _ROUNDED_S))
    if late:
        problems.append(f"tries that left late, though nobody is late in virtual time: {late:,}")
    opened = int(np.count_nonzero(~np.isnan(samples.numbers("connect_ms"))))
    if opened:
        problems.append(f"connections, though virtual time has no network: {opened:,}")
    return problems


def unread(run: Run, found: dict[str, Readings], begin: float) -> list[str]:
    """Workers whose health readings are not there, do not follow each other, or leave out a part of their work.

    `begin` is the begin of the window; from there a worker's readings must reach from its first moment to its last.
    """
    work = _work(run.samples)
    problems = []
    for worker in run.manifest.workers:
        name, seen = worker.worker, found.get(worker.worker)
        if worker.lost:
            continue
        problem = "no health readings" if seen is None else broken(seen)
        if seen is not None and not problem and name in work:
            first, last = work[name]
            problem = uncovered(seen, max(begin, first), min(last, run.manifest.ended_s))
        if problem:
            problems.append(f"worker {name}: {problem}")
    return problems


def _work(samples: Samples) -> dict[str, tuple[float, float]]:
    """First and last moment of each worker's tries."""
    planned, sent, end = (samples.numbers(name) for name in ("planned_s", "sent_s", "end_s"))
    last = np.fmax(np.fmax(planned, sent), end)
    workers = samples.words("worker")
    rows = ((name, workers.among(name)) for name in workers.used)
    return {name: (float(planned[mine].min()), float(last[mine].max())) for name, mine in rows}


def broken(seen: Readings) -> str:
    """What keeps the readings of one process from being believed, if anything."""
    span = seen.at_s - seen.from_s
    if (span < 0).any() or min(a.min(initial=0.0) for a in (seen.cpu_s, seen.lag_ms)) < 0 or (seen.wait_s < 0).any():
        return "health readings hold negative times"
    apart = seen.from_s[1:] - seen.at_s[:-1]
    if (apart < -_ROUNDED_S).any():
        return f"health readings overlap at {seen.from_s[1:][apart < -_ROUNDED_S][0]:.1f} s"
    if (apart > _ROUNDED_S).any():
        return f"no health readings for {apart.max():.1f} s from {seen.at_s[int(np.argmax(apart))]:.1f} s on"
    missing = span / TICK_S - seen.ticks
    total = abs(float(missing.sum())) > _SPARE_TICKS + _TICKS_SHARE * seen.seconds / TICK_S
    if total or (np.abs(missing) > _SPARE_TICKS).any():
        return f"{len(seen.lag_ms):,} readings of its loop's lag where {seen.seconds / TICK_S:,.0f} were due"
    return ""


def uncovered(seen: Readings, begin: float, end: float) -> str:
    """How much of a stretch of time the readings leave out, if that is more than they may."""
    if end <= begin:
        return ""
    covered = min(end, float(seen.at_s.max(initial=-np.inf))) - max(begin, float(seen.from_s.min(initial=np.inf)))
    spare = max(BEAT_S, (1 - COVERED_SHARE) * (end - begin))
    if end - begin - max(0.0, covered) <= spare:
        return ""
    return f"health readings for {max(0.0, covered):.1f} s of {end - begin:.1f} s"


def _listed(names: list[str]) -> str:
    shown = ", ".join(name[:40] for name in names[:_NAMED])
    return f"{shown} and {len(names) - _NAMED:,} more" if len(names) > _NAMED else shown

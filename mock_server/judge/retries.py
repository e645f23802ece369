"""The rules about sending a call again: whether, when, and how often."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Sequence
from itertools import pairwise
from math import prod
from statistics import median
from typing import Final

from mock_server.judge.calls import over_s
from mock_server.judge.finding import Evidence, Finding, Seen, evidence, found, times
from mock_server.judge.tries import SHORT_S, Call, Try, ended, is_short, may_retry, must_not_retry, struck_by, what

AT_ONCE_S: Final = 0.08
"""Below any back-off of a known client; the shortest are 0.1 s."""
EARLY_S: Final = 0.05
EARLY_SHARE: Final = 0.02
"""Timers and two ways of measuring may make so much of a wait vanish, in seconds and as a share of it."""
JITTER_BASE_S: Final = 0.5
UNLIKELY: Final = 1e-4
STORM_TRIES: Final = 10
STORM_S: Final = 10.0
MOST_TRIES: Final = 11
"""The most patient known clients try 10 times more."""
ENDLESS_TRIES: Final = 25
SAME_S: Final = 0.015
SAME_SHARE: Final = 0.01
JITTER_SAMPLES: Final = 4
_CROWD: Final = 20
_AMPLIFIED: Final = 3.0

_IN_A_ROW: Final = 3
"""So often after one failure or another is no accident."""

_NO_RETRIES: Final = "the client sends nothing again by itself, which is safe"
_EITHER: Final = "as a retry or as another call"
_UNTOLD: Final = "that cannot be told from retries: name each by a test id or an Idempotency-Key"


def _idle(seen: Seen, what_is_missing: str) -> str:
    untold = sum(call.untold for call in seen.calls)
    return what_is_missing + (f", but for {times(untold, 'call')} {_UNTOLD}" if untold else "")


def _without_retries(seen: Seen, idle: str) -> Finding:
    """What to say of waits where the client chose none: that it sends nothing again, or why that is not known."""
    failing = [call for call in seen.told_apart if any(may_retry(each.entry) for each in call.tries)]
    if any(may_retry(before.entry) for call in failing for before, _ in call.again()):
        return Finding("NOT_EXERCISED", idle)
    echoes = sum(call.echo is not None for call in seen.told_apart)
    if echoes:
        return Finding("NOT_EXERCISED", f"{times(echoes, 'request')} after a failure of the same body {_EITHER}")
    return found([], [], len(failing), _NO_RETRIES, _idle(seen, "nothing failed that may be tried again"))


def non_retryable_retried(seen: Seen) -> Finding:
    """The same request again after an answer that says it cannot succeed."""
    failures, doubts, exercised = [], [], 0
    for call in seen.told_apart:
        exercised += any(must_not_retry(each.entry) for each in call.tries)
        for before, after in call.again():
            if must_not_retry(before.entry):
                failures.append(evidence(f"the same request again after {what(before.entry)}", before, after))
        if call.echo is not None and must_not_retry(call.echo.entry):
            said = f"the same body again after {what(call.echo.entry)}, {_EITHER}"
            doubts.append(evidence(said, call.echo, call.tries[0]))
    passed = f"{times(exercised, 'call')} refused for good, none sent again unchanged"
    return found(
        failures, doubts, exercised, passed, _idle(seen, "no call was refused for good, as by 400, 401 or 402")
    )


def retry_after_ignored(seen: Seen) -> Finding:
    """Coming back before the announced time: judged to the letter where it is short, else only at once."""
    failures: list[Evidence] = []
    doubts: list[Evidence] = []
    told: dict[str, int] = defaultdict(int)
    for call in seen.told_apart:
        for before, after in call.again():
            _judge_wait(before, after, failures, told)
        told["gave up"] += _announced(call.last)
        if call.echo is not None and _announced(call.echo) and is_short(call.echo.entry):
            waited = call.tries[0].entry.arrived_unix_s - over_s(call.echo.entry)
            if waited < (call.echo.entry.retry_after_s or 0.0) - EARLY_S:
                said = f"the same body {waited:.2f} s after {what(call.echo.entry)}, {_EITHER}"
                doubts.append(evidence(said, call.echo, call.tries[0]))
    passed = "of the waits announced: " + ", ".join(f"{n} {how}" for how, n in sorted(told.items()) if n)
    return found(failures, doubts, sum(told.values()), passed, _idle(seen, "no answer carried Retry-After"))


def _rows(calls: list[Call]) -> list[list[Try]]:
    """The first tries of calls that each came after the failure of the one before, with one body, in order."""
    rows: list[list[Try]] = []
    row_of: dict[int, list[Try]] = {}
    for call in calls:
        row = row_of.get(id(call.echo)) if call.echo is not None else None
        if row is None:
            rows.append(row := [] if call.echo is None else [call.echo])
        row.append(call.tries[0])
        row_of[id(call.last)] = row
    return rows


def _announced(each: Try) -> bool:
    return each.entry.retry_after_s is not None and may_retry(each.entry)


def _judge_wait(before: Try, after: Try, failures: list[Evidence], told: dict[str, int]) -> None:
    """Judge one wait that was announced."""
    announced_s, waited_s = before.entry.retry_after_s, after.wait_s
    if announced_s is None or waited_s is None or not _announced(before):
        return
    early = waited_s < announced_s - max(EARLY_S, EARLY_SHARE * announced_s)
    told["cut short" if early else "waited"] += 1
    said = f"{what(before.entry)}, and back after {waited_s:.2f} s"
    if early and (announced_s <= SHORT_S or waited_s < AT_ONCE_S):
        failures.append(evidence(said, before, after))


def _unprompted(call: Call) -> list[tuple[float, Try]]:
    """The waits of a call that were the client's own choice, each with the try that it came before."""
    return [
        (after.wait_s, after)
        for before, after in call.again()
        if may_retry(before.entry) and before.entry.retry_after_s is None and after.wait_s is not None
    ]


def _chance(waits: list[float]) -> float:
    """The chance that random waits from 0 up to a limit, 0.5 s at first and then doubled, are all as short as these."""
    return prod(min(1.0, wait / (JITTER_BASE_S * 2**number)) for number, wait in enumerate(waits[:4]))


def no_backoff(seen: Seen) -> Finding:
    """Coming back at once, where the answer did not say when."""
    failures, doubts, retried = [], [], 0
    for call in seen.told_apart:
        waits = [wait for wait, _ in _unprompted(call)]
        retried += bool(waits)
        if not waits:
            continue
        shown = ", ".join(f"{wait:.3f}" for wait in waits[:5])
        said = f"after {what(call.tries[0].entry)}: waits of {shown} s"
        if len(waits) > 1 and _chance(waits) < UNLIKELY:
            failures.append(evidence(said, *call.tries[:5]))
        elif max(waits) < AT_ONCE_S:
            doubts.append(evidence(said, *call.tries[:5]))
    for row in _rows(seen.told_apart):
        waits = [later.entry.arrived_unix_s - over_s(earlier.entry) for earlier, later in pairwise(row)]
        if len(waits) >= _IN_A_ROW and median(waits) < AT_ONCE_S:
            said = f"the same body {len(waits)} times, {median(waits):.3f} s after one failure or another, {_EITHER}"
            doubts.append(evidence(said, *row[:5]))
    if not (retried or doubts):
        return _without_retries(seen, "every wait was announced")
    return found(failures, doubts, retried, f"{times(retried, 'call')} tried again after a wait", "")


def no_jitter(seen: Seen) -> Finding:
    """The same wait every time, so that all clients come back together."""
    doubts, samples = [], 0
    by_number: dict[int, list[tuple[float, Try]]] = defaultdict(list)
    for call in seen.told_apart:
        own = _unprompted(call)
        waits = [wait for wait, _ in own]
        for wait, after in own:
            if wait > AT_ONCE_S:
                by_number[after.number].append((wait, after))
        if len(waits) >= JITTER_SAMPLES and min(waits) > AT_ONCE_S:
            samples += 1
            ratios = [late / early for early, late in pairwise(waits)]
            if max(ratios) - min(ratios) <= SAME_SHARE * max(ratios):
                shown = ", ".join(f"{wait:.2f}" for wait in waits[:6])
                doubts.append(evidence(f"waits of {shown} s, each the same multiple of the last", *call.tries[:6]))
    for number, sample in sorted(by_number.items()):
        if len(sample) < JITTER_SAMPLES:
            continue
        samples += 1
        waits = [wait for wait, _ in sample]
        if max(waits) - min(waits) <= max(SAME_S, SAME_SHARE * median(waits)):
            said = f"{times(len(waits), 'call')} waited {median(waits):.2f} s each before try {number}"
            doubts.append(evidence(said, *(each for _, each in sample[:5])))
    if not samples:
        return _without_retries(seen, f"it takes {JITTER_SAMPLES} calls that choose their wait before trying again")
    return found([], doubts, samples, "waits differ from call to call", "")


def retry_storm(seen: Seen) -> Finding:
    """More tries than a budget allows."""
    failures, doubts, failing = [], [], 0
    for call in seen.told_apart:
        tries, count = call.tries, len(call.tries)
        failing += any(ended(each.entry) != "good" for each in tries)
        burst = _burst(tries)
        if burst is not None:
            said = f"{STORM_TRIES + 1} tries of one call within {_span_s(burst):.2f} s, {count} in all"
            failures.append(evidence(said, *burst))
        elif count > ENDLESS_TRIES:
            failures.append(evidence(f"{count} tries of one call", tries[0], tries[-1]))
        elif count > MOST_TRIES:
            doubts.append(evidence(f"{count} tries of one call", tries[0], tries[-1]))
    for row in _rows(seen.told_apart):
        if (burst := _burst(row)) is not None:
            said = (
                f"the same body {STORM_TRIES + 1} times within {_span_s(burst):.2f} s, each after a failure, {_EITHER}"
            )
            doubts.append(evidence(said, *burst))
    calls = seen.told_apart
    sent = sum(len(call.tries) for call in calls)
    if len(calls) >= _CROWD and sent > _AMPLIFIED * len(calls):
        said = (
            f"{times(len(calls), 'call')} made {sent:,} tries: the gateway gets {sent / len(calls):.1f} times the load"
        )
        doubts.append(evidence(said, calls[0].tries[0]))
    most = max((len(call.tries) for call in calls), default=0)
    return found(failures, doubts, failing, f"the most tries of a call: {most}", _idle(seen, "no call failed"))


def _burst(tries: Sequence[Try]) -> tuple[Try, Try] | None:
    """The first and the last of more tries than a budget allows in its time."""
    return next(
        (
            (first, last)
            for first, last in zip(tries, tries[STORM_TRIES:], strict=False)
            if _span_s((first, last)) <= STORM_S
        ),
        None,
    )


def _span_s(burst: tuple[Try, Try]) -> float:
    first, last = burst
    return last.entry.arrived_unix_s - first.entry.arrived_unix_s


def gave_up_early(seen: Seen) -> Finding:
    """Giving up on the first failure that may be retried, by a client that says it retries.

    A retry count alone does not say so: it stands at 0 too where retries are switched off. One above 0 in the same test
    does.
    """
    retrying = {each.entry.test for call in seen.calls for each in call.tries if each.entry.retry_count}
    failures, failing = [], 0
    for call in seen.told_apart:
        only, entry = call.last, call.last.entry
        if not (may_retry(entry) and is_short(entry)):
            continue
        failing += 1
        says = seen.says_it_retries or (entry.retry_count == 0 and call.test in retrying)
        if says and len(call.tries) == 1 and not call.cut:
            failures.append(evidence(f"nothing came after {what(entry)}", only))
    tried_on = sum(len(call.tries) > 1 for call in seen.told_apart)
    if not (retrying or seen.says_it_retries):
        note = "the client does not say that it retries; to give up is safe"
        return found([], [], failing or tried_on, note, _idle(seen, "nothing failed that may be tried again"))
    passed = f"{times(tried_on, 'call')} tried again"
    return found(failures, [], failing or tried_on, passed, _idle(seen, "nothing failed that may be tried again"))


def _was_paid(each: Try) -> bool:
    """Whether a try was paid for, and not because a fault let the client no choice."""
    fault = struck_by(each.entry)
    spoilt = fault is not None and fault.kind is not None
    return each.entry.charged > 0 and not each.entry.replayed and not spoilt


def duplicate_charge(seen: Seen) -> Finding:
    """One call paid for twice."""
    failures, doubts, retried = [], [], 0
    for call in seen.told_apart:
        paid = [each for each in call.tries if _was_paid(each)]
        retried += len(call.tries) > 1
        if len(paid) < 2:
            continue
        tokens = " and ".join(f"{each.entry.charged:,}" for each in paid)
        keys = {each.entry.idempotency_key for each in paid}
        if len(keys) == 1 and "" not in keys:
            doubts.append(
                evidence(f"charged {tokens} tokens, though the key was the same: the world ignores it", *paid)
            )
        else:
            failures.append(evidence(f"charged {tokens} tokens for one call", *paid))
    passed = f"{times(retried, 'call')} sent again, none charged twice"
    return found(failures, doubts, retried, passed, _idle(seen, "no call was sent again"))

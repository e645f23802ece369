"""Simulated clients as pure generators: what to ask next, when, and whether to try again.

A client yields an `Ask`, is sent the `Feedback`, and goes on. It knows no clock and no network, so that Locust
can play it in real time and a discrete-event driver can play it in virtual time. Times are seconds on the
run's clock.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Generator, Iterator, Sequence
from typing import TypeAlias

import msgspec

from mock_server.contract.errors import BY_CODE, RATE_LIMIT_EXCEEDED
from reports.sample import Outcome
from scenarios.model.policy import Policy
from scenarios.model.workload import Call, uniforms


class Ask(msgspec.Struct, frozen=True):
    """A request the client wants sent at ``at_s``; ``attempt`` is 0 for the first try."""

    call_id: int
    attempt: int
    at_s: float
    call: Call


class Feedback(msgspec.Struct, frozen=True):
    """What the client learned of a try: the outcome, and what it needs to decide about another one.

    ``status`` is that of the answer, ``None`` where none had begun to arrive; ``retry_after_s`` is the gateway's own
    word.
    """

    outcome: Outcome
    end_s: float
    error_code: str | None = None
    retry_after_s: float | None = None
    status: int | None = None


Client: TypeAlias = Generator[Ask, Feedback, float | None]
MakeCall: TypeAlias = Callable[[int], Call]


def may_try_again(policy: Policy, told: Feedback) -> bool:
    """Whether a try ended in a way after which clients of this policy try again."""
    if told.outcome is Outcome.CONNECTION:
        return policy.resets and told.status is None
    if told.outcome is Outcome.TIMEOUT:
        return policy.timeouts and told.status is None
    if policy.statuses is None:
        kind = BY_CODE.get(told.error_code or "") if told.outcome is Outcome.REFUSED else None
        return kind is not None and kind.retry
    return told.outcome in (Outcome.REFUSED, Outcome.MALFORMED) and told.status in policy.statuses


def one_call(call_id: int, at_s: float, call: Call, policy: Policy, seed: int) -> Generator[Ask, Feedback, float]:
    """One call with its tries; returns when the last try ended."""
    attempt, first_s = 0, at_s
    while True:
        told = yield Ask(call_id, attempt, at_s, call)
        late = told.end_s - first_s >= policy.within_s
        if late or not may_try_again(policy, told):
            return told.end_s
        u = uniforms(seed, call_id, f"retry/{attempt}")
        delay_s = policy.delay_s(attempt, told.retry_after_s, u, limited=told.status == RATE_LIMIT_EXCEEDED.status)
        if delay_s is None:
            return told.end_s
        at_s = told.end_s + delay_s
        attempt += 1


def closed_user(
    call_ids: Iterator[int],
    make_call: MakeCall,
    *,
    start_s: float,
    think_s: float,
    policy: Policy,
    seed: int,
) -> Generator[Ask, Feedback, None]:
    """A user of a closed load: asks, waits for the answer, thinks, asks again, for ever.

    The users of a worker share ``call_ids``, so no number comes twice however many they are. Think times are
    exponential with mean ``think_s``.
    """
    at_s = start_s
    for call_id in call_ids:
        at_s = yield from one_call(call_id, at_s, make_call(call_id), policy, seed)
        if think_s:
            at_s -= math.log1p(-uniforms(seed, call_id, "think")[0]) * think_s


def script(calls: Sequence[Call], policy: Policy, seed: int) -> Generator[Ask, Feedback, None]:
    """The given calls one after another, each when the one before has ended."""
    at_s = 0.0
    for call_id, call in enumerate(calls):
        at_s = yield from one_call(call_id, at_s, call, policy, seed)

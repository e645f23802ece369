"""Simulated clients as pure generators: what to ask next, when, and whether to try again.

A client yields an `Ask`, is sent the `Answer`, and goes on. It knows no clock and no network, so that Locust
can play it in real time and a discrete-event driver can play it in virtual time. Times are seconds on the
run's clock.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Generator, Sequence
from typing import TypeAlias

import msgspec

from mock_server.contract.errors import BY_CODE
from reports.sample import Outcome
from scenarios.model.policy import Policy
from scenarios.model.workload import Call, uniforms


class Ask(msgspec.Struct, frozen=True):
    """A request the client wants sent at ``at_s``; ``attempt`` is 0 for the first try."""

    call_id: int
    attempt: int
    at_s: float
    call: Call


class Answer(msgspec.Struct, frozen=True):
    """What the client learned: the outcome, and what it needs to decide about another try.

    ``begun`` says whether any of the answer had arrived; ``retry_after_s`` is the gateway's own word.
    """

    outcome: Outcome
    end_s: float
    error_code: str | None = None
    retry_after_s: float | None = None
    begun: bool = False


Client: TypeAlias = Generator[Ask, Answer, None]
MakeCall: TypeAlias = Callable[[int], Call]


def worth_retrying(answer: Answer) -> bool:
    """Only what the contract calls retryable, and connections that failed before any of the answer came."""
    if answer.outcome is Outcome.REFUSED:
        kind = BY_CODE.get(answer.error_code or "")
        return kind is not None and kind.retry
    return answer.outcome is Outcome.CONNECTION and not answer.begun


def retry_delay(policy: Policy, answer: Answer, attempt: int, jitter: float) -> float | None:
    """Seconds from the answer to the next try, ``None`` to give up; ``jitter`` in [0, 1) is the policy's."""
    return policy.delay_s(attempt, answer.retry_after_s, jitter) if worth_retrying(answer) else None


def one_call(call_id: int, at_s: float, call: Call, policy: Policy, seed: int) -> Generator[Ask, Answer, float]:
    """One call with its tries; returns when the last try ended."""
    attempt = 0
    while True:
        answer = yield Ask(call_id, attempt, at_s, call)
        delay = retry_delay(policy, answer, attempt, uniforms(seed, call_id, f"retry/{attempt}")[0])
        if delay is None:
            return answer.end_s
        attempt += 1
        at_s = answer.end_s + delay


def arrival(call_id: int, at_s: float, call: Call, policy: Policy, seed: int) -> Client:
    """The client behind one planned arrival of an open load."""
    yield from one_call(call_id, at_s, call, policy, seed)


def closed_user(
    user: int,
    users: int,
    make_call: MakeCall,
    *,
    start_s: float,
    window_s: float,
    think_s: float,
    policy: Policy,
    seed: int,
) -> Client:
    """User ``user`` of ``users``: asks, waits for the answer, thinks, asks again until the window is over.

    Its n-th call has the number ``user + n * users``. Think times are exponential with mean ``think_s``.
    """
    at_s, call_id = start_s, user
    while at_s < window_s:
        end_s = yield from one_call(call_id, at_s, make_call(call_id), policy, seed)
        think = -math.log1p(-uniforms(seed, call_id, "think")[0]) * think_s
        at_s = end_s + think
        call_id += users


def script(calls: Sequence[Call], policy: Policy, seed: int) -> Client:
    """The given calls one after another, each when the one before has ended."""
    at_s = 0.0
    for call_id, call in enumerate(calls):
        at_s = yield from one_call(call_id, at_s, call, policy, seed)

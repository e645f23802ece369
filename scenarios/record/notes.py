"""What is written down of a run while it lasts: each kind of note, and the row that a try ends in. Pure."""

from __future__ import annotations

from typing import TypeAlias

import msgspec

from reports.sample import Outcome
from scenarios.model.client import Ask
from scenarios.model.workload import Call, masked
from scenarios.wire.reader import Reading


class Begun(msgspec.Struct, frozen=True, tag="begun", array_like=True):
    """A try that no plan knows of is about to be sent: a retry, or a call of a closed load or a script."""

    call_id: int
    attempt: int
    kind: str
    planned_s: float
    stream: bool
    key: str | None
    expected: str | None


class Row(msgspec.Struct, frozen=True, tag="row", array_like=True):
    """One finished row of the samples; the columns are described in ``reports.sample``."""

    call_id: int
    attempt: int
    kind: str
    planned_s: float
    ready_s: float | None
    sent_s: float | None
    first_byte_s: float | None
    end_s: float | None
    outcome: Outcome
    status: int | None
    error_code: str | None
    provider: str | None
    model: str | None
    attempts: int | None
    prompt_tokens: int | None
    completion_tokens: int | None
    stream: bool
    chunks: int | None
    max_gap_s: float | None
    planned_ms: float | None
    planned_first_ms: float | None
    overhead_ms: float | None
    wasted_ms: float | None
    connect_ms: float | None
    request_id: str | None
    key: str | None
    expected: str | None


class Beat(msgspec.Struct, frozen=True, tag="beat", array_like=True):
    """A worker's health from ``from_s`` to ``at_s``, as in ``reports.sample``, and how far it is."""

    from_s: float
    at_s: float
    cpu_s: float
    wait_s: float | None
    lag_ms: tuple[float, ...]
    done: int
    failed: int
    in_flight: int


class PartEnd(msgspec.Struct, frozen=True, tag="end", array_like=True):
    """The worker is done; a part without this note is a dead worker's.

    It handed on the first ``handed_on`` of its planned arrivals, or of the script's calls. From ``stopped_s`` on it
    began no further call though there were some; ``None`` where all were begun that were to be.
    """

    at_s: float
    handed_on: int
    stopped_s: float | None = None


Note: TypeAlias = Begun | Row | Beat | PartEnd


def key_of(call: Call) -> str | None:
    """What a row says of the key: nothing where it is the run's own."""
    return masked(call.key) if call.key else None


def begun(ask: Ask, planned_s: float) -> Begun:
    """The note to write before a try that no plan knows of is sent."""
    call = ask.call
    return Begun(ask.call_id, ask.attempt, call.kind, planned_s, call.stream, key_of(call), call.expected)


def unsent(note: Begun, outcome: Outcome, why: str | None = None) -> Row:
    """The row of a try of which no more is known: ``never_sent`` or ``lost``."""
    return finished(note, None, None, None, Reading(outcome, error_code=why))


def finished(note: Begun, ready_s: float | None, sent_s: float | None, end_s: float | None, reading: Reading) -> Row:
    """The row of a try that was sent at ``sent_s`` and ended at ``end_s`` with ``reading``."""
    announced = reading.announced
    return Row(
        note.call_id,
        note.attempt,
        note.kind,
        note.planned_s,
        ready_s,
        sent_s,
        reading.first_byte_s,
        end_s,
        reading.outcome,
        reading.status,
        reading.error_code,
        reading.provider,
        reading.model,
        announced.attempts,
        reading.prompt_tokens,
        reading.completion_tokens,
        note.stream,
        reading.chunks,
        reading.max_gap_s,
        announced.planned_ms,
        announced.planned_first_ms,
        announced.overhead_ms,
        announced.wasted_ms,
        reading.connect_ms,
        reading.request_id,
        note.key,
        note.expected,
    )

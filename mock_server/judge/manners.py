"""The rules about how the client asks: its key, its headers, its connections, its deadline."""

from __future__ import annotations

import re
from collections import defaultdict
from itertools import pairwise
from math import ceil
from typing import Final

from mock_server.contract.endpoints import LLM_AUTO
from mock_server.contract.errors import UNSUPPORTED_MEDIA_TYPE
from mock_server.edge.journal import Entry
from mock_server.judge.calls import failed, over_s
from mock_server.judge.finding import Evidence, Finding, Seen, evidence, found, times
from mock_server.judge.tries import Try, ended, struck_by

_JSON: Final = re.compile(r"\s*application/json\s*(;.*)?", re.IGNORECASE | re.DOTALL)
IDLE_S: Final = 3.0
"""So long an idle connection is certainly kept by the server."""
_SETTLED_S: Final = 0.005
CHANCES: Final = 3
"""So often a connection could have been reused before it is said that none is."""
P99_CALLS: Final = 100
"""A p99 needs so many calls."""


def key_outside_header(seen: Seen) -> Finding:
    """The API key anywhere but in the Authorization header."""
    with_key = [each for each in seen.tries if each.entry.key_place]
    failures = [
        evidence(f"the key stood in {each.entry.key_place}", each)
        for each in with_key
        if each.entry.key_place != "authorization"
    ]
    passed = f"{times(len(with_key), 'request')} with the key in Authorization"
    return found(failures, [], len(with_key), passed, "no request carried a key")


def wrong_content_type(seen: Seen) -> Finding:
    """A body that is not declared as JSON."""
    bodies = [each for each in seen.tries if each.entry.method == LLM_AUTO.method and _had_body(each.entry)]
    doubts = [
        evidence(f"Content-Type: {each.entry.content_type or 'none'}", each)
        for each in bodies
        if _JSON.fullmatch(each.entry.content_type) is None
    ]
    passed = f"{times(len(bodies), 'request')} declared as application/json"
    return found([], doubts, len(bodies), passed, "no request had a body")


def _had_body(entry: Entry) -> bool:
    return bool(entry.body_hash) or entry.code == UNSUPPORTED_MEDIA_TYPE.code


def idempotency_key_misused(seen: Seen) -> Finding:
    """A client that uses Idempotency-Key, but not one for each call and the same for all its tries."""
    failures: list[Evidence] = []
    doubts: list[Evidence] = []
    by_key: dict[tuple[str, str, str], list[Try]] = defaultdict(list)
    for each in seen.tries:
        if each.entry.idempotency_key:
            by_key[each.entry.test, each.entry.key, each.entry.idempotency_key].append(each)
    for tries in by_key.values():
        for earlier, later in pairwise(tries):
            other_body = earlier.entry.body_hash != later.entry.body_hash
            if other_body and not failed(earlier.entry):  # a failed call frees its key
                failures.append(evidence("one key for two different requests", earlier, later))
            elif not other_body and not failed(earlier.entry) and not later.entry.replayed:
                doubts.append(evidence("the key of a call that had succeeded, again", earlier, later))
    for call in seen.told_apart:
        for before, after in call.again():
            if before.entry.idempotency_key != after.entry.idempotency_key:
                failures.append(evidence("a retry without the key of its first try", before, after))
        echo, first = call.echo, call.tries[0]
        if echo is None or not echo.entry.idempotency_key:
            continue
        if first.entry.idempotency_key:
            said = "the same body after a failure, with another key: as a retry or as another call"
            doubts.append(evidence(said, echo, first))
        else:  # a retry has lost its key, or another call has none
            failures.append(evidence("the same body after a failure, without a key", echo, first))
    passed = f"{times(len(by_key), 'key')}, each for one call"
    return found(failures, doubts, len(by_key), passed, "no request carried an Idempotency-Key")


def connection_per_request(seen: Seen) -> Finding:
    """A new connection for each request, though one was idle."""
    chances = taken = 0
    fresh: list[Try] = []
    by_test: dict[str, list[Try]] = defaultdict(list)
    for each in seen.tries:
        if each.entry.connection > 0:
            by_test[each.entry.test].append(each)
    for tries in by_test.values():
        for earlier, later in pairwise(tries):
            idle_s = later.entry.arrived_unix_s - over_s(earlier.entry)
            if earlier.entry.ending != "complete" or not _SETTLED_S <= idle_s <= IDLE_S:
                continue
            chances += 1
            if later.entry.on_connection == 1:
                fresh.append(later)
            taken += later.entry.on_connection > 1
    doubts = []
    if chances >= CHANCES and not taken:
        said = f"{times(chances, 'request')} on a new connection each, though another was idle"
        doubts.append(evidence(said, *fresh[:5]))
    passed = f"{times(taken, 'request')} on a connection that was open"
    return found([], doubts, taken, passed, f"it takes {CHANCES} requests, each soon after another was answered")


def timeout_below_p99(seen: Seen) -> Finding:
    """A deadline that good answers do not meet."""
    tries = seen.tries
    usual = sorted(_needed_ms(each.entry) for each in tries if _undisturbed(each.entry) and each.entry.status == 200)
    left = [
        each
        for each in tries
        if _undisturbed(each.entry) and ended(each.entry) == "left" and each.entry.left_in.startswith("before_")
    ]
    doubts = [
        evidence(f"left after {(each.entry.left_ms or 0.0) / 1e3:.2f} s a request that was served", each)
        for each in left
    ]
    deadlines = [each for each in tries if _outlasted(each.entry)]
    if len(usual) >= P99_CALLS:
        p99_ms = usual[ceil(0.99 * len(usual)) - 1]
        doubts += [
            evidence(f"leaves after {each.entry.took_ms / 1e3:.2f} s; the p99 is {p99_ms / 1e3:.2f} s", each)
            for each in deadlines
            if each.entry.took_ms < p99_ms
        ]
    passed = f"{times(len(usual), 'answer')} waited for"
    idle = f"it takes {P99_CALLS} good answers, or a request that the client leaves"
    return found([], doubts, len(usual) >= P99_CALLS, passed, idle)


def _undisturbed(entry: Entry) -> bool:
    fault = struck_by(entry)
    return fault is None or fault.kind is None


def _outlasted(entry: Entry) -> bool:
    """Whether it shows how long the client waits for a first byte."""
    fault = struck_by(entry)
    return fault is not None and fault.kind == "stall" and fault.stage == "before_headers" and fault.for_s is None


def _needed_ms(entry: Entry) -> float:
    return entry.first_ms if entry.stream else entry.planned_ms

"""The rules about answers that come in pieces, slowly, or not to their end."""

from __future__ import annotations

from collections.abc import Callable
from typing import Final

from mock_server.core.faults import Fault
from mock_server.judge.finding import Evidence, Finding, Seen, evidence, found, times
from mock_server.judge.tries import Try, ended, had_content, struck_by, what

SLOW_S: Final = 5.0
"""A stream that takes longer is a slow one."""
CANCELLED_S: Final = 1.0
"""Whoever leaves a stream earlier than this did not find it slow."""
ALIVE_GAP_S: Final = 2.0
"""A stream whose pieces came closer together than this, in the mean, was alive."""
PATIENT_S: Final = 60.0
NO_TIMEOUT_S: Final = 600.0
"""The longest time-out that a known client has by default: ten minutes."""

_FAILED_WORDS: Final = ("error", "partial", "killed")
_CUT_STREAM: Final = ("reset", "fin", "eof", "garbage_event")
_CUT_BODY: Final = ("empty", "truncated_json", "malformed_json", "wrong_type")


def retried_after_first_token(seen: Seen) -> Finding:
    """The same request again, blindly, after a part of its answer had come."""
    failures: list[Evidence] = []
    doubts: list[Evidence] = []
    exercised = 0
    for call in seen.told_apart:
        broken = [each for each in call.tries if had_content(each.entry) and ended(each.entry) in ("broken", "left")]
        exercised += bool(broken)
        for before, after in call.again():
            if before not in broken or before.entry.attested in _FAILED_WORDS:
                continue  # an application that knows what it does may ask anew
            said = f"the same request again after {before.entry.pieces} pieces and {what(before.entry)}"
            by_chance = ended(before.entry) == "left" and after.link == "body"  # somebody may have pressed a button
            (doubts if by_chance else failures).append(evidence(said, before, after))
    passed = f"{times(exercised, 'stream')} broken after the first piece, none asked for again"
    return found(failures, doubts, exercised, passed, "no stream broke after its first piece")


def error_event_accepted(seen: Seen) -> Finding:
    """An error event inside a stream, taken as a good answer."""
    return _accepted(seen, lambda fault: fault.kind == "error_event", "error event", "no stream held an error event")


def truncated_stream_accepted(seen: Seen) -> Finding:
    """An answer without its end, taken as a good one."""

    def cut(fault: Fault) -> bool:
        stream = fault.kind in _CUT_STREAM and fault.stage != "before_headers"
        return stream or fault.kind in _CUT_BODY

    return _accepted(seen, cut, "cut answer", "no answer ended before its end")


def _accepted(seen: Seen, wrong: Callable[[Fault], bool], name: str, idle: str) -> Finding:
    """What the client made of answers that were wrong in some way: as attested, or as its trying again shows."""
    failures: list[Evidence] = []
    known = unknown = 0
    for call in seen.calls:
        for each in call.tries:
            fault = struck_by(each.entry)
            if fault is None or not wrong(fault) or each.entry.ending != "fault":
                continue
            if each.entry.attested == "ok":
                failures.append(evidence(f"taken as a success: {what(each.entry)}", each))
            elif each.entry.attested or each is not call.last:
                known += 1
            else:
                unknown += 1
    unsaid = f"{times(unknown, name)} of which nobody said what the client made of it"
    passed = f"{times(known, name)} noticed" + (f"; {unsaid}" if unknown else "")
    return found(failures, [], known, passed, unsaid if unknown else idle)


def slow_stream_abandoned(seen: Seen) -> Finding:
    """Giving up a stream whose pieces still came."""
    failures: list[Evidence] = []
    doubts: list[Evidence] = []
    stayed = 0
    for call in seen.calls:
        for each in call.tries:
            entry = each.entry
            stayed += entry.stream and entry.ending == "complete" and entry.took_ms / 1e3 >= SLOW_S
            gap_s = _mean_gap_s(each)
            if gap_s is None:
                continue
            said = f"left after {(entry.left_ms or 0.0) / 1e3:.1f} s and {entry.pieces} pieces, {gap_s:.2f} s apart"
            certain = each is not call.last or entry.attested in _FAILED_WORDS
            (failures if certain else doubts).append(evidence(said, each))
    passed = f"{times(stayed, 'stream')} of {SLOW_S:g} s and more read to the end"
    return found(failures, doubts, stayed, passed, f"no stream took {SLOW_S:g} s")


def _mean_gap_s(each: Try) -> float | None:
    """The mean time between the pieces of a live stream that the client left; None where it is another case."""
    entry = each.entry
    fault = struck_by(entry)
    dead = fault is not None and fault.kind is not None
    if not entry.stream or ended(entry) != "left" or dead or entry.pieces < 2 or entry.left_ms is None:
        return None
    gap_s = (entry.left_ms - (entry.first_byte_ms or 0.0)) / 1e3 / entry.pieces
    return gap_s if entry.left_ms / 1e3 >= CANCELLED_S and gap_s <= ALIVE_GAP_S else None


def no_read_timeout(seen: Seen) -> Finding:
    """Waiting for ever on a connection that says nothing more."""
    failures, doubts, left, short = [], [], 0, 0
    for each in seen.tries:
        entry, fault = each.entry, struck_by(each.entry)
        if fault is None or fault.kind != "stall":
            continue
        silent_s = entry.took_ms / 1e3
        killed = entry.attested == "killed"
        how = "it was stopped from outside" if killed else "the server closed it"
        said = f"{silent_s:.0f} s on a silent connection, until {how}"
        if not killed and (fault.for_s is None or entry.left_ms is not None):
            left += 1
        elif silent_s >= NO_TIMEOUT_S:
            failures.append(evidence(said, each))
        elif silent_s >= PATIENT_S:
            doubts.append(evidence(said, each))
        else:
            short += 1
    idle = "no stall that was left"
    if short:
        idle += f"; {times(short, 'stall')} too short to tell, as a good answer may begin after {PATIENT_S:g} s"
    return found(failures, doubts, left, f"{times(left, 'stall')} left by the client", idle)


def unknown_event_rejected(seen: Seen) -> Finding:
    """Breaking on what a stream may hold: comments, other fields and events, any division into lines and writes."""
    failures, doubts, well, untold = [], [], 0, 0
    for call in seen.calls:
        for each in call.tries:
            fault = struck_by(each.entry)
            if fault is None or fault.framing is None or fault.kind is not None:
                continue
            match _reading(each, retried=each is not call.last):
                case "broke":
                    failures.append(evidence(f"gave up on a good stream with {each.entry.fault}", each))
                case "left":
                    doubts.append(evidence(f"left a good stream with {each.entry.fault}", each))
                case "read":
                    well += 1
                case _:
                    untold += 1
    unsaid = f"{times(untold, 'stream')} of which nobody said what the client made of it"
    passed = f"{times(well, 'unusual stream')} read to the end" + (f"; {unsaid}" if untold else "")
    return found(failures, doubts, well, passed, unsaid if untold else "no stream was framed unusually")


_STAYED_MS: Final = 100.0


def _reading(each: Try, *, retried: bool) -> str:
    """How a client read a good stream: it broke, left, read it, or that is not known."""
    entry = each.entry
    if retried or entry.attested in _FAILED_WORDS:
        return "broke"
    if entry.ending == "abandoned":
        return "left"
    if entry.attested == "ok":
        return "read"
    # A client that broke would have left meanwhile.
    stayed_ms = entry.took_ms - (entry.first_byte_ms if entry.first_byte_ms is not None else entry.took_ms)
    return "read" if entry.pieces > 1 and stayed_ms >= _STAYED_MS else "untold"

"""What one run of the command showed: by the rules of the verdict, and by how the command itself ended. Pure."""

from __future__ import annotations

from collections.abc import Collection, Mapping, Sequence
from itertools import pairwise
from typing import Final

from msgspec import Struct
from msgspec.structs import replace

from mock_server.core.faults import Kind
from mock_server.edge.journal import Entry
from mock_server.judge.calls import in_order, over_s
from mock_server.judge.finding import WORST_FIRST, Result, worst
from mock_server.judge.rules import BY_NAME
from mock_server.judge.tries import ended, struck_by
from mock_server.judge.verdict import RuleResult, judge
from mock_server.kit.check.plan import PlanCell
from mock_server.kit.check.running import Ran

HUNG: Final = "hung"
GOOD_ANSWER_LOST: Final = "good_answer_lost"
ERROR_TAKEN: Final = "error_taken_as_success"
ALIVE_AFTER: Final = "alive_after"
_WHOLE: Final[tuple[Kind, ...]] = ("delay", "dribble", "done_then_hang")
"""After these the answer is whole and good."""
_COULD_HANG: Final[tuple[Kind, ...]] = ("bad_chunk", "done_then_hang")
_STATUS_SHOWN: Final = 6


class OwnRule(Struct, frozen=True):
    """A rule that only a run of the command can show: the worst it can be, what it asks, and what to change."""

    name: str
    at_worst: Result
    asks: str
    advice: str


OWN_RULES: Final[tuple[OwnRule, ...]] = (
    OwnRule(
        HUNG,
        "FAIL",
        "no run has to be stopped with a request under way; on a silent connection that is `no_read_timeout`",
        "stop reading at [DONE], set a read timeout, and bound the whole call; or give the command more --timeout",
    ),
    OwnRule(
        GOOD_ANSWER_LOST,
        "WARN",
        "a slow but whole answer, or one whose connection stays open after [DONE], is used",
        "limit the silence between two reads, not the whole answer, and stop reading at [DONE]",
    ),
    OwnRule(
        ERROR_TAKEN,
        "FAIL",
        "exit code 0 only after a good answer: not after an error, a lost connection or silence",
        "let an error end the command with another exit code; where 0 means something else, say --exit-code ignored",
    ),
    OwnRule(
        ALIVE_AFTER,
        "FAIL",
        "after a fault the client still works: a later request of the same run went well, or a healthy run after it",
        "leave nothing behind that a failure can spoil: files, caches, locks, breakers that never close",
    ),
)
_OWN: Final = {rule.name: rule for rule in OWN_RULES}


class Judging(Struct, frozen=True):
    """How to judge: as for `mock-server verdict`, and whether the exit code says that the call went well.

    ``probes``: the command is run once more after each fault from which its own run did not come back.
    """

    waived: Mapping[str, str]
    not_applicable: Collection[str]
    says_it_retries: bool
    exit_code_tells: bool
    probes: bool = True


class CellReport(Struct, frozen=True):
    """What came of one cell. ``waits_s`` are the wall seconds between its tries; overlapping tries have none.

    ``struck``: how many requests the fault struck. ``rules`` are those that the fault put to the test. ``why`` says
    why nothing was shown. ``recovered``: a request after the last one that was struck ended well.
    """

    cell: str
    strikes_with: str
    result: Result
    why: str = ""
    exit_code: int | None = None
    killed: bool = False
    took_s: float = 0.0
    statuses: tuple[int, ...] = ()
    waits_s: tuple[float, ...] = ()
    struck: int = 0
    recovered: bool = False
    rules: tuple[RuleResult, ...] = ()
    output: str = ""

    @property
    def broken(self) -> tuple[RuleResult, ...]:
        """The rules to do something about."""
        return tuple(rule for rule in self.rules if rule.result in ("FAIL", "WARN") and not rule.waived)


def outcomes(entries: Sequence[Entry], open_ids: Collection[str], ran: Ran, *, tells: bool) -> dict[str, str]:
    """What to attest of the requests of a run, by id; what the application has said itself stands.

    The exit code is about the last answer: an earlier one may have been tried again, or been another call's. Those of
    ``open_ids`` were under way when the command was stopped.
    """
    if ran.killed:
        return {entry.request_id: "killed" for entry in entries if entry.request_id in open_ids and not entry.attested}
    last = in_order(entries)[-1] if all(entry.arrived_unix_s for entry in entries) and entries else None
    last = last or (entries[0] if entries else None)  # the journal gives the latest first
    if last is None or last.attested or not last.struck or not tells:
        return {}
    return {last.request_id: "error" if ran.code else "ok"}


def judge_cell(
    cell: PlanCell, entries: Sequence[Entry], ran: Ran, baseline: Mapping[str, Result], how: Judging
) -> CellReport:
    """The report on a run. ``baseline`` is each rule's result without a fault: what it shows is not the fault's."""
    ordered = in_order(entries)
    verdict = judge(ordered, waived=how.waived, not_applicable=how.not_applicable, says_it_retries=how.says_it_retries)
    shown = [rule for rule in verdict.rules if _is_news(rule, baseline)]
    rules = (*shown, *_own(ordered, ran, how))
    struck = [place for place, entry in enumerate(ordered) if entry.struck]
    why, result = "", worst(rule.result for rule in rules if not rule.waived)
    if not struck:
        why, result = _not_struck(cell, ordered), "NOT_EXERCISED"
    elif result == "NOT_EXERCISED":
        why = "it was struck, but nothing tells what the command made of it"
    return CellReport(
        cell.name,
        strikes_with(cell),
        result,
        why,
        ran.code,
        ran.killed,
        round(ran.took_s, 3),
        tuple(entry.status for entry in ordered),
        _waits(ordered),
        len(struck),
        bool(struck) and any(_went_well(entry) for entry in ordered[struck[-1] + 1 :]),
        rules if struck else (),
        "" if result in ("PASS", "NOT_EXERCISED") else ran.output,
    )


def not_run(cell: PlanCell, why: str) -> CellReport:
    """The report on a cell that the command's calls do not fit."""
    return CellReport(cell.name, strikes_with(cell), "NOT_EXERCISED", why)


def strikes_with(cell: PlanCell) -> str:
    """A cell's fault in words."""
    what = f"code={cell.code}" if cell.fault is None else cell.fault
    headers = "".join(f" {name}: {value}" for name, value in cell.headers.items())
    return f"{what}{headers}" + (", every call" if cell.times is None else f", {cell.times}×")


def probed(report: CellReport, probe: RuleResult) -> CellReport:
    """The report with what a healthy run after it has shown, which makes nothing right that was not exercised."""
    result = "FAIL" if probe.result == "FAIL" else report.result
    return replace(report, result=result, rules=(*report.rules, probe))


def alive_result(*, alive: bool, said: str) -> RuleResult:
    """Whether the command still works after a fault, or after all of them."""
    return _result(ALIVE_AFTER, said, right=alive)


def alive_summary(reports: Sequence[CellReport]) -> RuleResult | None:
    """What the runs after each fault have shown together; None where no fault struck."""
    struck = [report for report in reports if report.struck]
    dead = [report.cell for report in struck if any(rule.rule == ALIVE_AFTER for rule in report.broken)]
    if not struck:
        return None
    shown = sum(report.recovered for report in struck)
    said = (
        f"of {len(struck)} faults struck the client came back from {shown} in the same run, and in a healthy one from "
    )
    named = f"{len(struck) - shown - len(dead)}" + (f", but not from {', '.join(dead)}" if dead else "")
    return alive_result(alive=not dead, said=said + named)


def _is_news(rule: RuleResult, baseline: Mapping[str, Result]) -> bool:
    """Whether it was shown by the fault, or is worse than without one; habits, which only warn, are not a fault's."""
    before = baseline.get(rule.rule, "NOT_EXERCISED")
    worse = WORST_FIRST.index(rule.result) < WORST_FIRST.index(before)
    return rule.result != "NOT_EXERCISED" and worse and not BY_NAME[rule.rule].warns


def _own(entries: Sequence[Entry], ran: Ran, how: Judging) -> list[RuleResult]:
    """What the command's end shows and the journal alone does not."""
    kinds = {fault.kind for entry in entries if (fault := struck_by(entry)) is not None}
    found: list[RuleResult] = []
    in_hand = [entry for entry in entries if entry.attested == "killed"]
    if in_hand and "stall" not in kinds:  # of a stall the verdict's own rule speaks
        said = f"still busy with {in_hand[-1].request_id} when it was stopped after {ran.took_s:.0f} s"
        found.append(_result(HUNG, said, right=False))
    elif kinds & set(_COULD_HANG):
        found.append(_result(HUNG, "ended by itself", right=True))
    if kinds & set(_WHOLE) and how.exit_code_tells and not ran.killed:
        lost = ran.code != 0
        said = f"exit code {ran.code}, though the answer was whole" if lost else "the answer was used"
        found.append(_result(GOOD_ANSWER_LOST, said, right=not lost))
    last = next((entry for entry in reversed(entries) if entry.attested in ("ok", "error")), None)
    if last is not None and ended(last) in ("refused", "lost", "left"):
        taken = last.attested == "ok"
        said = f"exit code {ran.code} after {'an error' if last.status >= 400 else 'no answer'}"
        found.append(_result(ERROR_TAKEN, said, right=not taken))
    return found


def _result(name: str, said: str, *, right: bool) -> RuleResult:
    rule = _OWN[name]
    return RuleResult(name, "PASS" if right else rule.at_worst, said, "" if right else rule.advice)


def _not_struck(cell: PlanCell, entries: Sequence[Entry]) -> str:
    if not entries:
        return "the command sent no request"
    if not any(cell.fits(stream=entry.stream) for entry in entries):
        return _unfit(cell)
    return "no answer came as far as the fault's stage: is it too short?"


def unfit(cell: PlanCell, modes: Collection[bool]) -> str:
    """Why calls of these modes (whether streamed) cannot meet the cell; empty where they can."""
    return "" if any(cell.fits(stream=stream) for stream in modes) else _unfit(cell)


def _unfit(cell: PlanCell) -> str:
    return (
        "it is about streams, and the command asks for none"
        if cell.fits(stream=True)
        else ("it is about plain answers, and the command asks for streams alone")
    )


def _went_well(entry: Entry) -> bool:
    return entry.status == 200 and ended(entry) == "good"


def _waits(entries: Sequence[Entry]) -> tuple[float, ...]:
    gaps = [after.arrived_unix_s - over_s(before) for before, after in pairwise(entries) if before.arrived_unix_s]
    return tuple(round(gap, 3) for gap in gaps if gap >= 0)


def happened(report: CellReport) -> str:
    """A run in a few words: tries, waits, and the command's end."""
    if report.exit_code is None:
        return "not run"
    more = ", …" if len(report.statuses) > _STATUS_SHOWN else ""
    statuses = ", ".join(str(status) if status else "none" for status in report.statuses[:_STATUS_SHOWN])
    tries = f"{len(report.statuses)} × ({statuses}{more})" if report.statuses else "no request"
    waits = " ".join(f"{wait:.2f}" for wait in report.waits_s[:_STATUS_SHOWN])
    how = "stopped" if report.killed else f"exit {report.exit_code}"
    return tries + (f", waits {waits} s" if waits else "") + f", {how} after {report.took_s:.1f} s"

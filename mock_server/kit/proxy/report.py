"""What is said of a recording: clauses that were broken, how calls ended, what was learned, the recorder's own share.

Its JSON is the struct as it stands.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterator, Sequence
from math import ceil
from typing import Final

from msgspec import Struct

from mock_server.contract.provenance import Source
from mock_server.exits import Exit
from mock_server.kit.conform.finding import printable
from mock_server.kit.conform.pack import PACK
from mock_server.kit.proxy.learning import QUANTILES, Lesson
from mock_server.kit.proxy.tally import GATEWAY, SIDES, Tally

SCHEMA: Final = 1
LATE_MS: Final = 10.0
"""How late the recorder may be, 99 times in 100, before it says that its times are not to be trusted."""


class ClauseSeen(Struct, frozen=True, kw_only=True):
    """A clause that was broken at least once. ``said`` are the ways it was, the most frequent first, with counts."""

    side: str
    clause: str
    text: str
    source: str
    broken: int
    kept: int
    said: tuple[tuple[str, int], ...]
    more: int
    request_ids: tuple[str, ...]


class ModelSeen(Struct, frozen=True, kw_only=True):
    """What was measured of one model, and how many samples that was; quantiles by name, as `p50`."""

    model: str
    answers: int
    streams: int
    first_ms: dict[str, float]
    tokens_per_s: dict[str, float]
    notes: dict[str, str]


class Share(Struct, frozen=True, kw_only=True):
    """The recorder's own part: milliseconds of work for each call, and how late its loop was; quantiles by name."""

    work_ms: dict[str, float]
    late_ms: dict[str, float]


class Report(Struct, frozen=True, kw_only=True):
    """The whole report; counts are those of :class:`~mock_server.kit.proxy.tally.Tally`.

    ``endings`` are the calls by how they ended; ``unreachable`` connections the gateway did not take, ``not_http``
    those on which something else was spoken.
    """

    schema: int = SCHEMA
    target: str
    result: str
    calls: int
    others: int
    left: int
    stopped: int
    forced: int
    unreadable: int
    unjudged: int
    unreachable: int
    not_http: int
    kept: dict[str, int]
    broken: tuple[ClauseSeen, ...]
    endings: dict[str, int]
    models: tuple[ModelSeen, ...]
    unfitted: tuple[str, ...]
    recorder: Share

    @property
    def exit(self) -> Exit:
        """The exit code."""
        return {"KEPT": Exit.PASSED, "BROKEN": Exit.FAILED}.get(self.result, Exit.UNDECIDED)


def report_on(
    tally: Tally, lesson: Lesson, *, target: str, judged: Sequence[str], unreachable: int, not_http: int, late: Share
) -> Report:
    """The report; ``judged`` are the sides whose breaches decide the result."""
    broken = [_clause(side, name, tally) for side in SIDES for name, seen in tally.clauses[side].items() if seen.broken]
    broken.sort(key=lambda one: (SIDES.index(one.side), -one.broken, one.clause))
    decides = any(one.side in judged for one in broken)
    endings = Counter(one.failure or "answered" for one in tally.samples)
    return Report(
        target=target,
        result="BROKEN" if decides else "KEPT" if tally.calls else "NOT_EXERCISED",
        calls=tally.calls,
        others=tally.others,
        left=tally.left,
        stopped=tally.stopped,
        forced=tally.forced,
        unreadable=tally.unreadable,
        unjudged=tally.unjudged,
        unreachable=unreachable,
        not_http=not_http,
        kept={side: sum(seen.kept > 0 and not seen.broken for seen in tally.clauses[side].values()) for side in SIDES},
        broken=tuple(broken),
        endings=dict(endings.most_common()),
        models=tuple(
            ModelSeen(
                model=one.name,
                answers=one.answers,
                streams=one.streams,
                first_ms=_named(one.first_ms),
                tokens_per_s=_named(one.tokens_per_s),
                notes=dict(one.notes),
            )
            for one in lesson.models
        ),
        unfitted=lesson.unfitted,
        recorder=late,
    )


def own_share(work_s: Sequence[float], late_s: Sequence[float]) -> Share:
    """The recorder's part, from its work for each call and the readings of its loop, both in seconds."""
    return Share(work_ms=_quantiles_ms(work_s), late_ms=_quantiles_ms(late_s))


def _quantiles_ms(values_s: Sequence[float]) -> dict[str, float]:
    ordered = sorted(values_s)
    at = [ordered[max(0, ceil(len(ordered) * one) - 1)] * 1e3 for one in QUANTILES] if ordered else []
    return _named([round(one, 3) for one in at])


def _named(values: Sequence[float]) -> dict[str, float]:
    return {f"p{100 * share:g}": value for share, value in zip(QUANTILES, values, strict=False)}


def _clause(side: str, name: str, tally: Tally) -> ClauseSeen:
    seen, clause = tally.clauses[side][name], PACK[name].clause
    return ClauseSeen(
        side=side,
        clause=name,
        text=clause.text,
        source=clause.provenance.source.value,
        broken=seen.broken,
        kept=seen.kept,
        said=tuple(Counter(seen.said).most_common()),
        more=seen.more,
        request_ids=tuple(seen.request_ids),
    )


def render(report: Report) -> str:
    """The report for people."""
    lines = [f"{report.calls} calls to {report.target}", *_losses(report)]
    for side in SIDES:
        lines += ["", *_side(report, side)]
    if report.endings:
        ended = ", ".join(f"{count} {ending}" for ending, count in report.endings.items())
        lines += ["", f"how the calls ended: {ended}"]
    for model in report.models:
        lines += ["", *_model(model)]
    if report.unfitted:
        lines += ["", "not learned:", *(f"  {one}" for one in report.unfitted)]
    lines += ["", *_share(report.recorder), "", _result(report)]
    return "".join(f"{printable(line).rstrip()}\n" for line in lines)


def _losses(report: Report) -> Iterator[str]:
    told = (
        (report.others, "other requests were passed on and not judged"),
        (report.left, "calls were ended by their client"),
        (report.stopped, "calls were cut off by the end of the recording"),
        (report.forced, "answers were ordered from a mock: nothing is learned from them"),
        (report.unreadable, "answers were compressed in an unknown way, or too long to be kept, and not judged"),
        (report.unjudged, "calls were passed on and not looked at, as too many waited for it"),
        (report.unreachable, "connections were not taken by the gateway"),
        (report.not_http, "connections spoke something else than HTTP/1.1 and were passed on blindly"),
    )
    return (f"  {count} {what}" for count, what in told if count)


def _side(report: Report, side: str) -> Iterator[str]:
    broken = [one for one in report.broken if one.side == side]
    yield f"the {side}: {len(broken)} clauses broken, {report.kept[side]} seen kept"
    for one in broken:
        yield f"  BROKEN  {one.clause}  {one.source}  {one.broken} of {one.broken + one.kept} calls"
        if side == GATEWAY or one.source == Source.DOCUMENTED.value:
            yield f"          the contract: {one.text}"
        yield from (f"          {count} times: {said}" for said, count in one.said[:3])
        rest = sum(count for _, count in one.said[3:]) + one.more
        if rest:
            yield f"          {rest} times otherwise"
        if one.request_ids:
            yield f"          {', '.join(one.request_ids)}"


def _model(model: ModelSeen) -> Iterator[str]:
    yield f"{model.model}: {model.answers} answers, {model.streams} of them streamed"
    for what, unit, values in (
        ("first token", "ms", model.first_ms),
        ("pace", "tokens/s", model.tokens_per_s),
    ):
        if values:
            shown = ", ".join(f"{name} {value:g}" for name, value in values.items())
            note = model.notes.get("ttft" if unit == "ms" else "tokens_per_s", "")
            yield f"  {what}: {shown} {unit} ({note})"


def _share(share: Share) -> Iterator[str]:
    for what, values in (("work for each call", share.work_ms), ("its loop was late by", share.late_ms)):
        if values:
            yield f"the recorder: {what} " + ", ".join(f"{name} {value:g} ms" for name, value in values.items())
    if share.late_ms.get("p99", 0.0) > LATE_MS:
        yield f"the recorder was late by more than {LATE_MS:g} ms: times of that size are not to be trusted"


def _result(report: Report) -> str:
    if report.result == "NOT_EXERCISED":
        return "NOT EXERCISED: no call came through"
    counted = {side: sum(one.side == side for one in report.broken) for side in SIDES}
    return f"{report.result}: clauses broken by " + ", ".join(f"the {side} {count}" for side, count in counted.items())

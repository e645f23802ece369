"""What a client is put through: the standard plan, derived from the tables, or one of the team's own as TOML."""

from __future__ import annotations

import re
import tomllib
from collections.abc import Iterator, Sequence
from typing import Annotated, Any, Final

import msgspec
from msgspec import Meta, Struct

from mock_server.contract.errors import FORCED
from mock_server.core.faults import FRAMINGS, TABLE, Fault, FaultError, Kind, Stage, check_fits, parse_fault
from mock_server.core.rules import FaultRule, Match, compile_rule
from mock_server.kit.options import UnusableError
from mock_server.schema import did_you_mean, find_fault

BASELINE: Final = "healthy"
ALIVE: Final = "healthy-after"
RESERVED: Final = (BASELINE, ALIVE)
"""The test ids of the runs without a fault."""
PROBE: Final = "~alive"
"""What the test id of the healthy run after a cell ends in, as no cell's name can."""
_NAME: Final = re.compile(r"[A-Za-z0-9][A-Za-z0-9._-]{0,63}")
_SHORT_S: Final = 2
_LONG_S: Final = 60
_PAUSE_S: Final = 2.0
_STAGES: Final[dict[Kind, tuple[Stage, ...]]] = {
    "eof": ("mid_stream", "before_usage", "before_done"),
    "error_event": ("before_first_token", "mid_stream"),
    "delay": ("before_first_token", "mid_stream"),
}
"""Where in a stream a kind is to strike; the others strike in the middle, or where alone they can."""
_LASTING: Final[tuple[Kind, ...]] = ("reset",)
"""The losses of a connection that are also met for ever."""


class PlanCell(Struct, frozen=True, forbid_unknown_fields=True, omit_defaults=True):
    """One run of the command, and what strikes its calls."""

    name: Annotated[str, Meta(description="its test id: letters, digits, dots, dashes")]
    code: Annotated[int | None, Meta(description="status of the error to answer with")] = None
    fault: Annotated[str | None, Meta(description="a wire fault or framing, as in X-Mock-Fault")] = None
    headers: Annotated[dict[str, str], Meta(description="header lines of the error, besides its own")] = {}
    times: Annotated[Annotated[int, Meta(ge=1)] | None, Meta(description="the first N calls; absent: all")] = None
    stream: Annotated[bool | None, Meta(description="only streams, or only plain calls")] = None
    world: Annotated[str | None, Meta(description="a preset or world file instead of --world")] = None

    @property
    def rule(self) -> FaultRule:
        """What is queued for it."""
        return FaultRule(Match(stream=self.stream), self.code, self.fault, self.times, headers=self.headers)

    def fits(self, *, stream: bool) -> bool:
        """Whether it can strike a stream, or a plain call."""
        wire = None if self.fault is None else parse_fault(self.fault)
        return self.stream in (None, stream) and (wire is None or check_fits(wire, stream=stream) is None)


class Plan(Struct, frozen=True, forbid_unknown_fields=True):
    """A plan's file."""

    cell: Annotated[tuple[PlanCell, ...], Meta(min_length=1, description="the runs, in order")]


def standard_plan() -> tuple[PlanCell, ...]:
    """Every error of the contract, and every fault and framing where clients are known to trip over it."""
    return (*_errors(), *_waits(), *_wire(), *_framings())


def _errors() -> Iterator[PlanCell]:
    for status, kind in sorted(FORCED.items()):
        name = f"{status}-{kind.code.lower().replace('_', '-')}"
        if kind.retry:
            yield PlanCell(f"{name}-once", code=status, times=1)
        yield PlanCell(name, code=status)


def _waits() -> Iterator[PlanCell]:
    for status, kind in sorted(FORCED.items()):
        if kind.retry and "Retry-After" in kind.headers:
            for wait, word in ((_SHORT_S, "short"), (_LONG_S, "long")):
                yield PlanCell(f"{status}-wait-{word}", code=status, headers={"Retry-After": str(wait)}, times=1)


def _wire() -> Iterator[PlanCell]:
    for kind, row in TABLE.items():
        if row.plain:
            yield _struck(kind, "before_headers", stream=None if row.stream else False)
        if kind in _LASTING:
            yield PlanCell(f"{kind}-for-ever", fault=Fault(kind).text())
        if row.stream:
            usual: tuple[Stage, ...] = ("mid_stream",) if "mid_stream" in row.stream else row.stream[-1:]
            for stage in _STAGES.get(kind, usual):
                yield _struck(kind, stage, stream=True)


def _struck(kind: Kind, stage: Stage, *, stream: bool | None) -> PlanCell:
    pause = _PAUSE_S if kind in ("delay", "dribble") else None
    fault = Fault(kind, stage, int(stage == "mid_stream"), pause)
    name = "-".join((kind, stage) if stream else (kind,)).replace("_", "-")
    return PlanCell(name, fault=fault.text(), times=1, stream=stream)


def _framings() -> Iterator[PlanCell]:
    for framing in FRAMINGS:
        text = Fault(framing=framing).text()
        yield PlanCell(f"framing-{framing.replace('_', '-')}", fault=text, stream=True)


def plan_toml(cells: Sequence[PlanCell]) -> str:
    """A plan as a file to copy and edit. A word in quotes is the same in TOML as in JSON."""
    lines = ["# What strikes the command's calls, one run for each cell.", ""]
    for cell in cells:
        given: dict[str, Any] = msgspec.to_builtins(cell)
        lines.append("[[cell]]")
        lines += [f"{name} = {_toml(value)}" for name, value in given.items()]
        lines.append("")
    return "\n".join(lines)


def _toml(value: object) -> str:
    if isinstance(value, dict):
        return "{ " + ", ".join(f"{_toml(key)} = {_toml(each)}" for key, each in value.items()) + " }"
    return msgspec.json.encode(value).decode()


def read_plan(source: str, name: str) -> tuple[PlanCell, ...]:
    """The cells of a plan. Raises :class:`UnusableError`, whose message names the file and the key."""
    try:
        table = tomllib.loads(source)
    except (tomllib.TOMLDecodeError, RecursionError) as error:
        raise UnusableError(f"{name}: not valid TOML: {error}") from None
    try:
        cells = msgspec.convert(table, Plan).cell
    except msgspec.ValidationError as error:
        raise UnusableError(f"{name}: {find_fault(table, Plan) or error}") from None
    seen: set[str] = set()
    for place, cell in enumerate(cells):
        if (mistake := _mistake(cell, seen)) is not None:
            raise UnusableError(f"{name}: cell[{place}] {cell.name[:64]!r}: {mistake}")
        seen.add(cell.name)
    return cells


def _mistake(cell: PlanCell, seen: set[str]) -> str | None:
    if _NAME.fullmatch(cell.name) is None:
        return "name: must be 1 to 64 letters, digits, dots and dashes, and begin with a letter or digit"
    if cell.name in seen:
        return "name: is given twice"
    if cell.name in RESERVED:
        return f"name: {' and '.join(RESERVED)} are the healthy runs"
    try:
        compile_rule(cell.rule)
    except FaultError as error:
        return str(error)
    return None


def chosen(cells: Sequence[PlanCell], names: Sequence[str]) -> tuple[PlanCell, ...]:
    """The cells of these names, all without any. Raises :class:`UnusableError`."""
    known = [cell.name for cell in cells]
    for name in names:
        if name not in known:
            raise UnusableError(f"--only: no cell is named {name[:64]!r}: {did_you_mean(name, known)}see --show-plan")
    return tuple(cell for cell in cells if not names or cell.name in names)

"""Faults on the wire: what may strike an answer, where, and the grammar to say so.

A directive is ``KIND[;stage=STAGE][;after=N][;for=S][;framing=F]`` or ``framing=F`` alone; the same words serve the
header ``X-Mock-Fault``, the query ``?__fault=``, queued faults and world files. A fault is settings only: the HTTP
edge's scripts play it.
"""

from __future__ import annotations

import re
from collections.abc import Mapping
from math import inf
from typing import Final, Literal, TypeVar, get_args

from msgspec import Struct

Breaking = Literal["reset", "fin", "eof", "error_event", "garbage_event", "done_then_hang", "stall"]
"""What ends an answer before its time."""
Spoiling = Literal["empty", "truncated_json", "malformed_json", "wrong_type", "dribble"]
"""What is about the body of a whole answer."""
Kind = Literal[Breaking, "bad_chunk", "delay", Spoiling]
Stage = Literal["before_headers", "before_first_token", "mid_stream", "before_usage", "before_done"]
Framing = Literal["comments", "crlf", "coalesced", "bytewise", "split_utf8", "multiline", "retry_lines"]

_Word = TypeVar("_Word", bound=str)

KINDS: Final[tuple[Kind, ...]] = get_args(Kind)
STAGES: Final[tuple[Stage, ...]] = get_args(Stage)
FRAMINGS: Final[tuple[Framing, ...]] = get_args(Framing)
MAX_AFTER: Final = 1_000_000
MAX_FOR_S: Final = 86_400.0
DEFAULT_DRIBBLE_S: Final = 5.0


class KindRow(Struct, frozen=True):
    """What a kind does, and the stages at which it can strike a plain answer and a stream; none: never."""

    meaning: str
    plain: tuple[Stage, ...]
    stream: tuple[Stage, ...]
    takes_for: bool = False


_EARLY: Final[tuple[Stage, ...]] = ("before_headers", "before_first_token")
_EVENTS: Final[tuple[Stage, ...]] = STAGES[1:]
_WHOLE: Final[tuple[Stage, ...]] = ("before_headers",)
_LAST: Final[tuple[Stage, ...]] = ("before_done",)

TABLE: Final[dict[Kind, KindRow]] = {
    "reset": KindRow("the connection is reset (TCP RST)", _EARLY, STAGES),
    "fin": KindRow("the connection is closed without the rest (TCP FIN)", _EARLY, STAGES),
    "eof": KindRow("the body ends cleanly, without the terminal event", (), _EVENTS),
    "error_event": KindRow("an error event instead of the rest, then the end, without [DONE]", (), _EVENTS),
    "garbage_event": KindRow("an event that is not JSON, then the end, without [DONE]", (), _EVENTS),
    "bad_chunk": KindRow("an event that is not JSON; then the stream goes on as planned", (), _EVENTS),
    "done_then_hang": KindRow(
        "all events, [DONE] too; then the connection stays open until the client leaves, or for `for` seconds",
        (),
        _LAST,
        True,
    ),
    "stall": KindRow("silence until the client leaves, or `for` seconds and then a close", _EARLY, STAGES, True),
    "delay": KindRow("silence for `for` seconds; then the answer goes on", _EARLY, STAGES, True),
    "empty": KindRow("200 with an empty body", _WHOLE, ()),
    "truncated_json": KindRow("the body ends before its Content-Length", _WHOLE, ()),
    "malformed_json": KindRow("a body that is not JSON", _WHOLE, ()),
    "wrong_type": KindRow("an HTML page instead of JSON", _WHOLE, ()),
    "dribble": KindRow("the body in small pieces, over `for` seconds (default 5)", _WHOLE, (), True),
}
STAGE_MEANINGS: Final[dict[Stage, str]] = {
    "before_headers": "before the first byte of the answer",
    "before_first_token": "after the headers, before the first piece",
    "mid_stream": "after `after` pieces (default 1)",
    "before_usage": "after the last piece, before the event with usage",
    "before_done": "after the event with usage, before [DONE]",
}
FRAMING_MEANINGS: Final[dict[Framing, str]] = {
    "comments": "a comment line before every event",
    "crlf": "lines end with CR LF",
    "coalesced": "up to eight events in one write",
    "bytewise": "one byte per write",
    "split_utf8": "writes that end inside a UTF-8 character, wherever there is one",
    "multiline": "the JSON of an event spread over several data: lines",
    "retry_lines": "lines with retry:, id: and event: before every event, and between them events without data",
}
_PLAIN_NUMBER: Final = re.compile(r"[0-9.eE+-]+")


class Fault(Struct, frozen=True):
    """One fault, or only an unusual framing when ``kind`` is None. ``for_s`` is in simulated seconds."""

    kind: Kind | None = None
    stage: Stage = "before_headers"
    after: int = 0
    for_s: float | None = None
    framing: Framing | None = None

    @property
    def spoils_whole(self) -> bool:
        """Whether it is about the body of a whole answer rather than about the connection or a stream."""
        return self.kind is not None and not TABLE[self.kind].stream

    @property
    def cuts(self) -> bool:
        """Whether it closes or resets the connection, and does not wait for the client to."""
        if self.kind in ("stall", "done_then_hang"):
            return self.for_s is not None
        return self.kind in ("reset", "fin", "truncated_json")

    @property
    def strikes_failures(self) -> bool:
        """Whether it can also strike the error in which all attempts of a call end."""
        return self.kind is not None and self.stage == "before_headers" and not self.spoils_whole

    @property
    def adds_s(self) -> float:
        """Simulated seconds by which the answer takes longer than without it."""
        if self.kind == "dribble":
            return DEFAULT_DRIBBLE_S if self.for_s is None else self.for_s
        return (self.for_s or 0.0) if self.kind == "delay" else 0.0

    @property
    def holds_s(self) -> float:
        """Simulated seconds for which it keeps a call in flight at most, beyond the planned end; may be infinite."""
        if self.kind in ("stall", "done_then_hang"):
            return inf if self.for_s is None else self.for_s
        return self.adds_s

    @property
    def refunds(self) -> bool:
        """Whether what it strikes costs nothing: the answer is broken before its usage is told."""
        if self.kind is None or self.kind in ("delay", "bad_chunk", "dribble"):
            return False
        return self.stage != "before_done"

    @property
    def adds_before_first_s(self) -> float:
        """Simulated seconds by which the first piece comes later than without it."""
        return self.adds_s if self.kind == "delay" and self.stage in ("before_headers", "before_first_token") else 0.0

    @property
    def puts_off_s(self) -> float:
        """Simulated seconds by which all that was planned comes later, attempts that fail included."""
        return self.adds_s if self.kind == "delay" and self.stage == "before_headers" else 0.0

    def text(self) -> str:
        """The directive that says this, in full."""
        parts = [] if self.kind is None else [self.kind, f"stage={self.stage}"]
        if self.after:
            parts.append(f"after={self.after}")
        if self.for_s is not None:
            parts.append(f"for={self.for_s!r}".removesuffix(".0"))
        if self.framing is not None:
            parts.append(f"framing={self.framing}")
        return ";".join(parts)


NO_FAULT: Final = Fault()


class FaultError(ValueError):
    """A directive that cannot be understood or is impossible; the message says what is allowed."""


def parse_fault(text: str) -> Fault:
    """Read a directive. Raises :class:`FaultError`."""
    first, *rest = [part.strip() for part in text.split(";")]
    kind: Kind | None = None
    if "=" in first:
        rest = [first, *rest]
    else:
        kind = _one_of("fault kind", first, KINDS)
    options = _options(rest)
    if kind is None:
        if set(options) != {"framing"}:
            raise FaultError(f"a directive is a fault kind or framing=…; fault kinds are {', '.join(KINDS)}")
        return Fault(framing=_one_of("framing", options["framing"], FRAMINGS))
    return _build(kind, options)


def _options(parts: list[str]) -> dict[str, str]:
    options: dict[str, str] = {}
    for part in parts:
        name, equals, value = (piece.strip() for piece in part.partition("="))
        if not equals or name not in ("stage", "after", "for", "framing"):
            raise FaultError(f"unknown fault option {part!r}; allowed are stage=, after=, for= and framing=")
        if name in options:
            raise FaultError(f"{name}= is given twice")
        options[name] = value
    return options


def _build(kind: Kind, options: Mapping[str, str]) -> Fault:
    row = TABLE[kind]
    possible = tuple(stage for stage in STAGES if stage in row.plain + row.stream)
    usual: tuple[Stage, ...] = ("before_headers", "mid_stream")
    default = next((stage for stage in usual if stage in possible), possible[0])
    if "after" in options and "stage" not in options and "mid_stream" in row.stream:
        default = "mid_stream"
    stage = _one_of("stage", options["stage"], STAGES) if "stage" in options else default
    if stage not in possible:
        raise FaultError(f"{kind} cannot strike at stage {stage}; it can at {', '.join(possible)}")
    if "after" in options and stage != "mid_stream":
        raise FaultError(f"after= goes with stage=mid_stream, not {stage}")
    if "for" in options and not row.takes_for:
        takers = ", ".join(name for name, other in TABLE.items() if other.takes_for)
        raise FaultError(f"for= goes with {takers}, not {kind}")
    if kind == "delay" and "for" not in options:
        raise FaultError("delay needs for=SECONDS")
    framing = _one_of("framing", options["framing"], FRAMINGS) if "framing" in options else None
    if framing is not None and not row.stream:
        raise FaultError(f"framing= goes with streams, and {kind} strikes plain answers only")
    after = _number("after", options["after"], 1, MAX_AFTER) if "after" in options else 1
    for_s = _number("for", options["for"], 0, MAX_FOR_S) if "for" in options else None
    return Fault(kind, stage, int(after) if stage == "mid_stream" else 0, for_s, framing)


def check_fits(fault: Fault, *, stream: bool, can_cut: bool = True) -> str | None:
    """Why ``fault`` cannot strike a stream (or a plain answer) here; None when it can.

    ``can_cut``: connections can be cut, which takes the mock's own server.
    """
    if fault.cuts and not can_cut:
        return f"{fault.text()} cuts the connection, which only the mock's own server can: start `mock-server serve`"
    if fault.framing is not None and not stream:
        return "framing= is about streams, and this call is not streamed"
    if fault.kind is None:
        return None
    row = TABLE[fault.kind]
    stages = row.stream if stream else row.plain
    what = "a stream" if stream else "a plain answer"
    if not stages:
        return f"{fault.kind} cannot strike {what}"
    if fault.stage not in stages:
        return f"{fault.kind} cannot strike {what} at stage {fault.stage}; it can at {', '.join(stages)}"
    return None


def _one_of(what: str, value: str, allowed: tuple[_Word, ...]) -> _Word:
    for choice in allowed:
        if value == choice:
            return choice
    raise FaultError(f"unknown {what} {value[:40]!r}; allowed are {', '.join(allowed)}")


def _number(name: str, text: str, least: float, most: float) -> float:
    try:
        number = float(text) if name == "for" else int(text)
    except ValueError:
        number = -1.0
    if not _PLAIN_NUMBER.fullmatch(text):  # Python also reads underscores and the digits of other scripts
        number = -1.0
    if not least <= number <= most:
        kind = "a number of seconds" if name == "for" else "a whole number"
        raise FaultError(f"{name}= must be {kind} from {least:g} to {most:g}, not {text[:40]!r}")
    return number

"""Gates: what a limit is about, and how it is read from a TOML table; importing this costs next to nothing."""

from __future__ import annotations

import math
import tomllib
from collections.abc import Mapping
from difflib import get_close_matches
from typing import Any, Final

import msgspec

# What a gate may be about. `reports.metrics` says what each means; the names stand here so that whoever starts a run
# can refuse an unknown one before the run instead of after it.
METRIC_NAMES: Final = (
    *(
        f"{family}_{word}_ms"
        for family in ("scheduled", "service", "ttft", "tpot")
        for word in ("p50", "p95", "p99", "p999")
    ),
    "error_rate",
    "unexpected_rate",
    "unexpected_count",
    "call_failure_rate",
    *(
        f"{outcome}_count"
        for outcome in ("malformed", "stream_broken", "connection", "timeout", "cut_off", "never_sent", "refused")
    ),
    "count_500",
    "count_502",
    "offered_rate_per_s",
    "achieved_rate_per_s",
    "goodput_per_s",
    *(f"residual_{word}_ms" for word in ("p50", "p95", "p99")),
)
SHARES: Final = frozenset({"error_rate", "unexpected_rate", "call_failure_rate"})
# No metric of a run of at most a month comes near it: 30 days are 2.6e9 ms.
HIGHEST_LIMIT: Final = 1e12


class Scope(msgspec.Struct, frozen=True, forbid_unknown_fields=True, omit_defaults=True):
    """The rows a gate is about: those that hold these values in these columns of the samples."""

    provider: str | None = None
    model: str | None = None
    kind: str | None = None
    stream: bool | None = None
    key: str | None = None


class Gate(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """A limit on one metric, over all rows or those of a scope: exactly one of `max` and `min`, in its unit."""

    metric: str
    max: float | None = None
    min: float | None = None
    why: str = ""
    scope: Scope | None = None

    @property
    def limit(self) -> float:
        """The one number given."""
        return self.max if self.max is not None else self.min or 0.0


class GateError(ValueError):
    """A gate that cannot be used: its number from 1, the path of the key below it, and what is wrong, in one line."""

    def __init__(self, number: int, metric: object, key: tuple[str, ...], said: str) -> None:
        super().__init__(f"gate {number}{f' ({metric})' if metric else ''}: {said}")
        self.number = number
        self.key = key
        self.said = said


_KEYS: Final = "a [[gate]] has metric, max or min, and optionally why and scope"
_TEXT: Final = ((str,), "a text")
_NUMBER: Final = ((int, float), "a number")
_KINDS: Final[dict[str, tuple[tuple[type, ...], str]]] = {
    "metric": _TEXT,
    "max": _NUMBER,
    "min": _NUMBER,
    "why": _TEXT,
    "scope": ((dict,), "a table"),
}
_SCOPE_KINDS: Final[dict[str, tuple[tuple[type, ...], str]]] = {
    name: ((bool,), "true or false") if name == "stream" else _TEXT for name in Scope.__struct_fields__
}


def read_gates(text: str) -> tuple[Gate, ...]:
    """The `[[gate]]` tables of a TOML text; raises ValueError saying in one line what is wrong with it."""
    try:
        found = tomllib.loads(text)
    except (ValueError, RecursionError) as error:
        raise ValueError(f"not readable as TOML ({error})") from None
    for name in sorted(found.keys() - {"gate"}):
        what = "table" if isinstance(found[name], dict | list) else "key"
        raise ValueError(f"unknown {what} {name}; did you mean [[gate]]?")
    gates = gates_of(found.get("gate", []))
    if not gates:
        raise ValueError("holds no [[gate]]")
    return gates


def gates_of(tables: object) -> tuple[Gate, ...]:
    """The gates of parsed `[[gate]]` tables; raises GateError, or ValueError where they are no tables."""
    if not isinstance(tables, list) or not all(isinstance(table, dict) for table in tables):
        raise ValueError("each gate begins with a line [[gate]], in two brackets")
    gates = tuple(_gate(table, number) for number, table in enumerate(tables, 1))
    check_gates(gates)
    return gates


def _gate(table: Mapping[str, Any], number: int) -> Gate:
    """A gate whose keys and types are right; what they say is checked by `check_gates`."""
    _check_table(table, _KINDS, number, ())
    if "metric" not in table:
        raise GateError(number, None, (), f"needs metric; {_KEYS}")
    _check_table(table.get("scope", {}), _SCOPE_KINDS, number, ("scope",))
    try:
        return msgspec.convert(table, Gate)
    except (msgspec.ValidationError, OverflowError):  # an integer beyond what a float holds
        raise GateError(number, table["metric"], (), f"the limit must be at most {HIGHEST_LIMIT:g}") from None


def _check_table(
    table: Mapping[str, Any], kinds: Mapping[str, tuple[tuple[type, ...], str]], number: int, path: tuple[str, ...]
) -> None:
    for key in sorted(table.keys() - kinds.keys()):
        near = get_close_matches(key, kinds, n=1)
        guess = f"; did you mean {near[0]}?" if near else ""
        allowed = f"a scope has {', '.join(kinds)}" if path else _KEYS
        raise GateError(number, None, (*path, key), f"unknown key {'.'.join((*path, key))}; {allowed}{guess}")
    for key, value in table.items():
        kind, name = kinds[key]
        if not isinstance(value, kind) or (isinstance(value, bool) and bool not in kind):
            shown = str(value).lower() if isinstance(value, bool) else repr(value)[:60]
            raise GateError(number, None, (*path, key), f"{'.'.join((*path, key))} must be {name}, not {shown}")


def check_gates(gates: tuple[Gate, ...]) -> None:
    """Raise GateError, saying which and why in one line, for a gate that no run can be judged by."""
    for number, gate in enumerate(gates, 1):
        problem = _problem(gate)
        if problem:
            raise GateError(number, gate.metric, *problem)


def _problem(gate: Gate) -> tuple[tuple[str, ...], str] | None:
    """The key that is wrong, and why."""
    limit = ("max",) if gate.max is not None else ("min",)
    if gate.metric not in METRIC_NAMES:
        near = get_close_matches(gate.metric, METRIC_NAMES, n=1)
        guess = f"did you mean {near[0]}? " if near else ""
        return ("metric",), f"no metric is called {gate.metric!r}; {guess}there are {', '.join(METRIC_NAMES)}"
    if gate.max is None and gate.min is None:
        return (), "needs max or min"
    if gate.max is not None and gate.min is not None:
        return ("min",), "give either max or min, not both"
    if not math.isfinite(gate.limit):
        return limit, "the limit must be a finite number"
    if gate.metric in SHARES and not 0 <= gate.limit <= 1:
        meant = f"; {gate.limit:g} % is {gate.limit / 100:g}" if 1 < gate.limit <= 100 else ""
        return limit, f"{gate.metric} is a share from 0 to 1{meant}"
    # A residual is a difference and may be on either side of zero.
    if gate.limit < 0 and not gate.metric.startswith("residual_"):
        return limit, "the limit must be 0 or more"
    if abs(gate.limit) > HIGHEST_LIMIT:
        return limit, f"the limit must be at most {HIGHEST_LIMIT:g}; no run comes near {gate.limit:g}"
    if gate.scope == Scope():
        return ("scope",), f"names nothing; a scope has {', '.join(_SCOPE_KINDS)}"
    return None

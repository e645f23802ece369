"""The files of a run directory, the columns of its samples and its gates: what recorder and reports share.

Times are seconds on one monotonic clock, counted from the run's start (the first moment an arrival may be
planned for); they are null where the moment did not happen.
"""

from __future__ import annotations

import math
import tomllib
from enum import StrEnum
from typing import Any, Final

import msgspec
import pyarrow as pa

SCHEMA_VERSION: Final = 2

MANIFEST: Final = "manifest.json"
SAMPLES: Final = "samples.parquet"
HEALTH: Final = "health.parquet"
SUMMARY_JSON: Final = "summary.json"
SUMMARY_MD: Final = "summary.md"
REPORT_HTML: Final = "report.html"
JUNIT_XML: Final = "junit.xml"


class Phase(StrEnum):
    """Where a request's planned moment lies."""

    WARMUP = "warmup"
    MEASURE = "measure"


class Outcome(StrEnum):
    """What became of one planned request."""

    OK = "ok"
    REFUSED = "refused"
    MALFORMED = "malformed"
    TIMEOUT = "timeout"
    CONNECTION = "connection"
    STREAM_BROKEN = "stream_broken"
    CUT_OFF = "cut_off"
    NEVER_SENT = "never_sent"
    LOST = "lost"


OUTCOMES: Final[dict[Outcome, str]] = {
    Outcome.OK: "a complete answer that keeps the contract",
    Outcome.REFUSED: "a 4xx or 5xx with the documented error envelope",
    Outcome.MALFORMED: "an answer that breaks the contract",
    Outcome.TIMEOUT: "the client gave up waiting",
    Outcome.CONNECTION: "no connection, or it closed before an answer",
    Outcome.STREAM_BROKEN: "a stream that began and did not end properly",
    Outcome.CUT_OFF: "still running at the end of the drain",
    Outcome.NEVER_SENT: "planned, but the generator could not send it",
    Outcome.LOST: "its worker died; makes the run invalid",
}

# Outcomes whose latency is only known to exceed what was observed (right-censored).
CENSORED: Final = frozenset({Outcome.CUT_OFF, Outcome.TIMEOUT, Outcome.NEVER_SENT})


def _column(name: str, kind: pa.DataType, meaning: str, *, null: bool = True) -> pa.Field:
    return pa.field(name, kind, nullable=null, metadata={"meaning": meaning})


_CATEGORY: Final = pa.dictionary(pa.int32(), pa.string())

SAMPLE_SCHEMA: Final = pa.schema(
    [
        _column("scenario", _CATEGORY, "name of the scenario", null=False),
        _column("phase", _CATEGORY, "warmup or measure, by planned_s alone", null=False),
        _column("call_id", pa.int64(), "number of the call; a retry keeps it", null=False),
        _column("try", pa.int16(), "0 for the first try, then 1, 2, …", null=False),
        _column("kind", _CATEGORY, "the kind of call, such as chat-en or error-401", null=False),
        _column("planned_s", pa.float64(), "when it was planned to leave", null=False),
        _column("ready_s", pa.float64(), "closed load: when the client was ready to send; null where a plan says it"),
        _column("sent_s", pa.float64(), "when the client began to send"),
        _column("first_byte_s", pa.float64(), "first non-empty piece of a stream, else first byte of the body"),
        _column("end_s", pa.float64(), "when the last byte was read or the failure was seen"),
        _column("outcome", _CATEGORY, "one of the outcomes of the ledger", null=False),
        _column("status", pa.int16(), "HTTP status"),
        _column("error_code", _CATEGORY, "the contract's error code, or the exception's name"),
        _column("provider", _CATEGORY, "who answered"),
        _column("model", _CATEGORY, "which model answered"),
        _column("attempts", pa.int16(), "how many providers were tried, as the mock says"),
        _column("prompt_tokens", pa.int32(), "from usage"),
        _column("completion_tokens", pa.int32(), "from usage"),
        _column("stream", pa.bool_(), "whether a stream was asked for", null=False),
        _column("chunks", pa.int32(), "non-empty pieces of a stream"),
        _column("max_gap_s", pa.float64(), "longest silence between two pieces of a stream"),
        _column("planned_ms", pa.float64(), "the mock's plan, to the last byte"),
        _column("planned_first_ms", pa.float64(), "the mock's plan, to the first piece"),
        _column("overhead_ms", pa.float64(), "the mock's own time up to the first byte"),
        _column("wasted_ms", pa.float64(), "planned time in failed attempts"),
        _column("connect_ms", pa.float64(), "what opening its connection took; null where one was reused"),
        _column("request_id", pa.string(), "the gateway's id of the request"),
        _column("worker", _CATEGORY, "which worker sent it", null=False),
        _column("key", _CATEGORY, "the key's last characters, where it is not the run's own"),
        _column("expected", _CATEGORY, "error code provoked on purpose; null: a good answer is expected"),
    ],
    metadata={"schema_version": str(SCHEMA_VERSION)},
)

HEALTH_SCHEMA: Final = pa.schema(
    [
        _column("worker", _CATEGORY, "which worker, or `mock` for the run's own mock", null=False),
        _column("from_s", pa.float64(), "what the row tells of begins here, where the row before ended", null=False),
        _column("at_s", pa.float64(), "and ends here", null=False),
        _column("cpu_s", pa.float64(), "CPU time of the process in between", null=False),
        _column("wait_s", pa.float64(), "time it was ready to run and had no core, where the kernel tells"),
        _column("lag_ms", pa.list_(pa.float32()), "how late the event loop was at each 10 ms tick", null=False),
        _column("in_flight", pa.int32(), "tries under way at the end of it", null=False),
    ],
    metadata={"schema_version": str(SCHEMA_VERSION)},
)

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


class Gate(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """A limit on one metric: exactly one of `max` and `min`, in the metric's unit."""

    metric: str
    max: float | None = None
    min: float | None = None
    why: str = ""

    @property
    def limit(self) -> float:
        """The one number given."""
        return self.max if self.max is not None else self.min or 0.0


_GATE_KEYS: Final = "a [[gate]] has metric, max or min, and optionally why"


def read_gates(text: str) -> tuple[Gate, ...]:
    """The `[[gate]]` tables of a TOML text; raises ValueError saying in one line what is wrong with it."""
    try:
        found = tomllib.loads(text)
    except (tomllib.TOMLDecodeError, RecursionError) as error:
        raise ValueError(f"not readable as TOML ({error})") from None
    for name in sorted(found.keys() - {"gate"}):
        what = "table" if isinstance(found[name], dict | list) else "key"
        raise ValueError(f"unknown {what} {name}; did you mean [[gate]]?")
    tables = found.get("gate", [])
    if not isinstance(tables, list) or not all(isinstance(table, dict) for table in tables):
        raise ValueError("each gate begins with a line [[gate]], in two brackets")
    if not tables:
        raise ValueError("holds no [[gate]]")
    gates = tuple(_gate(table, f"gate {number}") for number, table in enumerate(tables, 1))
    check_gates(gates)
    return gates


def _gate(table: dict[str, Any], where: str) -> Gate:
    for key in sorted(table.keys() - {"metric", "max", "min", "why"}):
        raise ValueError(f"{where}: unknown key {key}; {_GATE_KEYS}")
    if "metric" not in table:
        raise ValueError(f"{where}: needs metric; {_GATE_KEYS}")
    for key, value in table.items():
        kind, name = ((int, float), "number") if key in ("max", "min") else ((str,), "text")
        if not isinstance(value, kind) or isinstance(value, bool):
            shown = str(value).lower() if isinstance(value, bool) else repr(value)
            raise ValueError(f"{where}: {key} must be a {name}, not {shown}")
    return Gate(**table)


def check_gates(gates: tuple[Gate, ...]) -> None:
    """Raise ValueError, saying which and why in one line, for a gate that no run can be judged by."""
    for number, gate in enumerate(gates, 1):
        problem = _problem(gate)
        if problem:
            raise ValueError(f"gate {number} ({gate.metric}): {problem}")


def _problem(gate: Gate) -> str:
    if gate.metric not in METRIC_NAMES:
        return f"no metric is called {gate.metric!r}; there are {', '.join(METRIC_NAMES)}"
    if gate.max is None and gate.min is None:
        return "needs max or min"
    if gate.max is not None and gate.min is not None:
        return "give either max or min, not both"
    if not math.isfinite(gate.limit):
        return "the limit must be a finite number"
    if gate.metric in SHARES and not 0 <= gate.limit <= 1:
        meant = f"; {gate.limit:g} % is {gate.limit / 100:g}" if 1 < gate.limit <= 100 else ""
        return f"{gate.metric} is a share from 0 to 1{meant}"
    # A residual is a difference and may be on either side of zero.
    if gate.limit < 0 and not gate.metric.startswith("residual_"):
        return "the limit must be 0 or more"
    return ""

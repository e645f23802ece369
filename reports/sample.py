"""The files of a run directory and the columns of its samples: what recorder and reports share.

Times are seconds on one monotonic clock, counted from the run's start (the first moment an arrival may be
planned for); they are null where the moment did not happen.
"""

from __future__ import annotations

from enum import StrEnum
from typing import Final

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

# Outcomes that say nothing about the gateway: how the try would have ended is not known.
UNKNOWN: Final = (Outcome.CUT_OFF, Outcome.NEVER_SENT, Outcome.LOST)

# The error code of a `never_sent` try whose worker had its pool full of calls that waited for the gateway.
POOL_FULL: Final = "PoolFull"
# Who the health readings of the run's own mock belong to, and how often any event loop is read.
MOCK_WORKER: Final = "mock"
TICK_S: Final = 0.010


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
        _column("worker", _CATEGORY, f"which worker, or `{MOCK_WORKER}` for the run's own mock", null=False),
        _column("from_s", pa.float64(), "what the row tells of begins here, where the row before ended", null=False),
        _column("at_s", pa.float64(), "and ends here", null=False),
        _column("cpu_s", pa.float64(), "CPU time of the process in between", null=False),
        _column("wait_s", pa.float64(), "time it was ready to run and had no core, where the kernel tells"),
        _column("lag_ms", pa.list_(pa.float32()), "how late the event loop was at each 10 ms tick", null=False),
        _column("in_flight", pa.int32(), "tries under way at the end of it", null=False),
    ],
    metadata={"schema_version": str(SCHEMA_VERSION)},
)

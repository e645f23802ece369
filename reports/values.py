"""The values a summary is made of. Their field names are the schema of summary.json: add, never rename.

Latencies are milliseconds, moments and spans on the run's clock seconds; None is "not there", never NaN.
"""

from __future__ import annotations

from enum import StrEnum

import msgspec

from reports.gate import Gate
from reports.manifest import Incident, Manifest
from reports.sample import Outcome

SUMMARY_VERSION = 1


class Verdict(StrEnum):
    """What a whole run comes to."""

    PASS = "PASS"  # noqa: S105 - a verdict, not a password
    FAIL = "FAIL"
    INVALID = "INVALID"
    INCONCLUSIVE = "INCONCLUSIVE"


class Result(StrEnum):
    """What one gate or one validity check comes to."""

    PASS = "PASS"  # noqa: S105 - a result, not a password
    FAIL = "FAIL"
    INCONCLUSIVE = "INCONCLUSIVE"
    NOT_APPLICABLE = "NOT_APPLICABLE"
    NOT_JUDGED = "NOT_JUDGED"
    INVALID = "INVALID"
    UNKNOWN = "UNKNOWN"


class Estimate(msgspec.Struct, frozen=True, kw_only=True):
    """A number with its unit, sample size and 95 % interval; whatever warns about it travels with it.

    `low` or `high` None beside a value or `above`: that side is open. `above`: the value is only known to
    exceed this. `needed`: there are too few samples, this many would do. `exact`: a count, without an interval.
    `effective`: as many independent tries would tell as much as these n, which resemble their neighbours. `unknown`:
    tries whose end is not known; `low` and `high` hold whatever it would have been. `note`: why there is no value, or
    why the interval says little.
    """

    unit: str
    n: int
    value: float | None = None
    low: float | None = None
    high: float | None = None
    above: float | None = None
    needed: int | None = None
    censored: int = 0
    exact: bool = False
    effective: int | None = None
    unknown: int = 0
    method: str = ""
    note: str = ""

    @property
    def known(self) -> bool:
        """Whether there is anything to judge."""
        return self.value is not None or self.above is not None


class Spread(msgspec.Struct, frozen=True, kw_only=True):
    """The distribution of one quantity. `plain` is None where nothing is censored: `p` is then the plain one."""

    name: str
    label: str
    meaning: str
    n: int
    p50: Estimate
    p95: Estimate
    p99: Estimate
    p999: Estimate
    max: float | None
    unit: str = "ms"
    plain: PlainSpread | None = None


class PlainSpread(msgspec.Struct, frozen=True, kw_only=True):
    """Percentiles of the finished requests alone, shown beside Kaplan-Meier's."""

    n: int
    p50: Estimate
    p95: Estimate
    p99: Estimate
    p999: Estimate


class GroupRow(msgspec.Struct, frozen=True, kw_only=True):
    """One route, kind of call or way of answering. Latencies are service latencies of ok requests."""

    name: str
    tries: int
    ok: int
    ok_rate: Estimate
    p50: Estimate
    p95: Estimate
    p99: Estimate
    ttft_p50: Estimate
    tpot_p50: Estimate
    as_expected: int


class ErrorRow(msgspec.Struct, frozen=True, kw_only=True):
    """Tries of the measure phase that were not ok, alike in outcome, status and code."""

    outcome: Outcome
    status: int | None
    error_code: str | None
    count: int
    rate: Estimate
    expected: int
    first_s: float
    last_s: float
    p50_ms: float | None


class Cut(msgspec.Struct, frozen=True, kw_only=True):
    """What a table leaves out: so many rows, with so many tries in all."""

    rows: int
    tries: int


class Connections(msgspec.Struct, frozen=True, kw_only=True):
    """Connections opened in the whole run, tries sent over them, and tries for each connection."""

    opened: int
    sent: int
    each: float | None


class LedgerRow(msgspec.Struct, frozen=True, kw_only=True):
    """How many tries, or calls by their last try, had this outcome."""

    outcome: Outcome
    meaning: str
    warmup: int
    measure: int
    total: int
    calls: int


class Ledger(msgspec.Struct, frozen=True, kw_only=True):
    """Where every planned request went. `problems` is empty when it balances."""

    rows: tuple[LedgerRow, ...]
    warmup: int
    measure: int
    total: int
    calls: int
    planned_calls: int
    retried_calls: int
    problems: tuple[str, ...]


class WorkerHealth(msgspec.Struct, frozen=True, kw_only=True):
    """One generator process, or the run's own mock, from the begin of the measure phase to the run's end.

    CPU and waiting for a core are percent of one core, `_5s` over the worst 5 s in a row; `stalled` is the percentage
    of time spent in pauses of the event loop longer than a quarter of a second.
    """

    worker: str
    rows: int
    sent: int
    cpu_mean: float | None
    cpu_max: float | None
    cpu_5s: float | None
    wait_5s: float | None
    lag_p99_ms: float | None
    lag_max_ms: float | None
    stalled: float | None


class Check(msgspec.Struct, frozen=True, kw_only=True):
    """One condition a measurement must meet to be believed: PASS, INVALID, UNKNOWN or NOT_APPLICABLE.

    `vital`: while it is UNKNOWN, the run cannot pass.
    """

    name: str
    result: Result
    said: str
    rule: str
    vital: bool = False


class GateResult(msgspec.Struct, frozen=True, kw_only=True):
    """A gate beside what was measured. `said` is one sentence; `enough` samples would decide it."""

    gate: Gate
    label: str
    result: Result
    estimate: Estimate
    said: str
    enough: int | None = None


class Judgement(msgspec.Struct, frozen=True, kw_only=True):
    """The verdict and one sentence why."""

    verdict: Verdict
    why: str
    exit_code: int
    reasons: tuple[str, ...]


class Slow(msgspec.Struct, frozen=True, kw_only=True):
    """One of the slowest ok requests, to find it again."""

    request_id: str
    kind: str
    route: str
    planned_s: float
    scheduled_ms: float
    service_ms: float


class Series(msgspec.Struct, frozen=True, kw_only=True):
    """Per bin of time over the whole run, warm-up included. Rates per second; latencies of ok requests, ms.

    `unfinished` counts the tries planned in the bin that did not end ok, though that was not provoked; `waited_ms` is
    how long the longest of them was seen to take, scheduled.
    """

    bin_s: float
    start_s: tuple[float, ...]
    offered: tuple[float, ...]
    answered: tuple[float, ...]
    failed: tuple[float, ...]
    in_flight: tuple[float, ...]
    p50_ms: tuple[float | None, ...]
    p95_ms: tuple[float | None, ...]
    unfinished: tuple[int, ...]
    waited_ms: tuple[float | None, ...]


class Curve(msgspec.Struct, frozen=True, kw_only=True):
    """Points of a distribution: the share of requests no longer than ms."""

    name: str
    n: int
    share: tuple[float, ...]
    ms: tuple[float, ...]


class Heat(msgspec.Struct, frozen=True, kw_only=True):
    """Counts of tries by time (columns) and scheduled latency (rows, log-spaced edges).

    `counts` are of ok requests; `unfinished` of those that did not end ok, by how long they were seen to take.
    """

    time_s: tuple[float, ...]
    ms: tuple[float, ...]
    counts: tuple[tuple[int, ...], ...]
    unfinished: tuple[tuple[int, ...], ...]


class Histogram(msgspec.Struct, frozen=True, kw_only=True):
    """Counts between consecutive edges; what lies outside them is counted apart."""

    edges: tuple[float, ...]
    counts: tuple[int, ...]
    below: int
    beyond: int


class Curves(msgspec.Struct, frozen=True, kw_only=True):
    """What the plots show; None or empty where there was no data."""

    series: Series
    percentiles: tuple[Curve, ...]
    routes: tuple[Curve, ...]
    heat: Heat | None
    residuals: Histogram | None


class Summary(msgspec.Struct, frozen=True, kw_only=True):
    """Everything the renderers say: the content of summary.json."""

    schema_version: int
    verdict: Judgement
    gates: tuple[GateResult, ...]
    checks: tuple[Check, ...]
    metrics: dict[str, Estimate]
    ledger: Ledger
    latency: tuple[Spread, ...]
    errors: tuple[ErrorRow, ...]
    routes: tuple[GroupRow, ...]
    kinds: tuple[GroupRow, ...]
    ways: tuple[GroupRow, ...]
    cut: dict[str, Cut]
    connections: Connections
    in_flight_mean: float
    in_flight_max: int
    health: tuple[WorkerHealth, ...]
    residuals: tuple[Spread, ...]
    slowest: tuple[Slow, ...]
    incidents: tuple[Incident, ...]
    notes: tuple[str, ...]
    window_s: tuple[float, float]
    curves: Curves
    manifest: Manifest

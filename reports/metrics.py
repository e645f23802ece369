"""The one table of metrics that gates may name: unit, direction, meaning and how each is computed."""

from __future__ import annotations

import math
from collections.abc import Callable
from dataclasses import dataclass
from functools import partial
from typing import Final, Literal

import numpy as np

from reports.gate import Gate
from reports.measured import Measured
from reports.sample import Outcome
from reports.stats import percentile, samples_for_percentile, samples_for_rate, share_within, wilson
from reports.values import Estimate

Family = Literal["scheduled", "service", "ttft", "tpot"]


@dataclass(frozen=True)
class Metric:
    """One metric: `estimate` computes it; `enough` says how many samples would decide a limit on it."""

    name: str
    label: str
    unit: str
    better: Literal["lower", "higher"]
    meaning: str
    estimate: Callable[[Measured, tuple[Gate, ...]], Estimate]
    enough: Callable[[Measured, Estimate, float], int | None]
    mock_only: bool = False


_LATENCIES: Final[dict[Family, tuple[str, str]]] = {
    "scheduled": ("Scheduled latency", "end - planned: what a customer feels, waiting for the generator included"),
    "service": ("Service latency", "end - sent"),
    "ttft": ("Time to first token", "first content byte - sent; streams"),
    "tpot": ("Time per output token", "(end - first byte) / (completion tokens - 1); ok streams"),
}
_WORDS: Final = {"p50": "p50", "p95": "p95", "p99": "p99", "p999": "p99.9"}
_UNEXPECTED: Final = "tries that were neither ok nor refused with the code provoked on purpose"
_SHARES: Final = {"p50": 0.5, "p95": 0.95, "p99": 0.99, "p999": 0.999}


def rate(hits: int, n: int) -> Estimate:
    """Return a share with its Wilson interval, or nothing where there is nothing to share."""
    if n == 0:
        return Estimate(unit="share", n=0, note="no requests of this sort")
    low, high = wilson(hits, n)
    return Estimate(unit="share", n=n, value=hits / n, low=low, high=high, method="Wilson")


def _count(value: int, n: int) -> Estimate:
    return Estimate(unit="count", n=n, value=value, low=value, high=value, exact=True, method="count")


def _percentile(name: str, p: float, measured: Measured, _gates: tuple[Gate, ...]) -> Estimate:
    return percentile(measured.observed[name], p, "ms")


def _error_rate(measured: Measured, _gates: tuple[Gate, ...]) -> Estimate:
    return rate(int(np.count_nonzero(~measured.ok)), len(measured.ok))


def _unexpected_rate(measured: Measured, _gates: tuple[Gate, ...]) -> Estimate:
    return rate(int(np.count_nonzero(~measured.as_expected)), len(measured.ok))


def _call_failure_rate(measured: Measured, _gates: tuple[Gate, ...]) -> Estimate:
    failed = int((measured.calls["outcome"] != Outcome.OK).sum())
    return rate(failed, len(measured.calls))


def _outcome_count(outcome: Outcome, measured: Measured, _gates: tuple[Gate, ...]) -> Estimate:
    return _count(int((measured.frame["outcome"] == outcome).sum()), len(measured.frame))


def _status_count(status: int, measured: Measured, _gates: tuple[Gate, ...]) -> Estimate:
    return _count(int((measured.frame["status"] == status).sum()), len(measured.frame))


def _unexpected_count(measured: Measured, _gates: tuple[Gate, ...]) -> Estimate:
    return _count(int(np.count_nonzero(~measured.as_expected)), len(measured.frame))


def _per_second(measured: Measured, low: int, value: int, high: int, exact: bool) -> Estimate:
    n = len(measured.frame)
    if measured.manifest.load.kind == "script" or measured.seconds <= 0:
        return Estimate(unit="per_s", n=n, note="a script has no rate")
    return Estimate(
        unit="per_s",
        n=n,
        value=value / measured.seconds,
        low=low / measured.seconds,
        high=high / measured.seconds,
        exact=exact,
        method="count" if exact else "Wilson",
    )


def _offered_rate(measured: Measured, _gates: tuple[Gate, ...]) -> Estimate:
    n = len(measured.frame)
    return _per_second(measured, n, n, n, exact=True)


def _achieved_rate(measured: Measured, _gates: tuple[Gate, ...]) -> Estimate:
    done = int(measured.frame["outcome"].isin([Outcome.OK, Outcome.REFUSED]).sum())
    return _per_second(measured, done, done, done, exact=True)


def objectives(gates: tuple[Gate, ...]) -> dict[Family, float]:
    """Return the loosest upper limit, ms, of each family of latencies that the gates name."""
    limits: dict[Family, float] = {}
    for family in _LATENCIES:
        given = [g.max for g in gates if g.max is not None and g.metric.startswith(f"{family}_")]
        if given:
            limits[family] = max(given)
    return limits


def _goodput(measured: Measured, gates: tuple[Gate, ...]) -> Estimate:
    good = measured.ok.copy()
    values = {
        "scheduled": measured.scheduled_ms,
        "service": measured.service_ms,
        "ttft": measured.ttft_ms,
        "tpot": measured.tpot_ms,
    }
    for family, limit in objectives(gates).items():
        good &= ~(values[family] > limit)
    n, hits = len(good), int(np.count_nonzero(good))
    low, high = wilson(hits, n)
    return _per_second(measured, math.floor(low * n), hits, math.ceil(high * n), exact=False)


def _enough_percentile(name: str, p: float, measured: Measured, _seen: Estimate, limit: float) -> int | None:
    found = measured.observed[name]
    return samples_for_percentile(p, share_within(found, limit), found.n)


def _enough_rate(_measured: Measured, seen: Estimate, limit: float) -> int | None:
    return None if seen.value is None else samples_for_rate(seen.value, limit, seen.n)


def _enough_goodput(measured: Measured, seen: Estimate, limit: float) -> int | None:
    offered = _offered_rate(measured, ()).value
    if seen.value is None or not offered:
        return None
    return samples_for_rate(seen.value / offered, limit / offered, seen.n)


def _never(_measured: Measured, _seen: Estimate, _limit: float) -> int | None:
    return None


def _latency_metrics() -> list[Metric]:
    return [
        Metric(
            f"{family}_{word}_ms",
            f"{label} {_WORDS[word]}",
            "ms",
            "lower",
            f"{_WORDS[word]} of {meaning}",
            partial(_percentile, family, p),
            partial(_enough_percentile, family, p),
        )
        for family, (label, meaning) in _LATENCIES.items()
        for word, p in _SHARES.items()
    ]


def _outcome_metrics() -> list[Metric]:
    said = {
        Outcome.MALFORMED: ("Malformed answers", "answers that break the contract"),
        Outcome.STREAM_BROKEN: ("Broken streams", "streams that began and did not end properly"),
        Outcome.CONNECTION: ("Connection failures", "no connection, or closed before an answer"),
        Outcome.TIMEOUT: ("Timeouts", "tries the client gave up waiting for"),
        Outcome.CUT_OFF: ("Cut off", "tries still running at the end of the drain"),
        Outcome.NEVER_SENT: ("Never sent", "tries the generator could not send"),
        Outcome.REFUSED: ("Refusals", "4xx and 5xx with the documented envelope"),
    }
    return [
        Metric(f"{outcome}_count", label, "count", "lower", meaning, partial(_outcome_count, outcome), _never)
        for outcome, (label, meaning) in said.items()
    ]


def _status_metrics() -> list[Metric]:
    return [
        Metric(
            f"count_{status}",
            f"Status {status}",
            "count",
            "lower",
            f"tries answered with status {status}",
            partial(_status_count, status),
            _never,
        )
        for status in (500, 502)
    ]


def _residual_metrics() -> list[Metric]:
    return [
        Metric(
            f"residual_{word}_ms",
            f"Residual {word}",
            "ms",
            "lower",
            f"{word} of service latency - the mock's planned latency, ok requests; mock only",
            partial(_percentile, "residual", p),
            partial(_enough_percentile, "residual", p),
            mock_only=True,
        )
        for word, p in _SHARES.items()
        if word != "p999"
    ]


_OUTCOME_RATES: Final = (
    Metric(
        "error_rate",
        "Error rate",
        "share",
        "lower",
        "share of tries whose outcome is not ok",
        _error_rate,
        _enough_rate,
    ),
    Metric(
        "unexpected_rate",
        "Unexpected outcomes",
        "share",
        "lower",
        f"share of {_UNEXPECTED}",
        _unexpected_rate,
        _enough_rate,
    ),
    Metric("unexpected_count", "Unexpected outcomes", "count", "lower", _UNEXPECTED, _unexpected_count, _never),
    Metric(
        "call_failure_rate",
        "Failed calls",
        "share",
        "lower",
        "share of calls whose last try is not ok",
        _call_failure_rate,
        _enough_rate,
    ),
)
_PER_SECOND: Final = (
    Metric(
        "offered_rate_per_s",
        "Offered rate",
        "per_s",
        "higher",
        "tries planned in the measure phase / its length",
        _offered_rate,
        _never,
    ),
    Metric(
        "achieved_rate_per_s",
        "Achieved rate",
        "per_s",
        "higher",
        "tries planned in the measure phase that were answered (ok or refused) / its length",
        _achieved_rate,
        _never,
    ),
    Metric(
        "goodput_per_s",
        "Goodput",
        "per_s",
        "higher",
        "ok tries that kept the loosest upper limit of every latency family the gates name / length",
        _goodput,
        _enough_goodput,
    ),
)

METRICS: Final[dict[str, Metric]] = {
    metric.name: metric
    for metric in (
        *_latency_metrics(),
        *_OUTCOME_RATES,
        *_outcome_metrics(),
        *_status_metrics(),
        *_PER_SECOND,
        *_residual_metrics(),
    )
}

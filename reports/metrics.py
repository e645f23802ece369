"""The one table of metrics that gates may name: unit, direction, meaning and how each is computed."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from functools import partial
from typing import Final, Literal

import numpy as np

from reports.columns import Mask
from reports.dependence import Floats, per_block
from reports.gate import Gate
from reports.measured import Measured, Tries
from reports.percentiles import enough_samples, percentile
from reports.rates import enough_tries, share
from reports.sample import UNKNOWN, Outcome
from reports.throughput import NO_RATE, enough_answers, has_rate, meets, objectives, per_second
from reports.values import Estimate


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


_LATENCIES: Final[dict[str, tuple[str, str]]] = {
    "scheduled": ("Scheduled latency", "end - planned: what a customer feels, waiting for the generator included"),
    "service": ("Service latency", "end - sent"),
    "ttft": ("Time to first token", "first content byte - sent; streams"),
    "tpot": ("Time per output token", "(end - first byte) / (completion tokens - 1); ok streams"),
}
_WORDS: Final = {"p50": "p50", "p95": "p95", "p99": "p99", "p999": "p99.9"}
_UNEXPECTED: Final = "tries that were neither ok nor refused with the code provoked on purpose"
_Of = Callable[[Measured], Tries]
_SHARES: Final = {"p50": 0.5, "p95": 0.95, "p99": 0.99, "p999": 0.999}


def _count(hit: Mask, unknown: Mask) -> Estimate:
    """Count tries exactly; those of which it is not known may all have been hit."""
    value, missing = int(np.count_nonzero(hit)), int(np.count_nonzero(unknown & ~hit))
    return Estimate(
        unit="count",
        n=len(hit),
        value=value,
        low=value,
        high=value + missing,
        exact=not missing,
        unknown=missing,
        method="count",
    )


def _percentile(name: str, p: float, measured: Measured, _gates: tuple[Gate, ...]) -> Estimate:
    return percentile(measured.observed(name), p, "ms")


def _not_ok(tries: Tries) -> Mask:
    return ~tries.ok & ~tries.unknown


def _unexpected(tries: Tries) -> Mask:
    return ~tries.as_expected & ~tries.unknown


def _blocks(hit: Callable[[Tries], Mask], tries: Tries, measured: Measured) -> tuple[Floats, Floats, float]:
    """How many were hit and how many there are in each block of time, and how long the blocks are together."""
    block = measured.timeline.block(tries.column("planned_s"))
    return per_block(block[hit(tries)]), per_block(block), measured.seconds


def _share(hit: Callable[[Tries], Mask], of: _Of, measured: Measured, _gates: tuple[Gate, ...]) -> Estimate:
    tries = of(measured)
    return share(*_blocks(hit, tries, measured), int(np.count_nonzero(tries.unknown)))


def _enough_share(
    hit: Callable[[Tries], Mask], of: _Of, measured: Measured, _seen: Estimate, limit: float
) -> int | None:
    tries = of(measured)
    return enough_tries(*_blocks(hit, tries, measured), limit, int(np.count_nonzero(tries.unknown)))


def _all(measured: Measured) -> Tries:
    return measured


def _calls(measured: Measured) -> Tries:
    return measured.calls


def _outcome_count(outcome: Outcome, measured: Measured, _gates: tuple[Gate, ...]) -> Estimate:
    # What the generator did to a try is known.
    own = outcome in UNKNOWN
    return _count(measured.ended_as(outcome), np.zeros_like(measured.unknown) if own else measured.unknown)


def _status_count(status: int, measured: Measured, _gates: tuple[Gate, ...]) -> Estimate:
    return _count(measured.column("status") == status, measured.unknown)


def _unexpected_count(measured: Measured, _gates: tuple[Gate, ...]) -> Estimate:
    return _count(_unexpected(measured), measured.unknown)


def _offered_rate(measured: Measured, _gates: tuple[Gate, ...]) -> Estimate:
    n = len(measured)
    if not has_rate(measured):
        return Estimate(unit="per_s", n=n, note=NO_RATE)
    offered = n / measured.seconds
    return Estimate(unit="per_s", n=n, value=offered, low=offered, high=offered, exact=True, method="count")


def _achieved_rate(measured: Measured, _gates: tuple[Gate, ...]) -> Estimate:
    return per_second(measured, measured.whole.ok)


def _goodput(measured: Measured, gates: tuple[Gate, ...]) -> Estimate:
    return per_second(measured, meets(measured.whole, objectives(gates)))


def _enough_percentile(name: str, p: float, measured: Measured, _seen: Estimate, limit: float) -> int | None:
    return enough_samples(measured.observed(name), p, limit)


def _enough_per_second(_measured: Measured, seen: Estimate, limit: float) -> int | None:
    return enough_answers(seen, limit)


def _never(_measured: Measured, _seen: Estimate, _limit: float) -> int | None:
    return None


def _share_metric(name: str, label: str, meaning: str, hit: Callable[[Tries], Mask], of: _Of) -> Metric:
    said = f"{meaning}, of those whose end is known"
    return Metric(name, label, "share", "lower", said, partial(_share, hit, of), partial(_enough_share, hit, of))


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
    _share_metric("error_rate", "Error rate", "share of tries whose outcome is not ok", _not_ok, _all),
    _share_metric("unexpected_rate", "Unexpected outcomes", f"share of {_UNEXPECTED}", _unexpected, _all),
    Metric("unexpected_count", "Unexpected outcomes", "count", "lower", _UNEXPECTED, _unexpected_count, _never),
    _share_metric("call_failure_rate", "Failed calls", "share of calls whose last try is not ok", _not_ok, _calls),
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
        "ok answers that ended in the measure phase / its length",
        _achieved_rate,
        _enough_per_second,
    ),
    Metric(
        "goodput_per_s",
        "Goodput",
        "per_s",
        "higher",
        "the same, of ok answers that kept the loosest upper limit of every latency family the gates name",
        _goodput,
        _enough_per_second,
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

"""Prometheus text, read from the counters the mock keeps anyway."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterator

from prometheus_client import CollectorRegistry, generate_latest
from prometheus_client.core import CounterMetricFamily, GaugeMetricFamily, Metric
from prometheus_client.registry import Collector
from starlette.responses import Response

from mock_server.core.rules import ActiveRule
from mock_server.http.context import Context
from mock_server.http.control.asked import Asked

_STATES = ("closed", "open", "half_open")
CONTENT_TYPE = "text/plain; version=0.0.4; charset=utf-8"


class MockCollector(Collector):
    """Reads the journal's counters and the state at the moment of the scrape."""

    def __init__(self, context: Context) -> None:
        self._context = context

    def collect(self) -> Iterator[Metric]:
        """Every metric as it is now."""
        yield from self._requests()
        yield from self._faults()
        yield from self._load()
        yield self._breakers()

    def _requests(self) -> Iterator[Metric]:
        counts, dropped = self._context.journal.counts, self._context.journal.dropped()
        requests = CounterMetricFamily(
            "mock_requests", "Finished requests by status and error code", labels=["status", "code"]
        )
        for (status, code), count in counts.statuses.items():
            requests.add_metric([str(status), code], count)
        yield requests
        endings = CounterMetricFamily("mock_request_endings", "Finished requests by ending", labels=["ending"])
        for ending, count in counts.endings.items():
            endings.add_metric([ending], count)
        yield endings
        answers = CounterMetricFamily("mock_answers", "Answers by model", labels=["provider", "model"])
        for (provider, model), count in counts.models.items():
            answers.add_metric([provider, model], count)
        yield answers
        tokens = CounterMetricFamily("mock_tokens", "Tokens by kind", labels=["kind"])
        for kind, count in (("prompt", counts.prompt), ("completion", counts.completion), ("charged", counts.charged)):
            tokens.add_metric([kind], count)
        yield tokens
        yield CounterMetricFamily("mock_journal_dropped", "Entries the journal has no room for", value=dropped)

    def _faults(self) -> Iterator[Metric]:
        struck, unreached = Counter[str](), Counter[str]()
        for (kind, hit), count in self._context.journal.counts.faults.items():
            (struck if hit else unreached)[kind] += count
        yield _by_kind("mock_faults_struck", "Calls a fault struck", struck)
        yield _by_kind("mock_faults_unreached", "Calls that ended before their fault's stage", unreached)
        bypassed = Counter[str]()
        for scope in self._context.engine.scopes():
            for rule in (*scope.queued.rules, *scope.rules.rules):
                bypassed[_kind(rule)] += rule.seen - rule.struck
        family = GaugeMetricFamily(
            "mock_faults_bypassed", "Matching calls that the present fault rules let pass", labels=["kind"]
        )
        for kind, count in bypassed.items():
            family.add_metric([kind], count)
        yield family

    def _load(self) -> Iterator[Metric]:
        meter = self._context.meter
        yield GaugeMetricFamily("mock_in_flight", "Requests in flight", value=self._context.journal.in_flight)
        for name, meaning, spread in (
            ("mock_loop_lag_seconds", "Lag of the event loop over the last minute", meter.lag()),
            ("mock_lateness_seconds", "Lateness of planned moments over the last minute", meter.lateness()),
        ):
            family = GaugeMetricFamily(name, meaning, labels=["quantile"])
            for quantile, value in (("0.5", spread.p50_ms), ("0.99", spread.p99_ms), ("1", spread.max_ms)):
                if value is not None:
                    family.add_metric([quantile], value / 1e3)
            yield family
        saturated = float(meter.saturated_since is not None)
        yield GaugeMetricFamily("mock_saturated", "1 while the mock itself cannot keep up", value=saturated)

    def _breakers(self) -> Metric:
        scope, now = self._context.scope(None), self._context.now(None)
        family = GaugeMetricFamily(
            "mock_breaker_state", "1 for the state each breaker is in", labels=["provider", "state"]
        )
        for provider, breaker in sorted(scope.breakers.items()):
            for state in _STATES:
                family.add_metric([provider, state], float(breaker.state(now) == state))
        return family


def show_metrics(context: Context, _asked: Asked) -> Response:
    """Counters and load in Prometheus' text format."""
    registry = CollectorRegistry()
    registry.register(MockCollector(context))
    return Response(generate_latest(registry), media_type=CONTENT_TYPE)


def _kind(rule: ActiveRule) -> str:
    fault = rule.strike.fault
    if fault is None:
        return "code"
    return fault.kind or "framing"


def _by_kind(name: str, meaning: str, counts: Counter[str]) -> Metric:
    family = CounterMetricFamily(name, meaning, labels=["kind"])
    for kind, count in counts.items():
        family.add_metric([kind], count)
    return family

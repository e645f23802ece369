"""How well the mock itself keeps up, and its counters for Prometheus."""

from __future__ import annotations

import threading
import time

import pytest
from prometheus_client.parser import text_string_to_metric_families

from mock_server.http.meter import LoadMeter
from mock_server.http.pulse import TICK_S, Pulse
from tests.mock_server.control.conftest import Plane
from tests.mock_server.wire import Mock, chat, eventually


def samples(mock: Mock) -> dict[tuple[str, ...], float]:
    """Every sample by its name and the values of its labels."""
    answer = mock.http.get("/__mock__/metrics")
    assert answer.headers["content-type"].startswith("text/plain")
    return {
        (sample.name, *sample.labels.values()): sample.value
        for family in text_string_to_metric_families(answer.text)
        for sample in family.samples
    }


def test_metrics_say_what_the_journal_says(plane: Plane) -> None:
    mock = plane.mock
    mock.call()
    mock.call(b"{")
    mock.call(key="sk-wrong")
    mock.call(headers={"X-Mock-Fault": "empty"})
    mock.call(headers={"Prefer": "code=502"})
    plane.post("faults", {"code": 500, "every": 2})
    mock.call()
    mock.call()
    plane.put("providers/groq", {"breaker": "open"})
    assert plane.get("requests/wait", count=7)["reached"]
    found, totals = samples(mock), plane.get("requests")["totals"]
    assert found["mock_requests_total", "", "200"] == totals["by_status"]["200"] == 3
    assert found["mock_requests_total", "INVALID_API_KEY", "401"] == 1
    for kind in ("prompt", "completion", "charged"):
        assert found["mock_tokens_total", kind] == totals[f"{kind}_tokens"] > 0
    assert found["mock_faults_struck_total", "empty"] == 1
    assert found["mock_faults_struck_total", "code"] == 2
    assert found["mock_faults_bypassed", "code"] == 1
    assert found["mock_request_endings_total", "fault"] == 1
    assert (found["mock_in_flight",], found["mock_saturated",], found["mock_journal_dropped_total",]) == (0, 0, 0)
    assert found["mock_breaker_state", "groq", "open"] == 1
    assert found["mock_breaker_state", "openai", "closed"] == 1
    assert sum(value for name, value in found.items() if name[0] == "mock_breaker_state") == 7


def test_load_measures_the_loop_and_planned_moments(slow_plane: Plane) -> None:
    mock, bodies = slow_plane.mock, [chat(strategy={"models": ["slow/steady"]}, max_tokens=5, stream=True)] * 8
    threads = [threading.Thread(target=mock.call, args=(body,)) for body in bodies]
    before = slow_plane.get("load")["lateness"]["measured"]
    for thread in threads:
        thread.start()
    eventually(lambda: slow_plane.get("load")["in_flight"] == len(bodies))
    for thread in threads:
        thread.join()
    eventually(lambda: slow_plane.get("load")["lateness"]["measured"] >= before + 5 * len(bodies))
    load = slow_plane.get("load")
    assert load["in_flight"] == 0
    for spread in (load["loop_lag"], load["lateness"]):
        assert 0 <= spread["p50_ms"] <= spread["p99_ms"] <= spread["max_ms"] < 5_000
    assert load["loop_lag"]["measured"] > 5
    assert samples(mock)["mock_lateness_seconds", "0.99"] > 0


def metered(seconds: float, lag_s: float = 0.0, late_s: float = 0.0, each: int = 2) -> LoadMeter:
    """A meter that ran for some seconds in which everything was so late."""
    return run(LoadMeter(), 0.0, seconds, lag_s, late_s, each)


def run(
    meter: LoadMeter, start: float, end: float, lag_s: float = 0.0, late_s: float = 0.0, each: int = 0
) -> LoadMeter:
    """Let a meter run on from one second of its life to another; every tick is taken so long after it was due."""
    pulse = Pulse(meter._began + start)
    while (due := pulse.due) <= meter._began + end + TICK_S / 2:
        meter.late += [late_s] * each
        meter.measure(pulse, due + lag_s)
    return meter


@pytest.mark.parametrize(
    ("lag_s", "late_s", "saturated"), [(0.0, 0.0, False), (0.04, 0.008, False), (0.08, 0.0, True), (0.0, 0.012, True)]
)
def test_it_is_saturated_when_the_loop_lags_or_moments_are_missed(lag_s: float, late_s: float, saturated: bool) -> None:
    meter = metered(7, lag_s, late_s)
    assert (meter.saturated_since is not None, meter.saturated_s > 0) == (saturated, saturated)


def test_it_recovers_and_remembers_for_how_long() -> None:
    meter = metered(4, lag_s=0.2)
    spent = meter.saturated_s
    assert spent > 0
    run(meter, 5, 13)
    assert meter.saturated_since is None
    assert meter.saturated_s >= spent


def test_one_long_pause_saturates_every_second_of_it() -> None:
    meter = metered(1)
    run(meter, 1, 4, lag_s=3)
    run(meter, 4, 7)
    assert 3 <= meter.saturated_s <= 6
    assert meter.lag().measured == pytest.approx(700, abs=3)


def test_a_few_late_moments_prove_nothing() -> None:
    meter = metered(6, each=0)
    meter.late += [1.0] * 5
    run(meter, 6, 8)
    assert meter.lateness().measured == 5
    assert meter.saturated_since is None


@pytest.mark.parametrize("late_s", [1e-6, 1e-4, 0.0031, 0.5, 30.0])
def test_quantiles_are_right_within_five_percent(late_s: float) -> None:
    spread = metered(1, late_s=late_s).lateness()
    found = [spread.p50_ms, spread.p99_ms, spread.max_ms]
    assert found == pytest.approx([late_s * 1e3] * 3, rel=0.05, abs=0.01)


def test_what_was_not_measured_is_not_zero() -> None:
    meter = LoadMeter()
    assert (meter.lag().p99_ms, meter.lateness().max_ms, meter.lag().measured) == (None, None, 0)
    assert meter.uptime_s <= time.monotonic()

"""What health readings come to over stretches of time."""

from __future__ import annotations

import numpy as np
import pandas as pd
import pyarrow as pa
import pytest
from hypothesis import given
from hypothesis import strategies as st

from reports.columns import Samples
from reports.health import Readings, readings, table
from reports.rules import SPAN_S
from tests.reports.conftest import beats

spans = st.lists(st.tuples(st.floats(0.01, 4), st.floats(0, 1)), min_size=1, max_size=40)


def rows(found: list[tuple[float, float]]) -> Readings:
    """Rows of the given length, s, of which a share was spent computing."""
    length, share = np.array(found).T
    at = np.cumsum(length)
    cells = {"from_s": at - length, "at_s": at, "cpu_s": share * length, "wait_s": 0.0, "lag_ms": [[0.0] for _ in at]}
    return Readings.of(pd.DataFrame(cells).sample(frac=1, random_state=0))


def spent(seen: Readings, begin: float, end: float) -> float:
    """CPU time between two moments, row by row."""
    overlap = np.clip(np.minimum(seen.at_s, end) - np.maximum(seen.from_s, begin), 0, None)
    return float((seen.cpu_s * overlap / (seen.at_s - seen.from_s)).sum())


@given(spans, st.floats(0, 1))
def test_no_stretch_of_five_seconds_holds_more_than_the_most(found: list[tuple[float, float]], at: float) -> None:
    seen = rows(found)
    total = float(seen.at_s[-1] - seen.from_s[0])
    length = min(SPAN_S, total)
    most = seen.most(seen.cpu_s, 0)
    begin = seen.from_s[0] + at * (total - length)
    assert spent(seen, begin, begin + length) / length <= most + 1e-9
    edges = np.concatenate((seen.from_s, seen.at_s, seen.from_s - length, seen.at_s - length))
    inside = edges[(edges >= seen.from_s[0]) & (edges <= seen.at_s[-1] - length + 1e-12)]
    assert max(spent(seen, edge, edge + length) / length for edge in inside) == pytest.approx(most, abs=1e-9)


def test_one_reading_in_nineteen_cannot_hide_a_busy_process() -> None:
    seen = rows([(0.25, 0.0 if at % 19 == 18 else 1.0) for at in range(200)])
    assert seen.busiest == pytest.approx(0.95)


def test_a_short_run_counts_as_a_whole_but_not_for_less_than_there_is_to_judge() -> None:
    assert rows([(0.25, 1.0)] * 8).busiest == pytest.approx(1.0)
    assert rows([(0.25, 1.0)]).busiest == pytest.approx(0.25)
    assert rows([(0.25, 1.0)]).within(9, 10).busiest == 0
    seen = beats("w0", 2.0, wait=0.2)
    assert Readings.of(seen).waited == pytest.approx(0.4 / SPAN_S, rel=0.02)


@given(st.lists(st.floats(0.3, 3), min_size=1, max_size=5), st.integers(0, 2**32 - 1))
def test_a_pause_is_as_long_as_it_was_and_shows_in_every_tick_it_missed(lengths: list[float], seed: int) -> None:
    dice = np.random.default_rng(seed)
    begins = 1 + np.arange(len(lengths)) * 5 + dice.uniform(0, 1, len(lengths))
    stops = list(zip(begins, lengths, strict=True))
    seen = Readings.of(beats("w0", 30.0, stops=stops, lag_ms=lambda n: dice.exponential(1.0, n)))
    pauses = np.sort(seen.pauses_ms[seen.pauses_ms > 250])
    assert pauses == pytest.approx(np.sort(lengths) * 1e3, abs=10.5)
    late = np.count_nonzero(seen.lag_ms > 20)
    assert late == pytest.approx(sum(lengths) * 100 - 2 * len(lengths), abs=2 * len(lengths))
    assert seen.stalled == pytest.approx(sum(lengths) / 30, abs=0.01 * len(lengths) / 3)


def test_a_freeze_of_three_seconds_is_three_hundred_readings() -> None:
    whole = beats("w0", 60.0, stops=[(20.0, 3.0)])
    seen = Readings.of(whole)
    assert len(seen.lag_ms) == seen.ticks.sum() == 5999
    assert np.count_nonzero(seen.lag_ms > 250) == pytest.approx(275, abs=1)
    assert seen.within(21.0, 22.0).ticks.max() > 300
    assert np.count_nonzero(seen.within(0.0, 19.0).lag_ms > 250) == 0


def test_the_table_has_a_row_per_worker_and_the_mock_last() -> None:
    health = pd.concat([beats(name, 20.0, cpu=cpu) for name, cpu in (("mock", 0.5), ("w0", 0.1), ("w1", 0.2))])
    workers = pa.array(["w0", "w0", "w1"]).dictionary_encode()
    samples = Samples.of(pa.table({"worker": workers, "sent_s": [1.0, None, 2.0]}))
    found = table(readings(health), samples, 5.0)
    assert [(row.worker, row.sent) for row in found] == [("w0", 1), ("w1", 1), ("mock", 0)]
    assert [row.cpu_5s for row in found] == pytest.approx([10, 20, 50])
    assert [row.wait_5s for row in found] == pytest.approx([1, 1, 1])
    assert [row.lag_p99_ms for row in found] == pytest.approx([0.5, 0.5, 0.5], abs=1e-3)
    assert table(readings(None), samples, 5.0) == ()
    silent = table(readings(health.assign(wait_s=np.nan)), samples, 5.0)
    assert {row.wait_5s for row in silent} == {None}

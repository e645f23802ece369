"""What the plots show of what did not end ok."""

from collections.abc import Callable
from typing import Any

import pytest

from reports.build import judged
from reports.render.plots import plots

Make = Callable[..., Any]


def hang(builder: Any) -> Any:
    """Let all calls planned from 20 s to 23 s hang until the client gives up after 30 s."""
    rows = builder.samples["planned_s"].between(20, 23, inclusive="left")
    return builder.set(rows, end_s=builder.samples["planned_s"] + 30).fail(rows, "timeout")


def test_a_hang_is_visible_where_it_happened(make_run: Make) -> None:
    summary = judged(hang(make_run()).write())
    series = summary.curves.series
    hung = {
        start: (n, ms) for start, n, ms in zip(series.start_s, series.unfinished, series.waited_ms, strict=True) if n
    }
    assert {start: n for start, (n, _) in hung.items()} == {20.0: 20, 21.0: 20, 22.0: 20}
    assert [ms for _, ms in hung.values()] == pytest.approx([30_000] * 3)
    heat = summary.curves.heat
    assert heat is not None
    assert sum(map(sum, heat.unfinished)) == 60
    assert sum(map(sum, heat.counts)) == 840
    assert heat.ms[-1] > 30_000
    assert all(not any(row) for row in heat.unfinished[:-1])  # all in the slowest row
    drawn = {plot.name: plot.svg for plot in plots(summary)}
    assert "not ok: waited up to" in drawn["time"]
    assert "orange: not ok" in drawn["heat"]


def test_a_run_that_hangs_from_begin_to_end_still_shows_it(make_run: Make) -> None:
    builder = make_run()
    builder.set(slice(None), end_s=builder.samples["planned_s"] + 30).fail(slice(None), "timeout")
    drawn = {plot.name: plot.svg for plot in plots(judged(builder.write()))}
    assert drawn["time"]
    assert drawn["heat"]


def test_errors_that_were_provoked_are_no_crosses(make_run: Make) -> None:
    builder = make_run().fail(slice(300, 320), "refused", status=401, code="INVALID_API_KEY")
    builder.set(slice(300, 320), expected="INVALID_API_KEY")
    assert not any(judged(builder.write()).curves.series.unfinished)

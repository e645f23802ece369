"""Nothing is cut silently, and connections are told."""

from collections.abc import Callable
from typing import Any

import numpy as np
import pytest

from reports.build import build, judged
from reports.sample import REPORT_HTML, SUMMARY_MD
from reports.values import Connections, Cut

Make = Callable[..., Any]


def test_a_table_of_errors_says_what_it_leaves_out(make_run: Make) -> None:
    builder = make_run()
    for at in range(60):
        builder.fail([200 + at], "refused", status=502, code=f"CODE_{at}")
    builder.fail(slice(300, 389), "refused", status=502, code="COMMON")
    run = builder.write()
    summary = judged(run)
    assert len(summary.errors) == 50
    assert summary.errors[0].error_code == "COMMON"
    assert summary.cut == {"errors": Cut(rows=11, tries=11)}
    build(run)
    for name in (REPORT_HTML, SUMMARY_MD):
        assert "and 11 more rows, 11 tries in all" in (run / name).read_text()


def test_kinds_and_routes_say_so_too(make_run: Make) -> None:
    builder = make_run()
    builder.set(slice(None), kind=[f"kind-{at % 60}" for at in range(1000)])
    builder.set(slice(None), model=[f"model-{at % 300}" for at in range(1000)])
    summary = judged(builder.write())
    for name, rows in (("kinds", summary.kinds), ("routes", summary.routes)):
        assert len(rows) == 50
        assert sum(row.tries for row in rows) + summary.cut[name].tries == 900
    assert summary.cut["kinds"].rows == 10


def test_nothing_is_said_where_nothing_is_left_out(make_run: Make) -> None:
    run = make_run().write()
    build(run)
    assert judged(run).cut == {}
    assert "more rows" not in (run / REPORT_HTML).read_text()


def test_connections_are_counted_and_their_opening_timed(make_run: Make) -> None:
    builder = make_run()
    builder.set(slice(None), connect_ms=np.where(np.arange(1000) % 10 == 0, 2.0, np.nan)).fail(999, "never_sent")
    run = builder.write()
    summary = judged(run)
    assert summary.connections == Connections(opened=100, sent=999, each=9.99)
    connecting = next(row for row in summary.latency if row.name == "connect")
    assert (connecting.n, connecting.p95.value, connecting.max) == (90, 2.0, 2.0)
    build(run)
    assert "100 opened for 999 sent tries, 10 each" in (run / REPORT_HTML).read_text()


def test_where_no_opening_was_recorded_that_is_said(make_run: Make) -> None:
    summary = judged(make_run().set(slice(None), connect_ms=None).write())
    assert summary.connections.each is None


@pytest.mark.parametrize("way", ["streamed", "plain"])
def test_the_share_that_is_ok_leaves_out_what_is_not_known(make_run: Make, way: str) -> None:
    builder = make_run().set(slice(None), stream=way == "streamed").fail(slice(104, 1000, 50), "cut_off")
    row = judged(builder.write()).ways[0]
    assert (row.name, row.tries, row.ok, row.ok_rate.value, row.ok_rate.unknown) == (way, 900, 882, 1.0, 18)
    assert (row.ok_rate.low or 1) < 0.98

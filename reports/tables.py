"""The tables of a summary: latency, groups of requests, errors, the slowest requests."""

from __future__ import annotations

from collections.abc import Iterable
from typing import Final, cast

import numpy as np
import numpy.typing as npt
import pandas as pd

from reports.columns import Mask, Words
from reports.dependence import Floats, per_block
from reports.measured import Measured
from reports.percentiles import percentile
from reports.rates import share
from reports.sample import Outcome
from reports.stats import finished, observe
from reports.values import Connections, Cut, ErrorRow, GroupRow, PlainSpread, Slow, Spread

_LATENCY: Final = {
    "scheduled": ("Scheduled", "end - planned: what a customer feels", "ms"),
    "service": ("Service", "end - sent: what the gateway took", "ms"),
    "ttft": ("TTFT", "first content byte - sent, of streams", "ms"),
    "tpot": ("TPOT", "(end - first byte) / (tokens - 1), of streams", "ms"),
    "gap": ("Longest gap", "longest silence between two pieces of a stream", "ms"),
    "chunks": ("Pieces", "non-empty pieces of a stream", "pieces"),
    "dispatch": ("Dispatch delay", "sent - planned: the generator's own lateness, all sent tries", "ms"),
    "connect": ("Connecting", "what opening a connection took, of tries that opened one", "ms"),
}
_RESIDUALS: Final = {
    "residual": ("Whole answer", "service latency - planned latency", "ms"),
    "first_residual": ("First piece", "time to the first piece - planned, of streams", "ms"),
}
_MOST_ROWS: Final = 50
_SLOWEST: Final = 8
_ALIKE: Final = ["outcome", "status", "code"]


def latency(measured: Measured) -> tuple[Spread, ...]:
    """Spread of each latency over ok requests; Kaplan-Meier where requests were censored."""
    return tuple(_spread(measured, name, *row) for name, row in _LATENCY.items())


def residuals(measured: Measured) -> tuple[Spread, ...]:
    """Return measured minus planned latency; empty against anything but the mock."""
    if measured.manifest.target_kind != "mock":
        return ()
    return tuple(_spread(measured, name, *row) for name, row in _RESIDUALS.items())


def _spread(measured: Measured, name: str, label: str, meaning: str, unit: str) -> Spread:
    found = measured.observed(name)
    alone = finished(found) if found.censored else found
    plain = None
    if found.censored:
        plain = PlainSpread(
            n=alone.n,
            p50=percentile(alone, 0.5, unit),
            p95=percentile(alone, 0.95, unit),
            p99=percentile(alone, 0.99, unit),
            p999=percentile(alone, 0.999, unit),
        )
    return Spread(
        name=name,
        label=label,
        meaning=meaning,
        n=found.n,
        p50=percentile(found, 0.5, unit),
        p95=percentile(found, 0.95, unit),
        p99=percentile(found, 0.99, unit),
        p999=percentile(found, 0.999, unit),
        max=float(alone.time[-1]) if alone.n else None,
        unit=unit,
        plain=plain,
    )


def by_route(measured: Measured) -> tuple[tuple[GroupRow, ...], Cut | None]:
    """One row per provider/model that answered, the busiest first."""
    return _groups(measured, measured.routes)


def by_kind(measured: Measured) -> tuple[tuple[GroupRow, ...], Cut | None]:
    """One row per kind of call, the most frequent first."""
    return _groups(measured, measured.samples.words("kind"))


def by_way(measured: Measured) -> tuple[GroupRow, ...]:
    """Streamed calls beside plain ones."""
    return _groups(measured, Words(measured.streamed.astype(np.int8), ("plain", "streamed")))[0]


def _groups(measured: Measured, groups: Words) -> tuple[tuple[GroupRow, ...], Cut | None]:
    """One row per word, the most frequent first; what has none is left out."""
    latencies = [measured.service_ms, measured.ttft_ms, measured.tpot_ms]
    busiest = groups.busiest
    rows = tuple(_group(measured, groups.names[code], groups.codes == code, latencies) for code in busiest[:_MOST_ROWS])
    return rows, _cut(groups.counts[busiest[_MOST_ROWS:]])


def _cut(sizes: npt.NDArray[np.int64]) -> Cut | None:
    return Cut(rows=len(sizes), tries=int(sizes.sum())) if len(sizes) else None


def _group(measured: Measured, name: str, rows: Mask, latencies: list[Floats]) -> GroupRow:
    good = rows & measured.ok
    block = measured.block[good]
    service, ttft, tpot = (observe(values[good], None, block, measured.seconds) for values in latencies)
    tries, ok = per_block(measured.block[rows]), per_block(block)
    return GroupRow(
        name=name,
        tries=int(tries.sum()),
        ok=int(ok.sum()),
        ok_rate=share(ok, tries, measured.seconds, int(np.count_nonzero(rows & measured.unknown))),
        p50=percentile(service, 0.5, "ms"),
        p95=percentile(service, 0.95, "ms"),
        p99=percentile(service, 0.99, "ms"),
        ttft_p50=percentile(ttft, 0.5, "ms"),
        tpot_p50=percentile(tpot, 0.5, "ms"),
        as_expected=int(np.count_nonzero(rows & measured.as_expected)),
    )


def errors(measured: Measured) -> tuple[tuple[ErrorRow, ...], Cut | None]:
    """Tries that were not ok, grouped by outcome, status and code (never by message), most frequent first."""
    bad = ~measured.ok
    outcome, code = (measured.samples.words(name)[bad] for name in ("outcome", "error_code"))
    table = pd.DataFrame(
        {
            "outcome": outcome.codes,
            "status": np.nan_to_num(measured.column("status")[bad], nan=-1).astype(int),
            "code": code.codes,
            "expected": measured.as_expected[bad],
            "planned": measured.column("planned_s")[bad],
            "service": measured.service_ms[bad],
            "block": measured.block[bad],
        }
    )
    found = {
        (outcome.names[key[0]], key[1], code.names[key[2]] if key[2] >= 0 else ""): rows
        for key, rows in cast("Iterable[tuple[tuple[int, int, int], pd.DataFrame]]", table.groupby(_ALIKE))
    }
    groups = sorted(found.items(), key=lambda group: (-len(group[1]), group[0]))
    left = np.array([len(rows) for _, rows in groups[_MOST_ROWS:]], dtype=np.int64)
    return tuple(_error(measured, key, rows) for key, rows in groups[:_MOST_ROWS]), _cut(left)


def _error(measured: Measured, key: tuple[str, int, str], rows: pd.DataFrame) -> ErrorRow:
    outcome, status, code = key
    hits = per_block(rows["block"].to_numpy(dtype=np.int64))
    return ErrorRow(
        outcome=Outcome(outcome),
        status=status if status >= 0 else None,
        error_code=code or None,
        count=len(rows),
        rate=share(hits, measured.per_block, measured.seconds),
        expected=int(rows["expected"].sum()),
        first_s=float(rows["planned"].min()),
        last_s=float(rows["planned"].max()),
        p50_ms=percentile(observe(rows["service"].to_numpy(dtype=float)), 0.5, "ms").value,
    )


def connections(measured: Measured) -> Connections:
    """How many connections the whole run opened, and how many tries were sent over them."""
    whole = measured.whole
    sent = int(np.count_nonzero(~np.isnan(whole.column("sent_s"))))
    opened = int(np.count_nonzero(~np.isnan(whole.column("connect_ms"))))
    return Connections(opened=opened, sent=sent, each=sent / opened if opened else None)


def slowest(measured: Measured) -> tuple[Slow, ...]:
    """Return the ok requests with the longest scheduled latency, with what is needed to find them again."""
    count = min(_SLOWEST, int(np.count_nonzero(measured.ok)))
    if not count:
        return ()
    scheduled = np.where(measured.ok, measured.scheduled_ms, -np.inf)
    slow = np.flatnonzero(scheduled >= np.partition(scheduled, -count)[-count])
    worst = slow[np.argsort(-scheduled[slow], kind="stable")][:count]
    planned, service = measured.column("planned_s")[worst], measured.service_ms[worst]
    kinds, routes = measured.samples.words("kind")[worst].texts(), measured.routes[worst].texts()
    return tuple(
        Slow(
            request_id=request_id,
            kind=kinds[at],
            route=routes[at],
            planned_s=float(planned[at]),
            scheduled_ms=float(scheduled[worst[at]]),
            service_ms=float(service[at]),
        )
        for at, request_id in enumerate(measured.samples.texts_at("request_id", worst))
    )

"""The tables of a summary: latency, groups of requests, errors, the slowest requests."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Final, cast

import numpy as np
import numpy.typing as npt
import pandas as pd

from reports.dependence import per_block
from reports.measured import Measured
from reports.percentiles import percentile
from reports.rates import share
from reports.sample import Outcome
from reports.stats import Observed, observe
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


def latency(measured: Measured) -> tuple[Spread, ...]:
    """Spread of each latency over ok requests; Kaplan-Meier where requests were censored."""
    return tuple(_spread(measured, name, *row) for name, row in _LATENCY.items())


def residuals(measured: Measured) -> tuple[Spread, ...]:
    """Return measured minus planned latency; empty against anything but the mock."""
    if measured.manifest.target_kind != "mock":
        return ()
    return tuple(_spread(measured, name, *row) for name, row in _RESIDUALS.items())


def _spread(measured: Measured, name: str, label: str, meaning: str, unit: str) -> Spread:
    found = measured.observed[name]
    finished = found.time[found.event]
    plain = None
    if found.censored:
        alone = Observed(finished, np.ones(len(finished), dtype=bool), found.block[found.event], found.seconds)
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
        max=float(finished[-1]) if len(finished) else None,
        unit=unit,
        plain=plain,
    )


def route_names(frame: pd.DataFrame) -> pd.Series[str]:
    """`provider/model` of each try, empty where nobody answered."""
    provider, model = frame["provider"].cat, frame["model"].cat
    width = len(model.categories) + 1
    pairs = (provider.codes.to_numpy(np.int64) + 1) * width + model.codes.to_numpy(np.int64) + 1
    found, which = np.unique(pairs, return_inverse=True)
    providers, models = ["", *map(str, provider.categories)], ["", *map(str, model.categories)]
    names = ["/".join(filter(None, (providers[pair // width], models[pair % width]))) for pair in found]
    return pd.Series(np.array(names, dtype=object)[which], index=frame.index)


def by_route(measured: Measured) -> tuple[tuple[GroupRow, ...], Cut | None]:
    """One row per provider/model that answered, the busiest first."""
    names = route_names(measured.frame)
    return _groups(measured, names.where(names != ""))


def by_kind(measured: Measured) -> tuple[tuple[GroupRow, ...], Cut | None]:
    """One row per kind of call, the most frequent first."""
    return _groups(measured, measured.frame["kind"])


def by_way(measured: Measured) -> tuple[GroupRow, ...]:
    """Streamed calls beside plain ones."""
    return _groups(measured, measured.frame["stream"].map({True: "streamed", False: "plain"}))[0]


def _groups(measured: Measured, names: pd.Series[str]) -> tuple[tuple[GroupRow, ...], Cut | None]:
    codes, labels = pd.factorize(names)
    sizes = np.bincount(codes[codes >= 0], minlength=len(labels))
    busiest = np.argsort(-sizes, kind="stable")
    shown = busiest[:_MOST_ROWS]
    return tuple(_group(measured, str(labels[at]), codes == at) for at in shown), _cut(sizes[busiest[_MOST_ROWS:]])


def _cut(sizes: npt.NDArray[np.int64]) -> Cut | None:
    return Cut(rows=len(sizes), tries=int(sizes.sum())) if len(sizes) else None


def _group(measured: Measured, name: str, rows: npt.NDArray[np.bool_]) -> GroupRow:
    good = rows & measured.ok
    service = measured.among(measured.service_ms, good)
    tries, ok = per_block(measured.block[rows]), per_block(measured.block[good])
    return GroupRow(
        name=name,
        tries=int(tries.sum()),
        ok=int(ok.sum()),
        ok_rate=share(ok, tries, measured.seconds, int(np.count_nonzero(rows & measured.unknown))),
        p50=percentile(service, 0.5, "ms"),
        p95=percentile(service, 0.95, "ms"),
        p99=percentile(service, 0.99, "ms"),
        ttft_p50=percentile(measured.among(measured.ttft_ms, good), 0.5, "ms"),
        tpot_p50=percentile(measured.among(measured.tpot_ms, good), 0.5, "ms"),
        as_expected=int(np.count_nonzero(rows & measured.as_expected)),
    )


def errors(measured: Measured) -> tuple[tuple[ErrorRow, ...], Cut | None]:
    """Tries that were not ok, grouped by outcome, status and code (never by message), most frequent first."""
    bad = ~measured.ok
    frame = measured.frame[bad]
    table = pd.DataFrame(
        {
            "outcome": frame["outcome"].astype(str),
            "status": frame["status"].fillna(-1).astype(int),
            "code": frame["error_code"].astype(object).fillna(""),
            "expected": measured.as_expected[bad],
            "planned": measured.column("planned_s")[bad],
            "service": measured.service_ms[bad],
            "block": measured.block[bad],
        }
    )
    groups = sorted(_grouped(table), key=lambda group: -len(group[1]))
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


def _grouped(table: pd.DataFrame) -> Iterator[tuple[tuple[str, int, str], pd.DataFrame]]:
    for key, rows in table.groupby(["outcome", "status", "code"]):
        outcome, status, code = cast("tuple[str, int, str]", key)
        yield (str(outcome), int(status), str(code)), rows


def connections(measured: Measured) -> Connections:
    """How many connections the whole run opened, and how many tries were sent over them."""
    whole = measured.whole
    sent = int(np.count_nonzero(~np.isnan(whole.column("sent_s"))))
    opened = int(np.count_nonzero(~np.isnan(whole.column("connect_ms"))))
    return Connections(opened=opened, sent=sent, each=sent / opened if opened else None)


def slowest(measured: Measured) -> tuple[Slow, ...]:
    """Return the ok requests with the longest scheduled latency, with what is needed to find them again."""
    waited = np.where(measured.ok, measured.scheduled_ms, -np.inf)
    worst = np.argsort(-waited, kind="stable")[: min(_SLOWEST, int(np.count_nonzero(measured.ok)))]
    rows = measured.frame.iloc[worst]
    return tuple(
        Slow(
            request_id=str(request_id) if isinstance(request_id, str) else "",
            kind=str(kind),
            route=str(route),
            planned_s=float(measured.column("planned_s")[at]),
            scheduled_ms=float(measured.scheduled_ms[at]),
            service_ms=float(measured.service_ms[at]),
        )
        for at, request_id, kind, route in zip(worst, rows["request_id"], rows["kind"], route_names(rows), strict=True)
    )

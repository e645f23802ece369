"""Builders of synthetic run directories."""

from __future__ import annotations

import json
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any

import msgspec
import numpy as np
import pandas as pd
import pyarrow as pa
import pyarrow.parquet as pq
import pytest

from reports import health, validity
from reports.columns import Samples
from reports.frame import Run
from reports.ledger import balance
from reports.manifest import Manifest
from reports.measured import Measured
from reports.sample import HEALTH, HEALTH_SCHEMA, MANIFEST, SAMPLE_SCHEMA, SAMPLES, SCHEMA_VERSION, TICK_S
from reports.values import Check, Result
from reports.verdict import offered_load

ROUTES = ("openai/gpt-4.1-mini", "anthropic/claude-haiku-4-5", "google/gemini-2.5-flash")


class RunBuilder:
    """A healthy run of `n` calls, 20 a second, that a test then spoils before writing it."""

    def __init__(self, directory: Path, n: int = 1000, *, rate: float = 20.0, warmup_s: float = 5.0) -> None:
        self.directory = directory
        self.manifest = _manifest(n, rate, warmup_s)
        self.samples = _samples(n, rate, warmup_s)
        self.health: pd.DataFrame | None = _health(self.manifest["ended_s"])

    def set(self, rows: Any, **columns: Any) -> RunBuilder:
        """Overwrite cells of the given rows (labels, slice or mask)."""
        for name, value in columns.items():
            missing = value is None and self.samples[name].dtype == float
            self.samples.loc[rows, name] = np.nan if missing else value
        return self

    def later(self, rows: Any, seconds: Any, names: Sequence[str] = ("sent_s", "first_byte_s", "end_s")) -> RunBuilder:
        """Move moments of rows."""
        return self.set(rows, **{name: self.samples[name] + seconds for name in names})

    def fail(self, rows: Any, outcome: str, *, status: int | None = None, code: str | None = None) -> RunBuilder:
        """Make rows failures: nothing that only a good answer has remains."""
        self.set(rows, outcome=outcome, status=status, error_code=code)
        empty = ["provider", "model", "completion_tokens", "prompt_tokens", "chunks", "max_gap_s", "planned_ms"]
        self.set(rows, **dict.fromkeys(empty))
        if outcome == "timeout":
            waited = self.samples["end_s"] - self.samples["sent_s"]
            self.manifest["timeout_s"] = float(waited[self.samples["outcome"] == "timeout"].min())
        if outcome == "cut_off":
            self.set(rows, end_s=None)
        if outcome == "never_sent":
            self.set(rows, sent_s=None, end_s=None, first_byte_s=None, overhead_ms=None)
        return self

    def gates(self, *gates: dict[str, Any]) -> RunBuilder:
        """Replace the gates of the manifest."""
        self.manifest["gates"] = list(gates)
        return self

    def ending(self, ended_s: float) -> RunBuilder:
        """Let the run end at another moment, with health readings until then."""
        self.manifest["ended_s"], self.health = ended_s, _health(ended_s)
        return self

    def beats(self, worker: str, **options: Any) -> RunBuilder:
        """Replace one worker's health readings by those of `beats`."""
        assert self.health is not None
        others = self.health[self.health["worker"] != worker]
        mine = beats(worker, self.manifest["ended_s"], **options)
        self.health = pd.concat([others, mine], ignore_index=True)
        return self

    def tables(self) -> tuple[pa.Table, pa.Table | None]:
        """Samples and health as the recorder would write them."""
        samples = pa.Table.from_pandas(self.samples, preserve_index=False).select(SAMPLE_SCHEMA.names)
        samples = samples.cast(SAMPLE_SCHEMA).replace_schema_metadata(SAMPLE_SCHEMA.metadata)
        if self.health is None:
            return samples, None
        health = pa.Table.from_pandas(self.health, preserve_index=False).cast(HEALTH_SCHEMA)
        return samples, health.replace_schema_metadata(HEALTH_SCHEMA.metadata)

    def run(self) -> Run:
        """The run as it would be read, without a file."""
        samples, health = self.tables()
        manifest = msgspec.convert(self.manifest, Manifest)
        return Run(self.directory, manifest, Samples.of(samples), None if health is None else health.to_pandas())

    def write(self) -> Path:
        """Write the run directory and return it."""
        self.directory.mkdir(parents=True, exist_ok=True)
        (self.directory / MANIFEST).write_text(json.dumps(self.manifest), encoding="utf-8")
        samples, health = self.tables()
        pq.write_table(samples, self.directory / SAMPLES)
        if health is not None:
            pq.write_table(health, self.directory / HEALTH)
        return self.directory


def beats(
    worker: str,
    ended_s: float,
    *,
    stops: Sequence[tuple[float, float]] = (),
    lag_ms: Callable[[int], Any] = lambda n: np.full(n, 0.5),
    cpu: float = 0.2,
    wait: float = 0.01,
) -> pd.DataFrame:
    """Readings of a process that stood still at the given moments for so long, s, as it would have read them.

    `lag_ms` gives how late each of n ticks was beside that; `cpu` and `wait` are shares of the time.
    """
    due = np.arange(1, int(ended_s / TICK_S)) * TICK_S
    woken = due + np.asarray(lag_ms(len(due)), dtype=float) / 1e3
    for begin, length in stops:
        woken = np.where((due >= begin) & (due < begin + length), begin + length, woken)
    woken = np.maximum.accumulate(woken)
    # Ticks are taken in together where the loop wakes; a beat ends with the wake that fills it.
    rows, first, from_s = [], 0, 0.0
    for last in np.flatnonzero(np.append(woken[:-1] < due[1:], True)).tolist():
        if last + 1 - first >= 25 or last == len(due) - 1:
            lag = woken[first : last + 1] - due[first : last + 1]
            rows.append({"worker": worker, "from_s": from_s, "at_s": woken[last], "lag_ms": lag * 1e3})
            first, from_s = last + 1, woken[last]
    found = pd.DataFrame(rows)
    span = found["at_s"] - found["from_s"]
    return found.assign(cpu_s=cpu * span, wait_s=wait * span, in_flight=8)


def _samples(n: int, rate: float, warmup_s: float) -> pd.DataFrame:
    dice = np.random.default_rng(7)
    planned = np.arange(n) / rate
    sent = planned + dice.uniform(0.0002, 0.002, n)
    stream = dice.random(n) < 0.4
    first_ms = 120 + 300 * np.exp(0.4 * dice.standard_normal(n))
    tokens = dice.integers(20, 200, n)
    planned_ms = first_ms + tokens * 5.0
    seen = planned_ms + dice.uniform(0.5, 3.0, n)
    route = dice.choice(len(ROUTES), n, p=(0.6, 0.3, 0.1))
    names = np.array([name.split("/") for name in ROUTES])[route]
    kinds = np.where(dice.random(n) < 0.5, "chat-en", "chat-zh")
    return pd.DataFrame(
        {
            "scenario": "steady",
            "phase": np.where(planned < warmup_s, "warmup", "measure"),
            "call_id": np.arange(n),
            "try": 0,
            "kind": kinds.astype(object),
            "planned_s": planned,
            "ready_s": np.nan,
            "sent_s": sent,
            "first_byte_s": sent + np.where(stream, first_ms, seen - 0.2) / 1e3,
            "end_s": sent + seen / 1e3,
            "outcome": "ok",
            "status": pd.Series(200, index=range(n), dtype="Int64"),
            "error_code": pd.Series(None, index=range(n), dtype="object"),
            "provider": pd.Series(names[:, 0], dtype="object"),
            "model": pd.Series(names[:, 1], dtype="object"),
            "attempts": 1,
            "prompt_tokens": pd.Series(dice.integers(50, 900, n), dtype="Int64"),
            "completion_tokens": pd.Series(tokens, dtype="Int64"),
            "stream": stream,
            "chunks": pd.Series(tokens, dtype="Int64").where(pd.Series(stream)),
            "max_gap_s": np.where(stream, 0.02, np.nan),
            "planned_ms": planned_ms,
            "planned_first_ms": first_ms - 0.5,
            "overhead_ms": dice.uniform(0.05, 0.9, n),
            "wasted_ms": 0.0,
            "connect_ms": np.where(np.arange(n) < 8, 0.3, np.nan),
            "request_id": [f"req_{at:07x}" for at in range(n)],
            "worker": np.where(np.arange(n) % 2, "w1", "w0"),
            "key": pd.Series(None, index=range(n), dtype="object"),
            "expected": pd.Series(None, index=range(n), dtype="object"),
        }
    )


def _health(ended_s: float) -> pd.DataFrame:
    """A beat each quarter of a second, of 25 ticks each, on a core a quarter busy."""
    at = np.arange(0.25, max(ended_s, 2.0), 0.25)
    dice = np.random.default_rng(3)
    rows = {
        "from_s": at - 0.25,
        "at_s": at,
        "cpu_s": dice.uniform(0.05, 0.0725, len(at)),
        "wait_s": dice.uniform(0, 0.004, len(at)),
        "lag_ms": list(dice.uniform(0, 4, (len(at), 25))),
        "in_flight": 8,
    }
    return pd.concat([pd.DataFrame({"worker": name, **rows}) for name in ("mock", "w0", "w1")], ignore_index=True)


def _manifest(n: int, rate: float, warmup_s: float) -> dict[str, Any]:
    return {
        "schema_version": SCHEMA_VERSION,
        "run_id": "20250102T030405Z-steady",
        "scenario": "steady",
        "description": "an even stream of mixed calls",
        "world": "realistic",
        "seed": 0,
        "target": "http://127.0.0.1:8080",
        "target_kind": "mock",
        "api_key": "…ited",
        "load": {"kind": "open", "rate_per_s": rate, "arrivals": "poisson"},
        "warmup_s": warmup_s,
        "duration_s": n / rate - warmup_s,
        "drain_s": 60.0,
        "started_at": "2025-01-02T03:04:05Z",
        "ended_s": n / rate + 3.0,
        "interrupted": False,
        "planned_calls": n,
        "processes": 2,
        "time_scale": 1.0,
        "workers": [{"worker": "w0", "pid": 11, "lost": False}, {"worker": "w1", "pid": 12, "lost": False}],
        "labels": {"team": "blue"},
        "gates": [
            {"metric": "scheduled_p95_ms", "max": 5000, "why": "a customer waits no longer"},
            {"metric": "error_rate", "max": 0.05},
            {"metric": "count_500", "max": 0},
        ],
        "argv": ["load-test", "run", "steady"],
        "versions": {"locust": "2.47.0", "python": "3.11.9"},
        "machine": {"python": "3.11.9", "platform": "Linux", "cpus": 2, "memory_gb": 8.0},
        "incidents": [{"kind": "brownout", "what": "openai", "start_s": 20.0, "end_s": 25.0}],
        "timeout_s": 120.0,
    }


def checks_of(run: Run) -> dict[str, Check]:
    """Every validity check of a run by its name, judged by the run's own gates."""
    measured, gates = Measured.of(run), run.manifest.gates
    found = validity.checks(run, measured, balance(run), health.readings(run.health), gates)
    return {check.name: check for check in (*found, offered_load(run, measured, gates, found))}


def assert_invalid(builder: RunBuilder, spoil: Callable[[Any], object], broken: str, said: str) -> None:
    """Once spoilt, a run is invalid by the check ``broken``, which says why."""
    spoil(builder)
    found = checks_of(builder.run())[broken]
    assert found.result is Result.INVALID
    assert said in found.said


@pytest.fixture
def make_run(tmp_path: Path) -> Callable[..., RunBuilder]:
    """Start building a run directory in a fresh folder."""

    def make(n: int = 1000, name: str = "run", **options: float) -> RunBuilder:
        return RunBuilder(tmp_path / name, n, **options)

    return make


@pytest.fixture(scope="session")
def make_shared_run(tmp_path_factory: pytest.TempPathFactory) -> Callable[..., RunBuilder]:
    """Start building a run directory that several tests read."""

    def make(n: int = 1000, **options: float) -> RunBuilder:
        return RunBuilder(tmp_path_factory.mktemp("shared") / "run", n, **options)

    return make

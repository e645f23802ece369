"""How long a report of a million samples takes, and how much memory: under 6 s and 0.8 GB; of ten, 60 s and 3 GB.

Run it with `python -m benchmarks.report_million [ROWS]`; it works in a temporary folder. The seconds judged are those
of the processor, user and system, which other work on the machine changes less than those of the clock.
"""

from __future__ import annotations

import json
import multiprocessing
import os
import subprocess
import sys
import tempfile
import time
from pathlib import Path
from typing import Final

import numpy as np
import pandas as pd
import pyarrow as pa
import pyarrow.parquet as pq

from reports.sample import (
    HEALTH,
    HEALTH_SCHEMA,
    MANIFEST,
    REPORT_HTML,
    SAMPLE_SCHEMA,
    SAMPLES,
    SCHEMA_VERSION,
    TICK_S,
)

_RATE_PER_S: Final = 500.0
_WARMUP_S: Final = 60.0
_DRAIN_S: Final = 60.0
_WORKERS: Final = ("w0", "w1")
_BEAT_TICKS: Final = 25
_ROUTES: Final = tuple(f"provider-{at}/model-{at}" for at in range(12))
_MILLION: Final = (6.0, 0.8)  # s, GB
_TEN_MILLION: Final = (60.0, 3.0)
_MOST_MB: Final = 1.5


def samples(rows: int) -> pd.DataFrame:
    """Return a run of `rows` tries, 500 per second, with 1 % refused and a few timed out."""
    dice = np.random.default_rng(0)
    warming = round(_RATE_PER_S * _WARMUP_S)
    window = dice.uniform(_WARMUP_S, rows / _RATE_PER_S, rows - warming)
    planned = np.concatenate([np.sort(dice.uniform(0, _WARMUP_S, warming)), np.sort(window)])
    service = 0.25 + 0.4 * np.exp(0.8 * dice.standard_normal(rows))
    outcome = dice.choice(["ok", "refused", "timeout"], rows, p=(0.989, 0.01, 0.001))
    ok = outcome == "ok"
    route = np.array([name.split("/") for name in _ROUTES], dtype=object)[dice.integers(len(_ROUTES), size=rows)]
    stream = dice.random(rows) < 0.4
    sent = planned + dice.exponential(0.0005, rows)
    return pd.DataFrame(
        {
            "scenario": "million",
            "phase": np.where(planned < _WARMUP_S, "warmup", "measure"),
            "call_id": np.arange(rows),
            "try": 0,
            "kind": dice.choice(["chat-en", "chat-zh", "code"], rows),
            "planned_s": planned,
            "ready_s": np.nan,
            "sent_s": sent,
            "first_byte_s": np.where(ok, sent + 0.6 * service, np.nan),
            "end_s": sent + np.where(outcome == "timeout", 30.0, service),
            "outcome": outcome,
            "status": pd.Series(np.where(ok, 200, 502), dtype="Int16").where(outcome != "timeout"),
            "error_code": pd.Series("ALL_PROVIDERS_FAILED", index=range(rows)).where(outcome == "refused"),
            "provider": pd.Series(route[:, 0]).where(ok),
            "model": pd.Series(route[:, 1]).where(ok),
            "attempts": 1,
            "prompt_tokens": 300,
            "completion_tokens": dice.integers(10, 300, rows),
            "stream": stream,
            "chunks": dice.integers(10, 300, rows),
            "max_gap_s": np.where(stream & ok, dice.exponential(0.05, rows), np.nan),
            "planned_ms": service * 1e3 - 1,
            "planned_first_ms": 600 * service,
            "overhead_ms": dice.exponential(0.3, rows),
            "wasted_ms": 0.0,
            "connect_ms": np.nan,
            "request_id": [f"req_{at:07x}" for at in range(rows)],
            "worker": dice.choice(_WORKERS, rows),
            "key": pd.Series(None, index=range(rows), dtype=object),
            "expected": pd.Series(None, index=range(rows), dtype=object),
        }
    )


def health(ended_s: float) -> pd.DataFrame:
    """Return the readings of both workers, a quarter of a second each, of a generator at ease."""
    dice = np.random.default_rng(1)
    span_s = _BEAT_TICKS * TICK_S
    at = np.arange(1, int(ended_s / span_s) + 1) * span_s
    cells = {"from_s": at - span_s, "at_s": at, "cpu_s": 0.3 * span_s, "wait_s": 0.01 * span_s, "in_flight": 300}
    lags = [list(dice.exponential(0.5, (len(at), _BEAT_TICKS))) for _ in _WORKERS]
    parts = [pd.DataFrame({"worker": name, **cells, "lag_ms": lag}) for name, lag in zip(_WORKERS, lags, strict=True)]
    return pd.concat(parts, ignore_index=True)


def write_run(directory: Path, rows: int) -> None:
    """Write a run directory of `rows` samples."""
    table = pa.Table.from_pandas(samples(rows), preserve_index=False).select(SAMPLE_SCHEMA.names)
    pq.write_table(table.cast(SAMPLE_SCHEMA).replace_schema_metadata(SAMPLE_SCHEMA.metadata), directory / SAMPLES)
    ended_s = float(rows / _RATE_PER_S + _DRAIN_S)
    readings = pa.Table.from_pandas(health(ended_s), preserve_index=False).select(HEALTH_SCHEMA.names)
    pq.write_table(readings.cast(HEALTH_SCHEMA).replace_schema_metadata(HEALTH_SCHEMA.metadata), directory / HEALTH)
    manifest = {
        "schema_version": SCHEMA_VERSION,
        "run_id": "20250102T030405Z-million",
        "scenario": "million",
        "target": "http://127.0.0.1:8080",
        "target_kind": "mock",
        "load": {"kind": "open", "rate_per_s": _RATE_PER_S, "arrivals": "poisson"},
        "warmup_s": _WARMUP_S,
        "duration_s": rows / _RATE_PER_S - _WARMUP_S,
        "started_at": "2025-01-02T03:04:05Z",
        "ended_s": ended_s,
        "planned_calls": rows,
        "workers": [{"worker": name, "pid": pid} for pid, name in enumerate(_WORKERS, 1)],
        "gates": [{"metric": "scheduled_p99_ms", "max": 5000}, {"metric": "error_rate", "max": 0.02}],
    }
    (directory / MANIFEST).write_text(json.dumps(manifest), encoding="utf-8")


def build(directory: Path) -> tuple[float, float, float]:
    """Build the report in a process of its own; return its seconds, those of the processor, and peak memory in GB."""
    begin = time.monotonic()
    child = subprocess.Popen([sys.executable, "-m", "reports", "build", str(directory)])
    _, status, usage = os.wait4(child.pid, 0)
    child.returncode = os.waitstatus_to_exitcode(status)
    if child.returncode not in (0, 1, 4):
        raise SystemExit(f"perf-report build ended with {child.returncode}")
    # Linux counts ru_maxrss in KiB, macOS in bytes.
    peak = usage.ru_maxrss * (1 if sys.platform == "darwin" else 1024) / 1e9
    return time.monotonic() - begin, usage.ru_utime + usage.ru_stime, peak


def main() -> int:
    """Print time, memory and size; return 1 where one is more than wanted."""
    rows = int(sys.argv[1]) if len(sys.argv) > 1 else 1_000_000
    with tempfile.TemporaryDirectory() as folder:
        # In a process of its own: on Linux a child's peak begins with what its parent holds.
        writer = multiprocessing.get_context("spawn").Process(target=write_run, args=(Path(folder), rows))
        writer.start()
        writer.join()
        if writer.exitcode:
            raise SystemExit("the samples could not be written")
        seconds, computed, gigabytes = build(Path(folder))
        megabytes = (Path(folder) / REPORT_HTML).stat().st_size / 1e6
    most_s, most_gb = _MILLION if rows <= 1_000_000 else _TEN_MILLION
    good = computed < most_s and gigabytes < most_gb and megabytes < _MOST_MB
    print(
        f"{rows:,} samples: {computed:.1f} s of the processor (under {most_s:g}), {seconds:.1f} s in all, "
        f"peak {gigabytes:.2f} GB (under {most_gb:g}), report.html {megabytes:.2f} MB (under {_MOST_MB:g})"
    )
    return 0 if good else 1


if __name__ == "__main__":
    sys.exit(main())

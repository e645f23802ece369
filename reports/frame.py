"""Reads a run directory into validated pandas frames. It only ever reads."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path

import numpy as np
import pandas as pd
import pyarrow as pa
import pyarrow.parquet as pq

from reports.manifest import Manifest, load_manifest
from reports.problem import Unusable
from reports.sample import (
    HEALTH,
    HEALTH_SCHEMA,
    SAMPLE_SCHEMA,
    SAMPLES,
    SCHEMA_VERSION,
    Outcome,
    Phase,
)

_TIMES = ("planned_s", "sent_s", "first_byte_s", "end_s", "max_gap_s", "planned_ms", "overhead_ms")


@dataclass(frozen=True)
class Run:
    """One run: its manifest, a row per try, and the generator's health (None where not recorded)."""

    directory: Path
    manifest: Manifest
    samples: pd.DataFrame
    health: pd.DataFrame | None


def load_run(run_dir: Path) -> Run:
    """Read and validate a run directory; raise Unusable with one line when it cannot be measured."""
    if not run_dir.is_dir():
        raise Unusable(f"{run_dir}: no such run directory; `load-test run` makes one")
    manifest = load_manifest(run_dir)
    samples = _read(run_dir / SAMPLES, SAMPLE_SCHEMA)
    _check_samples(run_dir / SAMPLES, samples)
    health_path = run_dir / HEALTH
    health = _read(health_path, HEALTH_SCHEMA) if health_path.exists() else None
    return Run(run_dir, manifest, samples, health)


def _read(path: Path, schema: pa.Schema) -> pd.DataFrame:
    if not path.exists():
        raise Unusable(f"{path}: missing; the run recorded nothing, or is still going on")
    try:
        # Without memory mapping and by handle: a path would let pyarrow guess partitions from its name.
        with path.open("rb") as handle:
            stored = pq.ParquetFile(handle)
            _check_schema(path, stored.schema_arrow, schema)
            table = stored.read(columns=schema.names).select(schema.names).cast(schema)
    except (pa.ArrowException, OSError, ValueError) as error:
        first_line = str(error).splitlines()[0] if str(error) else type(error).__name__
        raise Unusable(f"{path}: not a whole Parquet file of this schema ({first_line})") from None
    frame: pd.DataFrame = table.to_pandas(self_destruct=True)
    return frame


def _check_schema(path: Path, found: pa.Schema, wanted: pa.Schema) -> None:
    missing = [name for name in wanted.names if name not in found.names]
    if missing:
        raise Unusable(f"{path}: columns missing: {', '.join(missing)}")
    version = (found.metadata or {}).get(b"schema_version", b"none").decode(errors="replace")
    if version != str(SCHEMA_VERSION):
        raise Unusable(f"{path}: schema_version is {version}, this perf-report reads {SCHEMA_VERSION}")


def _check_samples(path: Path, samples: pd.DataFrame) -> None:
    if samples.empty:
        raise Unusable(f"{path}: no rows, so there is nothing there to measure")
    for column, allowed in (("phase", set(Phase)), ("outcome", set(Outcome))):
        strange = sorted(set(samples[column].unique()) - {str(word) for word in allowed})
        if strange:
            words = ", ".join(sorted(allowed))
            raise Unusable(f"{path}: column {column} holds {strange[0]!r}; it may hold {words}")
    for column in _TIMES:
        if np.isinf(samples[column].to_numpy()).any():
            raise Unusable(f"{path}: column {column} holds an infinite number")
    if not (samples["phase"] == Phase.MEASURE).any():
        raise Unusable(f"{path}: no request in the measure phase, so there is nothing there to measure")

"""Reads a run directory into validated pandas frames. It only ever reads."""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Final

import pandas as pd
import pyarrow as pa
import pyarrow.compute as pc
import pyarrow.parquet as pq

from reports.manifest import LONGEST_S, Manifest, load_manifest
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
        for field in schema:
            _check_numbers(path, field, table.column(field.name))
        frame: pd.DataFrame = table.unify_dictionaries().to_pandas(self_destruct=True)
    except (pa.ArrowException, OSError, ValueError, TypeError, OverflowError, MemoryError) as error:
        first_line = str(error).splitlines()[0] if str(error) else type(error).__name__
        raise Unusable(f"{path}: not a whole Parquet file of this schema ({first_line})") from None
    return frame


def _check_schema(path: Path, found: pa.Schema, wanted: pa.Schema) -> None:
    missing = [name for name in wanted.names if name not in found.names]
    if missing:
        raise Unusable(f"{path}: columns missing: {', '.join(missing)}")
    double = [name for name, count in Counter(found.names).items() if count > 1 and name in wanted.names]
    if double:
        raise Unusable(f"{path}: columns there twice: {', '.join(double)}")
    version = (found.metadata or {}).get(b"schema_version", b"none").decode(errors="replace")
    if version != str(SCHEMA_VERSION):
        raise Unusable(f"{path}: schema_version is {version}, this perf-report reads {SCHEMA_VERSION}")
    for field in wanted:
        kind = found.field(field.name).type
        if not _alike(kind, field.type):
            sort = field.type.value_type if pa.types.is_dictionary(field.type) else field.type
            raise Unusable(f"{path}: column {field.name} holds {kind}, not {sort}")


_SORTS: Final[tuple[tuple[Callable[[pa.DataType], bool], Callable[[pa.DataType], bool]], ...]] = (
    (pa.types.is_floating, lambda kind: pa.types.is_floating(kind) or pa.types.is_integer(kind)),
    (pa.types.is_integer, pa.types.is_integer),
    (pa.types.is_boolean, pa.types.is_boolean),
    (pa.types.is_string, lambda kind: pa.types.is_string(kind) or pa.types.is_large_string(kind)),
)


def _alike(found: pa.DataType, wanted: pa.DataType) -> bool:
    """Whether values of one type are of the sort another asks for; a cast would take words for numbers, or dates."""
    if pa.types.is_list(wanted):
        lists = pa.types.is_list(found) or pa.types.is_large_list(found)
        return bool(lists and _alike(found.value_type, wanted.value_type))
    if pa.types.is_dictionary(wanted):
        wanted = wanted.value_type
        found = found.value_type if pa.types.is_dictionary(found) else found
    return any(ask(wanted) and answer(found) for ask, answer in _SORTS) or pa.types.is_null(found)


def _check_numbers(path: Path, field: pa.Field, column: pa.ChunkedArray) -> None:
    """Numbers are finite, and no longer than any run: what is beyond would overflow on its way to a page."""
    values = pc.list_flatten(column) if pa.types.is_list(field.type) else column
    if not field.nullable and values.null_count:
        raise Unusable(f"{path}: column {field.name} has empty readings")
    if not pa.types.is_floating(values.type) or len(values) == values.null_count:
        return
    if not pc.all(pc.is_finite(values)).as_py():
        raise Unusable(f"{path}: column {field.name} holds a number that is not finite")
    longest = LONGEST_S * (1e3 if field.name.endswith("_ms") else 1)
    furthest = pc.max(pc.abs(values)).as_py()
    if furthest > longest:
        raise Unusable(f"{path}: column {field.name} holds {furthest:g}, and no run lasts so long")


def _check_samples(path: Path, samples: pd.DataFrame) -> None:
    if samples.empty:
        raise Unusable(f"{path}: no rows, so there is nothing there to measure")
    for column, allowed in (("phase", set(Phase)), ("outcome", set(Outcome))):
        strange = sorted(set(samples[column].unique()) - {str(word) for word in allowed})
        if strange:
            words = ", ".join(sorted(allowed))
            raise Unusable(f"{path}: column {column} holds {strange[0]!r}; it may hold {words}")
    if not (samples["phase"] == Phase.MEASURE).any():
        raise Unusable(f"{path}: no request in the measure phase, so there is nothing there to measure")

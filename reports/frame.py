"""Reads and validates a run directory. It only ever reads."""

from __future__ import annotations

import contextlib
from collections import Counter
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Final

import pandas as pd
import pyarrow as pa
import pyarrow.compute as pc
import pyarrow.parquet as pq

from reports.columns import Samples
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
    samples: Samples
    health: pd.DataFrame | None


def load_run(run_dir: Path) -> Run:
    """Read and validate a run directory; raise Unusable with one line when it cannot be measured.

    Of the samples, columns that are seldom needed are read again when they are asked for, and may raise it then.
    """
    if not run_dir.is_dir():
        raise Unusable(f"{run_dir}: no such run directory; `load-test run` makes one")
    manifest = load_manifest(run_dir)
    samples = _samples(run_dir / SAMPLES)
    health_path = run_dir / HEALTH
    return Run(run_dir, manifest, samples, _health(health_path) if health_path.exists() else None)


@contextlib.contextmanager
def _whole(path: Path) -> Iterator[None]:
    """Say in one line what keeps a file from being read."""
    try:
        yield
    except (pa.ArrowException, OSError, ValueError, TypeError, OverflowError, MemoryError) as error:
        first_line = str(error).splitlines()[0] if str(error) else type(error).__name__
        raise Unusable(f"{path}: not a whole Parquet file of this schema ({first_line})") from None


def _opened(path: Path, schema: pa.Schema) -> pq.ParquetFile:
    if not path.exists():
        raise Unusable(f"{path}: missing; the run recorded nothing, or is still going on")
    with _whole(path):
        # Without memory mapping and by handle: a path would let pyarrow guess partitions from its name.
        stored = pq.ParquetFile(pa.OSFile(str(path)))
        _check_schema(path, stored.schema_arrow, schema)
    return stored


def _column(path: Path, stored: pq.ParquetFile, field: pa.Field) -> pa.ChunkedArray:
    with _whole(path):
        return stored.read(columns=[field.name]).column(field.name).cast(field.type)


def _samples(path: Path) -> Samples:
    """The samples, every column of which was read and checked once."""
    stored = _opened(path, SAMPLE_SCHEMA)
    samples = Samples(stored.metadata.num_rows, lambda name: _column(path, stored, SAMPLE_SCHEMA.field(name)))
    for field in SAMPLE_SCHEMA:
        column = _column(path, stored, field)
        _check_numbers(path, field, column)
        samples.hold(field.name, column)
    _check_samples(path, samples)
    return samples


def _health(path: Path) -> pd.DataFrame:
    stored = _opened(path, HEALTH_SCHEMA)
    columns = [_column(path, stored, field) for field in HEALTH_SCHEMA]
    for field, column in zip(HEALTH_SCHEMA, columns, strict=True):
        _check_numbers(path, field, column)
    frame: pd.DataFrame = pa.table(columns, schema=HEALTH_SCHEMA).unify_dictionaries().to_pandas()
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
    if not field.nullable and (column.null_count or values.null_count):
        raise Unusable(f"{path}: column {field.name} has empty readings")
    if not pa.types.is_floating(values.type) or len(values) == values.null_count:
        return
    if not pc.all(pc.is_finite(values)).as_py():
        raise Unusable(f"{path}: column {field.name} holds a number that is not finite")
    longest = LONGEST_S * (1e3 if field.name.endswith("_ms") else 1)
    furthest = pc.max(pc.abs(values)).as_py()
    if furthest > longest:
        raise Unusable(f"{path}: column {field.name} holds {furthest:g}, and no run lasts so long")


def _check_samples(path: Path, samples: Samples) -> None:
    if not len(samples):
        raise Unusable(f"{path}: no rows, so there is nothing there to measure")
    for column, allowed in (("phase", set(Phase)), ("outcome", set(Outcome))):
        strange = sorted(samples.words(column).used - {str(word) for word in allowed})
        if strange:
            words = ", ".join(sorted(allowed))
            raise Unusable(f"{path}: column {column} holds {strange[0]!r}; it may hold {words}")
    if not samples.words("phase").among(Phase.MEASURE).any():
        raise Unusable(f"{path}: no request in the measure phase, so there is nothing there to measure")

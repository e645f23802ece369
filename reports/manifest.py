"""The manifest of a run and its gates, read and validated."""

from __future__ import annotations

import math
from pathlib import Path
from typing import Any, Literal

import msgspec

from reports.gate import Gate, read_gates
from reports.problem import Unusable
from reports.sample import MANIFEST, SCHEMA_VERSION


class Load(msgspec.Struct, frozen=True):
    """How load was driven; which fields are set depends on `kind`."""

    kind: Literal["open", "closed", "script"]
    rate_per_s: float | None = None
    arrivals: str | None = None
    users: int | None = None
    calls: int | None = None


class Worker(msgspec.Struct, frozen=True):
    """One load-generating process."""

    worker: str
    pid: int
    lost: bool = False


class Incident(msgspec.Struct, frozen=True):
    """What the world did to its providers, in seconds of the run."""

    kind: str
    what: str
    start_s: float
    end_s: float


class Manifest(msgspec.Struct, frozen=True):
    """What was run, where, when and with what. Times in seconds of the run's clock."""

    schema_version: int
    run_id: str
    scenario: str
    target: str
    target_kind: Literal["mock", "external"]
    load: Load
    warmup_s: float
    duration_s: float
    started_at: str
    ended_s: float
    planned_calls: int
    stopped_s: float | None = None
    """When no further call was begun though there were some: the run was interrupted, or ended on purpose.

    Ended on purpose, `duration_s` reaches only so far, and what was planned for later has no rows.
    """
    drain_s: float = 0.0
    timeout_s: float | None = None
    description: str = ""
    world: str | None = None
    seed: int | None = None
    api_key: str = ""
    interrupted: bool = False
    mock_died: bool = False
    processes: int = 1
    time_scale: float = 1.0
    workers: tuple[Worker, ...] = ()
    labels: dict[str, str] = {}
    gates: tuple[Gate, ...] = ()
    argv: tuple[str, ...] = ()
    versions: dict[str, str] = {}
    machine: dict[str, Any] = {}
    incidents: tuple[Incident, ...] = ()


def load_manifest(run_dir: Path) -> Manifest:
    """Read `manifest.json` of a run directory; raise Unusable if it cannot be trusted."""
    path = run_dir / MANIFEST
    try:
        raw = msgspec.json.decode(path.read_bytes())
    except FileNotFoundError:
        raise Unusable(f"{path}: missing; is {run_dir} a run directory made by `load-test run`?") from None
    except (OSError, msgspec.DecodeError, UnicodeDecodeError, RecursionError) as error:
        raise Unusable(f"{path}: not readable as JSON ({error}); run the scenario again") from None
    version = raw.get("schema_version") if isinstance(raw, dict) else None
    if version != SCHEMA_VERSION:
        raise Unusable(f"{path}: schema_version is {version!r}, this perf-report reads {SCHEMA_VERSION}")
    try:
        manifest = msgspec.convert(raw, Manifest)
    except msgspec.ValidationError as error:
        raise Unusable(f"{path}: {error}") from None
    spans = (manifest.warmup_s, manifest.duration_s, manifest.drain_s, manifest.ended_s)
    if not all(math.isfinite(span) and span >= 0 for span in spans):
        raise Unusable(f"{path}: warmup_s, duration_s, drain_s and ended_s must be 0 or more")
    return manifest


def load_gates(path: Path) -> tuple[Gate, ...]:
    """Read a TOML file of `[[gate]]` tables; raise Unusable if it cannot be used."""
    try:
        return read_gates(path.read_text(encoding="utf-8"))
    except FileNotFoundError:
        raise Unusable(f"{path}: no such gates file") from None
    except (OSError, UnicodeDecodeError) as error:
        raise Unusable(f"{path}: not readable as TOML ({error})") from None
    except ValueError as error:
        raise Unusable(f"{path}: {error}") from None

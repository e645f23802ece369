"""``manifest.json``: what was run, where, when and with what. Versioned with the sample schema."""

from __future__ import annotations

import os
import platform
import time
from collections.abc import Iterator, Sequence
from datetime import UTC, datetime
from importlib.metadata import PackageNotFoundError, version
from pathlib import Path
from typing import Any, Final

import msgspec
import psutil

from reports.sample import MANIFEST, SCHEMA_VERSION
from scenarios.model.load import Open, Script, Stages
from scenarios.model.workload import masked
from scenarios.record.plan import Origin, Plan, script_of

_PACKAGES: Final = (
    "apiflowx-harness",
    "locust",
    "gevent",
    "httptools",
    "msgspec",
    "numpy",
    "pyarrow",
    "pandas",
    "scipy",
)


class WorkerFate(msgspec.Struct, frozen=True):
    """One load-generating process, and whether it died."""

    worker: str
    pid: int
    lost: bool


def write_manifest(
    run_dir: Path,
    plan: Plan,
    origin: Origin | None,
    *,
    ended_s: float,
    interrupted: bool,
    planned_calls: int,
    workers: Sequence[WorkerFate] = (),
    last_s: float = 0.0,
    stopped_s: float | None = None,
    curtailed: bool = False,
    mock_died: bool = False,
) -> None:
    """Write or replace the manifest, all of it or nothing.

    ``last_s`` is the last moment anything was recorded; a script lasts until then. ``stopped_s`` is when no further
    call was begun though there were some; in a ``curtailed`` run the window ends there. ``mock_died`` says that the
    run's own mock ended by itself.
    """
    ended_s = max(ended_s, 0.0)
    scenario = plan.scenario
    document = {
        "schema_version": SCHEMA_VERSION,
        "run_id": plan.run_id,
        "scenario": scenario.name,
        "description": scenario.description,
        "world": plan.world,
        "seed": plan.seed,
        "target": plan.target,
        "target_kind": plan.target_kind,
        "api_key": plan.api_key,
        "load": _load(plan),
        "workload": _workload(plan),
        "client": scenario.client,
        "warmup_s": plan.warmup_s,
        "duration_s": _duration(plan, last_s, stopped_s if curtailed else None),
        "drain_s": plan.drain_s,
        "max_in_flight": plan.max_in_flight,
        "timeout_s": plan.timeout_s,
        "started_at": _iso(time.time() if origin is None else origin.unix_s),
        "ended_s": ended_s,
        "stopped_s": stopped_s,
        "interrupted": interrupted,
        "mock_died": mock_died,
        "planned_calls": planned_calls,
        "processes": plan.processes,
        "time_scale": plan.time_scale,
        "virtual": plan.virtual,
        "workers": workers,
        "labels": plan.labels,
        "gates": scenario.gates,
        "argv": plan.argv,
        "versions": _versions(),
        "machine": _machine(),
        "incidents": list(_incidents(plan, origin, ended_s)),
    }
    temporary = run_dir / f".{MANIFEST}.tmp"
    temporary.write_bytes(msgspec.json.format(msgspec.json.encode(document), indent=2) + b"\n")
    temporary.replace(run_dir / MANIFEST)


def _incidents(plan: Plan, origin: Origin | None, ended_s: float) -> Iterator[dict[str, Any]]:
    """Each time an incident went on between the run's zero and its end, on the run's clock."""
    if origin is None:
        return
    for trouble in plan.troubles:
        start_s = origin.world_s + trouble.at_s
        while start_s < ended_s:
            end_s = ended_s if trouble.lasts_s is None else min(start_s + trouble.lasts_s, ended_s)
            if end_s > 0:
                yield {"kind": trouble.kind, "what": trouble.what, "start_s": max(start_s, 0.0), "end_s": end_s}
            if trouble.every_s is None:
                break
            start_s += trouble.every_s


def _load(plan: Plan) -> dict[str, Any]:
    """Every setting of the load, and ``calls``: how many of them the plan puts into the window."""
    load, settings = plan.load, msgspec.to_builtins(plan.load)
    if isinstance(load, Script):
        return {**settings, "calls": len(script_of(plan))}
    if isinstance(load, Stages):
        mean = sum(segment.expected for segment in load.window(0.0)) / load.for_s
        gaps = " and ".join(dict.fromkeys(stage.arrivals for stage in load.stages))
        settings = {**settings, "kind": Open.__struct_config__.tag, "rate_per_s": mean, "arrivals": gaps}
    if load.planned:
        return {**settings, "calls": load.calls(plan.duration_s or 0.0)}
    return dict(settings)


def _workload(plan: Plan) -> dict[str, Any] | None:
    """What was asked; ``None`` for a script, which asks what its file says."""
    if isinstance(plan.load, Script):
        return None
    workload = plan.scenario.workload
    keys: dict[str, float] = {}
    for key, weight in workload.keys.items():
        keys[masked(key)] = keys.get(masked(key), 0.0) + weight
    return {**msgspec.to_builtins(workload), "keys": keys}


def _duration(plan: Plan, last_s: float, curtailed_s: float | None) -> float:
    """The measured window; where nothing says when it ended, it lasted until the last record."""
    if curtailed_s is not None:
        return max(curtailed_s - plan.warmup_s, 0.0)
    if isinstance(plan.load, Script) or plan.duration_s is None:
        return max(last_s - plan.warmup_s, 0.0)
    return plan.duration_s


def _iso(unix_s: float) -> str:
    return datetime.fromtimestamp(unix_s, UTC).isoformat(timespec="milliseconds")


def _versions() -> dict[str, str]:
    found = {}
    for package in _PACKAGES:
        try:
            found[package] = version(package)
        except PackageNotFoundError:
            continue
    return found


def _machine() -> dict[str, Any]:
    return {
        "python": platform.python_version(),
        "platform": platform.platform(),
        "cpus": os.cpu_count(),
        "memory_gb": round(psutil.virtual_memory().total / 1e9, 1),
    }

"""The manifest of a run and its gates, read and validated."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated, Final, Literal

import msgspec
from msgspec import Meta

from reports.gate import Gate, check_gates, read_gates
from reports.problem import Unusable
from reports.sample import MANIFEST, SCHEMA_VERSION

# No run lasts longer, s; whatever a record says beyond it is no measurement, and would overflow on its way to a page.
LONGEST_S: Final = 1e9
_SHORTEST_S: Final = 1e-6
_MOST_BYTES: Final = 64 << 20

_Span = Annotated[float, Meta(ge=0, le=LONGEST_S)]
_Moment = Annotated[float, Meta(ge=-LONGEST_S, le=LONGEST_S)]
_Count = Annotated[int, Meta(ge=0, le=2**53)]
_Number = Annotated[int, Meta(ge=-(2**63), le=2**63 - 1)]
_Rate = Annotated[float, Meta(ge=0, le=1e9)]
_Factor = Annotated[float, Meta(gt=0, le=1e9)]


class Stage(msgspec.Struct, frozen=True):
    """A stretch of an open load, whose rate may move linearly to another."""

    for_s: _Span
    rate_per_s: _Rate
    to_rate_per_s: _Rate | None = None
    arrivals: str = ""

    @property
    def calls(self) -> int:
        """How many calls its plan holds: exactly round(mean rate x length)."""
        end = self.rate_per_s if self.to_rate_per_s is None else self.to_rate_per_s
        return round((self.rate_per_s + end) / 2 * self.for_s)

    @property
    def steady(self) -> bool:
        """Whether its rate stays."""
        return self.to_rate_per_s is None or self.to_rate_per_s == self.rate_per_s


class Load(msgspec.Struct, frozen=True):
    """How load was driven; which fields are set depends on `kind`.

    `calls` is how many the plan puts into the window; of `stages`, `rate_per_s` is the mean.
    """

    kind: Literal["open", "closed", "script"]
    rate_per_s: _Rate | None = None
    to_rate_per_s: _Rate | None = None
    arrivals: str | None = None
    stages: tuple[Stage, ...] = ()
    users: _Count | None = None
    calls: _Count | None = None

    def window(self, duration_s: float) -> tuple[Stage, ...]:
        """The stages of an open load's window of that length; none where the answers decide when calls leave."""
        if self.stages or self.kind != "open" or self.rate_per_s is None:
            return self.stages
        return (Stage(duration_s, self.rate_per_s, self.to_rate_per_s, self.arrivals or ""),)


class Worker(msgspec.Struct, frozen=True):
    """One load-generating process."""

    worker: str
    pid: _Number
    lost: bool = False


class Incident(msgspec.Struct, frozen=True):
    """What the world did to its providers, in seconds of the run."""

    kind: str
    what: str
    start_s: _Moment
    end_s: _Moment


class Manifest(msgspec.Struct, frozen=True):
    """What was run, where, when and with what. Times in seconds of the run's clock."""

    schema_version: int
    run_id: str
    scenario: str
    target: str
    target_kind: Literal["mock", "external"]
    load: Load
    warmup_s: _Span
    duration_s: _Span
    started_at: str
    ended_s: _Span
    planned_calls: _Count
    stopped_s: _Span | None = None
    """When no further call was begun though there were some: the run was interrupted, or ended on purpose.

    Ended on purpose, `duration_s` reaches only so far, and what was planned for later has no rows.
    """
    drain_s: _Span = 0.0
    timeout_s: _Span | None = None
    description: str = ""
    world: str | None = None
    seed: _Number | None = None
    api_key: str = ""
    interrupted: bool = False
    mock_died: bool = False
    processes: _Count = 1
    time_scale: _Factor = 1.0
    virtual: bool = False
    """Whether it was played in virtual time: the model's moments, which no clock, machine or network had a part in."""
    max_in_flight: _Count | None = None
    """How many calls one worker may have under way; beyond it they are never sent. Of an open load."""
    workers: tuple[Worker, ...] = ()
    labels: dict[str, str] = {}
    gates: tuple[Gate, ...] = ()
    argv: tuple[str, ...] = ()
    versions: dict[str, str] = {}
    machine: dict[str, str | _Number | float | bool | None] = {}
    incidents: tuple[Incident, ...] = ()


def load_manifest(run_dir: Path) -> Manifest:
    """Read `manifest.json` of a run directory; raise Unusable if it cannot be trusted."""
    path = run_dir / MANIFEST
    try:
        if path.stat().st_size > _MOST_BYTES:
            raise Unusable(f"{path}: larger than any manifest, {_MOST_BYTES >> 20} MB at most")
        raw = msgspec.json.decode(path.read_bytes())
    except FileNotFoundError:
        raise Unusable(f"{path}: missing; is {run_dir} a run directory made by `load-test run`?") from None
    except (OSError, msgspec.DecodeError, UnicodeDecodeError, RecursionError) as error:
        raise Unusable(f"{path}: not readable as JSON ({error}); run the scenario again") from None
    version = raw.get("schema_version") if isinstance(raw, dict) else None
    if version != SCHEMA_VERSION:
        told = version if version is None or version in range(1000) else "another"
        raise Unusable(f"{path}: schema_version is {told}, this perf-report reads {SCHEMA_VERSION}")
    try:
        manifest = msgspec.convert(raw, Manifest)
    except (msgspec.ValidationError, OverflowError) as error:
        raise Unusable(f"{path}: {error}") from None
    for name in ("warmup_s", "duration_s", "ended_s"):
        if 0 < getattr(manifest, name) < _SHORTEST_S:
            raise Unusable(f"{path}: {name} is {getattr(manifest, name):g}; it must be 0, or {_SHORTEST_S:g} or more")
    return manifest


def own_gates(run_dir: Path, manifest: Manifest) -> tuple[Gate, ...]:
    """The gates a run brings along; raise Unusable where it cannot be judged by them."""
    try:
        check_gates(manifest.gates)
    except ValueError as error:
        raise Unusable(f"{run_dir / MANIFEST}: {error}; --gates FILE judges by others") from None
    return manifest.gates


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

"""From the command line to a plan, with every mistake found before anything is started or written."""

from __future__ import annotations

import argparse
import os
from datetime import UTC, datetime
from pathlib import Path
from typing import Final

import msgspec

from mock_server.contract.accounts import LOAD_TEST_KEY
from reports.gate import read_gates as gates_in
from scenarios.command.options import API_KEY_VARIABLE, UsageError
from scenarios.model.catalog import CATALOG, Gate, Load, Scenario
from scenarios.record.plan import Plan, Trouble

MOST_ARRIVALS: Final = 20_000_000


def read_gates(path: Path) -> tuple[Gate, ...]:
    """The ``[[gate]]`` tables of a TOML file; raises `UsageError`."""
    try:
        gates = gates_in(path.read_text("utf-8"))
    except OSError as error:
        raise UsageError(f"--gates {path}: {error.strerror}") from None
    except ValueError as error:
        raise UsageError(f"--gates {path}: {error}") from None
    return tuple(Gate(gate.metric, max=gate.max, min=gate.min, why=gate.why) for gate in gates)


def check(args: argparse.Namespace) -> None:
    """Raise `UsageError` for options that contradict each other or the scenario."""
    _check_target(args)
    scenario = CATALOG[args.scenario]
    if args.rate is not None and args.users is not None:
        raise UsageError("--rate is an open load and --users a closed one; give one of them")
    if scenario.load.kind == "script":
        _check_script(args)
    elif args.users is not None:
        for option, value in (("--arrivals", args.arrivals), ("--burstiness", args.burstiness)):
            if value is not None:
                raise UsageError(f"{option} is for an open load; with --users each waits for its answer")
        if args.users < args.processes:
            raise UsageError(f"--processes {args.processes} is more than --users {args.users}")
    elif args.burstiness is not None and (args.arrivals or scenario.load.arrivals) != "gamma":
        raise UsageError("--burstiness is for gamma gaps; add --arrivals gamma")


def _check_target(args: argparse.Namespace) -> None:
    key = args.api_key
    if key and not (key.isascii() and key.isprintable() and " " not in key):
        raise UsageError("the API key holds characters that cannot stand in a header")
    if args.target is None:
        if args.target_is_mock:
            raise UsageError("--target-is-mock needs --target; the run's own mock is known to be one")
        return
    for option, value in (("--world", args.world), ("--time-scale", args.time_scale)):
        if value is not None:
            raise UsageError(f"{option} is for the run's own mock; with --target the target decides")
    if not key:
        raise UsageError(f"--target needs a key: set ${API_KEY_VARIABLE} or give --api-key")


def _check_script(args: argparse.Namespace) -> None:
    given = {
        "--rate": args.rate,
        "--users": args.users,
        "--arrivals": args.arrivals,
        "--burstiness": args.burstiness,
        "--warmup": args.warmup,
        "--processes": args.processes if args.processes != 1 else None,
    }
    for option, value in given.items():
        if value is not None:
            raise UsageError(f"{args.scenario} is a script, one call after another; {option} means nothing to it")


def load_of(args: argparse.Namespace, scenario: Scenario) -> Load:
    """The scenario's load with what the options change."""
    if args.users is not None:
        return Load("closed", users=args.users)
    changes = {
        "rate_per_s": args.rate,
        "arrivals": args.arrivals,
        "burstiness": args.burstiness,
    }
    given = {name: value for name, value in changes.items() if value is not None}
    return msgspec.structs.replace(scenario.load, **given)


def run_id(scenario: str, now: datetime) -> str:
    """A directory-like name: UTC time and scenario."""
    return f"{now:%Y%m%dT%H%M%S}Z-{scenario}"


def claim(out: Path) -> None:
    """Make the run directory; raises `UsageError` unless it is new or empty, and writable."""
    try:
        out.mkdir(parents=True, exist_ok=True)
        if any(out.iterdir()):
            raise UsageError(f"--out {out}: not empty; name a new directory, so that no run is overwritten")
        probe = out / ".probe"
        probe.touch()
        probe.unlink()
    except OSError as error:
        raise UsageError(f"--out {out}: cannot write there: {error.strerror}") from None


def check_out(out: Path) -> None:
    """`claim`, without leaving anything: whether it could succeed, so far as can be told."""
    if out.exists():
        if not out.is_dir():
            raise UsageError(f"--out {out}: not a directory")
        if any(out.iterdir()):
            raise UsageError(f"--out {out}: not empty; name a new directory, so that no run is overwritten")
    parent = next((folder for folder in (out, *out.absolute().parents) if folder.exists()), None)
    if parent is None or not parent.is_dir() or not os.access(parent, os.W_OK | os.X_OK):
        raise UsageError(f"--out {out}: cannot write there")


def without_secrets(argv: list[str], key: str) -> tuple[str, ...]:
    """The command line with the value of ``--api-key`` cut to its last four characters."""
    shown = [masked(word) if word == key else word for word in argv]
    prefix = "--api-key="
    return tuple(prefix + masked(word.removeprefix(prefix)) if word.startswith(prefix) else word for word in shown)


def masked(key: str) -> str:
    """The only form in which a key may be shown."""
    return "…" + key[-4:] if len(key) > 8 else "…"


def plan_of(
    args: argparse.Namespace,
    argv: list[str],
    gates: tuple[Gate, ...],
    name: str,
    mock: tuple[str, int] | None,
    troubles: tuple[Trouble, ...] = (),
) -> Plan:
    """The plan; ``mock`` is the address and process of the run's own mock, ``None`` with ``--target``."""
    scenario = CATALOG[args.scenario]
    load = load_of(args, scenario)
    duration_s = scenario.duration_s if args.duration is None else args.duration
    warmup_s = scenario.warmup_s if args.warmup is None else args.warmup
    if load.kind == "open" and not 1 <= load.rate_per_s * duration_s <= MOST_ARRIVALS:
        raise UsageError(
            f"--rate {load.rate_per_s:g} for {duration_s:g} s is {load.rate_per_s * duration_s:g} requests; "
            f"plan 1 to {MOST_ARRIVALS:,}"
        )
    key = args.api_key or LOAD_TEST_KEY
    return Plan(
        run_id=name,
        scenario=scenario.name,
        world=(args.world or scenario.world) if args.target is None else None,
        seed=args.seed,
        target=args.target or (mock[0] if mock else ""),
        target_kind="mock" if args.target is None or args.target_is_mock else "external",
        api_key=masked(key),
        load=load,
        warmup_s=warmup_s,
        duration_s=duration_s,
        drain_s=args.drain,
        timeout_s=args.timeout,
        processes=args.processes,
        time_scale=args.time_scale or 1.0,
        max_in_flight=args.max_in_flight,
        mock_calls=args.target is None or args.target_is_mock,
        labels=dict(args.label),
        gates=gates,
        argv=without_secrets(argv, key),
        owner_pid=os.getpid(),
        mock_pid=mock[1] if mock else None,
        troubles=troubles,
    )


def now_utc() -> datetime:
    """The wall clock, for names and stamps only."""
    return datetime.now(UTC)

"""From the command line to a plan, with every mistake found before anything is started or written."""

from __future__ import annotations

import argparse
import os
from datetime import UTC, datetime
from ipaddress import ip_address
from pathlib import Path
from typing import Any, Final
from urllib.parse import urlsplit

import msgspec

from mock_server.contract.accounts import LOAD_TEST_KEY
from reports.gate import Gate, GateError, read_gates
from scenarios.command.catalogue import find, read_text
from scenarios.command.options import API_KEY_VARIABLE, UsageError
from scenarios.model.load import Closed, Flow, Load, Open, Script, Stages
from scenarios.model.scenario import Scenario, impossible
from scenarios.model.script import limited, scripted_calls
from scenarios.model.toml import line_of
from scenarios.model.workload import masked
from scenarios.record.plan import Plan, Trouble

VIRTUAL_TARGET: Final = "virtual time"


def gates_in(path: Path) -> tuple[Gate, ...]:
    """The ``[[gate]]`` tables of a TOML file; raises `UsageError`."""
    source = read_text(path)
    try:
        return read_gates(source)
    except GateError as error:
        line = line_of(source, ("gate", error.number - 1, *error.key))
        raise UsageError(f"{path}:{line}: {error}") from None
    except ValueError as error:
        raise UsageError(f"{path}: {error}") from None


def effective(args: argparse.Namespace) -> Scenario:
    """The scenario with what the options change.

    Raises `UsageError` for a scenario that cannot be used, and for options that contradict it or each other.
    """
    _check_target(args)
    _check_virtual(args)
    scenario = find(args.scenario)
    load = _load(args, scenario)
    options = {
        "world": args.world,
        "warmup_s": args.warmup,
        "duration_s": args.duration,
        "drain_s": args.drain,
        "timeout_s": args.timeout,
        "gates": None if args.gates is None else gates_in(args.gates),
    }
    given: dict[str, Any] = {name: value for name, value in options.items() if value is not None}
    scenario = msgspec.structs.replace(scenario, load=load, **given)
    fault = next(impossible(scenario), None)
    if fault is not None:
        raise UsageError(f"{args.scenario} with these options: {fault}")
    _check_requests(args, scenario)
    scenario = msgspec.structs.replace(scenario, gates=tuple(map(_without_key, scenario.gates)))
    return scenario if args.max_tokens is None else _limited(scenario, args.max_tokens)


def _without_key(gate: Gate) -> Gate:
    """A gate whose scope names a key as the samples do."""
    if gate.scope is None or gate.scope.key is None or gate.scope.key.startswith("…"):
        return gate
    scope = msgspec.structs.replace(gate.scope, key=masked(gate.scope.key))
    return msgspec.structs.replace(gate, scope=scope)


def _load(args: argparse.Namespace, scenario: Scenario) -> Load:
    """The scenario's load with what the options change."""
    load = scenario.load
    if args.rate is not None and args.users is not None:
        raise UsageError("--rate is an open load and --users a closed one; give one of them")
    if isinstance(load, Script):
        _check_script(args)
        return load
    if args.users is not None or (isinstance(load, Closed) and args.rate is None):
        return _closed(args, load)
    if args.rate is not None:
        load = _at(args.rate, load)
    elif args.duration is not None and isinstance(load, Stages):
        raise UsageError(f"--duration: the stages of {args.scenario} say how long each lasts; edit a copy of the file")
    if isinstance(load, Open | Stages) and (args.arrivals is not None or args.burstiness is not None):
        load = load.arriving(args.arrivals, args.burstiness)
        if args.burstiness is not None and any(segment.arrivals != "gamma" for segment in load.window(1.0)):
            raise UsageError("--burstiness is for gamma gaps; add --arrivals gamma")
    return load


def _closed(args: argparse.Namespace, load: Load) -> Closed:
    for option, value in (("--arrivals", args.arrivals), ("--burstiness", args.burstiness)):
        if value is not None:
            raise UsageError(f"{option} is for an open load; in a closed one each user waits for an answer")
    think_s = load.think_s if isinstance(load, Open | Closed) else 0.0
    users = args.users if not isinstance(load, Closed) else args.users or load.users
    if users < args.processes:
        raise UsageError(f"--processes {args.processes} is more than the {users} users")
    return Closed(users=users, think_s=think_s)


def _at(rate: float, load: Load) -> Open:
    """An open load at one rate, with the gaps that ``load``, or its first stage, has."""
    flow: Load | Flow = load.stages[0] if isinstance(load, Stages) else load
    if not isinstance(flow, Flow):
        return Open(rate_per_s=rate)
    think_s = load.think_s if isinstance(load, Open) else 0.0
    return Open(rate_per_s=rate, arrivals=flow.arrivals, burstiness=flow.burstiness, think_s=think_s)


def _check_requests(args: argparse.Namespace, scenario: Scenario) -> None:
    """Raise `UsageError` when the plan, with all the tries its clients may make, is larger than ``--max-requests``."""
    if args.max_requests is None:
        return
    load, tries = scenario.load, scenario.most_tries
    if isinstance(load, Closed):
        raise UsageError(
            "--max-requests cannot be promised for a closed load, whose users ask as fast as they are answered"
        )
    calls = sum(segment.calls for segment in load.segments(scenario.warmup_s, scenario.duration_s or 0.0))
    calls = calls or len(scripted_calls(scenario.calls, mock=_speaks_mock(args)))
    if calls * tries > args.max_requests:
        each = f", each tried up to {tries} times," if tries > 1 else ""
        raise UsageError(
            f"{calls:,} calls{each} are more than --max-requests {args.max_requests:,}; "
            "make --rate, --duration or --warmup less"
        )


def _limited(scenario: Scenario, max_tokens: int) -> Scenario:
    """The scenario with no answer longer than ``max_tokens``."""
    workload, calls = scenario.workload, scenario.calls
    if isinstance(scenario.load, Script):
        return msgspec.structs.replace(scenario, calls=tuple(limited(call, max_tokens) for call in calls))
    workload = msgspec.structs.replace(workload, max_tokens=min(workload.max_tokens, max_tokens))
    return msgspec.structs.replace(scenario, workload=workload)


def _speaks_mock(args: argparse.Namespace) -> bool:
    """Whether the target understands what only a mock does."""
    return args.target is None or bool(args.target_is_mock)


def _is_loopback(url: str) -> bool:
    """Whether a URL is plainly of this machine; no name server is asked."""
    host = urlsplit(url).hostname or ""
    try:
        return ip_address(host).is_loopback
    except ValueError:
        return host == "localhost" or host.endswith(".localhost")


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
    if not args.allow_remote and not _is_loopback(args.target):
        raise UsageError(
            f"{args.target} is not this machine, and load on it may cost its owner money; if you may, add "
            "--allow-remote (and --max-requests, --max-tokens)"
        )
    if not key:
        raise UsageError(f"--target needs a key: set ${API_KEY_VARIABLE} or give --api-key")


def _check_virtual(args: argparse.Namespace) -> None:
    """Refuse what means nothing to a run without network, machine or time."""
    if not args.virtual:
        return
    given = {
        "--target": "a gateway elsewhere cannot jump ahead in time",
        "--processes": "one process plays it, in one order; to be quicker, make --duration or --rate less",
    }
    for option, why in given.items():
        name = option.removeprefix("--")
        if getattr(args, name) not in (None, 1):
            raise UsageError(f"--virtual plays the run's own mock in virtual time, so {option} means nothing: {why}")


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


def plan_of(
    args: argparse.Namespace,
    argv: list[str],
    scenario: Scenario,
    name: str,
    mock: str | None,
    troubles: tuple[Trouble, ...] = (),
) -> Plan:
    """The plan; ``mock`` is the address of the run's own mock, ``None`` with ``--target`` or ``--virtual``."""
    key = args.api_key or LOAD_TEST_KEY
    return Plan(
        # What is played in virtual time depends on nothing but the plan, and names no moment of ours.
        run_id=f"virtual-{scenario.name}" if args.virtual else name,
        scenario=scenario,
        world=scenario.world if args.target is None else None,
        seed=args.seed,
        target=args.target or mock or VIRTUAL_TARGET,
        target_kind="mock" if _speaks_mock(args) else "external",
        api_key=masked(key),
        processes=args.processes,
        time_scale=args.time_scale or 1.0,
        max_in_flight=args.max_in_flight,
        mock_calls=_speaks_mock(args),
        labels=dict(args.label),
        argv=without_secrets(argv, key),
        owner_pid=os.getpid(),
        troubles=troubles,
        virtual=args.virtual,
    )


def now_utc() -> datetime:
    """The wall clock, for names and stamps only."""
    return datetime.now(UTC)

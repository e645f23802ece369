"""A scenario: the type a file is read into, with every key that a file may hold, and what makes one impossible."""

from __future__ import annotations

import re
from collections.abc import Iterator, Mapping
from typing import Final

import msgspec

from mock_server.schema import Fault, KeyPath
from reports.gate import Gate
from scenarios.model.load import BELOW, MOST_CALLS, Flow, Load, Open, Pause, Script, Span, Stages
from scenarios.model.policy import POLICIES, Policy, PolicyName
from scenarios.model.script import ScriptedCall, contradictions
from scenarios.model.workload import Weight, Workload, pick, uniforms

DEFAULT_TIMEOUT_S: Final = 120.0
_NAME: Final = re.compile(r"[A-Za-z0-9][A-Za-z0-9_.-]{0,63}")


class ClientRules(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """How the simulated clients behave: by one ``policy``, or by the weights of several ``policies``.

    Of an open load each call is a client's of its own, of a closed one each user is a client.
    """

    policy: PolicyName = "none"
    policies: dict[PolicyName, Weight] = {}

    @property
    def weights(self) -> dict[PolicyName, float]:
        """How often each policy is met."""
        return {name: weight for name, weight in self.policies.items() if weight} or {self.policy: 1.0}


class Scenario(msgspec.Struct, frozen=True, forbid_unknown_fields=True, kw_only=True):
    """A named run: its load, what it asks, its clients and the gates it is judged by.

    ``duration_s`` is the window after the warm-up: of stages their sum, of a script the longest it may take, and
    ``None`` for a closed load that goes on until it is stopped (plain Locust only). ``drain_s`` of ``None`` is as long
    as the timeout. ``world`` is the own mock's, a preset or a file.
    """

    name: str
    description: str = ""
    world: str
    warmup_s: Pause = 0.0
    duration_s: Span | None = None
    drain_s: Pause | None = None
    timeout_s: Span = DEFAULT_TIMEOUT_S
    load: Load
    workload: Workload = Workload()
    client: ClientRules = ClientRules()
    calls: tuple[ScriptedCall, ...] = msgspec.field(default=(), name="call")
    gates: tuple[Gate, ...] = msgspec.field(default=(), name="gate")

    def policy_of(self, seed: int, client: int) -> Policy:
        """When the client of this number, a call's or a user's, tries again."""
        weights = self.client.weights
        if len(weights) == 1:
            return POLICIES[next(iter(weights))]
        return POLICIES[pick(weights, uniforms(seed, client, "policy")[0])]

    @property
    def most_tries(self) -> int:
        """How often a call may be tried in all."""
        return max(POLICIES[name].max_tries for name in self.client.weights)

    @property
    def longest_drain_s(self) -> float:
        """The longest wait for the last answers."""
        return self.timeout_s if self.drain_s is None else self.drain_s


def impossible(scenario: Scenario) -> Iterator[Fault]:
    """What contradicts itself in a scenario whose keys and types are right, by the path of a key in its file."""
    if not _NAME.fullmatch(scenario.name):
        yield Fault(
            ("name",), "must be letters, digits, _, - and ., at most 64, since the run directory is named by it"
        )
    if "\n" in scenario.description:
        yield Fault(("description",), "must be one line")
    yield from _impossible_load(scenario)
    yield from _impossible_workload(scenario.workload)
    yield from _impossible_client(scenario.client)
    yield from _impossible_script(scenario)


def _impossible_load(scenario: Scenario) -> Iterator[Fault]:
    load, duration_s = scenario.load, scenario.duration_s
    flows: dict[KeyPath, Flow] = {("load",): load} if isinstance(load, Open) else {}
    if isinstance(load, Stages):
        flows = {("load", "stages", index): stage for index, stage in enumerate(load.stages)}
    for path, flow in flows.items():
        if not flow.rate_per_s and not flow.to_rate_per_s:
            yield Fault(
                (*path, "rate_per_s"), f"must be above 0 and below {BELOW:,}, or 0 with a to_rate_per_s above it"
            )
        if flow.burstiness is not None and flow.arrivals != "gamma":
            yield Fault((*path, "burstiness"), f'is for arrivals = "gamma", not "{flow.arrivals}"')
    if duration_s is None:
        yield Fault(("duration_s",), "is missing; it must be the seconds of the window after the warm-up")
        return
    if isinstance(load, Stages) and abs(load.for_s - duration_s) > 1e-6 * load.for_s:
        yield Fault(("duration_s",), f"the stages last {load.for_s:g} s together; leave it out, or give that")
    if isinstance(load, Open | Stages) and not 1 <= (calls := load.calls(duration_s)) <= MOST_CALLS:
        yield Fault(("load",), f"{load} for {duration_s:g} s are {calls:,} calls; plan 1 to {MOST_CALLS:,}")


def _impossible_workload(workload: Workload) -> Iterator[Fault]:
    for name in ("tasks", "modes", "keys"):
        weights: Mapping[str, float] = getattr(workload, name)
        if not sum(weights.values()) > 0 and (weights or name != "keys"):
            yield Fault(("workload", name), "needs a weight above 0")
    for key in workload.keys:
        if not key or not key.isascii() or not key.isprintable() or " " in key:
            yield Fault(("workload", "keys", key), "holds characters that cannot stand in a header")
    law = workload.prompt_tokens
    if law is not None and (law.constant is None) == (law.lognormal is None):
        yield Fault(("workload", "prompt_tokens"), "must be { constant = N } or { lognormal = { mu = …, sigma = … } }")


def _impossible_client(client: ClientRules) -> Iterator[Fault]:
    if not client.policies:
        return
    if client.policy != ClientRules().policy:
        yield Fault(("client", "policies"), "stands in place of policy: give one of the two")
    if not sum(client.policies.values()) > 0:
        yield Fault(("client", "policies"), "needs a weight above 0")


def _impossible_script(scenario: Scenario) -> Iterator[Fault]:
    if not isinstance(scenario.load, Script):
        if scenario.calls:
            yield Fault(("call",), 'only a script makes [[call]]s; its load is kind = "script"')
        return
    if not scenario.calls:
        yield Fault(("call",), "is missing; a script makes the calls of its [[call]] tables")
    if scenario.workload != Workload():
        yield Fault(("workload",), "means nothing to a script, which makes the calls of its [[call]] tables")
    if scenario.warmup_s:
        yield Fault(("warmup_s",), "a script has no warm-up")
    for index, call in enumerate(scenario.calls):
        yield from (Fault(("call", index, *key), said) for key, said in contradictions(call))

"""The conditions under which a measurement may be believed: what each demands, and what to do where it is broken.

Limits are absolute or relative to what was planned, never to a number that the fault itself inflates.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Final

from reports.values import Check, Result

LATE_SHARE: Final = 0.01  # of the tries, or of the ticks, may be later than the limit: it is a limit on p99
LIMIT_SHARE: Final = 0.01  # of the tightest latency limit among the gates
# No gate is so generous that a generator may be later than this: its own record is what is judged by.
MOST_MS: Final = 250.0
LATE_MS: Final = 10.0
LAG_MS: Final = 20.0
STALL_MS: Final = 250.0
STALLED_SHARE: Final = 0.01
SPAN_S: Final = 5.0
SHORTEST_S: Final = 1.0
VIRTUAL: Final = "virtual time: no process of it could be late"
CPU_SHARE: Final = 0.90
WAIT_SHARE: Final = 0.10
FULL_SHARE: Final = 0.95  # of a worker's pool, where calls were never sent because it was full
UNSENT_SHARE: Final = 0.01
TOLD_SHARE: Final = 0.95
COVERED_SHARE: Final = 0.98
RESIDUAL_MS: Final = 10.0
RESIDUAL_SHARE: Final = 0.05


def percent(share: float) -> str:
    """A share as the checks say it: 2.33 %."""
    return f"{share * 100:.3g} %"


_OR_MORE: Final = (
    f"or {percent(LIMIT_SHARE)} of the tightest latency limit among the gates if that is more, at most {MOST_MS:g} ms"
)
_LAG: Final = (
    f"read every 10 ms: p99 of its lag at most {LAG_MS:g} ms, {_OR_MORE}; at most {percent(STALLED_SHARE)} of "
    f"the time in stalls longer than {STALL_MS:g} ms"
)


@dataclass(frozen=True)
class Rule:
    """What one check demands; `vital`: as long as that is unknown, the run cannot pass."""

    text: str
    advice: str
    vital: bool = False


RULES: Final[dict[str, Rule]] = {
    "ledger": Rule(
        "every planned call is recorded, each try once",
        "look for a full disk or a killed worker",
    ),
    "lost requests": Rule(
        "no worker dies with its requests",
        "look at the worker's own output",
    ),
    "requests sent": Rule(
        "at least one was sent",
        "look at the target and the generator",
    ),
    "run completed": Rule(
        "the run was not interrupted",
        "let it end",
    ),
    "mock alive": Rule(
        "the run's own mock runs until it is stopped",
        "look at the mock's own output",
    ),
    "moments": Rule(
        "planned, ready, sent, first byte and end follow each other within the run, and agree with the outcome",
        "report it: the recorder is at fault, or the record was changed",
    ),
    "plan": Rule(
        "phase, window, number and spacing of the calls are those of the plan",
        "the same",
    ),
    "workers": Rule(
        "every worker is known, and its health was read without gaps, each 10 ms, for at least "
        f"{percent(COVERED_SHARE)} of the time it was at work",
        "the same",
        vital=True,
    ),
    "dispatch delay": Rule(
        f"sent - planned (closed load and script: sent - ready): p99 at most {LATE_MS:g} ms, {_OR_MORE}",
        "lower the rate per worker, or raise `--processes`",
        vital=True,
    ),
    "generator stalls": Rule(f"the event loop of each worker, {_LAG}", "the same, or another machine", vital=True),
    "generator CPU": Rule(
        f"no worker above {percent(CPU_SHARE)} of a core over any {SPAN_S:g} s",
        "raise `--processes`, or take another machine",
        vital=True,
    ),
    "generator waiting": Rule(
        f"no worker waits for a core more than {percent(WAIT_SHARE)} of any {SPAN_S:g} s",
        "let nothing else run on the machine",
        vital=True,
    ),
    "mock lateness": Rule(
        f"the mock's overhead: p99 at most {LATE_MS:g} ms, {_OR_MORE}; told for at least {percent(TOLD_SHARE)} of the "
        "ok answers",
        "give the mock a core of its own",
    ),
    "mock stalls": Rule(f"the event loop of the run's own mock, {_LAG}", "the same"),
    "mock plan": Rule(
        f"service latency and the mock's plan differ by a median of at most {RESIDUAL_MS:g} ms, or "
        f"{percent(RESIDUAL_SHARE)} of the plan's if that is more; told for at least {percent(TOLD_SHARE)} of the ok "
        "answers",
        "the same",
    ),
    "offered load": Rule(
        f"at most {percent(UNSENT_SHARE)} of the measured tries were never sent, unless a healthy generator had its "
        "pool full of calls that the gateway kept waiting, and a gate fails even had all of them been good",
        "raise `--processes`, or lower the rate",
        vital=True,
    ),
}


def check(name: str, result: Result, said: str, *, vital: bool | None = None) -> Check:
    """What the check of that name came to, beside its rule."""
    rule = RULES[name]
    return Check(name=name, result=result, said=said, rule=rule.text, vital=rule.vital if vital is None else vital)


def judged(name: str, good: bool, said: str) -> Check:
    """PASS or INVALID."""
    return check(name, Result.PASS if good else Result.INVALID, said)

"""The scenarios, as data: what each asks, how fast, against which world, and the gates it ships with.

A shipped gate is set so that a healthy run of the scenario's default length passes it more than 99.9 % of the
time; ``Gate.why`` holds the reasoning. Listing the catalogue imports nothing heavy.
"""

from __future__ import annotations

from typing import Final, Literal

import msgspec

from mock_server.contract.errors import (
    ALL_PROVIDERS_FAILED,
    CONTEXT_LENGTH_EXCEEDED,
    INSUFFICIENT_BALANCE,
    INTERNAL_ERROR,
    INVALID_API_KEY,
    INVALID_MOCK_DIRECTIVE,
    INVALID_REQUEST,
    METHOD_NOT_ALLOWED,
    MODEL_UNAVAILABLE,
    NOT_FOUND,
    PAYLOAD_TOO_LARGE,
    RATE_LIMIT_EXCEEDED,
    UNSUPPORTED_MEDIA_TYPE,
    ErrorKind,
)
from scenarios.model.workload import Call, Language, Mix, chat, text


class Gate(msgspec.Struct, frozen=True, forbid_unknown_fields=True, omit_defaults=True):
    """A limit on one metric of the report, exactly one of ``max`` and ``min``."""

    metric: str
    max: float | None = None
    min: float | None = None
    why: str = ""


class Policy(msgspec.Struct, frozen=True):
    """When to try again: at most ``max_tries`` in all, with exponential backoff and full jitter between."""

    max_tries: int = 1
    backoff_s: float = 0.5
    backoff_cap_s: float = 20.0


class Load(msgspec.Struct, frozen=True):
    """How load is driven; only the fields of its ``kind`` count.

    ``open``: ``rate_per_s`` and ``arrivals``, with ``burstiness`` the shape of gamma gaps. ``closed``:
    ``users``. ``script``: the scenario's calls one after another.
    """

    kind: Literal["open", "closed", "script"]
    rate_per_s: float = 0.0
    arrivals: Literal["constant", "poisson", "gamma"] = "poisson"
    burstiness: float = 1.0
    users: int = 0

    def __str__(self) -> str:
        match self.kind:
            case "open":
                return f"open, {self.rate_per_s:g} requests/s, {self.arrivals}"
            case "closed":
                return f"closed, {self.users} users"
        return "script, one call after another"


class Scenario(msgspec.Struct, frozen=True):
    """A named run: everything that an option may override, and what it asks.

    ``think_s`` is the mean think time of a user of a closed load. A script lasts until its last call, at most
    ``duration_s``.
    """

    name: str
    description: str
    load: Load
    warmup_s: float
    duration_s: float
    world: str
    gates: tuple[Gate, ...]
    mix: Mix
    think_s: float = 0.0
    policy: Policy = Policy()


# --- smoke: a script ---------------------------------------------------------------------------------------

MODES: Final = ("auto", "cost", "latency", "throughput", "quality", "balanced")
_ASKS: Final[dict[Language, str]] = {"en": "Write a product introduction", "zh": "写一个产品介绍"}
_SHORT: Final = 32


class Step(msgspec.Struct, frozen=True):
    """One call of the script; ``mock_only`` calls mean nothing to, or cost too much at, a real gateway."""

    call: Call
    mock_only: bool = False


def _good_steps() -> list[Step]:
    plain_and_streamed = [
        Step(Call(f"{shape}-{language}", chat(ask, stream=stream, max_tokens=_SHORT), stream))
        for language, ask in _ASKS.items()
        for shape, stream in (("plain", False), ("stream", True))
    ]
    modes = [Step(Call(f"mode-{mode}", chat(_ASKS["en"], mode=mode, max_tokens=_SHORT))) for mode in MODES]
    longer = Call("plain-long", chat(text("documents", "en", 2_000, 0.0), max_tokens=_SHORT))
    return [*plain_and_streamed, *modes, Step(longer)]


def _refused(error: ErrorKind, body: bytes = b"", *, mock_only: bool = True, name: str = "", **how: object) -> Step:
    """A call that provokes ``error``; ``how`` sets other fields of the call."""
    call = Call(
        name or f"error-{error.code.lower().replace('_', '-')}",
        body or chat(_ASKS["en"], max_tokens=_SHORT),
        expected=error.code,
    )
    return Step(msgspec.structs.replace(call, **how), mock_only)


def _error_steps() -> list[Step]:
    return [
        _refused(INVALID_REQUEST, b'{"messages": []}', mock_only=False),
        _refused(INVALID_REQUEST, b'{"messages": [', mock_only=False, name="error-malformed-json"),
        _refused(INVALID_API_KEY, mock_only=False, key="sk-test-revoked"),
        _refused(INSUFFICIENT_BALANCE, key="sk-test-empty"),
        _refused(RATE_LIMIT_EXCEEDED, headers=(("Prefer", "code=429"),)),
        _refused(INTERNAL_ERROR, key="sk-test-error"),
        _refused(ALL_PROVIDERS_FAILED, key="sk-test-outage"),
        _refused(
            ALL_PROVIDERS_FAILED,
            chat(_ASKS["zh"], stream=True),
            name="error-stream-refused",
            stream=True,
            key="sk-test-outage",
        ),
        _refused(
            MODEL_UNAVAILABLE,
            msgspec.json.encode(
                {
                    "messages": [{"role": "user", "content": _ASKS["en"]}],
                    "strategy": {"mode": "auto", "models": ["no-such-model"]},
                }
            ),
        ),
        _refused(
            CONTEXT_LENGTH_EXCEEDED,
            msgspec.json.encode(
                {
                    "messages": [{"role": "user", "content": _ASKS["en"]}],
                    "strategy": {"mode": "auto", "models": ["gpt-4o-mini"]},
                    "max_tokens": 131_072,
                }
            ),
        ),
        _refused(NOT_FOUND, path="/v1/llm/other"),
        _refused(METHOD_NOT_ALLOWED, method="PUT"),
        _refused(UNSUPPORTED_MEDIA_TYPE, content_type="text/plain"),
        _refused(PAYLOAD_TOO_LARGE, chat("x" * (4 << 20))),
        _refused(INVALID_MOCK_DIRECTIVE, headers=(("Prefer", "code=999"),)),
    ]


def script_calls(*, mock: bool) -> tuple[Call, ...]:
    """The calls of `smoke` in order; without those only the mock can answer unless the target is one."""
    return tuple(step.call for step in (*_good_steps(), *_error_steps()) if mock or not step.mock_only)


# --- gates -------------------------------------------------------------------------------------------------

_CONTRACT_GATES: Final = (
    Gate("malformed_count", max=0, why="the contract is never broken, in no world"),
    Gate("stream_broken_count", max=0, why="failover ends before the first byte; none breaks afterwards"),
)
_SMOKE_GATES: Final = (
    *_CONTRACT_GATES,
    Gate("unexpected_count", max=0, why="world instant has no failures, so each answer is foreseen"),
)
_STEADY_GATES: Final = (
    *_CONTRACT_GATES,
    Gate("count_500", max=0, why="500 comes only by fault, and the world has none"),
    Gate(
        "error_rate",
        max=0.03,
        why="at most 7 % of attempts fail and three are made, so about 1 in 3,000 calls fails; of 600 calls nine "
        "failures still keep the whole interval below the limit",
    ),
    Gate(
        "scheduled_p95_ms",
        max=60_000,
        why="answers stop at 256 tokens; the slowest model gives 30 a second, 15 in its slowest twentieth",
    ),
    Gate(
        "ttft_p95_ms",
        max=15_000,
        why="the slowest model's first token has p95 near 3 s and p99 near 6 s, failed attempts included",
    ),
)

# --- the catalogue -----------------------------------------------------------------------------------------

_MIXED: Final = Mix(
    tasks={"conversation": 0.5, "code": 0.2, "reasoning": 0.2, "documents": 0.1},
    modes={"auto": 0.5, "balanced": 0.1, "cost": 0.1, "latency": 0.1, "quality": 0.1, "throughput": 0.1},
    chinese=0.3,
    streamed=0.4,
    max_tokens=256,
)

CATALOG: Final[dict[str, Scenario]] = {
    scenario.name: scenario
    for scenario in (
        Scenario(
            name="smoke",
            description="A few of each kind of call and each error once, in order; takes seconds",
            load=Load("script"),
            warmup_s=0.0,
            duration_s=120.0,
            world="instant",
            gates=_SMOKE_GATES,
            mix=_MIXED,
        ),
        Scenario(
            name="steady",
            description="Steady traffic: mixed tasks and lengths, English and Chinese, streamed and plain",
            load=Load("open", rate_per_s=20.0),
            warmup_s=5.0,
            duration_s=30.0,
            world="realistic",
            gates=_STEADY_GATES,
            mix=_MIXED,
            think_s=1.0,
        ),
    )
}

"""What is asked: prompts of mixed tasks, lengths and languages, the same for one seed in any process.

Everything about a call follows from (seed, call_id) by a keyed hash.
"""

from __future__ import annotations

import hashlib
import math
import struct
from collections.abc import Mapping
from statistics import NormalDist
from typing import Annotated, Any, Final, NamedTuple, TypeVar

import msgspec
from msgspec import Meta

from mock_server.contract.lengths import LENGTHS
from mock_server.contract.messages import MAX_TOKENS, Mode
from scenarios.model.text import SYSTEM, Language, Task, overhead_tokens, text

# Longer prompts exist in the traces but say more about upload bandwidth than about a gateway.
LONGEST_PROMPT_TOKENS: Final = 20_000
# A scenario may ask for longer ones; a request of this length is near the documented size limit of a body.
MOST_PROMPT_TOKENS: Final = 500_000
_SHORTEST_PROMPT_TOKENS: Final = 4

ENDPOINT: Final = "/v1/llm/auto"

Weight = Annotated[float, Meta(ge=0, le=1e9)]
Share = Annotated[float, Meta(ge=0, le=1)]


class Call(msgspec.Struct, frozen=True):
    """One request to make, complete but for the run's own API key.

    ``key`` replaces the run's key where it is not empty; ``expected`` is the error code this call provokes on
    purpose, ``None`` where a good answer is wanted.
    """

    kind: str
    body: bytes
    stream: bool = False
    expected: str | None = None
    key: str = ""
    method: str = "POST"
    path: str = ENDPOINT
    headers: tuple[tuple[str, str], ...] = ()
    content_type: str = "application/json"


def masked(key: str) -> str:
    """The only form in which an API key may be shown."""
    return "…" + key[-4:] if len(key) > 8 else "…"


class Lognormal(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """``exp(mu + sigma * N)`` tokens."""

    mu: Annotated[float, Meta(ge=0, le=14)]
    sigma: Annotated[float, Meta(ge=0, le=5)]


class PromptTokens(msgspec.Struct, frozen=True, forbid_unknown_fields=True, omit_defaults=True):
    """A law of prompt lengths, exactly one of these; what is longer than `MOST_PROMPT_TOKENS` is cut there."""

    constant: Annotated[int, Meta(ge=1, le=MOST_PROMPT_TOKENS)] | None = None
    lognormal: Lognormal | None = None


class Workload(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """What a mixed traffic asks: weights, which need not sum to one, and shares.

    ``keys`` are the API keys it asks with, the run's own where there are none. ``max_tokens`` bounds every answer.
    Without ``prompt_tokens`` each task has the published lengths of its own.
    """

    tasks: dict[Task, Weight] = msgspec.field(default_factory=lambda: {"conversation": 1.0})
    modes: dict[Mode, Weight] = msgspec.field(default_factory=lambda: {"auto": 1.0})
    keys: dict[str, Weight] = {}
    streamed: Share = 0.0
    chinese: Share = 0.0
    max_tokens: Annotated[int, Meta(ge=1, le=MAX_TOKENS)] = 256
    prompt_tokens: PromptTokens | None = None


class Traits(NamedTuple):
    """What is known of a mixed call before its body is made; ``key`` is empty for the run's own."""

    task: Task
    language: Language
    stream: bool
    key: str

    @property
    def kind(self) -> str:
        """The kind of call in the record."""
        return f"{self.task}-{self.language}"


def uniforms(seed: int, call_id: int, concern: str) -> tuple[float, ...]:
    """Eight independent numbers in [0, 1) for one concern of one call, by a keyed hash."""
    digest = hashlib.blake2b(f"{seed}/{call_id}/{concern}".encode(), digest_size=64).digest()
    return tuple([(word & _56_BITS) / 2**56 for word in _EIGHT_WORDS.unpack(digest)])


_EIGHT_WORDS: Final = struct.Struct("<8Q")
_56_BITS: Final = (1 << 56) - 1
_Key = TypeVar("_Key", bound=str)


def pick(weights: Mapping[_Key, float], u: float) -> _Key:
    """The key on which ``u`` in [0, 1) falls when the weights are laid end to end."""
    left = u * sum(weights.values())
    for key, weight in weights.items():
        left -= weight
        if left < 0:
            return key
    return next(reversed(list(weights)))


def prompt_tokens(workload: Workload, task: Task, u: float) -> int:
    """The prompt's length at quantile ``u``: the workload's law, else the task's, cut at `LONGEST_PROMPT_TOKENS`."""
    given = workload.prompt_tokens
    if given is not None and given.constant is not None:
        return given.constant
    law, most = LENGTHS[task].prompt, LONGEST_PROMPT_TOKENS
    mu, sigma = law.mu, law.sigma
    if given is not None and given.lognormal is not None:
        mu, sigma, most = given.lognormal.mu, given.lognormal.sigma, MOST_PROMPT_TOKENS
    normal = NormalDist().inv_cdf(min(max(u, 1e-12), 1 - 1e-12))
    return max(_SHORTEST_PROMPT_TOKENS, min(most, round(math.exp(mu + sigma * normal))))


def chat(
    content: str, *, strategy: Mapping[str, Any] | None = None, stream: bool = False, system: str = "", **extra: Any
) -> bytes:
    """The documented body, in UTF-8; ``extra`` fields follow it."""
    messages = [{"role": "system", "content": system}] if system else []
    messages.append({"role": "user", "content": content})
    document = {"messages": messages, "strategy": strategy or {"mode": "auto"}, "stream": stream, **extra}
    return msgspec.json.encode(document)


def _traits(workload: Workload, u: tuple[float, ...]) -> Traits:
    key = pick(workload.keys, u[7]) if workload.keys else ""
    language: Language = "zh" if u[1] < workload.chinese else "en"
    return Traits(pick(workload.tasks, u[0]), language, u[2] < workload.streamed, key)


def mixed_traits(workload: Workload, seed: int, call_id: int) -> Traits:
    """Traits of a mixed call, without making its body."""
    return _traits(workload, uniforms(seed, call_id, "workload"))


def mixed_call(workload: Workload, seed: int, call_id: int) -> Call:
    """Call number ``call_id`` of a mixed traffic; equal arguments give equal bytes in any process."""
    u = uniforms(seed, call_id, "workload")
    traits = _traits(workload, u)
    task, language, stream, key = traits
    of_mode, of_length, of_system, of_start = u[3:7]
    system = of_system < 0.5
    tokens = prompt_tokens(workload, task, of_length) - overhead_tokens(language, system)
    body = chat(
        text(task, language, tokens, of_start),
        strategy={"mode": pick(workload.modes, of_mode)},
        stream=stream,
        system=SYSTEM[language] if system else "",
        max_tokens=workload.max_tokens,
    )
    return Call(traits.kind, body, stream, key=key)

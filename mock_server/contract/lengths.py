"""How long prompts and answers are, in tokens, by task: what callers send and what models answer.

Lognormal parameters (mu, sigma of the natural logarithm), nearly independent of each other. Each row names
the published trace or study its numbers come from.
"""

from __future__ import annotations

from typing import Final

import msgspec


class Lognormal(msgspec.Struct, frozen=True):
    """A lognormal distribution: ``exp(mu + sigma * N)``, in tokens."""

    mu: float
    sigma: float


class Lengths(msgspec.Struct, frozen=True):
    """Prompt and answer lengths of one kind of traffic, and where the numbers come from."""

    prompt: Lognormal
    answer: Lognormal
    source: str


LENGTHS: Final[dict[str, Lengths]] = {
    "conversation": Lengths(Lognormal(6.63, 0.99), Lognormal(5.02, 0.86), "Azure LLM trace 2023"),
    "code": Lengths(Lognormal(7.00, 1.36), Lognormal(2.79, 0.85), "Azure LLM trace 2023"),
    "reasoning": Lengths(Lognormal(5.51, 1.82), Lognormal(6.75, 0.96), "ServeGen"),
    "documents": Lengths(Lognormal(8.74, 1.20), Lognormal(5.34, 1.36), "Mooncake trace"),
}

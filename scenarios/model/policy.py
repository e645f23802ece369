"""When a client tries a failed call again, as data: our own three policies, and those of real clients.

A real client's row is what its source does by default with a POST, read in November 2026; the number is that of the
version. What tries again for ever does so a hundred times here.
"""

from __future__ import annotations

from math import inf
from typing import Final, Literal

import msgspec

PolicyName = Literal[
    "none",
    "polite",
    "rude",
    "openai-python",
    "openai-node",
    "openai-go",
    "anthropic",
    "groq",
    "vercel-ai",
    "langchain-js",
    "langchain4j",
    "spring-ai",
    "go-retryablehttp",
    "aiohttp-retry",
    "axios-retry",
    "fetch-retry",
    "p-retry",
    "stamina",
    "tenacity-bare",
]

_FOR_EVER: Final = 100
_SERVER: Final = frozenset(range(500, 600))


class Policy(msgspec.Struct, frozen=True):
    """At most ``max_tries`` in all; between them a back-off that grows by ``factor`` from ``backoff_s`` to its cap.

    ``jitter`` is the range of what the back-off is multiplied by, ``jitter_s`` the most that is added to it. A call is
    tried again after the answers in ``statuses`` (``None``: those that the contract calls retryable), and where
    ``resets`` after a connection that failed before any answer, where ``timeouts`` after one that did not come.

    ``Retry-After`` counts up to ``longest_s``, in place of the back-off, or beside it where ``backs_off_too``; a longer
    one is, as ``beyond`` says, a reason to give up, to back off, or to wait so long and no longer. Where the client is
    ``told`` by it alone, a 429 without one is given up. What fails ``within_s`` after the first try or later is as
    well.
    """

    source: str = ""
    max_tries: int = 1
    backoff_s: float = 0.5
    factor: float = 2.0
    backoff_cap_s: float = 20.0
    jitter: tuple[float, float] = (0.0, 1.0)
    jitter_s: float = 0.0
    statuses: frozenset[int] | None = None
    resets: bool = True
    timeouts: bool = False
    longest_s: float = inf
    beyond: Literal["gives up", "backs off", "cuts short"] = "backs off"
    backs_off_too: bool = False
    told: bool = False
    within_s: float = inf

    def delay_s(
        self, attempt: int, retry_after_s: float | None, u: tuple[float, ...], *, limited: bool = False
    ) -> float | None:
        """Seconds from the answer to try number ``attempt`` (from 0) to the next, ``None`` to give up.

        ``u`` are two draws from [0, 1), which spread clients that failed together; ``limited``: the answer was a 429.
        """
        if attempt + 1 >= self.max_tries or (self.told and limited and retry_after_s is None):
            return None
        low, high = self.jitter
        backoff_s = min(self.backoff_cap_s, self.backoff_s * self.factor**attempt) * (low + (high - low) * u[0])
        backoff_s = min(self.backoff_cap_s, backoff_s + self.jitter_s * u[1])
        if retry_after_s is None or not self.longest_s:
            return backoff_s
        if retry_after_s > self.longest_s:
            return {"gives up": None, "backs off": backoff_s, "cuts short": self.longest_s}[self.beyond]
        return retry_after_s + backoff_s if self.backs_off_too else retry_after_s


_STAINLESS: Final = Policy(
    max_tries=3,
    backoff_cap_s=8.0,
    jitter=(0.75, 1.0),
    statuses=_SERVER | {408, 409, 429},
    timeouts=True,
)
_IGNORES: Final = 0.0

POLICIES: Final[dict[PolicyName, Policy]] = {
    "none": Policy(),
    "polite": Policy(max_tries=5, backs_off_too=True),
    "rude": Policy(max_tries=5, backoff_s=0.0, longest_s=_IGNORES),
    "openai-python": msgspec.structs.replace(_STAINLESS, source="openai 3.54", longest_s=120.0, beyond="gives up"),
    "openai-node": msgspec.structs.replace(_STAINLESS, source="openai 6.49"),
    "openai-go": msgspec.structs.replace(_STAINLESS, source="openai-go", longest_s=8.0, beyond="cuts short"),
    "anthropic": msgspec.structs.replace(_STAINLESS, source="anthropic 2.12 (Python), 1.12 (TypeScript)"),
    "groq": msgspec.structs.replace(_STAINLESS, source="groq 1.7", longest_s=60.0),
    "vercel-ai": Policy(
        source="Vercel AI SDK 6",
        max_tries=3,
        backoff_s=2.0,
        backoff_cap_s=inf,
        jitter=(1.0, 1.0),
        statuses=_SERVER | {408, 409, 429},
        longest_s=60.0,
    ),
    "langchain-js": Policy(
        source="LangChain.js core 1.4",
        max_tries=7,
        backoff_s=1.0,
        backoff_cap_s=inf,
        jitter=(1.0, 2.0),
        statuses=_SERVER | {429},
        longest_s=60.0,
        beyond="gives up",
        told=True,
    ),
    "langchain4j": Policy(
        source="LangChain4j 1.18",
        max_tries=3,
        factor=1.5,
        backoff_cap_s=inf,
        jitter=(1.0, 1.2),
        statuses=_SERVER | {429},
        longest_s=_IGNORES,
    ),
    "spring-ai": Policy(
        source="Spring AI",
        max_tries=10,
        backoff_s=2.0,
        factor=5.0,
        backoff_cap_s=180.0,
        jitter=(1.0, 1.0),
        statuses=_SERVER,
        longest_s=_IGNORES,
    ),
    "go-retryablehttp": Policy(
        source="go-retryablehttp",
        max_tries=5,
        backoff_s=1.0,
        backoff_cap_s=30.0,
        jitter=(1.0, 1.0),
        statuses=_SERVER - {501} | {429},
    ),
    "aiohttp-retry": Policy(
        source="aiohttp-retry 2.9",
        max_tries=3,
        backoff_s=0.2,
        backoff_cap_s=30.0,
        jitter=(1.0, 1.0),
        statuses=_SERVER,
        resets=False,  # its own comment says otherwise: an empty set of exceptions, its default, matches none
        longest_s=_IGNORES,
    ),
    "axios-retry": Policy(
        source="axios-retry 4.5", max_tries=4, backoff_s=0.0, statuses=frozenset(), longest_s=_IGNORES
    ),
    "fetch-retry": Policy(
        source="fetch-retry 6",
        max_tries=4,
        backoff_s=1.0,
        factor=1.0,
        jitter=(1.0, 1.0),
        statuses=frozenset(),
        longest_s=_IGNORES,
    ),
    "p-retry": Policy(
        source="p-retry 7.1, in code that throws on these",
        max_tries=11,
        backoff_s=1.0,
        backoff_cap_s=inf,
        jitter=(1.0, 1.0),
        statuses=_SERVER | {429},
        longest_s=_IGNORES,
    ),
    "stamina": Policy(
        source="stamina 26, in code that raises on these",
        max_tries=10,
        backoff_s=0.1,
        backoff_cap_s=5.0,
        jitter=(1.0, 1.0),
        jitter_s=1.0,
        statuses=_SERVER | {429},
        longest_s=_IGNORES,
        within_s=45.0,
    ),
    "tenacity-bare": Policy(
        source="tenacity, `@retry` without arguments, in code that raises on these",
        max_tries=_FOR_EVER,
        backoff_s=0.0,
        statuses=_SERVER | {402, 429},
        longest_s=_IGNORES,
    ),
}

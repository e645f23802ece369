"""What real clients do by default, as model clients: one row for each that `docs/client-verdict.md` was written for."""

from __future__ import annotations

from collections.abc import Callable
from random import Random
from typing import NamedTuple

from tests.mock_server.judge.simulator import BROKEN, EOF, OK, RESET, Answer, Client, Policy, refused

FOR_EVER = 10**6


class Row(NamedTuple):
    """A client, and the rules that it breaks indeed."""

    policy: Policy
    breaks: frozenset[str] = frozenset()


def growing(first_s: float, factor: float, most_s: float) -> Callable[[int, Random], float]:
    return lambda number, _dice: min(most_s, first_s * factor**number)


def shortened(first_s: float, most_s: float) -> Callable[[int, Random], float]:
    """Doubled each time, and up to a quarter taken off."""
    return lambda number, dice: min(most_s, first_s * 2.0**number) * (1 - 0.25 * dice.random())


def full_jitter(base_s: float) -> Callable[[int, Random], float]:
    return lambda number, dice: dice.uniform(0.0, base_s * 2.0**number)


def added_jitter(first_s: float, most_s: float) -> Callable[[int, Random], float]:
    return lambda number, dice: min(most_s, first_s * 2.0**number + dice.random())


SERVER_ERRORS = frozenset({500, 502})
STAINLESS = Policy(2, shortened(0.5, 8.0), obeys_s=FOR_EVER, stainless=True)
IGNORES = frozenset({"retry_after_ignored"})

ROWS: dict[str, Row] = {
    "openai (Python)": Row(Policy(2, shortened(0.5, 8.0), obeys_s=120, beyond="give up", stainless=True)),
    "anthropic, openai (Node)": Row(STAINLESS),
    "groq": Row(Policy(2, shortened(0.5, 8.0), obeys_s=60, beyond="own wait", stainless=True)),
    "openai-go": Row(Policy(2, shortened(0.5, 8.0), obeys_s=8, beyond="cut", stainless=True)),
    "Vercel AI SDK": Row(Policy(2, growing(2.0, 2.0, 60.0), obeys_s=60)),
    "LangChain.js": Row(Policy(6, full_jitter(1.0), obeys_s=60, beyond="give up", needs_header=True)),
    "LiteLLM": Row(Policy(2, shortened(0.5, 8.0), obeys_s=60, jitter_on_top=True)),
    "google-genai, mistralai": Row(Policy(0)),
    "cohere": Row(Policy(2, growing(1.0, 2.0, 60.0), obeys_s=60, beyond="cut")),
    "openrouter (Python)": Row(Policy(8, growing(0.5, 1.5, 60.0), SERVER_ERRORS)),
    "go-retryablehttp": Row(Policy(4, growing(1.0, 2.0, 30.0), obeys_s=FOR_EVER)),
    "aiohttp-retry": Row(Policy(2, growing(0.1, 2.0, 30.0), SERVER_ERRORS)),
    "tenacity, bare": Row(
        Policy(FOR_EVER, statuses=frozenset({400, 401, 402, 429, 500, 502})),
        frozenset({"non_retryable_retried", "retry_after_ignored", "no_backoff", "retry_storm"}),
    ),
    "backoff": Row(Policy(FOR_EVER, full_jitter(1.0)), IGNORES),
    "stamina": Row(Policy(9, added_jitter(0.1, 5.0)), IGNORES),
    "urllib3 Retry": Row(Policy(0)),
    "requests, httpx, got, ky, undici, ofetch": Row(Policy(0)),
    "axios-retry": Row(Policy(3, statuses=frozenset()), frozenset({"no_backoff"})),
    "p-retry, async-retry": Row(Policy(10, growing(1.0, 2.0, FOR_EVER)), IGNORES),
    "fetch-retry": Row(Policy(3, growing(1.0, 1.0, 1.0), frozenset())),
    "Spring AI": Row(Policy(10, growing(2.0, 5.0, 180.0), SERVER_ERRORS)),
    "LangChain4j": Row(Policy(2, lambda number, dice: 0.5 * 1.5**number * (1 + 0.2 * dice.random())), IGNORES),
    "node-fetch, Go net/http": Row(Policy(0, pooled=False)),
}
PLAN: tuple[tuple[Answer, ...], ...] = (
    (OK,),
    (refused(400),),
    (refused(401),),
    (refused(402),),
    (refused(429, 2), OK),
    (refused(429, 1), refused(429, 2), OK),
    (refused(429, 30), OK),
    (refused(429, 90), OK),
    (refused(429, 300), OK),
    (refused(429), OK),
    (refused(500), OK),
    (refused(502), refused(502), OK),
    (RESET, OK),
    (RESET, RESET, RESET, OK),
    *((refused(502), refused(500), OK) for _ in range(4)),
    (*(refused(500) for _ in range(11)), OK),
    (EOF,),
    (BROKEN,),
    (OK,),
)


def journal(policy: Policy, seed: int = 0) -> Client:
    """What a client leaves behind that has met the whole plan."""
    client = Client(policy, seed=seed)
    for answers in PLAN:
        client.call(answers)
    return client

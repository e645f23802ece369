"""The built-in test keys and plans: with them each documented error can be had by choosing a key."""

from __future__ import annotations

from typing import Annotated, Final, Literal

import msgspec
from msgspec import Meta

from mock_server.contract.provenance import assumed

Fate = Literal["normal", "revoked", "outage", "error"]


Limit = Annotated[int, Meta(ge=1)] | None


class Plan(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """Limits of a plan; ``None`` is no limit.

    ``rpm`` and ``rpd`` are requests per minute and per day, ``tpm`` tokens per minute, ``concurrent``
    requests in flight at once.
    """

    rpm: Annotated[Limit, Meta(description="requests per minute")] = None
    rpd: Annotated[Limit, Meta(description="requests per day")] = None
    tpm: Annotated[Limit, Meta(description="tokens per minute")] = None
    concurrent: Annotated[Limit, Meta(description="requests in flight at once")] = None


class TestKey(msgspec.Struct, frozen=True):
    """A built-in key: its plan, its balance in tokens (``None``: unlimited), its fate, and what it is for."""

    __test__ = False  # not a test class, whatever pytest may think of the name

    key: str
    plan: str
    balance: int | None
    fate: Fate
    use: str


PLANS: Final[dict[str, Plan]] = {
    "none": Plan(),
    "free": Plan(rpm=10, rpd=100, tpm=20_000, concurrent=2),
    "basic": Plan(rpm=60, rpd=5_000, tpm=200_000, concurrent=10),
    "pro": Plan(rpm=300, rpd=50_000, tpm=2_000_000, concurrent=50),
    "single": Plan(rpm=1),
}

PLANS_SOURCE: Final = assumed(
    "plans are documented, their limits are not; requests per minute and per day are those that zihin, a comparable "
    "gateway, publishes"
)

LOAD_TEST_KEY: Final = "sk-test-unlimited"

TEST_KEYS: Final[tuple[TestKey, ...]] = (
    TestKey(LOAD_TEST_KEY, "none", None, "normal", "load tests: no limits, unlimited balance"),
    TestKey("sk-test-free", "free", 100_000, "normal", "the free plan"),
    TestKey("sk-test-basic", "basic", 5_000_000, "normal", "the basic plan"),
    TestKey("sk-test-pro", "pro", 100_000_000, "normal", "the pro plan"),
    TestKey("sk-test-empty", "pro", 0, "normal", "every call is 402"),
    TestKey("sk-test-limited", "single", 1_000_000, "normal", "the second call within a minute is 429"),
    TestKey("sk-test-revoked", "none", 0, "revoked", "every call is 401"),
    TestKey("sk-test-outage", "pro", 1_000_000, "outage", "every provider fails: 502"),
    TestKey("sk-test-error", "pro", 1_000_000, "error", "every call is 500"),
)

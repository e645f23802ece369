"""When a client tries a failed call again, as data: one row per policy."""

from __future__ import annotations

from typing import Final, Literal

import msgspec

PolicyName = Literal["none", "polite", "rude"]


class Policy(msgspec.Struct, frozen=True):
    """At most ``max_tries`` in all; between them exponential back-off with full jitter, up to ``backoff_cap_s``.

    With ``obeys_retry_after`` no try comes sooner after the answer than the gateway asked for.
    """

    max_tries: int = 1
    backoff_s: float = 0.5
    backoff_cap_s: float = 20.0
    obeys_retry_after: bool = True

    def delay_s(self, attempt: int, retry_after_s: float | None, jitter: float) -> float | None:
        """Seconds from the answer to try number ``attempt`` (from 0) to the next, ``None`` to give up.

        ``jitter`` in [0, 1) spreads clients that failed together.
        """
        if attempt + 1 >= self.max_tries:
            return None
        asked = retry_after_s if self.obeys_retry_after else None
        return (asked or 0.0) + min(self.backoff_cap_s, self.backoff_s * 2.0**attempt) * jitter


POLICIES: Final[dict[PolicyName, Policy]] = {
    "none": Policy(),
    "polite": Policy(max_tries=5),
    "rude": Policy(max_tries=5, backoff_s=0.0, obeys_retry_after=False),
}

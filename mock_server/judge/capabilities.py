"""What a client may do without."""

from __future__ import annotations

from typing import Final, Literal, get_args

Capability = Literal["streaming", "retries", "idempotency", "timeouts"]
"""A rule that needs one does not apply to a client without it."""
CAPABILITIES: Final[tuple[Capability, ...]] = get_args(Capability)

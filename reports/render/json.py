"""summary.json: the summary as it is; its schema is `reports.values.Summary`."""

from __future__ import annotations

import msgspec

from reports.values import Summary


def render(summary: Summary) -> str:
    """Return the summary as indented JSON, absent numbers as null."""
    return msgspec.json.format(msgspec.json.encode(summary), indent=1).decode() + "\n"

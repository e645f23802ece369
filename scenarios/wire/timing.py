"""What response headers say about time: the mock's own plan, and when to come back. No header breaks these."""

from __future__ import annotations

import re
from typing import Final

import msgspec


class Announced(msgspec.Struct, frozen=True):
    """What ``Server-Timing`` announced, in wall milliseconds; ``None`` where it said nothing."""

    planned_ms: float | None = None
    planned_first_ms: float | None = None
    overhead_ms: float | None = None
    wasted_ms: float | None = None
    attempts: int | None = None


NOTHING: Final = Announced()

# The mock's own spelling, read in one go; any other is taken apart.
_USUAL: Final = re.compile(
    r'planned;dur=(\d+\.\d+), first;dur=(\d+\.\d+), overhead;dur=(\d+\.\d+), attempts;desc="(\d+)", '
    r"wasted;dur=(\d+\.\d+)"
)
_METRIC: Final = re.compile(r'\s*([^\s;,="]+)((?:\s*;\s*[^\s;,="]+\s*=\s*(?:"(?:\\.|[^"\\])*"|[^;,"]*))*)\s*(?:,|$)')
_PARAMETER: Final = re.compile(r';\s*([^\s;,="]+)\s*=\s*(?:"((?:\\.|[^"\\])*)"|([^;,"]*))')


def server_timing(header: str | None) -> Announced:
    """The mock's plan from a ``Server-Timing`` header; what cannot be read is ``None``, never an error."""
    if header is None:
        return NOTHING
    usual = _USUAL.fullmatch(header)
    if usual is not None and len(header) < 120:
        planned, first, overhead, attempts, wasted = usual.groups()
        return Announced(float(planned), float(first), float(overhead), float(wasted), int(attempts))
    return _any_server_timing(header)


def _any_server_timing(header: str) -> Announced:
    found: dict[str, dict[str, str]] = {}
    for metric in _METRIC.finditer(header):
        parameters = {name.lower(): quoted or plain for name, quoted, plain in _PARAMETER.findall(metric[2])}
        found.setdefault(metric[1].lower(), parameters)
    attempts = _number(found.get("attempts", {}).get("desc"))
    planned, first, overhead, wasted = (
        _number(found.get(name, {}).get("dur")) for name in ("planned", "first", "overhead", "wasted")
    )
    return Announced(planned, first, overhead, wasted, None if attempts is None else int(attempts))


def retry_after(header: str | None) -> float | None:
    """Seconds of a ``Retry-After`` in its delta form; ``None`` where absent or unreadable."""
    return None if header is None else _number(header)


def _number(text: str | None) -> float | None:
    try:
        value = float(text or "")
    except ValueError:
        return None
    return value if 0 <= value < 1e9 else None

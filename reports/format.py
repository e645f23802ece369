"""Numbers as people read them: 812 ms, 1.24 s, 1,000,000, 0.42 %."""

from __future__ import annotations

import re
from collections.abc import Callable
from datetime import UTC, datetime
from typing import Final

from reports.gate import Gate
from reports.values import Estimate

# What a terminal obeys, XML 1.0 cannot carry, or turns text around: control characters but tab and line feed, marks
# and overrides of direction, line separators, surrogates, noncharacters.
_UNPRINTABLE: Final = re.compile(
    "[\x00-\x08\x0b-\x1f\x7f-\x9f\u061c\u200e\u200f\u2028-\u202e\u2066-\u2069\ud800-\udfff\ufffe\uffff]"
)


def printable(text: str) -> str:
    """Return the text with a replacement character for each that is not safe to show."""
    return _UNPRINTABLE.sub("\ufffd", text)


def number(value: float) -> str:
    """Return a count or plain number with thousands separated: 1,000,000; 12.3."""
    if float(value).is_integer():
        return f"{int(value):,}"
    return f"{value:,.3g}" if abs(value) < 100 else f"{value:,.0f}"


def duration(ms: float) -> str:
    """Milliseconds as 0.4 ms, 8.3 ms, 812 ms, 1.24 s, 83.5 s, 12 min 5 s."""
    size = abs(ms)
    if size < 9.95:
        return f"{ms:.2g} ms" if size < 1 else f"{ms:.1f} ms"
    if size < 999.5:
        return f"{ms:.0f} ms"
    if size < 9_995:
        return f"{ms / 1e3:.2f} s"
    if size < 119_950:
        return f"{ms / 1e3:.1f} s"
    minutes, seconds = divmod(round(ms / 1e3), 60)
    return f"{minutes:,} min {seconds} s"


def share(value: float) -> str:
    """Return a share of one as a percentage: 0 %, 0.042 %, 4.2 %, 97.3 %."""
    return percent(value * 100)


def percent(value: float) -> str:
    """Return a percentage: 0 %, 0.042 %, 4.2 %, 97.3 %, 99.9954 %: two digits of whichever side is rarer."""
    if value in (0, 100):
        return f"{value:.0f} %"
    if 99 < value < 100:
        return f"{100 - float(f'{100 - value:.2g}'):.10g} %"
    return f"{value:.2g} %" if abs(value) < 9.95 else f"{value:.3g} %"


def moment(iso: str) -> str:
    """Return an ISO-8601 time as `2025-01-02 03:04:05 UTC`; as it is if it cannot be read."""
    try:
        return f"{datetime.fromisoformat(iso).astimezone(UTC):%Y-%m-%d %H:%M:%S} UTC"
    except (ValueError, OverflowError):
        return iso


def tick(ms: float) -> str:
    """Milliseconds on an axis, where values are round: 0, 0.5 ms, 200 ms, 1.5 s."""
    if ms == 0:
        return "0"
    return f"{ms:g} ms" if abs(ms) < 1000 else f"{ms / 1e3:g} s"


def per_second(value: float) -> str:
    """Return a rate per second: 19.9/s, 1,204/s."""
    return f"{value:,.0f}/s" if abs(value) >= 1000 else f"{value:.4g}/s"


FORMATS: Final[dict[str, Callable[[float], str]]] = {
    "ms": duration,
    "share": share,
    "per_s": per_second,
    "count": number,
    "pieces": number,
}


def estimate_text(seen: Estimate) -> str:
    """Return the value alone: `812 ms`, `> 30.0 s`, `n/a (n=212 < 368)`, `n/a`."""
    show = FORMATS[seen.unit]
    if seen.value is not None:
        return show(seen.value)
    if seen.above is not None:
        return f"> {show(seen.above)}"
    if seen.n and seen.needed is not None:
        return f"n/a (n={number(seen.n)} < {number(seen.needed)})"
    return "n/a"


def interval_text(seen: Estimate) -> str:
    """Return the 95 % interval: `780 ms – 901 ms`, `over 780 ms`, `exact` for counts, or nothing."""
    show = FORMATS[seen.unit]
    if seen.exact:
        return "exact"
    if seen.low is not None and seen.high is not None:
        return f"{show(seen.low)} – {show(seen.high)}"
    if seen.low is not None:
        return f"over {show(seen.low)}"
    return f"under {show(seen.high)}" if seen.high is not None else ""


def gate_limit(gate: Gate, unit: str) -> str:
    """Return a gate's limit: `≤ 2.00 s`, `≥ 19.5/s`."""
    return f"{'≤' if gate.max is not None else '≥'} {FORMATS[unit](gate.limit)}"

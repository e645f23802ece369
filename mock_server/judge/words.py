"""Words and moments as all renderings show them."""

from __future__ import annotations

from datetime import UTC, datetime


def printable(text: str) -> str:
    """The text with a replacement character for each that is not safe to show."""
    return "".join(sign if sign.isprintable() else "\ufffd" for sign in text)


def moment(unix_s: float) -> str:
    """A calendar moment: 2026-11-24T09:30:00.125Z."""
    return datetime.fromtimestamp(unix_s, UTC).isoformat(timespec="milliseconds").replace("+00:00", "Z")


def test_name(test: str) -> str:
    """A test id as it is shown."""
    return printable(test) or "(no test id)"


def counted(calls: int, tries: int) -> str:
    """How much was looked at."""
    return f"{calls:,} {'call' if calls == 1 else 'calls'}, {tries:,} {'request' if tries == 1 else 'requests'}"

"""What a user's mistake raises: one line that says where, what, and what next."""

from __future__ import annotations


class Unusable(Exception):  # noqa: N818 - a user's mistake, not a program's
    """There is nothing here to measure, or the command was used wrongly (exit code 2)."""

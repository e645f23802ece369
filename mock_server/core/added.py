"""Header lines that a rule adds to what it answers with: which may be, and which may not."""

from __future__ import annotations

import re
from collections.abc import Mapping
from typing import Final

from mock_server.core.faults import FaultError

Added = tuple[tuple[str, str], ...]

FRAMING: Final = frozenset(
    ("connection", "content-length", "keep-alive", "proxy-connection", "te", "trailer", "transfer-encoding", "upgrade")
)
"""What HTTP itself needs to tell where a message ends, and hop-by-hop fields: RFC 9110, section 7.6.1; RFC 9112."""
OWN: Final = frozenset(
    ("access-control-allow-origin", "access-control-expose-headers", "date", "server-timing", "x-request-id")
)
"""What the mock or its server says of every answer, and the journal with it; a second line would contradict it."""
_NAME: Final = re.compile(r"[!#$%&'*+.^_`|~0-9A-Za-z-]+")  # RFC 9110: a token
_VALUE: Final = re.compile(r"([\x21-\x7e\x80-\xff]([\t\x20-\x7e\x80-\xff]*[\x21-\x7e\x80-\xff])?)?")


def added(headers: Mapping[str, str]) -> Added:
    """The lines to add. Raises :class:`FaultError` for what no answer can carry or what is not the rule's to say."""
    seen: set[str] = set()
    for name, value in headers.items():
        lower, shown = name.lower(), name[:40]
        if _NAME.fullmatch(name) is None:
            raise FaultError(f"headers: {shown!r} is not the name of a header")
        if lower in seen:
            raise FaultError(f"headers: {shown} is given twice")
        seen.add(lower)
        if lower in FRAMING:
            raise FaultError(f"headers: {shown} belongs to HTTP's own framing; for broken framing there are faults")
        if lower in OWN:
            raise FaultError(f"headers: {shown} is the mock's own to say")
        if _VALUE.fullmatch(value) is None:
            raise FaultError(f"headers: the value of {shown} must be one line of Latin-1 text without spaces around it")
    return tuple(headers.items())

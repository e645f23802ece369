"""The heads of requests that are complete: how large they are, which are refused, and which are to be read again."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Final

from mock_server.contract.endpoints import LLM_AUTO
from mock_server.contract.errors import HEADERS_TOO_LARGE, METHOD_NOT_ALLOWED, Refusal

Lines = Sequence[tuple[bytes, bytes]]
"""Header lines, their names in lower case."""

HEAD_TOO_LARGE: Final = Refusal(HEADERS_TOO_LARGE, HEADERS_TOO_LARGE.message)
_NO_PROXY: Final = Refusal(
    METHOD_NOT_ALLOWED, f"{METHOD_NOT_ALLOWED.message}: CONNECT is for proxies, and this is none", allow=LLM_AUTO.method
)


class HeadRefusedError(Exception):
    """What the parser is stopped with, and why."""

    def __init__(self, refusal: Refusal) -> None:
        super().__init__(refusal.message)
        self.refusal = refusal


def head_bytes(method: bytes, url: bytes, lines: Lines) -> int:
    """How many bytes a head has, optional blanks aside."""
    request_line = len(method) + len(url) + len(b"  HTTP/1.1\r\n")
    return request_line + sum(len(name) + len(value) + 4 for name, value in lines) + 2


def without_offer(method: bytes, url: bytes, version: str, lines: Lines) -> bytes:
    """A head that offers another protocol, as it is without the offer; empty if it is a request as any other.

    The parser takes all that follows an offer for the other protocol, be it the body of the request; who declines it
    goes on in HTTP/1.1 (RFC 9110, 7.8). Raises :class:`HeadRefusedError` for a CONNECT to another host.
    """
    if method != b"CONNECT":
        kept = b"".join(b"%b: %b\r\n" % line for line in lines if line[0] != b"upgrade")
        return b"%b %b HTTP/%b\r\n%b\r\n" % (method, url, version.encode(), kept)
    if url.startswith(b"/"):
        return b""
    raise HeadRefusedError(_NO_PROXY)

"""Where a gateway is, from its base URL."""

from __future__ import annotations

from ipaddress import ip_address
from urllib.parse import urlsplit

from msgspec import Struct

from mock_server.contract.endpoints import LLM_AUTO


class TargetError(ValueError):
    """What is wrong with a base URL, in one line."""


class Target(Struct, frozen=True):
    """A gateway's base URL, read. ``prefix`` stands before every path; ``url`` is the whole as it is shown."""

    url: str
    tls: bool
    host: str
    port: int
    prefix: str

    @property
    def authority(self) -> str:
        """What the header ``Host`` says."""
        host = f"[{self.host}]" if ":" in self.host else self.host
        return host if self.port == (443 if self.tls else 80) else f"{host}:{self.port}"

    @property
    def is_here(self) -> bool:
        """Whether it is plainly on this machine; no name server is asked."""
        try:
            return ip_address(self.host).is_loopback
        except ValueError:
            return self.host == "localhost" or self.host.endswith(".localhost")


def read_target(text: str) -> Target:
    """The gateway at a base URL, with or without the API's own path. Raises :class:`TargetError`."""
    try:
        parts = urlsplit(text)
        host, port = parts.hostname, parts.port
        (host or "").encode("idna")
    except ValueError:  # UnicodeError is one
        host, port, parts = None, None, urlsplit("")
    wrong = not text.isascii() or not text.isprintable() or " " in text or port == 0 or "@" in parts.netloc
    if not host or parts.scheme not in ("http", "https") or parts.query or parts.fragment or wrong:
        shown = f"…{text.rpartition('@')[2]}" if "@" in text else text  # what stands before an @ may be a password
        raise TargetError(f"{shown!r} is not a base URL such as http://127.0.0.1:8080")
    tls = parts.scheme == "https"
    url = text.rstrip("/").removesuffix(LLM_AUTO.path)
    prefix = parts.path.rstrip("/").removesuffix(LLM_AUTO.path)
    return Target(url, tls, host, port or (443 if tls else 80), prefix)

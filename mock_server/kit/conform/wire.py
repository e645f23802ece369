"""One request over one connection, and whatever comes back, within a deadline and a bound on its size.

Redirects are not followed, nothing is sent twice, no proxy is asked, and what is no HTTP is an answer like any other.
"""

from __future__ import annotations

import socket
import ssl
from collections.abc import Callable
from functools import cached_property
from time import monotonic
from typing import Any, Final

import httptools
from msgspec import Struct

from mock_server.kit.conform.target import Target

MOST_BYTES: Final = 1 << 20
"""Of an answer, head and body: what is longer is cut off. Asked for are answers of a thousandth of it."""
MOST_HEAD_BYTES: Final = 1 << 18
"""Of an answer's head, with all interim ones before it."""
_READ_BYTES: Final = 1 << 16
_AFTER_BROKEN_SEND_S: Final = 2.0  # for an answer that came while the request was still being sent
_NO_BODY: Final = (204, 304)

Lines = tuple[tuple[str, str], ...]
"""Header lines, as sent or received."""


class Reply(Struct, frozen=True, dict=True):
    """An answer. ``broke`` says how it ended before its end, if it did.

    ``pieces`` are the reads of its body: seconds since the request was begun, and bytes that had come by then;
    ``head_s`` is when its head was there.
    """

    status: int
    lines: Lines
    body: bytes
    head_s: float
    pieces: tuple[tuple[float, int], ...] = ()
    broke: str = ""

    def all_of(self, name: str) -> list[str]:
        """The values of all header lines of a name."""
        return [value for found, value in self.lines if found.lower() == name.lower()]

    @cached_property
    def media_type(self) -> str:
        """The type its body is declared as, without parameters; empty where it is not."""
        return "".join(self.all_of("content-type")[:1]).partition(";")[0].strip().lower()


class NoReply(Struct, frozen=True):
    """No answer came that is HTTP. ``sent`` says whether the gateway may have got the request nevertheless."""

    why: str
    sent: bool = True


class Message(Struct, frozen=True):
    """A request as it is sent; ``lines`` are those besides ``Host``, ``Content-Length`` and ``Connection``."""

    method: str
    path: str
    lines: Lines = ()
    body: bytes = b""


def ask(target: Target, message: Message, timeout_s: float, clock: Callable[[], float] = monotonic) -> Reply | NoReply:
    """Send one request; all of it, up to the last byte of the answer, is over within ``timeout_s`` seconds."""
    began = clock()
    until = began + timeout_s
    try:
        sock = _connect(target, timeout_s)
    except (OSError, UnicodeError) as error:
        return NoReply(f"no connection: {_reason(error)}", sent=False)
    with sock:
        reading = _Reading(message.method, began)
        try:
            _send(sock, _bytes_of(target, message), until - clock())
        except OSError as error:
            reading.unsent = f"it stopped reading the request: {_reason(error)}"
            until = min(until, clock() + _AFTER_BROKEN_SEND_S)
        return _read(sock, reading, until, clock)


def _connect(target: Target, timeout_s: float) -> socket.socket:
    sock = socket.create_connection((target.host, target.port), timeout_s)
    if not target.tls:
        return sock
    try:
        context = ssl.create_default_context()
        context.set_alpn_protocols(["http/1.1"])
        return context.wrap_socket(sock, server_hostname=target.host)
    except BaseException:
        sock.close()
        raise


def _bytes_of(target: Target, message: Message) -> bytes:
    lines = [("Host", target.authority), *message.lines, ("Connection", "close")]
    if message.body or message.method in ("POST", "PUT"):
        lines.append(("Content-Length", str(len(message.body))))
    head = "".join(f"{name}: {value}\r\n" for name, value in lines)
    return f"{message.method} {target.prefix}{message.path} HTTP/1.1\r\n{head}\r\n".encode("latin-1") + message.body


def _send(sock: socket.socket, data: bytes, timeout_s: float) -> None:
    sock.settimeout(max(timeout_s, 0.001))
    sock.sendall(data)


def _read(sock: socket.socket, reading: _Reading, until: float, clock: Callable[[], float]) -> Reply | NoReply:
    received = 0
    while not reading.done:
        try:
            if (left_s := until - clock()) <= 0:
                raise TimeoutError
            sock.settimeout(left_s)
            data = sock.recv(_READ_BYTES)
        except TimeoutError:
            return reading.end("it did not end in time" if reading.headed else "no answer in time")
        except OSError as error:
            return reading.end(f"the connection broke: {_reason(error)}")
        if not data:
            return reading.end("" if reading.ends_with_connection else reading.closed)
        received += len(data)
        if received > MOST_BYTES:
            return reading.end(f"it is longer than {MOST_BYTES:,} bytes")
        reading.take(data, clock())
        if received > MOST_HEAD_BYTES and not reading.headed:
            return reading.end(f"its head is longer than {MOST_HEAD_BYTES:,} bytes")
    return reading.end("")


def _reason(error: Exception) -> str:
    if isinstance(error, TimeoutError):
        return "timed out"
    if isinstance(error, ssl.SSLCertVerificationError):
        return f"its certificate is not trusted: {error.verify_message} ($SSL_CERT_FILE names others to trust)"
    if isinstance(error, ssl.SSLError):
        return f"no TLS: {error.reason or error}"
    return (getattr(error, "strerror", None) or str(error) or type(error).__name__).lower()


class _Reading:
    """Mutable: an answer as it comes; called back by httptools' parser."""

    def __init__(self, method: str, began: float) -> None:
        self._parser: Any = httptools.HttpResponseParser(self)
        self._without_body = method == "HEAD"
        self._began = began
        self._lines: list[tuple[str, str]] = []
        self._body = bytearray()
        self._pieces: list[tuple[float, int]] = []
        self._status = 0
        self._head_s = 0.0
        self.headed = self.done = False
        self.broke = self.unsent = ""

    def on_header(self, name: bytes, value: bytes) -> None:
        """A line of the head; what comes after the head is a trailer."""
        if not self.headed:
            self._lines.append((name.decode("latin-1"), value.decode("latin-1")))

    def on_headers_complete(self) -> None:
        """The head is there: the answer's own, or that of an interim one."""
        status = self._parser.get_status_code()
        if self.headed or status < 200:
            self._lines = self._lines if self.headed else []
            return
        self.headed, self._status = True, status
        self.done = self._without_body or status in _NO_BODY

    def on_body(self, piece: bytes) -> None:
        """A part of the body."""
        if not self.done:
            self._body += piece

    def on_message_complete(self) -> None:
        """The end, as the framing says."""
        self.done = self.headed

    @property
    def ends_with_connection(self) -> bool:
        """Whether the end of the body is that of the connection."""
        framed = {"content-length", "transfer-encoding"} & {name.lower() for name, _ in self._lines}
        return self.headed and not framed

    @property
    def closed(self) -> str:
        """What it means that the connection is closed before the end."""
        return "the connection closed before its end" if self.headed else "the connection closed without an answer"

    def take(self, data: bytes, now: float) -> None:
        """Parse what was read."""
        headed = self.headed
        try:
            self._parser.feed_data(data)
        except httptools.HttpParserUpgrade:
            self.broke, self.done = "it wants to speak another protocol", True
        except httptools.HttpParserError as error:
            if not self.done:  # after the end nobody asked for more
                self.broke, self.done = f"it is not HTTP: {error}", True
        if self.headed and not headed:
            self._head_s = now - self._began
        if self.headed:
            self._pieces.append((now - self._began, len(self._body)))

    def end(self, broke: str) -> Reply | NoReply:
        """What has come, though it ended as ``broke`` says."""
        why = self.broke or broke
        if not self.headed:
            return NoReply(self.unsent or why)
        return Reply(self._status, tuple(self._lines), bytes(self._body), self._head_s, tuple(self._pieces), why)

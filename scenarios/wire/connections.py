"""HTTP/1.1 over gevent sockets: one timestamp per read, connections kept alive, nothing sent twice.

Locust's own clients read streams in blocks, resend on a closed keep-alive connection, and add milliseconds of
their own; a load generator needs to know when each byte came and what exactly was sent.
"""

from __future__ import annotations

from collections import deque
from collections.abc import Callable
from typing import Final
from urllib.parse import SplitResult

import httptools
import msgspec
from gevent import monkey, socket, ssl

from scenarios.model.workload import Call
from scenarios.wire.reader import Facts, Reader

# Servers close idle connections after 5 s at the earliest (uvicorn, Node.js); a connection is not reused when
# its server may be closing it at the same moment.
_IDLE_S: Final = 3.0
_READ_BYTES: Final = 1 << 16

Clock = Callable[[], float]


class IncompleteBodyError(ConnectionError):
    """The connection closed before the answer's framing said so."""


class NoAnswerError(ConnectionError):
    """The connection closed before any byte of an answer."""


class _Answer:
    """Receives httptools' callbacks for one answer and hands them to the reader."""

    def __init__(self, reader: Reader) -> None:
        self._reader = reader
        self._headers: dict[str, str] = {}
        self.parser = httptools.HttpResponseParser(self)
        self.now = 0.0
        self.started = False
        self.headed = False
        self.done = False

    def on_header(self, name: bytes, value: bytes) -> None:
        self._headers.setdefault(name.decode("latin-1").lower(), value.decode("latin-1"))

    def on_headers_complete(self) -> None:
        status = self.parser.get_status_code()
        if status >= 200:
            self.headed = True
            self._reader.head(status, self._headers)
        else:
            self._headers.clear()

    def on_body(self, piece: bytes) -> None:
        self._reader.data(piece, self.now)

    def on_message_complete(self) -> None:
        self.done = self.headed

    @property
    def ends_with_connection(self) -> bool:
        """Whether the body has no framing of its own and lasts until the connection closes."""
        coding = self._headers.get("transfer-encoding", "")
        return self.headed and "content-length" not in self._headers and "chunked" not in coding.lower()


class _Idle(msgspec.Struct):
    sock: socket.socket
    since_s: float


class Wire:
    """Connections from one worker to one target.

    ``clock`` gives seconds on the run's clock; ``base_path`` of the target precedes every path.
    """

    def __init__(self, target: SplitResult, clock: Clock, api_key: str) -> None:
        self._clock = clock
        self._host = target.hostname or ""
        self._base_path = target.path.rstrip("/")
        self._authority = target.netloc.rpartition("@")[2]
        port = target.port or (443 if target.scheme == "https" else 80)
        self._tls = ssl.create_default_context() if target.scheme == "https" else None
        # Resolved once: a name server is not what is being measured.
        self._addresses = socket.getaddrinfo(self._host, port, type=socket.SOCK_STREAM)
        self._api_key = api_key
        # Connections waiting to be used again, the latest last.
        self._idle: deque[_Idle] = deque()

    def payload(self, call: Call) -> bytes:
        """The whole request as it goes over the wire."""
        lines = [
            f"{call.method} {self._base_path}{call.path} HTTP/1.1",
            f"Host: {self._authority}",
            f"Authorization: Bearer {call.key or self._api_key}",
            f"Content-Type: {call.content_type}",
            f"Content-Length: {len(call.body)}",
            f"Accept: {'text/event-stream' if call.stream else 'application/json'}",
            "User-Agent: apiflowx-harness",
            *(f"{name}: {value}" for name, value in call.headers),
        ]
        return "\r\n".join(lines).encode("latin-1") + b"\r\n\r\n" + call.body

    def exchange(self, payload: bytes, reader: Reader) -> Facts:
        """Send ``payload`` and read the answer to its end.

        Every failure of the network or of HTTP framing comes back as `Facts`. A timeout or a kill raised into
        the greenlet passes through, and closes the connection.
        """
        sock: socket.socket | None = None
        keep = False
        try:
            sock = self._take()
            sock.sendall(payload)
            keep = self._read(sock, reader)
            return reader.complete()
        except httptools.HttpParserError:
            return reader.garbled()
        except OSError as error:
            return reader.broken(type(error).__name__)
        finally:
            if sock is not None:
                if keep:
                    self._give_back(sock)
                else:
                    sock.close()

    def _read(self, sock: socket.socket, reader: Reader) -> bool:
        answer = _Answer(reader)
        received = False
        while not answer.done:
            piece = sock.recv(_READ_BYTES)
            answer.now = self._clock()
            if not piece:
                if answer.ends_with_connection:
                    return False
                raise IncompleteBodyError if received else NoAnswerError
            received = True
            answer.parser.feed_data(piece)
        return bool(answer.parser.should_keep_alive())

    def _take(self) -> socket.socket:
        oldest = self._clock() - _IDLE_S
        while self._idle:
            idle = self._idle.pop()
            if idle.since_s >= oldest and not _readable(idle.sock):
                return idle.sock
            idle.sock.close()
        return self._connect()

    def _give_back(self, sock: socket.socket) -> None:
        now = self._clock()
        self._idle.append(_Idle(sock, now))
        while self._idle[0].since_s < now - _IDLE_S:
            self._idle.popleft().sock.close()

    def _connect(self) -> socket.socket:
        failure: OSError | None = None
        for family, kind, protocol, _, address in self._addresses:
            sock = socket.socket(family, kind, protocol)
            try:
                sock.connect(address)
                sock.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
                return sock if self._tls is None else self._tls.wrap_socket(sock, server_hostname=self._host)
            except OSError as error:
                sock.close()
                failure = error
            except BaseException:
                sock.close()
                raise
        raise failure or ConnectionError("no address")

    def close(self) -> None:
        """Close what is idle; connections in use close with their requests."""
        while self._idle:
            self._idle.pop().sock.close()


_poll: Final = monkey.get_original("select", "poll")


def _readable(sock: socket.socket) -> bool:
    """Whether an idle connection has something to read: then its server has closed it."""
    poller = _poll()
    poller.register(sock.fileno(), 1)
    return bool(poller.poll(0))

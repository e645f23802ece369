"""HTTP/1.1 over gevent sockets: one timestamp per read, connections kept alive, nothing sent twice.

Locust's own clients read streams in blocks, resend on a closed keep-alive connection, and add milliseconds of
their own; a load generator needs to know when each byte came and what exactly was sent.
"""

from __future__ import annotations

from collections import deque
from collections.abc import Callable
from typing import Any, Final
from urllib.parse import SplitResult

import gevent
import httptools
from gevent import monkey, socket, ssl

from scenarios.model.workload import Call
from scenarios.wire.asking import REST_S, IncompleteBodyError, NoAnswerError, head_lines
from scenarios.wire.reader import HEADERS, Reader, Reading

# Servers close idle connections after 5 s at the earliest (uvicorn, Node.js); a connection is not reused when
# its server may be closing it at the same moment.
_IDLE_S: Final = 3.0
_READ_BYTES: Final = 1 << 16
_KEPT_HEADERS: Final = {name.encode(): name for name in (*HEADERS, "content-length", "transfer-encoding")}
_NOBODY: Final = Reader(stream=False)
_READ: Final = 1
_poll: Final = monkey.get_original("select", "poll")

Clock = Callable[[], float]


class _Connection:
    """One connection and its parser, whose callbacks say where the answer stands.

    `close` must be called: until then connection and parser hold each other.
    """

    __slots__ = (
        "_begun",
        "_clock",
        "_headed",
        "_headers",
        "_hub",
        "_parser",
        "_poller",
        "_readable",
        "_reader",
        "done",
        "idle_since_s",
        "keep",
        "now",
        "sock",
    )

    def __init__(self, sock: socket.socket, clock: Clock) -> None:
        self.sock = sock
        self._clock = clock
        self._parser: Any = httptools.HttpResponseParser(self)
        self._poller = _poll()
        self._poller.register(sock.fileno(), _READ)
        # To wait before reading is cheaper than to read in vain first; but TLS may hold what the socket has given.
        self._hub = gevent.get_hub()
        self._readable = None if isinstance(sock, ssl.SSLSocket) else self._hub.loop.io(sock.fileno(), _READ)
        self._headers: dict[str, str] = {}
        self._reader = _NOBODY
        self.now = self.idle_since_s = 0.0
        # How much there is of the answer: any byte, its head, all of it. Then whether the connection outlives it.
        self._begun = self._headed = self.done = self.keep = False

    def on_message_begin(self) -> None:
        self._begun = True
        if self.done:
            # More than was asked for: whose answer comes next on this connection is not known.
            self.keep = False

    def on_header(self, name: bytes, value: bytes) -> None:
        known = _KEPT_HEADERS.get(name.lower())
        if known is not None:
            self._headers.setdefault(known, value.decode("latin-1"))

    def on_headers_complete(self) -> None:
        if self.done:
            return
        status = self._parser.get_status_code()
        if status >= 200:
            self._headed = True
            # The parser knows this only now: at the end of the message it has forgotten.
            self.keep = self._parser.should_keep_alive()
            self._reader.head(status, self._headers)
        else:
            self._headers.clear()

    def on_body(self, piece: bytes) -> None:
        if not self.done:
            self._reader.data(piece, self.now)

    def on_message_complete(self) -> None:
        self.done = self._headed

    def ask(self, payload: bytes, reader: Reader) -> float:
        """Send ``payload`` and read its answer; the moment it was over. `keep` tells what became of the connection."""
        self._reader = reader
        self._headers = {}
        self._begun = self._headed = self.done = self.keep = False
        sent = self.sock.send(payload)
        if sent < len(payload):
            self.sock.sendall(payload[sent:])
        while not self._read():
            if reader.done:
                over_s = self.now
                with gevent.Timeout(REST_S, False):
                    while not self._read():
                        pass
                self.keep = self.keep and self.done
                return over_s
        return self.now

    def _read(self) -> bool:
        """Read once; whether the answer is complete."""
        if self._readable is not None:
            self._hub.wait(self._readable)
        piece = self.sock.recv(_READ_BYTES)
        self.now = self._clock()
        if not piece:
            self._ended()
            return True
        try:
            self._parser.feed_data(piece)
        except httptools.HttpParserError:
            if not self.done:
                raise
            self.keep = False
        return self.done

    def _ended(self) -> None:
        """The server has closed the connection: the end of a body without framing of its own, else a failure."""
        framed = "content-length" in self._headers or "chunked" in self._headers.get("transfer-encoding", "").lower()
        if not self._headed or framed:
            raise IncompleteBodyError if self._begun else NoAnswerError
        self.done = True

    @property
    def alive(self) -> bool:
        """Whether an idle connection can be used: something to read would be its server's goodbye."""
        return not self._poller.poll(0)

    def rest(self, now: float) -> None:
        """Become idle."""
        self._reader = _NOBODY
        self.idle_since_s = now

    def close(self) -> None:
        """Close it, and let go of everything."""
        if self._readable is not None:
            self._readable.close()
        self.sock.close()
        self._parser = None
        self._reader = _NOBODY


class ConnectionPool:
    """Connections from one worker to one target, the one used last taken first.

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
        self._idle: deque[_Connection] = deque()
        # The heads of requests, which are few, up to the length of the body.
        self._heads: dict[tuple[object, ...], bytes] = {}

    def payload(self, call: Call) -> bytes:
        """The whole request as it goes over the wire."""
        kind = (call.method, call.path, call.key, call.content_type, call.stream, call.headers)
        head = self._heads.get(kind)
        if head is None:
            head = self._heads[kind] = self._head(call)
        return b"%b%d\r\n\r\n%b" % (head, len(call.body), call.body)

    def _head(self, call: Call) -> bytes:
        lines = [
            f"{call.method} {self._base_path}{call.path} HTTP/1.1",
            f"Host: {self._authority}",
            *(f"{name}: {value}" for name, value in head_lines(call, self._api_key)),
            "Content-Length: ",
        ]
        return "\r\n".join(lines).encode("latin-1")

    def exchange(self, payload: bytes, reader: Reader) -> Reading:
        """Send ``payload`` and read the answer to its end.

        Every failure of the network or of HTTP framing comes back as a `Reading`. A timeout or a kill raised into
        the greenlet passes through, and closes the connection.
        """
        connection: _Connection | None = None
        keep = False
        try:
            connection = self._take() or self._open(reader.reading)
            over_s = connection.ask(payload, reader)
            keep = connection.keep
            return reader.complete(over_s)
        except httptools.HttpParserCallbackError:
            raise
        except (httptools.HttpParserError, httptools.HttpParserUpgrade):
            return reader.garbled()
        except OSError as error:
            return reader.broken(type(error).__name__)
        finally:
            if keep and connection is not None:
                self._give_back(connection)
            elif connection is not None:
                connection.close()

    def _take(self) -> _Connection | None:
        """The connection that was used last, unless it may be closing; those that were are closed here too."""
        oldest_s = self._clock() - _IDLE_S
        while self._idle:
            connection = self._idle.pop()
            if connection.idle_since_s >= oldest_s and connection.alive:
                return connection
            connection.close()
        return None

    def _give_back(self, connection: _Connection) -> None:
        now = self._clock()
        connection.rest(now)
        self._idle.append(connection)
        while self._idle[0].idle_since_s < now - _IDLE_S:
            self._idle.popleft().close()

    def _open(self, reading: Reading) -> _Connection:
        began_s = self._clock()
        connection = _Connection(self._connect(), self._clock)
        reading.connect_ms = (self._clock() - began_s) * 1e3
        return connection

    def _connect(self) -> socket.socket:
        """A new connection to the first address that accepts one; raises the last address's ``OSError``."""
        for family, kind, protocol, _, address in self._addresses[:-1]:
            try:
                return self._connect_to(family, kind, protocol, address)
            except OSError:
                continue
        family, kind, protocol, _, address = self._addresses[-1]
        return self._connect_to(family, kind, protocol, address)

    def _connect_to(self, family: int, kind: int, protocol: int, address: Any) -> socket.socket:
        sock = socket.socket(family, kind, protocol)
        try:
            sock.connect(address)
            sock.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
            return sock if self._tls is None else self._tls.wrap_socket(sock, server_hostname=self._host)
        except BaseException:
            sock.close()
            raise

    def close(self) -> None:
        """Close what is idle; connections in use close with their requests."""
        while self._idle:
            self._idle.pop().close()

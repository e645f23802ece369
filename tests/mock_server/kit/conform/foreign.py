"""Servers that are no such gateway, or none at all: each answers every connection with what it is given."""

from __future__ import annotations

import socket
import struct
import threading
from collections.abc import Callable, Iterator
from contextlib import contextmanager, suppress

Serve = Callable[[socket.socket, bytes], None]
"""What to do with a connection and the request that came on it."""


@contextmanager
def serving(serve: Serve) -> Iterator[str]:
    """The base URL of a server on loopback."""
    with socket.create_server(("127.0.0.1", 0)) as listener:
        thread = threading.Thread(target=_accept, args=(listener, serve), daemon=True)
        thread.start()
        yield f"http://127.0.0.1:{listener.getsockname()[1]}"
        listener.shutdown(socket.SHUT_RDWR)
        thread.join(10)


def _accept(listener: socket.socket, serve: Serve) -> None:
    while True:
        try:
            connection, _ = listener.accept()
        except OSError:  # the listener is closed
            return
        with connection, suppress(OSError):
            connection.settimeout(10)
            serve(connection, _request(connection))


def _request(connection: socket.socket) -> bytes:
    """The whole request, or the beginning of what is no HTTP but a TLS handshake."""
    data = b""
    while b"\r\n\r\n" not in data and data[:1] != b"\x16" and (more := connection.recv(65_536)):
        data += more
    head, _, body = data.partition(b"\r\n\r\n")
    length = next((int(line[15:]) for line in head.lower().split(b"\r\n") if line.startswith(b"content-length:")), 0)
    while len(body) < length and (more := connection.recv(65_536)):
        body += more
    return head + b"\r\n\r\n" + body


def says(answer: bytes) -> Serve:
    """The same bytes for everybody, and the end of the connection."""
    return lambda connection, _: connection.sendall(answer)


def for_ever(head: bytes, part: bytes) -> Serve:
    """A beginning, and then the same again until the client leaves."""

    def serve(connection: socket.socket, _: bytes) -> None:
        connection.sendall(head)
        while True:
            connection.sendall(part)

    return serve


def silent(connection: socket.socket, _: bytes) -> None:
    """Says nothing until the client leaves."""
    connection.recv(1)


def resets(connection: socket.socket, _: bytes) -> None:
    """Breaks the connection off."""
    connection.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, struct.pack("ii", 1, 0))


def answer(status: str, body: bytes, *lines: str) -> bytes:
    """A whole answer."""
    head = "".join(f"{line}\r\n" for line in lines)
    return f"HTTP/1.1 {status}\r\n{head}Content-Length: {len(body)}\r\n\r\n".encode("latin-1") + body

"""Recorders that run in processes of their own, and gateways of a few lines that say what they are told to."""

from __future__ import annotations

import socket
import struct
import sys
import threading
from collections.abc import Callable, Iterator
from contextlib import contextmanager

from mock_server.launch import STOP_WITH_STDIN, Launched


def command(target: str, *options: str) -> list[str]:
    here = [sys.executable, "-P", "-m", "mock_server", "proxy", "--port", "0", STOP_WITH_STDIN]
    return [*here, "--target", target, *options]


@contextmanager
def recording(target: str, *options: str) -> Iterator[Launched]:
    with Launched(command(target, *options)) as recorder:
        yield recorder


Talk = Callable[[socket.socket], None]
REFUSAL = (
    b"HTTP/1.1 401 Unauthorized\r\nContent-Length: 2\r\nContent-Type: application/json\r\nConnection: close\r\n\r\n{}"
)


def refuse(connection: socket.socket) -> None:
    """What the recorder is told when it looks whether there is a gateway."""
    read_request(connection)
    connection.sendall(REFUSAL)


def read_request(connection: socket.socket) -> bytes:
    """A request with its head and as much of a body as its head says."""
    data = b""
    while b"\r\n\r\n" not in data:
        if not (more := connection.recv(65_536)):
            return data
        data += more
    head, _, body = data.partition(b"\r\n\r\n")
    length = next((int(line[15:]) for line in head.split(b"\r\n") if line.lower().startswith(b"content-length:")), 0)
    while len(body) < length:
        body += connection.recv(65_536)
    return head + b"\r\n\r\n" + body


def reset(connection: socket.socket) -> None:
    connection.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, struct.pack("ii", 1, 0))
    connection.close()


class Gateway:
    """Listens on loopback: the first connection, the recorder's own, is refused; the next ones go as ``talks`` say."""

    def __init__(self, *talks: Talk) -> None:
        self._listener = socket.create_server(("127.0.0.1", 0))
        self.url = f"http://127.0.0.1:{self._listener.getsockname()[1]}"
        self.errors: list[BaseException] = []
        self._thread = threading.Thread(target=self._serve, args=((refuse, *talks),), daemon=True)
        self._thread.start()

    def _serve(self, talks: tuple[Talk, ...]) -> None:
        for talk in talks:
            connection, _ = self._listener.accept()
            connection.settimeout(20)
            with connection:
                try:
                    talk(connection)
                except BaseException as error:  # told to the test
                    self.errors.append(error)

    def __enter__(self) -> Gateway:
        return self

    def __exit__(self, *_: object) -> None:
        self._listener.close()
        self._thread.join(20)
        assert not self.errors, self.errors

"""The yardstick of the generator's bias: one blocking socket that asks now and then, and times it itself.

`python -m benchmarks.raw_socket PORT SECONDS` prints the latencies in milliseconds.
"""

from __future__ import annotations

import json
import socket
import sys
from pathlib import Path
from time import perf_counter, sleep

from benchmarks.harness import KEY, PATH
from scenarios.command.catalogue import find
from scenarios.model.workload import mixed_call

_PAUSE_S = 0.02


def main(port: int, seconds: float) -> None:
    """Ask for so long, each time when the answer is there and a pause is over."""
    workload = find(str(Path(__file__).with_name("short_calls.toml"))).workload
    found = []
    with socket.create_connection(("127.0.0.1", port)) as sock:
        sock.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
        until = perf_counter() + seconds
        number = 1_000_000
        while perf_counter() < until:
            body = mixed_call(workload, 1, number).body
            head = f"POST {PATH} HTTP/1.1\r\nHost: x\r\nAuthorization: Bearer {KEY}\r\n"
            payload = f"{head}Content-Type: application/json\r\nContent-Length: {len(body)}\r\n\r\n".encode() + body
            began = perf_counter()
            sock.sendall(payload)
            _read_answer(sock)
            found.append((perf_counter() - began) * 1e3)
            number += 1
            sleep(_PAUSE_S)
    print(json.dumps(found))


def _read_answer(sock: socket.socket) -> None:
    data = b""
    while b"\r\n\r\n" not in data:
        data += sock.recv(1 << 16)
    head, _, body = data.partition(b"\r\n\r\n")
    if b" 200 " not in head.split(b"\r\n", 1)[0]:
        raise SystemExit(f"not a 200: {head!r}")
    length = int(head.lower().split(b"content-length: ")[1].split(b"\r\n")[0])
    while len(body) < length:
        body += sock.recv(1 << 16)


if __name__ == "__main__":
    main(int(sys.argv[1]), float(sys.argv[2]))

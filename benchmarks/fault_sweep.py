"""Every fault at every place, many times over and many at once: does anything stay behind?

Each call is struck in its own way, on a connection of its own; some clients leave in the middle of a stall. Then
nothing may be in flight or reserved, the balance must have fallen by exactly the usage that clients saw of answers
that are charged, the server must have no socket but the one it listens on, and it must have complained of nothing.
Run as `python -m benchmarks.fault_sweep`.

Exit codes: 0 all is well · 1 something stayed behind, or an answer did not end as asked · 2 nothing could be measured.
"""

from __future__ import annotations

import argparse
import asyncio
import json
import re
import socket
import sys
import tempfile
import time
import urllib.request
from collections import Counter
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import Any, Final, NamedTuple

import psutil
import uvloop

from benchmarks.harness import (
    PATH,
    WRONG_USAGE,
    BenchmarkError,
    call_body,
    describe,
    machine,
    mock_command,
    running,
)
from mock_server.core.faults import TABLE
from mock_server.launch import Launched

KEY: Final = "sk-own-sweep-1234"
BALANCE: Final = 1_000_000_000
WORLD: Final = f"""
extends = "instant"
[accounts.{KEY}]
balance = {BALANCE}
"""
FOR_S: Final = 0.02
LEAVE_AFTER_S: Final = 0.5
ENDS_WITHIN_S: Final = 30.0
SETTLED_WITHIN_S: Final = 10.0
TOKENS: Final = 12
_USAGE: Final = re.compile(rb'"total_tokens":(\d+)')


class Case(NamedTuple):
    """One fault on one kind of answer; `leaves` says that the client does not wait for its end."""

    fault: str
    stream: bool
    leaves: bool = False

    @property
    def kind(self) -> str:
        """The fault's kind, as it is written."""
        return self.fault.partition(";")[0]

    @property
    def charged(self) -> bool:
        """Whether the answer comes to its end, or far enough to be paid for."""
        return self.kind in ("delay", "dribble", "bad_chunk") or "before_done" in self.fault

    @property
    def ending(self) -> str:
        """How the connection must end; every request asks for it to be closed."""
        if self.leaves:
            return "left"
        return "reset" if self.kind == "reset" else "closed"


def cases() -> Iterator[Case]:
    """All kinds at all stages, of streams and plain answers."""
    for stream in (False, True):
        for kind, row in TABLE.items():
            for stage in row.stream if stream else row.plain:
                place = f"{kind};stage={stage}"
                yield Case(f"{place};for={FOR_S}" if row.takes_for else place, stream)
                if kind == "stall":
                    yield Case(place, stream, leaves=True)


class Sweep:
    """Plays cases against a port. Mutable: what came of them."""

    def __init__(self, port: int, concurrent: int) -> None:
        self._port = port
        self._slots = asyncio.Semaphore(concurrent)
        self.wrong: Counter[str] = Counter()
        self.calls = self.tokens = 0

    async def run(self, repeats: int) -> None:
        """Every case so many times, taking turns."""
        calls = [self._call(case, number) for number in range(repeats) for case in cases()]
        await asyncio.gather(*calls)

    async def _call(self, case: Case, number: int) -> None:
        async with self._slots:
            connection = socket.socket()
            connection.setblocking(False)
            with connection:
                ending, received = await self._exchange(connection, case, number)
        self.calls += 1
        if ending != case.ending:
            self.wrong[f"{'stream' if case.stream else 'plain'} {case.fault}: {ending}, not {case.ending}"] += 1
        if case.charged:
            usage = _USAGE.search(received)
            if usage is None:
                self.wrong[f"{case.fault}: no usage in the answer"] += 1
            else:
                self.tokens += int(usage[1])

    async def _exchange(self, connection: socket.socket, case: Case, number: int) -> tuple[str, bytes]:
        """How the connection ended, and all that came."""
        loop = asyncio.get_running_loop()
        received = b""
        await loop.sock_connect(connection, ("127.0.0.1", self._port))
        try:
            async with asyncio.timeout(LEAVE_AFTER_S if case.leaves else ENDS_WITHIN_S):
                await loop.sock_sendall(connection, _request(case, number))
                while data := await loop.sock_recv(connection, 65_536):
                    received += data
        except ConnectionResetError:
            return "reset", received
        except TimeoutError:
            return "left", received
        return "closed", received


def _request(case: Case, number: int) -> bytes:
    call = json.loads(call_body(f"Call {number}: tell me of the sea", TOKENS))
    body = json.dumps(call | {"stream": case.stream}).encode()
    return (
        f"POST {PATH} HTTP/1.1\r\nHost: 127.0.0.1\r\nAuthorization: Bearer {KEY}\r\nConnection: close\r\n"
        f"X-Mock-Fault: {case.fault}\r\nContent-Type: application/json\r\nContent-Length: {len(body)}\r\n\r\n"
    ).encode() + body


def _control(server: Launched, path: str) -> Any:
    """What the control plane says, over a connection that is closed again."""
    with urllib.request.urlopen(f"{server.url}/__mock__/{path}") as answer:
        return json.load(answer)


def _settled(server: Launched) -> tuple[int, int]:
    """What is in flight, and how many connections are open, when both are 0 or patience is at its end."""
    until = time.monotonic() + SETTLED_WITHIN_S
    process = psutil.Process(server.pid)
    while True:
        in_flight: int = _control(server, "health")["in_flight"]
        sockets = [each for each in process.net_connections("tcp") if each.status != psutil.CONN_LISTEN]
        if (not in_flight and not sockets) or time.monotonic() > until:
            return in_flight, len(sockets)


def sweep(repeats: int, concurrent: int) -> dict[str, Any]:
    """Play all cases, and look at what stays behind."""
    with tempfile.TemporaryDirectory() as folder:
        world = Path(folder) / "sweep.toml"
        world.write_text(WORLD)
        with running(mock_command(str(world)), None) as server:
            before = _control(server, f"accounts/{KEY}")["balance"]
            played = Sweep(server.port, concurrent)
            began = time.monotonic()
            uvloop.run(played.run(repeats))
            took = time.monotonic() - began
            in_flight, sockets = _settled(server)
            account = _control(server, f"accounts/{KEY}")
        said = server.complaints()
    return {
        "cases": len(list(cases())),
        "calls": played.calls,
        "seconds": took,
        "ended_wrong": dict(played.wrong),
        "in_flight": in_flight,
        "open_sockets": sockets,
        "reserved": account["reserved"],
        "tokens_seen": played.tokens,
        "tokens_charged": before - account["balance"],
        "complaints": said,
    }


def is_clean(found: dict[str, Any]) -> bool:
    """Whether nothing stayed behind and everything ended as asked."""
    behind = ("ended_wrong", "in_flight", "open_sockets", "reserved", "complaints")
    return not any(found[name] for name in behind) and found["tokens_seen"] == found["tokens_charged"]


def text(found: dict[str, Any]) -> str:
    """The result for a reader."""
    lines = [
        f"calls     {found['calls']:,}: {found['cases']} faults at their places, in {found['seconds']:.1f} s",
        f"behind    {found['in_flight']} in flight, {found['open_sockets']} sockets open, {found['reserved']} reserved",
        f"ledger    {found['tokens_charged']:,} tokens charged, {found['tokens_seen']:,} seen in charged answers",
        f"stderr    {found['complaints'].strip() or 'nothing'}",
    ]
    lines += [f"wrong     {count} x {what}" for what, count in found["ended_wrong"].items()]
    return "\n".join([*lines, f"machine   {describe(found['machine'])}"])


def main(argv: Sequence[str] | None = None) -> int:
    """Sweep and print; returns the exit code."""
    parser = argparse.ArgumentParser("python -m benchmarks.fault_sweep", description=(__doc__ or "").split("\n\n")[0])
    parser.add_argument("--repeats", type=int, default=200, help="calls of every case (default 200)")
    parser.add_argument("--concurrent", type=int, default=50, help="calls at once (default 50)")
    parser.add_argument("--json", action="store_true", help="print the result as JSON")
    args = parser.parse_args(argv)
    if args.repeats < 1 or args.concurrent < 1:
        parser.error("--repeats and --concurrent must be at least 1")
    try:
        found = {"machine": machine()} | sweep(args.repeats, args.concurrent)
    except BenchmarkError as error:
        print(f"fault_sweep: {error}", file=sys.stderr)
        return WRONG_USAGE
    print(json.dumps(found, indent=2) if args.json else text(found))
    return int(not is_clean(found))


if __name__ == "__main__":
    sys.exit(main())

"""`mock-server proxy`: relays until it is told to stop, then says what it saw and writes what it learned."""

from __future__ import annotations

import argparse
import asyncio
import os
import signal
import socket
import sys
import threading
from array import array
from collections.abc import Callable
from pathlib import Path
from time import monotonic
from typing import Final

import msgspec

from mock_server.config import DEFAULT_WORLD, load_world
from mock_server.contract.endpoints import LLM_AUTO
from mock_server.exits import Exit, complain
from mock_server.http.pulse import Pulse
from mock_server.kit.conform.command import replacing
from mock_server.kit.conform.seen import read_json
from mock_server.kit.conform.target import Target
from mock_server.kit.conform.wire import Message, NoReply, ask
from mock_server.kit.options import UnusableError
from mock_server.kit.proxy.desk import PROGRAM, Desk
from mock_server.kit.proxy.learning import learn
from mock_server.kit.proxy.options import BOTH
from mock_server.kit.proxy.relay import Relay
from mock_server.kit.proxy.report import own_share, render, report_on
from mock_server.kit.proxy.tally import SIDES, Tally
from mock_server.kit.proxy.world_file import render as world_file

_ANSWERS_WITHIN_S: Final = 10.0
_SIGNALS: Final = (signal.SIGINT, signal.SIGTERM)
_QUESTION: Final = Message(
    LLM_AUTO.method,
    LLM_AUTO.path,
    (("Content-Type", "application/json"), ("User-Agent", "mock-server-proxy"), ("X-Mock-Test", "mock-server-proxy")),
    b"{}",
)
"""Without a key, so that nobody has to pay for it; a mock keeps it apart from all other calls."""


def proxy(args: argparse.Namespace, listener: socket.socket, url: str) -> tuple[str, int]:
    """Run the command: what to print, and the exit code. Raises :class:`UnusableError`.

    ``listener`` is bound, and ``url`` is where it can be reached. Files are written whole or not at all.
    """
    for path in (args.learn, args.report):
        _check_writable(path)
    if args.learn is not None and args.report is not None and args.learn.resolve() == args.report.resolve():
        raise UnusableError("--learn and --report name the same file")
    _check_target(args.target)
    desk = Desk()
    relay = Relay(args.target, desk.take)
    late_s: array[float] = array("d")
    stop_with = sys.stdin.fileno() if args.stop_with_stdin else None
    try:
        asyncio.run(_relay(relay, listener, url, stop_with, late_s))
    finally:
        tally = desk.close()
    return _conclude(args, relay, tally, late_s)


def _conclude(args: argparse.Namespace, relay: Relay, tally: Tally, late_s: array[float]) -> tuple[str, int]:
    lesson = learn(tally.samples, load_world(DEFAULT_WORLD).models)
    share = own_share(tally.own_s, late_s)
    report = report_on(
        tally,
        lesson,
        target=args.target.url,
        judged=SIDES if args.judge == BOTH else (args.judge,),
        unreachable=relay.unreachable,
        not_http=relay.blind,
        late=share,
    )
    if args.report is not None:
        with replacing(args.report) as file:
            file.write(msgspec.json.format(msgspec.json.encode(report), indent=2) + b"\n")
    code: int = report.exit
    if args.learn is not None:
        if lesson.models:
            with replacing(args.learn) as file:
                file.write(world_file(lesson, args.target.url, share.late_ms.get("p99")).encode())
        else:
            complain(
                PROGRAM, f"nothing was learned, so {args.learn} is not written: no answer told how fast a model is"
            )
            code = code or Exit.UNDECIDED
    if code == Exit.UNDECIDED and args.inconclusive_ok:
        code = Exit.PASSED
    return render(report), code


def _check_writable(path: Path | None) -> None:
    """Refuse a file that could not be written in the end, before anything is recorded."""
    if path is None:
        return
    if path.is_dir():
        raise UnusableError(f"cannot write {path}: is a directory")
    if not path.parent.is_dir():
        raise UnusableError(f"cannot write {path}: no such directory")
    if not os.access(path.parent, os.W_OK):
        raise UnusableError(f"cannot write {path}: permission denied")


def _check_target(target: Target) -> None:
    """Refuse a target that does not answer, or that plainly is no such gateway."""
    answer = ask(target, _QUESTION, _ANSWERS_WITHIN_S)
    if isinstance(answer, NoReply):
        raise UnusableError(f"{target.url} does not answer: {answer.why}; is the gateway running there?")
    what = f"{_QUESTION.method} {_QUESTION.path} there is answered with {answer.status}"
    if 300 <= answer.status < 400:
        raise UnusableError(f"{target.url} redirects ({answer.status}); give the gateway's own address as --target")
    if answer.status in (404, 405, 501):
        raise UnusableError(f"{target.url} is no such gateway: {what}")
    document = read_json(answer.body)
    if answer.status < 400 and not (isinstance(document, dict) and "success" in document):
        raise UnusableError(f"{target.url} is no such gateway: {what}, without a key, and it does not say `success`")


async def _relay(relay: Relay, listener: socket.socket, url: str, stop_with: int | None, late_s: array[float]) -> None:
    loop = asyncio.get_running_loop()
    stop = asyncio.Event()

    def end() -> None:
        loop.call_soon_threadsafe(stop.set)

    before = {number: signal.signal(number, lambda *_: end()) for number in _SIGNALS}
    server = await loop.create_server(relay.protocol, sock=listener)
    pulse = Pulse(monotonic())
    _beat(loop, pulse, late_s)
    if stop_with is not None:
        threading.Thread(target=_wait_for_end, args=(stop_with, end), daemon=True).start()
    try:
        print(f"{PROGRAM} ready on {url}", flush=True)
        await stop.wait()
    finally:
        server.close()
        relay.stop()
        await asyncio.sleep(0)  # the connections end in the next turn of the loop
        pulse.close()
        for number, handler in before.items():
            signal.signal(number, handler)


def _beat(loop: asyncio.AbstractEventLoop, pulse: Pulse, late_s: array[float]) -> None:
    """Read how late the loop is, now and then again, on absolute ticks."""
    now = monotonic()
    late_s.extend(now - due for due in pulse.tick(now))
    loop.call_later(max(0.0, pulse.due - monotonic()), _beat, loop, pulse, late_s)


def _wait_for_end(file: int, end: Callable[[], None]) -> None:
    while os.read(file, 4096):
        pass
    end()

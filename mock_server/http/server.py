"""Runs the mock under uvicorn until it is told to stop."""

from __future__ import annotations

import asyncio
import gc
import os
import socket
import ssl
import sys
import threading
import time
from collections.abc import Callable
from typing import NamedTuple

import uvicorn

from mock_server.http.app import MockApp
from mock_server.http.cors import EVERY_ANSWER
from mock_server.http.meter import LoadMeter
from mock_server.http.protocol import MockProtocol, protocol_for

# Python's collector decides the latency tail: what exists at start is frozen, and the young are looked at rarely.
_GC_THRESHOLDS = (50_000, 50, 50)
_BACKLOG = 4_096
_STOP_WITHIN_S = 1
_LOOK_EVERY_S = 1.0


class Certificate(NamedTuple):
    """The files of a TLS certificate and its private key, PEM."""

    certificate: str
    key: str


class MockServer(uvicorn.Server):
    """Announces readiness once it accepts; as long as it runs, measures its load and looks after its connections.

    Mutable: the timer of the next look.
    """

    def __init__(
        self, config: uvicorn.Config, meter: LoadMeter, ready: Callable[[], None], stop_with: int | None
    ) -> None:
        super().__init__(config)
        self._meter = meter
        self._ready = ready
        self._stop_with = stop_with
        self._next_look: asyncio.TimerHandle | None = None

    async def startup(self, sockets: list[socket.socket] | None = None) -> None:
        """Start to accept, then say so."""
        await super().startup(sockets)
        gc.collect()
        gc.freeze()
        gc.set_threshold(*_GC_THRESHOLDS)
        if self.started:
            loop = asyncio.get_running_loop()
            self._meter.start(loop)
            self._look(loop)
            if self._stop_with is not None:
                # A thread, as not every loop can watch every kind of file; it may be left where it is.
                threading.Thread(target=self._stop_at_end_of, args=(self._stop_with,), daemon=True).start()
            self._ready()

    def _look(self, loop: asyncio.AbstractEventLoop) -> None:
        """Look for clients that were waited for too long, now and then again."""
        now = time.monotonic()
        for connection in tuple(self.server_state.connections):
            assert isinstance(connection, MockProtocol)
            try:
                connection.look(now)
            except Exception as error:
                connection.give_up(error)
        self._next_look = loop.call_later(_LOOK_EVERY_S, self._look, loop)

    def _stop_at_end_of(self, file: int) -> None:
        while os.read(file, 4096):
            pass
        self.should_exit = True

    async def shutdown(self, sockets: list[socket.socket] | None = None) -> None:
        """Give calls in flight a moment, then hang up: what uvicorn cancels instead, it reports with a traceback."""
        self._meter.stop()
        if self._next_look is not None:
            self._next_look.cancel()
        asyncio.get_running_loop().call_later(_STOP_WITHIN_S, self._hang_up)
        await super().shutdown(sockets)

    def _hang_up(self) -> None:
        for connection in list(self.server_state.connections):
            connection.transport.abort()


def bind(host: str, port: int) -> socket.socket:
    """A bound socket; port 0 picks a free one. Raises OSError."""
    family = socket.AF_INET6 if ":" in host else socket.AF_INET
    listener = socket.socket(family, socket.SOCK_STREAM)
    try:
        listener.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        listener.bind((host, port))
    except OSError:
        listener.close()
        raise
    return listener


def check_certificate(files: Certificate) -> None:
    """Raises OSError, which SSL's errors are too, when the files cannot be used. Keys must not need a password."""
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    context.load_cert_chain(files.certificate, files.key, password="")


def serve(
    app: MockApp,
    listener: socket.socket,
    url: str,
    tls: Certificate | None = None,
    *,
    stop_with: int | None = None,
) -> None:
    """Serve ``app`` on ``listener`` until SIGINT or SIGTERM, or the end of the open file ``stop_with``.

    Prints the ready line on stdout.
    """

    def ready() -> None:
        print(f"mock-server ready on {url}", flush=True)

    config = uvicorn.Config(
        app,
        http=protocol_for(app.api),
        ws="none",
        lifespan="off",
        access_log=False,
        log_level="warning",
        server_header=False,
        proxy_headers=False,
        backlog=_BACKLOG,
        timeout_graceful_shutdown=5 * _STOP_WITHIN_S,
        loop="asyncio" if sys.platform == "win32" else "uvloop",
        headers=EVERY_ANSWER if app.cors else None,
        ssl_certfile=None if tls is None else tls.certificate,
        ssl_keyfile=None if tls is None else tls.key,
    )
    server = MockServer(config, app.meter, ready, stop_with)
    with asyncio.Runner(loop_factory=config.get_loop_factory()) as runner:
        runner.run(server.serve(sockets=[listener]))

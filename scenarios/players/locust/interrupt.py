"""Ctrl-C for Locust processes that have a run to end properly."""

from __future__ import annotations

import signal
from collections.abc import Callable

import gevent


class Interrupts:
    """Ctrl-C as a word to the process, not as an exception inside whatever greenlet happens to run.

    The first one ends Locust as ever, from its main greenlet. The second calls ``hasten``. The third is Python's own.
    """

    def __init__(self, hasten: Callable[[], None]) -> None:
        self._hasten = hasten
        self._heard = 0
        self._watcher = gevent.signal_handler(signal.SIGINT, self._hear)

    def _hear(self) -> None:
        self._heard += 1
        if self._heard == 1:
            gevent.get_hub().handle_system_error(KeyboardInterrupt, KeyboardInterrupt())
            return
        self._watcher.cancel()
        signal.signal(signal.SIGINT, signal.default_int_handler)
        self._hasten()

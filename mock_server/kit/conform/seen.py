"""What was asked and what was answered, and how to read it."""

from __future__ import annotations

import json
from collections.abc import Iterator, Sequence
from functools import cached_property
from typing import Any, Final, NoReturn

from msgspec import Struct, field

from mock_server.kit.conform.events import events_of
from mock_server.kit.conform.probes import Probe
from mock_server.kit.conform.wire import NoReply, Reply

EVENT_STREAM: Final = "text/event-stream"


class Exchange(Struct, frozen=True, dict=True):
    """One request and its answer; a ``str`` instead of an answer says why the request was not sent."""

    probe: Probe
    answer: Reply | NoReply | str

    @property
    def reply(self) -> Reply | None:
        """The answer, if one came; it may have broken off."""
        return self.answer if isinstance(self.answer, Reply) else None

    @property
    def status(self) -> int:
        """The status of the answer, 0 where none came."""
        return 0 if self.reply is None else self.reply.status

    @cached_property
    def document(self) -> Any:
        """The answer's body as JSON; None where it is none."""
        return None if self.reply is None else read_json(self.reply.body)

    @property
    def code(self) -> str:
        """The code in the error envelope; empty where there is none."""
        return self._of_error("code")

    @property
    def message(self) -> str:
        """The message in the error envelope; empty where there is none."""
        return self._of_error("message")

    @property
    def kind(self) -> tuple[int, str]:
        """By what two refusals are the same: status and code."""
        return self.status, self.code

    @property
    def streamed(self) -> bool:
        """Whether events came."""
        return self.reply is not None and self.reply.media_type == EVENT_STREAM

    @property
    def answered(self) -> str:
        """The answer in a few words."""
        if isinstance(self.answer, str):
            return f"not sent: {self.answer}"
        if isinstance(self.answer, NoReply):
            return self.answer.why
        what = self.code or (self.answer.media_type if self.answer.status != 200 else "")
        rest = f", but {self.answer.broke}" if self.answer.broke else ""
        return f"{self.answer.status} {what}".strip() + rest

    def documents(self) -> list[dict[str, Any]]:
        """The JSON objects that were answered: one, or those of a stream's events."""
        if isinstance(self.document, dict):
            return [self.document]
        events = events_of(self.reply.body) if self.reply is not None else []
        found = (read_json(event.data.encode()) for event in events)
        return [document for document in found if isinstance(document, dict)]

    def _of_error(self, name: str) -> str:
        document = self.document
        error = document.get("error") if isinstance(document, dict) else None
        value = error.get(name) if isinstance(error, dict) else None
        return value if isinstance(value, str) else ""


class Seen(Struct, frozen=True, dict=True):
    """All exchanges with one gateway, in the order of time.

    A probe that was sent several times stands there several times, and the last one counts. ``given`` are the statuses
    for which the caller gave a key.
    """

    exchanges: Sequence[Exchange] = ()
    given: frozenset[int] = field(default_factory=frozenset)

    @cached_property
    def _last(self) -> dict[str, Exchange]:
        return {exchange.probe.name: exchange for exchange in self.exchanges}

    def __getitem__(self, name: str) -> Exchange:
        """The exchange that counts for a probe."""
        return self._last[name]

    def replies(self) -> Iterator[tuple[Exchange, Reply]]:
        """All that was answered, in the order of time."""
        for exchange in self.exchanges:
            if isinstance(exchange.answer, Reply):
                yield exchange, exchange.answer

    def errors(self) -> Iterator[tuple[Exchange, Reply]]:
        """All that was answered with an error."""
        return ((exchange, reply) for exchange, reply in self.replies() if reply.status >= 400)


def read_json(body: bytes) -> Any:
    """The JSON document that ``body`` is; None where it is none, and for ``null``."""
    try:
        return json.loads(body.decode(), parse_constant=_refuse)
    except (ValueError, RecursionError):
        return None


def _refuse(name: str) -> NoReturn:
    raise ValueError(f"{name} is not JSON")

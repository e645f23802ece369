"""What became of one request: bytes and moments in, an `Outcome` with its details out. No clock, no network.

A `Reader` is told of the head, every piece of the body with its moment, and how it ended; it knows the
contract and decides between ``ok``, ``refused``, ``malformed``, ``connection`` and ``stream_broken``.
Details of what broke the contract are short class names (``BadJson``), never the offending text.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Final

import msgspec

from reports.sample import Outcome
from scenarios.wire.contract import (
    ContractError,
    error_event,
    read_document,
    read_envelope,
    read_opening,
    read_piece,
    read_terminal,
    read_usage,
)
from scenarios.wire.sse import EventParser
from scenarios.wire.timing import NOTHING, Announced, retry_after, server_timing

_DONE: Final = "[DONE]"
# The headers that a reader wants to be told of.
HEADERS: Final = frozenset({"content-type", "x-request-id", "retry-after", "server-timing"})


class Reading(msgspec.Struct):
    """All that one answer told: the part of a sample that is about the answer. Mutable while it is read.

    ``end_s`` is the moment of its last read, ``connect_ms`` what opening its connection took.
    """

    outcome: Outcome
    status: int | None = None
    error_code: str | None = None
    provider: str | None = None
    model: str | None = None
    prompt_tokens: int | None = None
    completion_tokens: int | None = None
    chunks: int | None = None
    max_gap_s: float | None = None
    first_byte_s: float | None = None
    end_s: float | None = None
    connect_ms: float | None = None
    request_id: str | None = None
    retry_after_s: float | None = None
    announced: Announced = NOTHING


class Reader:
    """Reads one answer; `head`, then any `data`, then `complete` or `broken`, exactly one of them.

    ``now`` is the moment of each read on the run's clock, in seconds.
    """

    __slots__ = ("_body", "_events", "_fault", "_last_piece_s", "_stage", "_stream", "length", "reading")

    def __init__(self, stream: bool) -> None:
        self._stream = stream
        self.reading = Reading(Outcome.CONNECTION)
        self._body: list[bytes] = []
        self._fault: str | None = None
        self._events: EventParser | None = None
        self._stage = "head"  # head, plain; of a stream: opening, pieces, terminal, done, failed
        self._last_piece_s: float | None = None
        self.length = 0

    def head(self, status: int, headers: Mapping[str, str]) -> None:
        """The status line, and those of `HEADERS` there are."""
        reading = self.reading
        reading.status = status
        reading.request_id = headers.get("x-request-id")
        reading.retry_after_s = retry_after(headers.get("retry-after"))
        reading.announced = server_timing(headers.get("server-timing"))
        media = headers.get("content-type", "").partition(";")[0].strip().lower()
        wanted = "text/event-stream" if self._stream and status == 200 else "application/json"
        if wanted == media == "text/event-stream":
            self._stage = "opening"
            self._events = EventParser()
            reading.chunks = 0
        else:
            self._stage = "plain"
        if media != wanted:
            self._fault = "BadContentType"

    @property
    def done(self) -> bool:
        """Whether the stream has said that it is over; its connection may have more to say."""
        return self._stage == "done"

    def data(self, piece: bytes, now: float) -> None:
        """A piece of the body that was read at ``now``."""
        self.length += len(piece)
        if self._events is None:
            if self.reading.first_byte_s is None:
                self.reading.first_byte_s = now
            self._body.append(piece)
            return
        for event in self._events.feed(piece):
            if self._fault is not None or self._stage == "failed":
                return
            try:
                self._event(event, now)
            except ContractError as error:
                self._fault = str(error)

    def _event(self, event: str, now: float) -> None:
        if self._stage == "done":
            raise ContractError("AfterDone")
        if event == _DONE:
            if self._stage != "terminal":
                raise ContractError("EarlyDone")
            self._stage = "done"
            return
        try:
            piece = read_piece(event)
        except ContractError:
            if self._failed(event):
                return
            raise
        if piece.done and self._failed(event):
            return
        if self._stage == "terminal":
            raise ContractError("BadEvent")
        if self._stage == "opening":
            self._opened(event)
        if piece.response:
            self._piece(now)
        if piece.done:
            usage = read_terminal(event)
            self.reading.prompt_tokens, self.reading.completion_tokens = usage.prompt_tokens, usage.completion_tokens
            self._stage = "terminal"

    def _failed(self, event: str) -> bool:
        code = error_event(event)
        if code is None:
            return False
        self.reading.error_code, self._stage = code, "failed"
        return True

    def _opened(self, event: str) -> None:
        opening, reading = read_opening(event), self.reading
        reading.request_id, reading.model, reading.provider = opening.request_id, opening.model, opening.provider
        self._stage = "pieces"

    def _piece(self, now: float) -> None:
        reading = self.reading
        if self._last_piece_s is None:
            reading.first_byte_s = now
        else:
            reading.max_gap_s = max(reading.max_gap_s or 0.0, now - self._last_piece_s)
        self._last_piece_s = now
        reading.chunks = (reading.chunks or 0) + 1

    def complete(self, now: float) -> Reading:
        """The body ended as HTTP framing says it should, with a read at ``now``; or its stream did."""
        reading = self.reading
        reading.end_s = now
        if self._fault is None and self._events is None:
            try:
                self._document()
            except ContractError as error:
                self._fault = str(error)
        if self._fault is not None:
            reading.outcome, reading.error_code = Outcome.MALFORMED, self._fault
        elif self._events is not None:
            self._stream_ended()
        return reading

    def _stream_ended(self) -> None:
        reading = self.reading
        if self._stage == "done":
            reading.outcome = Outcome.OK
            return
        reading.outcome = Outcome.STREAM_BROKEN
        if self._stage != "failed":
            reading.error_code = "NoDone" if self._stage == "terminal" else "NoTerminal"

    def _document(self) -> None:
        reading = self.reading
        body = b"".join(self._body)
        if reading.status != 200:
            reading.error_code = read_envelope(body, reading.status or 0)
            reading.outcome = Outcome.REFUSED
            return
        document = read_document(body)
        reading.model, reading.provider, reading.request_id = document.model, document.provider, document.request_id
        usage = read_usage(document.usage)
        reading.prompt_tokens, reading.completion_tokens = usage.prompt_tokens, usage.completion_tokens
        reading.outcome = Outcome.OK

    def broken(self, reason: str) -> Reading:
        """The connection failed, or the answer's framing made no sense; ``reason`` is a class name.

        A stream that had begun is ``stream_broken``; a plain answer cut short is no answer: ``connection``.
        What had already broken the contract stays ``malformed``.
        """
        reading = self.reading
        if self._fault is not None:
            reading.outcome, reading.error_code = Outcome.MALFORMED, self._fault
        elif self._stage == "failed":
            reading.outcome = Outcome.STREAM_BROKEN
        elif self._events is not None:
            reading.outcome, reading.error_code = Outcome.STREAM_BROKEN, reason
        else:
            reading.outcome, reading.error_code = Outcome.CONNECTION, reason
        return reading

    def garbled(self) -> Reading:
        """The answer is not HTTP, or stops being it: that breaks the contract, where silence would not."""
        self.reading.outcome, self.reading.error_code = Outcome.MALFORMED, self._fault or "BadHttp"
        return self.reading

    def given_up(self) -> Reading:
        """The client's patience is over."""
        return self.stopped(Outcome.TIMEOUT, "Timeout")

    def stopped(self, outcome: Outcome, reason: str | None) -> Reading:
        """The client itself ended it: by its timeout, or by a fault of the generator."""
        self.reading.outcome, self.reading.error_code = outcome, reason
        return self.reading

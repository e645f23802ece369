"""What became of one request: bytes and moments in, an `Outcome` with its details out. No clock, no network.

A `Reader` is told of the head, every piece of the body with its moment, and how it ended; it knows the
contract and decides between ``ok``, ``refused``, ``malformed``, ``connection`` and ``stream_broken``.
Details of what broke the contract are short class names (``BadJson``), never the offending text.
"""

from __future__ import annotations

import re
from collections.abc import Mapping
from typing import Any, Final

import msgspec

from mock_server.contract.errors import BY_CODE
from reports.sample import Outcome
from scenarios.wire.sse import EventParser

# The contract leaves a gateway the choice of status for this one code.
_STATUS_KNOBS: Final = {"MODEL_UNAVAILABLE": frozenset({404, 502, 503})}
_FINISH_REASONS: Final = frozenset({"stop", "length"})
_DONE: Final = "[DONE]"


class Timing(msgspec.Struct, frozen=True):
    """What ``Server-Timing`` announced, in wall milliseconds; ``None`` where it said nothing."""

    planned_ms: float | None = None
    planned_first_ms: float | None = None
    overhead_ms: float | None = None
    wasted_ms: float | None = None
    attempts: int | None = None


class Facts(msgspec.Struct):
    """All that one answer told: the part of a sample that is about the answer."""

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
    request_id: str | None = None
    retry_after_s: float | None = None
    timing: Timing = Timing()


class ContractError(Exception):
    """An answer breaks the contract; the argument is a short class name for how."""


_METRIC: Final = re.compile(r'\s*([^\s;,="]+)((?:\s*;\s*[^\s;,="]+\s*=\s*(?:"(?:\\.|[^"\\])*"|[^;,"]*))*)\s*(?:,|$)')
_PARAMETER: Final = re.compile(r';\s*([^\s;,="]+)\s*=\s*(?:"((?:\\.|[^"\\])*)"|([^;,"]*))')


def server_timing(header: str | None) -> Timing:
    """The mock's plan from a ``Server-Timing`` header; what cannot be read is ``None``, never an error."""
    found: dict[str, dict[str, str]] = {}
    for metric in _METRIC.finditer(header or ""):
        parameters = {name.lower(): quoted or plain for name, quoted, plain in _PARAMETER.findall(metric[2])}
        found.setdefault(metric[1].lower(), parameters)
    attempts = _number(found.get("attempts", {}).get("desc"))
    planned, first, overhead, wasted = (
        _number(found.get(name, {}).get("dur")) for name in ("planned", "first", "overhead", "wasted")
    )
    return Timing(planned, first, overhead, wasted, None if attempts is None else int(attempts))


def retry_after(header: str | None) -> float | None:
    """Seconds of a ``Retry-After`` in its delta form; ``None`` where absent or unreadable."""
    return _number(header)


def _number(text: str | None) -> float | None:
    try:
        value = float(text or "")
    except ValueError:
        return None
    return value if 0 <= value < 1e9 else None


def read_json(data: bytes | str) -> Any:
    """The document in ``data``; raises `ContractError` for anything that is not JSON in UTF-8."""
    try:
        return msgspec.json.decode(data)
    except (msgspec.DecodeError, UnicodeDecodeError, RecursionError):
        raise ContractError("BadJson") from None


def read_envelope(document: Any, status: int) -> str:
    """The code of the documented error envelope, which must belong to ``status``; else `ContractError`."""
    match document:
        case {"success": False, "error": {"code": str(code), "message": str(message)} as error} if (
            len(document) == 2 and len(error) == 2 and message
        ):
            pass
        case _:
            raise ContractError("BadEnvelope")
    kind = BY_CODE.get(code)
    if kind is None or (status != kind.status and status not in _STATUS_KNOBS.get(code, ())):
        raise ContractError("UnknownError")
    return code


def read_usage(document: Mapping[str, Any]) -> tuple[int, int]:
    """Prompt and completion tokens from ``usage``, whose total must be their sum; else `ContractError`."""
    match document.get("usage"):
        case {"prompt_tokens": int(prompt), "completion_tokens": int(completion), "total_tokens": int(total)}:
            # To Python, true is an int as well.
            whole = all(type(number) is int for number in (prompt, completion, total))
            if whole and min(prompt, completion) >= 0 and total == prompt + completion:
                return prompt, completion
    raise ContractError("BadUsage")


class Reader:
    """Reads one answer; `head`, then any `data`, then `complete` or `broken`, exactly one of them.

    ``now`` is the moment of each read on the run's clock, in seconds.
    """

    def __init__(self, stream: bool) -> None:
        self._stream = stream
        self._facts = Facts(Outcome.CONNECTION)
        self._body: list[bytes] = []
        self._fault: str | None = None
        self._events = EventParser()
        self._stage = "head"  # head, opening, pieces, terminal, done, failed
        self._last_piece_s: float | None = None
        self.length = 0

    def head(self, status: int, headers: Mapping[str, str]) -> None:
        """The status line and headers, names in lower case."""
        facts = self._facts
        facts.status = status
        facts.request_id = headers.get("x-request-id")
        facts.retry_after_s = retry_after(headers.get("retry-after"))
        facts.timing = server_timing(headers.get("server-timing"))
        media = headers.get("content-type", "").partition(";")[0].strip().lower()
        wanted = "text/event-stream" if self._stream and status == 200 else "application/json"
        self._stage = "opening" if wanted == media == "text/event-stream" else "plain"
        if self._streaming:
            facts.chunks = 0
        if media != wanted:
            self._fault = "BadContentType"

    @property
    def _streaming(self) -> bool:
        return self._stage not in ("head", "plain")

    def data(self, piece: bytes, now: float) -> None:
        """A piece of the body that was read at ``now``."""
        self.length += len(piece)
        if not self._streaming:
            if self._facts.first_byte_s is None:
                self._facts.first_byte_s = now
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
        match read_json(event):
            case {"success": False, "error": {"code": str(code), "message": str()}, "done": True}:
                self._facts.error_code, self._stage = code, "failed"
            case {"response": str(text), "done": bool(done)} as document if self._stage != "terminal":
                self._piece(document, text, done, now)
            case _:
                raise ContractError("BadEvent")

    def _piece(self, document: Mapping[str, Any], text: str, done: bool, now: float) -> None:
        facts = self._facts
        if self._stage == "opening":
            match document:
                case {"success": True, "request_id": str(request), "model": str(model), "provider": str(provider)}:
                    facts.request_id, facts.model, facts.provider = request, model, provider
                    self._stage = "pieces"
                case _:
                    raise ContractError("BadOpening")
        if text:
            if facts.first_byte_s is None:
                facts.first_byte_s = now
            if self._last_piece_s is not None:
                facts.max_gap_s = max(facts.max_gap_s or 0.0, now - self._last_piece_s)
            self._last_piece_s = now
            facts.chunks = (facts.chunks or 0) + 1
        if done:
            if document.get("finish_reason") not in _FINISH_REASONS:
                raise ContractError("BadFinishReason")
            facts.prompt_tokens, facts.completion_tokens = read_usage(document)
            self._stage = "terminal"

    def complete(self) -> Facts:
        """The body ended as HTTP framing says it should."""
        facts = self._facts
        if self._fault is None and not self._streaming:
            try:
                self._document()
            except ContractError as error:
                self._fault = str(error)
        if self._fault is not None:
            facts.outcome, facts.error_code = Outcome.MALFORMED, self._fault
        elif self._streaming:
            self._stream_ended()
        return facts

    def _stream_ended(self) -> None:
        facts = self._facts
        if self._stage == "done":
            facts.outcome = Outcome.OK
            return
        facts.outcome = Outcome.STREAM_BROKEN
        if self._stage != "failed":
            facts.error_code = "NoDone" if self._stage == "terminal" else "NoTerminal"

    def _document(self) -> None:
        facts = self._facts
        document = read_json(b"".join(self._body))
        if facts.status != 200:
            facts.error_code = read_envelope(document, facts.status or 0)
            facts.outcome = Outcome.REFUSED
            return
        match document:
            case {
                "success": True,
                "model": str(model),
                "response": str(),
                "provider": str(provider),
                "request_id": str(request),
            }:
                facts.model, facts.provider, facts.request_id = model, provider, request
            case _:
                raise ContractError("BadDocument")
        facts.prompt_tokens, facts.completion_tokens = read_usage(document)
        facts.outcome = Outcome.OK

    def broken(self, reason: str) -> Facts:
        """The connection failed, or the answer's framing made no sense; ``reason`` is a class name.

        A stream that had begun is ``stream_broken``; a plain answer cut short is no answer: ``connection``.
        What had already broken the contract stays ``malformed``.
        """
        facts = self._facts
        if self._fault is not None:
            facts.outcome, facts.error_code = Outcome.MALFORMED, self._fault
        elif self._stage == "failed":
            facts.outcome = Outcome.STREAM_BROKEN
        elif self._streaming:
            facts.outcome, facts.error_code = Outcome.STREAM_BROKEN, reason
        else:
            facts.outcome, facts.error_code = Outcome.CONNECTION, reason
        return facts

    def garbled(self) -> Facts:
        """The answer is not HTTP, or stops being it: that breaks the contract, where silence would not."""
        self._facts.outcome, self._facts.error_code = Outcome.MALFORMED, self._fault or "BadHttp"
        return self._facts

    def stopped(self, outcome: Outcome, reason: str | None) -> Facts:
        """The client itself gave up: its timeout, or the end of the run."""
        self._facts.outcome, self._facts.error_code = outcome, reason
        return self._facts

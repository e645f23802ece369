"""The contract's answers as typed shapes, and how each can be broken: bytes in, values or a `ContractError` out."""

from __future__ import annotations

from typing import Final, TypeVar

import msgspec

from mock_server.contract.errors import BY_CODE

# The contract leaves a gateway the choice of status for this one code.
_STATUS_KNOBS: Final = {"MODEL_UNAVAILABLE": frozenset({404, 502, 503})}
_FINISH_REASONS: Final = frozenset({"stop", "length"})
_Shape = TypeVar("_Shape", bound=msgspec.Struct)


class ContractError(Exception):
    """An answer breaks the contract; the argument is a short class name for how."""


class Tokens(msgspec.Struct, frozen=True):
    """The ``usage`` of an answer."""

    prompt_tokens: int
    completion_tokens: int
    total_tokens: int


class Document(msgspec.Struct, frozen=True):
    """A good plain answer."""

    success: bool
    model: str
    response: str
    provider: str
    request_id: str
    usage: msgspec.Raw = msgspec.Raw(b"null")


class Piece(msgspec.Struct, frozen=True):
    """What every event of a good stream has, first and last included."""

    response: str
    done: bool


class Opening(msgspec.Struct, frozen=True):
    """What the first event of a good stream has beyond a piece."""

    success: bool
    request_id: str
    model: str
    provider: str


class _Terminal(msgspec.Struct, frozen=True):
    finish_reason: msgspec.Raw = msgspec.Raw(b"null")
    usage: msgspec.Raw = msgspec.Raw(b"null")


class _Error(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    code: str
    message: str


class _Envelope(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    success: bool
    error: _Error


class _EventError(msgspec.Struct, frozen=True):
    code: str
    message: str


class _ErrorEvent(msgspec.Struct, frozen=True):
    success: bool
    error: _EventError
    done: bool


_TOKENS: Final = msgspec.json.Decoder(Tokens)
_DOCUMENT: Final = msgspec.json.Decoder(Document)
_PIECE: Final = msgspec.json.Decoder(Piece)
_OPENING: Final = msgspec.json.Decoder(Opening)
_TERMINAL: Final = msgspec.json.Decoder(_Terminal)
_ENVELOPE: Final = msgspec.json.Decoder(_Envelope)
_ERROR_EVENT: Final = msgspec.json.Decoder(_ErrorEvent)
_TEXT: Final = msgspec.json.Decoder(str)
_ANYTHING: Final = msgspec.json.Decoder()


def _read(decoder: msgspec.json.Decoder[_Shape], text: str | msgspec.Raw, broken: str) -> _Shape:
    """The value in ``text``; a `ContractError` of ``broken``, or of ``BadJson`` where it is not JSON at all."""
    try:
        return decoder.decode(text)
    except (msgspec.DecodeError, RecursionError):
        pass
    try:
        _ANYTHING.decode(text)
    except (msgspec.DecodeError, RecursionError):
        raise ContractError("BadJson") from None
    raise ContractError(broken)


def read_document(body: bytes) -> Document:
    """The good plain answer in ``body``; else `ContractError`."""
    document = _read(_DOCUMENT, _utf8(body), "BadDocument")
    if not document.success:
        raise ContractError("BadDocument")
    return document


def read_envelope(body: bytes, status: int) -> str:
    """The code of the documented error envelope, which must belong to ``status``; else `ContractError`."""
    envelope = _read(_ENVELOPE, _utf8(body), "BadEnvelope")
    if envelope.success or not envelope.error.message:
        raise ContractError("BadEnvelope")
    code = envelope.error.code
    kind = BY_CODE.get(code)
    if kind is None or (status != kind.status and status not in _STATUS_KNOBS.get(code, ())):
        raise ContractError("UnknownError")
    return code


def read_piece(event: str) -> Piece:
    """The piece in one event; else `ContractError`."""
    return _read(_PIECE, event, "BadEvent")


def read_opening(event: str) -> Opening:
    """The answer's identity, which the first event must tell; else `ContractError`."""
    opening = _read(_OPENING, event, "BadOpening")
    if not opening.success:
        raise ContractError("BadOpening")
    return opening


def read_terminal(event: str) -> Tokens:
    """The usage of the last event, which must give a known reason for its end; else `ContractError`."""
    terminal = _read(_TERMINAL, event, "BadEvent")
    try:
        reason = _TEXT.decode(terminal.finish_reason)
    except msgspec.DecodeError:
        reason = ""
    if reason not in _FINISH_REASONS:
        raise ContractError("BadFinishReason")
    return read_usage(terminal.usage)


def error_event(event: str) -> str | None:
    """The code of an event that ends a stream in failure; ``None`` for any other event."""
    try:
        found = _ERROR_EVENT.decode(event)
    except (msgspec.DecodeError, RecursionError):
        return None
    return found.error.code if found.done and not found.success else None


def read_usage(usage: msgspec.Raw) -> Tokens:
    """The tokens of a ``usage``, whose total must be their sum; else `ContractError`."""
    tokens = _read(_TOKENS, usage, "BadUsage")
    prompt, completion = tokens.prompt_tokens, tokens.completion_tokens
    if prompt < 0 or completion < 0 or tokens.total_tokens != prompt + completion:
        raise ContractError("BadUsage")
    return tokens


def _utf8(body: bytes) -> str:
    """``body`` as text: fields nobody asked for would otherwise be skipped unread."""
    try:
        return body.decode()
    except UnicodeDecodeError:
        raise ContractError("BadJson") from None

"""Receives the body of a request."""

from __future__ import annotations

from typing import Final

from starlette.types import Receive

from mock_server.contract.errors import Refusal
from mock_server.contract.messages import MAX_BODY_BYTES
from mock_server.edge.notes import BodyHash, Notes
from mock_server.edge.request import TOO_LARGE
from mock_server.http.wire import Wire

DRAIN_BYTES: Final = 16 * 1024 * 1024


async def read_body(receive: Receive, wire: Wire | None, notes: Notes | None = None) -> bytes | Refusal | None:
    """The whole body; a refusal when it is too large, or when the rest of it will not come; None when the client left.

    The hash of one that is too large, and was read to its end all the same, is put into ``notes``.

    Of a body that is too large a good part is read on without keeping it, so that ordinary clients, which write all
    before they read, can read the answer.
    """
    body, size = bytearray(), 0
    large: BodyHash | None = None
    while True:
        message = await receive()
        if message["type"] == "http.disconnect":
            return None
        piece: bytes = message.get("body", b"")
        size += len(piece)
        if size <= MAX_BODY_BYTES:
            body += piece
        elif large is None:
            large = BodyHash(body)
        if large is not None:
            large.add(piece)
        spoiled = None if wire is None else wire.spoiled
        if spoiled is not None and size <= MAX_BODY_BYTES:
            return spoiled
        if not message.get("more_body") or size > DRAIN_BYTES or spoiled is not None:
            if large is not None and notes is not None and not (message.get("more_body") or spoiled):
                notes.body_hash = large.text()
            return bytes(body) if size <= MAX_BODY_BYTES else TOO_LARGE

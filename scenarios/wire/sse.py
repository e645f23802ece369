"""An incremental reader of server-sent events, for any framing the WHATWG specification allows.

https://html.spec.whatwg.org/multipage/server-sent-events.html#event-stream-interpretation
"""

from __future__ import annotations

from typing import Final

_BOM: Final = b"\xef\xbb\xbf"
_DATA: Final = b"data: "


class EventParser:
    """Bytes in, in pieces of any size; the data of finished message events out.

    Lines end in LF, CR or CRLF. Splitting happens on bytes and decoding on whole lines, so a character may be
    split across reads. Comments, ``id``, ``retry`` and unknown fields are skipped, as are events of any type
    but ``message``: a client that listens for messages never sees those. An event without its blank line at
    the end of the stream is dropped, as the specification demands.
    """

    def __init__(self) -> None:
        # The bytes of an unfinished line, the data lines of an unfinished event, and where the stream stands.
        self._rest = b""
        self._data: list[str] = []
        self._type = ""
        self._after_cr = False
        self._begun = False

    def feed(self, piece: bytes) -> list[str]:
        """The events finished by ``piece``, oldest first."""
        if self._between_events and piece.startswith(_DATA) and piece.endswith(b"\n\n"):
            # One event, whole and framed as nearly every server does.
            data = piece[len(_DATA) : -2]
            if b"\n" not in data and b"\r" not in data:
                return [data.decode("utf-8", "replace")]
        return self._feed(piece)

    @property
    def _between_events(self) -> bool:
        return self._begun and not (self._rest or self._data or self._type or self._after_cr)

    def _feed(self, piece: bytes) -> list[str]:
        if not piece:
            return []
        if self._after_cr:
            # The CR already ended its line; the LF of a CRLF split across reads is part of the same ending.
            self._after_cr = False
            piece = piece.removeprefix(b"\n")
        buffer = self._rest + piece
        if not self._begun:
            if len(buffer) < len(_BOM) and _BOM.startswith(buffer):
                self._rest = buffer
                return []
            self._begun = True
            buffer = buffer.removeprefix(_BOM)
        self._after_cr = buffer.endswith(b"\r")
        lines = buffer.replace(b"\r\n", b"\n").replace(b"\r", b"\n").split(b"\n")
        self._rest = lines.pop()
        events: list[str] = []
        for line in lines:
            self._take(line, events)
        return events

    def _take(self, line: bytes, events: list[str]) -> None:
        if not line:
            if self._data and self._type in ("", "message"):
                events.append("\n".join(self._data))
            self._data, self._type = [], ""
            return
        name, _, value = line.decode("utf-8", "replace").partition(":")
        value = value.removeprefix(" ")
        if name == "data":
            self._data.append(value)
        elif name == "event":
            self._type = value

"""A record as the judges of conformance know exchanges, and the moments at which its events came."""

from __future__ import annotations

import re
import zlib
from bisect import bisect_left
from collections.abc import Callable, Iterator
from functools import lru_cache
from typing import Any, Final, NamedTuple

from msgspec.structs import replace

from mock_server.contract.endpoints import LLM_AUTO, TEST_PREFIX
from mock_server.contract.errors import Refusal
from mock_server.contract.messages import ChatRequest
from mock_server.contract.reading import read_request
from mock_server.edge.keys import places
from mock_server.edge.request import Head
from mock_server.kit.conform.asking import masks
from mock_server.kit.conform.events import events_of
from mock_server.kit.conform.probes import Probe
from mock_server.kit.conform.seen import Exchange, read_json
from mock_server.kit.conform.wire import NoReply, Reply
from mock_server.kit.proxy.record import Record

PLAIN: Final = "plain"
STREAM: Final = "stream"
OTHER: Final = "other"
_BLANK_LINE: Final = re.compile(rb"\r\n\r\n|\n\n|\r\r")
_INFLATED: Final = {"gzip": 31, "x-gzip": 31, "deflate": 15}  # the window bits that zlib wants
_MOST_INFLATED: Final = 1 << 24
_SHORTEST_KEY: Final = 4


class Call(NamedTuple):
    """One call as it is judged. ``request`` is what was asked, None where no such request can be read.

    ``readable`` says whether the answer's body can be read, which is not so where it is compressed in another way than
    gzip or deflate. ``hide`` masks the call's keys in whatever is to be told of it.
    """

    record: Record
    head: Head
    path: str
    request: ChatRequest | Refusal | None
    exchange: Exchange
    readable: bool
    hide: Callable[[str], str]

    @property
    def is_api(self) -> bool:
        """Whether it is about the API's one path."""
        return self.path == LLM_AUTO.path


def read_call(record: Record) -> Call:
    """Everything that judging and learning need of a record."""
    headers = [(name.lower().encode("latin-1"), value.encode("latin-1")) for name, value in record.lines]
    head = Head(headers)
    path, _, query = record.target.partition("?")
    if path.startswith(TEST_PREFIX):
        path = "/" + path.removeprefix(TEST_PREFIX).partition("/")[2]
    request = read_request(record.body) if record.method == LLM_AUTO.method and path == LLM_AUTO.path else None
    name = OTHER
    if isinstance(request, ChatRequest):
        name = STREAM if request.stream else PLAIN
    probe = Probe(
        name,
        {PLAIN: "a plain call", STREAM: "a streamed call"}.get(name, f"a {record.method} of another kind"),
        read_json(record.body) if name != OTHER else record.body,
        method=record.method,
        path=path,
    )
    readable, record = _inflated(record)
    hide = _hides(head, path, query, record.body)
    if not record.status:
        nothing = NoReply(record.broke or "the client left")
        return Call(record, head, path, request, Exchange(probe, nothing), readable, hide)
    reply = Reply(
        record.status,
        record.answer_lines,
        record.answer,
        record.head_at - record.sent_at,
        tuple((at - record.sent_at, size) for at, size in record.pieces),
        record.broke,
    )
    return Call(record, head, path, request, Exchange(probe, reply), readable, hide)


def _hides(head: Head, path: str, query: str, body: bytes) -> Callable[[str], str]:
    """Puts asterisks in the place of the call's keys, or of a part of one that it can be known by."""
    found = {key for _, key in places(head, path, query.encode("latin-1"), body, ()) if len(key) >= _SHORTEST_KEY}
    keys = tuple(sorted(found))
    if not keys:
        return str
    mask = _mask(keys)
    return lambda text: mask(text.encode("utf-8", "replace")).decode("utf-8", "replace")


_mask: Final = lru_cache(64)(masks)


def _inflated(record: Record) -> tuple[bool, Record]:
    """The record with its answer unpacked, and whether that was possible; the moments stay where they were."""
    codings = [value for name, value in record.answer_lines if name.lower() == "content-encoding"]
    coding = ",".join(codings).strip().lower()
    if coding in ("", "identity"):
        return True, record
    if coding not in _INFLATED:
        return False, record
    unpack = zlib.decompressobj(_INFLATED[coding])
    body, pieces, began = bytearray(), [], 0
    try:
        for at, size in record.pieces:
            body += unpack.decompress(record.answer[began:size], _MOST_INFLATED - len(body))
            pieces.append((at, len(body)))
            began = size
    except zlib.error:
        return False, record
    packed = record.answered_bytes - len(record.answer)
    return True, replace(record, answer=bytes(body), answered_bytes=len(body) + packed, pieces=tuple(pieces))


class Moment(NamedTuple):
    """One event of a stream that is a JSON object, and when its last byte came."""

    at: float
    document: dict[str, Any]


def moments(record: Record, body: bytes) -> Iterator[Moment]:
    """The events of a stream with their moments, in their order."""
    began, sizes = 0, [size for _, size in record.pieces]
    for end in _BLANK_LINE.finditer(body):
        for event in events_of(body[began : end.end()]):
            document = read_json(event.data.encode())
            if isinstance(document, dict):
                place = bisect_left(sizes, end.end())
                yield Moment(record.pieces[min(place, len(sizes) - 1)][0], document)
        began = end.end()

"""What counts as the head of a request, and what heads ask for that the mock does not do."""

from __future__ import annotations

import json

import pytest

from tests.mock_server.http.test_reception import HEAD, LIMITS, QUICK, Client, head_of, played
from tests.mock_server.wire import chat, raw_call


async def answered(client: Client, count: int) -> None:
    """Let so many answers be played, should they come."""
    for _ in range(count):
        await client.turn()


def chunked(trailers: bytes, head: bytes = HEAD) -> bytes:
    """A call in one chunk, and what comes behind that."""
    body = json.dumps(chat()).encode()
    framing = b"Content-Type: application/json\r\nTransfer-Encoding: chunked\r\n\r\n"
    return head + framing + b"%x\r\n%b\r\n0\r\n%b\r\n" % (len(body), body, trailers)


@pytest.mark.parametrize("cut", [None, b"\r\n\r\n", b"\r\n0\r\n", b"code="], ids=["at once", "head", "last", "within"])
def test_a_trailer_passes_for_no_header_however_the_request_is_cut(cut: bytes | None) -> None:
    trailers = b"Expect: 100-continue\r\nAuthorization: Bearer sk-test-free\r\nPrefer: code=429\r\n"
    call = chunked(trailers)
    place = len(call) if cut is None else call.index(cut) + len(cut)
    nobodys = chunked(b"Authorization: Bearer sk-test-unlimited\r\n", HEAD.partition(b"Authorization")[0])

    async def play(client: Client) -> None:
        await client.send(call[:place], call[place:] + raw_call() + nobodys)
        await answered(client, 3)
        assert client.statuses() == [200, 200, 401]
        assert b"100 Continue" not in b"".join(client.transport.written)

    played(play)


@pytest.mark.parametrize("size", [1_000_000, 200_000, 5_000])
@pytest.mark.parametrize(
    ("trailers", "status"), [(b"X-Long: %b\r\n" % (b"a" * 60_000), 200), (b"X: a\r\n" * 15_000, 431)]
)
def test_how_much_may_come_in_trailers_does_not_depend_on_the_reads(trailers: bytes, status: int, size: int) -> None:
    data = chunked(trailers)

    async def play(client: Client) -> None:
        await client.send(*(data[start : start + size] for start in range(0, len(data), size)))
        await answered(client, 1)
        assert client.statuses() == [status]

    played(play)


UPGRADES = {
    "Java": b"Connection: Upgrade, HTTP2-Settings\r\nUpgrade: h2c\r\nHTTP2-Settings: AAEAAEAA\r\n",
    "WebSocket": b"Connection: Upgrade\r\nUpgrade: websocket\r\nSec-WebSocket-Version: 13\r\n",
}


@pytest.mark.parametrize("offer", UPGRADES.values(), ids=UPGRADES)
@pytest.mark.parametrize("call", [raw_call(), chunked(b"")], ids=["length", "chunks"])
@pytest.mark.parametrize("size", [1_000_000, 100, 7])
def test_who_offers_another_protocol_is_answered_in_this_one(
    offer: bytes, call: bytes, size: int, caplog: pytest.LogCaptureFixture
) -> None:
    data = (call.replace(b"\r\n", b"\r\n" + offer, 1) + b"GET /nowhere HTTP/1.1\r\n" + offer + b"\r\n") * 2

    async def play(client: Client) -> None:
        await client.send(*(data[start : start + size] for start in range(0, len(data), size)))
        await answered(client, 4)
        assert client.statuses() == [200, 404, 200, 404]

    played(play)
    assert caplog.records == []


CLOSING_OFFERS = {
    "curl": b"Connection: close\r\nConnection: Upgrade, HTTP2-Settings\r\nUpgrade: h2c\r\nHTTP2-Settings: AAEAAEAA\r\n",
    "Node.js": b"Connection: close, Upgrade\r\nUpgrade: h2c\r\n",
}


@pytest.mark.parametrize("size", [1_000_000, 7])
@pytest.mark.parametrize(
    ("offer", "version"),
    [*((offer, b"1.1") for offer in CLOSING_OFFERS.values()), (UPGRADES["WebSocket"], b"1.0")],
    ids=[*CLOSING_OFFERS, "HTTP/1.0"],
)
@pytest.mark.parametrize("before", [b"", QUICK], ids=["first", "later"])
def test_who_offers_another_protocol_and_closes_after_the_answer_is_answered(
    offer: bytes, version: bytes, size: int, before: bytes
) -> None:
    data = before + raw_call().replace(b"HTTP/1.1\r\n", b"HTTP/%b\r\n%b" % (version, offer), 1)

    async def play(client: Client) -> None:
        await client.send(*(data[start : start + size] for start in range(0, len(data), size)))
        await answered(client, 2)
        assert client.statuses() == ([400] if before else []) + [200]
        assert b"".join(client.transport.written).count(b"connection: close\r\n") == 1
        assert client.transport.is_closing()

    played(play)


def test_a_head_that_offers_another_protocol_has_the_limits_of_every_other() -> None:
    offer = b"Connection: Upgrade\r\nUpgrade: h2c\r\n"

    async def play(client: Client) -> None:
        await client.send(head_of(LIMITS.head_bytes - len(offer)).replace(b"X-Long", offer + b"X-Long"))
        assert client.statuses() == [404]
        await client.send(head_of(LIMITS.head_bytes - len(offer) + 1).replace(b"X-Long", offer + b"X-Long"))
        assert client.statuses() == [404, 431]

    played(play)


def test_a_connect_is_told_in_the_envelope_that_this_is_no_proxy(caplog: pytest.LogCaptureFixture) -> None:
    async def play(client: Client) -> None:
        await client.send(QUICK + b"CONNECT example.com:443 HTTP/1.1\r\nHost: example.com:443\r\n\r\n\x16\x03\x01")
        assert client.statuses() == [400, 405]
        last = b"".join(client.transport.written).split(b"HTTP/1.1 ")[-1]
        assert b"\r\nallow: POST\r\n" in last
        assert b"\r\nconnection: close\r\n" in last
        error = json.loads(last.partition(b"\r\n\r\n")[2])["error"]
        assert error["code"] == "METHOD_NOT_ALLOWED"
        assert "this is none" in error["message"]

    played(play)
    assert caplog.records == []


def test_a_connect_to_a_path_is_a_method_as_any_other() -> None:
    async def play(client: Client) -> None:
        await client.send((b"CONNECT /v1/llm/auto HTTP/1.1\r\nHost: mock\r\n\r\n" + QUICK) * 2)
        await answered(client, 4)
        assert client.statuses() == [405, 400, 405, 400]

    played(play)

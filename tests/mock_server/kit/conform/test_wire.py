"""Whatever a server does, asking it ends, in time and without an exception."""

from __future__ import annotations

import subprocess
from pathlib import Path

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from mock_server.kit.conform.target import TargetError, read_target
from mock_server.kit.conform.wire import MOST_BYTES, MOST_HEAD_BYTES, Message, NoReply, Reply, ask
from tests.mock_server.conftest import StartMock
from tests.mock_server.kit.conform.foreign import Serve, answer, for_ever, resets, says, serving, silent

HELLO = Message("POST", "/v1/llm/auto", (("Content-Type", "application/json"),), b"{}")
OK = b"HTTP/1.1 200 OK\r\n"


def asked(serve: Serve, message: Message = HELLO, timeout_s: float = 20.0) -> Reply | NoReply:
    with serving(serve) as url:
        return ask(read_target(url), message, timeout_s)


@pytest.mark.parametrize(
    ("raw", "body", "broke"),
    [
        (OK + b"Content-Length: 2\r\n\r\nhi", b"hi", ""),
        (OK + b"Content-Length: 2\r\n\r\nhi and more that nobody asked for", b"hi", ""),
        (OK + b"Content-Length: 5\r\n\r\nhi", b"hi", "the connection closed before its end"),
        (OK + b"\r\nhi", b"hi", ""),
        (b"HTTP/1.0 200 OK\r\n\r\nhi", b"hi", ""),
        (OK + b"Transfer-Encoding: chunked\r\n\r\n2\r\nhi\r\n0\r\n\r\n", b"hi", ""),
        (OK + b"Transfer-Encoding: chunked\r\n\r\n2\r\nhi\r\n0\r\nX-Trailer: 1\r\n\r\n", b"hi", ""),
        (OK + b"Transfer-Encoding: chunked\r\n\r\n2\r\nhi\r\n", b"hi", "the connection closed before its end"),
        (OK + b"Transfer-Encoding: chunked\r\n\r\n2\r\nhi\r\nzz\r\n", b"hi", "it is not HTTP: Invalid character"),
        (b"HTTP/1.1 100 Continue\r\n\r\n" + OK + b"Content-Length: 2\r\n\r\nhi", b"hi", ""),
        (b"HTTP/1.1 103 Early Hints\r\nX-Early: 1\r\n\r\n" + OK + b"Content-Length: 2\r\n\r\nhi", b"hi", ""),
    ],
)
def test_an_answer_is_read_whatever_its_framing(raw: bytes, body: bytes, broke: str) -> None:
    reply = asked(says(raw))
    assert isinstance(reply, Reply)
    assert (reply.status, reply.body) == (200, body)
    assert reply.broke.startswith(broke)
    assert bool(reply.broke) == bool(broke)
    assert reply.all_of("x-early") == reply.all_of("x-trailer") == []


@pytest.mark.parametrize(
    ("serve", "why"),
    [
        (says(b""), "the connection closed without an answer"),
        (says(b"\x00\xff\x16\x03" * 1000), "it is not HTTP"),
        (says(b"SSH-2.0-OpenSSH_9.9\r\n"), "it is not HTTP"),
        (says(b"HTTP/1.1 101 Switching Protocols\r\nConnection: upgrade\r\nUpgrade: x\r\n\r\n"), "another protocol"),
        (for_ever(b"", b"HTTP/1.1 100 Continue\r\n\r\n" * 1000), f"its head is longer than {MOST_HEAD_BYTES:,} bytes"),
        (for_ever(OK, b"X-More: of the same\r\n" * 1000), f"its head is longer than {MOST_HEAD_BYTES:,} bytes"),
        (resets, "the connection broke"),
    ],
)
def test_what_is_no_answer_says_why(serve: Serve, why: str) -> None:
    reply = asked(serve)
    assert isinstance(reply, NoReply)
    assert why in reply.why
    assert reply.sent


def test_an_endless_body_is_cut_off() -> None:
    reply = asked(for_ever(OK + b"\r\n", b"x" * 65_536))
    assert isinstance(reply, Reply)
    assert reply.broke == f"it is longer than {MOST_BYTES:,} bytes"
    assert len(reply.body) <= MOST_BYTES


def test_a_server_that_says_nothing_is_left_in_time() -> None:
    reply = asked(silent, timeout_s=0.2)
    assert reply == NoReply("no answer in time")


def test_the_deadline_is_of_the_whole_answer_not_of_each_read() -> None:
    times = iter(range(1_000))

    def clock() -> float:  # each look at it is a second later than the one before
        return float(next(times))

    with serving(for_ever(OK + b"\r\n", b"x")) as url:
        reply = ask(read_target(url), HELLO, 30.0, clock)
    assert isinstance(reply, Reply)
    assert reply.broke == "it did not end in time"


def test_an_answer_that_came_before_the_request_was_read_is_read() -> None:
    body = Message("POST", "/", (), b"x" * 4_194_305)
    refused = answer("413 Content Too Large", b"{}")
    reply = asked(says(refused), body)
    assert isinstance(reply, Reply)
    assert (reply.status, reply.broke) == (413, "")


def test_a_head_has_no_body_whatever_it_announces() -> None:
    reply = asked(says(OK + b"Content-Length: 100\r\n\r\n"), Message("HEAD", "/"))
    assert isinstance(reply, Reply)
    assert (reply.status, reply.body, reply.broke) == (200, b"", "")


def test_where_nobody_listens_nothing_was_sent() -> None:
    reply = ask(read_target("http://127.0.0.1:1"), HELLO, 5.0)
    assert reply == NoReply("no connection: connection refused", sent=False)


def test_a_name_that_does_not_exist_is_said() -> None:
    reply = ask(read_target("http://nobody.invalid"), HELLO, 5.0)
    assert isinstance(reply, NoReply)
    assert reply.why.startswith("no connection: ")
    assert not reply.sent


def test_https_wants_a_certificate_that_is_trusted(
    start_mock: StartMock, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    key, certificate = tmp_path / "key.pem", tmp_path / "cert.pem"
    make = ["openssl", "req", "-x509", "-newkey", "rsa:2048", "-nodes", "-days", "1", "-subj", "/CN=localhost"]
    names = ["-addext", "subjectAltName=IP:127.0.0.1"]
    subprocess.run([*make, *names, "-keyout", str(key), "-out", str(certificate)], check=True, capture_output=True)
    mock = start_mock("--world", "instant", "--tls-cert", str(certificate), "--tls-key", str(key))
    target = read_target(mock.url)
    refused = ask(target, HELLO, 10.0)
    assert isinstance(refused, NoReply)
    assert "certificate is not trusted" in refused.why
    assert not refused.sent
    monkeypatch.setenv("SSL_CERT_FILE", str(certificate))
    reply = ask(target, HELLO, 10.0)
    assert isinstance(reply, Reply)
    assert reply.status == 401
    plain = ask(read_target(mock.url.replace("https", "http")), HELLO, 10.0)
    assert isinstance(plain, Reply | NoReply)


def test_tls_to_a_server_without_it_is_said() -> None:
    with serving(says(b"HTTP/1.1 400 Bad Request\r\n\r\n")) as url:
        reply = ask(read_target(url.replace("http", "https")), HELLO, 5.0)
    assert isinstance(reply, NoReply)
    assert reply.why.startswith("no connection: no TLS")


@settings(max_examples=30)
@given(st.binary(max_size=300) | st.binary(max_size=200).map(lambda rest: OK + rest))
def test_no_bytes_at_all_raise(raw: bytes) -> None:
    reply = asked(says(raw), timeout_s=5.0)
    assert isinstance(reply, Reply | NoReply)


@pytest.mark.parametrize(
    ("text", "url", "authority", "prefix"),
    [
        ("http://127.0.0.1:8080", "http://127.0.0.1:8080", "127.0.0.1:8080", ""),
        ("https://apiflowx.top/", "https://apiflowx.top", "apiflowx.top", ""),
        ("https://apiflowx.top/v1/llm/auto", "https://apiflowx.top", "apiflowx.top", ""),
        ("http://[::1]:80/proxy/", "http://[::1]:80/proxy", "[::1]", "/proxy"),
    ],
)
def test_a_base_url_is_read(text: str, url: str, authority: str, prefix: str) -> None:
    target = read_target(text)
    assert (target.url, target.authority, target.prefix) == (url, authority, prefix)


@pytest.mark.parametrize(
    "text",
    [
        *("", "127.0.0.1:8080", "ftp://x", "http://", "http://x:0", "http://x:99999", "http://x?a=1", "http://x y"),
        "http://ü",
        *("http://[::1", "http://x/\r\nHost: y", "http://me:hunter2@x", "http://" + "a" * 70 + ".example"),
    ],
)
def test_what_is_no_base_url_is_refused(text: str) -> None:
    with pytest.raises(TargetError) as refused:
        read_target(text)
    assert "hunter2" not in str(refused.value)

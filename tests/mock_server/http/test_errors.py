from __future__ import annotations

import json
from itertools import product
from typing import Any

import httpx
import pytest

from mock_server.contract.errors import Refusal
from mock_server.contract.reading import read_request
from tests.mock_server.conftest import StartMock
from tests.mock_server.contract.test_reading import BODY_CASES, FIELD_CASES, MISSING_CASES
from tests.mock_server.wire import PATH, REQUEST_ID, UNLIMITED, Mock, assert_refused, chat, heads, raw_call

MIB = 1024 * 1024
HI = '{"role": "user", "content": "hi"}'
# What is wrong with a body is decided in `contract.reading`, and tested there, case by case.
WRONG_BODIES = [case[0] for cases in (MISSING_CASES, FIELD_CASES, BODY_CASES) for case in cases]


def test_what_is_wrong_with_a_body_is_said_on_the_wire_in_the_same_words(mock: Mock) -> None:
    for body in (*WRONG_BODIES, b"[" * 4_000_000):
        refusal = read_request(body)
        assert isinstance(refusal, Refusal)
        assert assert_refused(mock.call(body), 400, "INVALID_REQUEST") == refusal.message


def test_a_wrong_body_uses_up_nothing_of_the_rate(mock: Mock) -> None:
    answer = mock.call({"messages": []}, key="sk-test-basic")
    assert_refused(answer, 400, "INVALID_REQUEST", says="Missing required message content: messages is empty")
    assert answer.headers["x-ratelimit-remaining"] == "60"


def test_a_whole_number_too_big_for_any_type_is_ignored_where_the_field_is_unknown(mock: Mock) -> None:
    body = b'{"messages": [%s], "max_tokens": 1, "x": 1%s}' % (HI.encode(), b"0" * 10_000)
    assert mock.call(body).status_code == 200


@pytest.mark.parametrize("kind", ["", "text/plain", "application/jsonp", "application/x-www-form-urlencoded", "json"])
def test_another_media_type_is_refused(mock: Mock, kind: str) -> None:
    answer = mock.call(headers={"Content-Type": kind})
    assert_refused(answer, 415, "UNSUPPORTED_MEDIA_TYPE", says="application/json")


def test_a_missing_content_type_is_refused(mock: Mock) -> None:
    answer = mock.http.post(PATH, content=json.dumps(chat()), headers={"Authorization": f"Bearer {UNLIMITED}"})
    assert_refused(answer, 415, "UNSUPPORTED_MEDIA_TYPE")


def test_another_method_is_refused_before_the_key_is_looked_at(mock: Mock) -> None:
    for method, key in product(("GET", "HEAD", "PUT", "PATCH", "DELETE", "OPTIONS", "TRACE"), (UNLIMITED, "wrong")):
        answer = mock.http.request(method, PATH, headers=heads(key))
        assert (answer.status_code, answer.headers["allow"]) == (405, "POST"), method
        if method == "HEAD":
            assert answer.content == b""
        else:
            assert_refused(answer, 405, "METHOD_NOT_ALLOWED")


def test_another_path_is_not_found(mock: Mock) -> None:
    near = ("/v1", "/v1/llm", f"{PATH}/", f"{PATH}x", "/V1/llm/auto", "/v1/chat/completions", "/__mock__/none")
    for method, path in product(("GET", "POST"), near):
        assert_refused(mock.http.request(method, path, headers=heads()), 404, "NOT_FOUND")


def test_documents_and_control_plane_refuse_other_methods_too(mock: Mock) -> None:
    for method, path in (
        ("POST", "/"),
        ("POST", "/openapi.json"),
        ("GET", "/__mock__/reset"),
        ("DELETE", "/__mock__/health"),
    ):
        answer = mock.http.request(method, path)
        assert_refused(answer, 405, "METHOD_NOT_ALLOWED")
        assert answer.headers["allow"] in ("POST", "GET, HEAD")


BAD_AUTHORIZATION = [
    None,
    b"",
    b"Bearer",
    b"Basic c2stdGVzdC11bmxpbWl0ZWQ=",
    UNLIMITED.encode(),
    f"Bearer{UNLIMITED}".encode(),
    f"Token {UNLIMITED}".encode(),
    b"Bearer sk-test-unlimite",
    b"Bearer sk-test-unlimited2",
    b"Bearer SK-TEST-UNLIMITED",
    b"Bearer sk-test-unlimited sk-test-unlimited",
    b"Bearer \xff\xfe\x80",
    "Bearer 密钥".encode(),
    b"Bearer \xc2\xa0sk-test-unlimited",
    b"Bearer sk-test-revoked",
    b"Bearer " + b"k" * 20_000,
]


@pytest.mark.parametrize("value", BAD_AUTHORIZATION, ids=lambda value: repr(value)[:30])
def test_a_key_that_is_not_one_is_refused_like_any_other(mock: Mock, value: bytes | None) -> None:
    headers = [(b"Content-Type", b"application/json")] + ([] if value is None else [(b"Authorization", value)])
    answer = mock.http.post(PATH, content=json.dumps(chat()), headers=headers)
    assert assert_refused(answer, 401, "INVALID_API_KEY") == "Invalid API key in Authorization header"
    assert answer.headers["www-authenticate"] == "Bearer"
    assert "x-ratelimit-limit" not in answer.headers


@pytest.mark.parametrize("second", [UNLIMITED, "sk-test-pro", "wrong"])
@pytest.mark.parametrize("name", [b"Authorization", b"AUTHORIZATION"])
def test_two_keys_are_none(mock: Mock, second: str, name: bytes) -> None:
    headers = [(b"Content-Type", b"application/json"), (b"Authorization", f"Bearer {UNLIMITED}".encode())]
    answer = mock.http.post(PATH, json=chat(), headers=[*headers, (name, f"Bearer {second}".encode())])
    assert_refused(answer, 401, "INVALID_API_KEY")
    others = [*headers, (b"X-Other", b"1"), (b"X-Other", b"2")]
    assert mock.http.post(PATH, json=chat(), headers=others).status_code == 200


@pytest.mark.parametrize("scheme", ["Bearer", "bearer", "BEARER", "Bearer ", "bEaReR  "])
def test_the_scheme_is_read_in_any_case_and_spacing(mock: Mock, scheme: str) -> None:
    assert mock.call(headers={"Authorization": f"{scheme} {UNLIMITED}"}).status_code == 200


def padded(size: int) -> bytes:
    """A valid request of exactly ``size`` bytes."""
    body = json.dumps(chat(max_tokens=1)).encode()
    return body + b" " * (size - len(body))


def pieces_of(body: bytes) -> Any:
    return (body[start : start + 65_536] for start in range(0, len(body), 65_536))


@pytest.mark.parametrize("chunked", [False, True])
@pytest.mark.parametrize(("size", "status"), [(4 * MIB, 200), (4 * MIB + 1, 413), (15 * MIB, 413)])
def test_the_size_of_a_body_is_limited(mock: Mock, size: int, status: int, chunked: bool) -> None:
    body = padded(size)
    answer = mock.http.post(PATH, content=pieces_of(body) if chunked else body, headers=heads())
    if status == 413:
        assert_refused(answer, 413, "PAYLOAD_TOO_LARGE", says="4 MiB")
    else:
        assert answer.status_code == status


def test_a_body_far_too_large_is_answered_before_it_has_all_been_read(mock: Mock) -> None:
    with mock.connect() as connection:
        connection.send(raw_call(b"").replace(b"Content-Length: 0", b"Content-Length: %d" % (64 * MIB)))
        connection.send(b" " * (16 * MIB + 65_536))
        assert_refused(connection.answer(), 413, "PAYLOAD_TOO_LARGE")
    assert mock.call().status_code == 200


TOO_LARGE = b" " * (4 * MIB + 1)


@pytest.mark.parametrize(
    ("key", "headers", "body", "status"),
    [
        ("wrong", {"Content-Type": "text/plain"}, TOO_LARGE, 401),
        (UNLIMITED, {"Content-Type": "text/plain"}, TOO_LARGE, 413),
        (UNLIMITED, {"Content-Type": "text/plain", "Prefer": "code=x"}, b"{", 415),
        (UNLIMITED, {"Prefer": "code=x"}, b"{", 400),
        ("sk-test-limited", {"Prefer": "code=500"}, None, 500),
        ("sk-own-limited-empty", {}, None, 429),
        ("sk-test-empty", {}, chat(strategy={"models": ["none"]}), 402),
    ],
)
def test_the_checks_come_in_the_contracts_order(
    slow_mock: Mock, key: str, headers: dict[str, str], body: Any, status: int
) -> None:
    for used_up in ("sk-test-limited", "sk-own-limited-empty"):
        slow_mock.call(chat(strategy={"models": ["groq/llama-3.1-8b"]}, max_tokens=1), key=used_up)
    assert slow_mock.call(body, key=key, headers=headers).status_code == status


def test_what_is_not_http_gets_a_plain_400(start_mock: StartMock) -> None:
    own = start_mock("--world", "instant")
    for garbage in (b"\x16\x03\x01\x02\x00\x01\x00\x01\xfc\x03\x03", b"hello\r\n\r\n", b"POST / HTTP/9.9\r\n\r\n"):
        with own.connect() as connection:
            connection.send(garbage)
            answer = connection.answer()
            assert (answer.status, answer.headers["content-type"]) == (400, "text/plain; charset=utf-8")
            assert (answer.body, answer.headers["connection"]) == (b"Invalid HTTP request received.", "close")
            assert REQUEST_ID.fullmatch(answer.headers["x-request-id"])
            assert connection.rest() == b""
    assert own.call().status_code == 200
    _, stdout, stderr = own.stop()
    assert (stdout, stderr.splitlines()) == ("", ["WARNING:  Invalid HTTP request received."] * 3)


def test_errors_do_not_close_the_connection(mock: Mock) -> None:
    with mock.connect() as connection:
        for body, status in ((b"{", 400), (chat(), 200), (TOO_LARGE, 413), (chat(max_tokens=1), 200)):
            connection.send(raw_call(body))
            assert connection.answer().status == status


def test_all_errors_are_one_type_for_httpx(mock: Mock) -> None:
    with pytest.raises(httpx.HTTPStatusError):
        mock.call(b"{").raise_for_status()

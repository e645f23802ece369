"""Who may use the control plane, web pages, and https."""

from __future__ import annotations

import re
import ssl
from collections.abc import Callable
from pathlib import Path

import httpx
import pytest

from mock_server.http.control.table import OPERATIONS, PREFIX, Operation
from mock_server.launch import launch
from tests.mock_server.conftest import StartMock
from tests.mock_server.wire import PATH, TIMEOUT_S, Mock, assert_refused, chat, events, heads

TOKEN = "correct-horse-battery"  # noqa: S105 - of a mock that lives as long as the test


@pytest.fixture
def complaint(refused: Callable[..., str], monkeypatch: pytest.MonkeyPatch) -> Callable[..., str]:
    """The one line with which `serve` refuses; ``token`` is that of the environment."""

    def complaint(*options: str, token: str | None = None) -> str:
        if token is None:
            monkeypatch.delenv("MOCK_ADMIN_TOKEN", raising=False)
        else:
            monkeypatch.setenv("MOCK_ADMIN_TOKEN", token)
        return refused("serve", "--port", "0", "--world", "instant", *options)

    return complaint


def test_another_host_needs_a_token(complaint: Callable[..., str]) -> None:
    for token in (None, ""):
        line = complaint("--host", "0.0.0.0", token=token)
        assert "--host 0.0.0.0 is not a loopback address: give --admin-token" in line


def test_a_token_must_fit_a_header(complaint: Callable[..., str]) -> None:
    for token in ("", "two words", "schlüssel", "a\tb"):
        line = complaint("--admin-token", token)
        assert "--admin-token must be visible ASCII characters" in line
        assert not token or token not in line


def concrete(endpoint: Operation) -> tuple[str, str]:
    return endpoint.method, PREFIX + re.sub(r"\{\w+(:path)?\}", "1", endpoint.path)


@pytest.mark.parametrize("from_environment", [True, False])
def test_with_a_token_every_endpoint_wants_it(
    start_mock: StartMock, monkeypatch: pytest.MonkeyPatch, from_environment: bool
) -> None:
    options = () if from_environment else ("--admin-token", TOKEN)
    if from_environment:
        monkeypatch.setenv("MOCK_ADMIN_TOKEN", TOKEN)
    mock = start_mock("--world", "instant", *options)
    for method, path in [*map(concrete, OPERATIONS), ("GET", f"{PREFIX}/openapi.json")]:
        for shown in (None, b"", TOKEN[:-1].encode(), b"\xfc", f"{TOKEN}1".encode()):
            headers = [(b"content-type", b"application/json")]
            headers += [] if shown is None else [(b"x-mock-admin-token", shown)]
            answer = mock.http.request(method, path, headers=headers)
            assert TOKEN not in assert_refused(answer, 401, "INVALID_API_KEY", says="X-Mock-Admin-Token")
    right = mock.http.get(f"{PREFIX}/health", headers={"X-Mock-Admin-Token": TOKEN, "Host": "any.example"})
    assert right.json()["status"] == "ok"
    assert mock.call().status_code == 200  # the API itself does not want it


def test_with_a_token_it_listens_on_any_host() -> None:
    with launch("--world", "instant", "--host", "0.0.0.0", "--admin-token", TOKEN) as mock:
        assert mock.url.startswith("http://0.0.0.0:")


@pytest.mark.parametrize(
    "host", ["localhost", "LOCALHOST:80", "mock.localhost:8080", "127.0.0.1", "127.9.9.9:1", "[::1]:8080"]
)
def test_without_a_token_the_control_plane_answers_to_loopback_names(mock: Mock, host: str) -> None:
    assert mock.http.get(f"{PREFIX}/health", headers={"Host": host}).status_code == 200


@pytest.mark.parametrize(
    "host", ["pages.example", "pages.example:8080", "localhost.pages.example", "10.0.0.1", "0.0.0.0", ""]
)
def test_a_name_that_a_web_page_points_at_the_mock_does_not_steer_it(mock: Mock, host: str) -> None:
    headers = {"Host": host, "Content-Type": "application/json"}
    for method, path in (("POST", "/reset"), ("GET", "/requests"), ("GET", "/openapi.json")):
        answer = mock.http.request(method, PREFIX + path, headers=headers, content=b"{}" if method == "POST" else b"")
        assert_refused(answer, 400, "INVALID_MOCK_DIRECTIVE", says="Host must be a loopback name or address")
    assert mock.call(headers={"Host": host}).status_code == 200  # the API itself answers to any name


@pytest.fixture
def cors_mock(start_mock: StartMock) -> Mock:
    return start_mock("--world", "instant", "--cors")


def test_web_pages_may_call_when_told_so(cors_mock: Mock) -> None:
    origin = {"Origin": "https://pages.example"}
    asked = origin | {
        "Access-Control-Request-Method": "POST",
        "Access-Control-Request-Headers": "authorization,content-type,x-mock-test",
        "Access-Control-Request-Private-Network": "true",
    }
    for path in (PATH, f"{PREFIX}/reset", "/docs"):
        preflight = cors_mock.http.options(path, headers=asked)
        assert (preflight.status_code, preflight.content) == (204, b"")
        assert len(preflight.headers.get_list("x-request-id")) == 1
        assert preflight.headers["access-control-allow-headers"] == "authorization,content-type,x-mock-test"
        assert "PUT" in preflight.headers["access-control-allow-methods"]
        assert preflight.headers["access-control-allow-private-network"] == "true"
        assert preflight.headers.get_list("access-control-allow-origin") == ["*"]
    answers = [
        cors_mock.call(headers=origin),
        cors_mock.call(chat(stream=True), headers=origin),
        cors_mock.call(b"{", headers=origin),
        cors_mock.call(headers=origin | {"X-Mock-Fault": "empty"}),
        cors_mock.http.get(f"{PREFIX}/health", headers=origin),
        cors_mock.http.get("/nothing", headers=origin),
    ]
    assert [answer.status_code for answer in answers] == [200, 200, 400, 200, 200, 404]
    for answer in answers:
        assert answer.headers.get_list("access-control-allow-origin") == ["*"]
        exposed = answer.headers["access-control-expose-headers"]
        assert {"X-Request-Id", "Server-Timing", "Retry-After", "RateLimit"} <= set(exposed.split(", "))
    assert events(answers[1].content)


def test_an_options_that_is_no_preflight_is_answered_as_ever(cors_mock: Mock) -> None:
    assert_refused(cors_mock.http.options(PATH), 405, "METHOD_NOT_ALLOWED")


def test_web_pages_may_not_call_otherwise(mock: Mock) -> None:
    asked = {"Origin": "https://pages.example", "Access-Control-Request-Method": "POST"}
    preflight = mock.http.options(f"{PREFIX}/reset", headers=asked)
    assert_refused(preflight, 405, "METHOD_NOT_ALLOWED")
    for answer in (preflight, mock.call(headers=asked)):
        assert not any(name.startswith("access-control") for name in answer.headers)


def test_it_speaks_https(tmp_path: Path, certificate: tuple[str, str]) -> None:
    options = ["--world", "instant", "--tls-cert", certificate[0], "--tls-key", certificate[1]]
    with launch(*options) as mock:
        assert mock.url.startswith("https://127.0.0.1:")
        context = ssl.create_default_context(cafile=certificate[0])
        with httpx.Client(base_url=mock.url, verify=context, timeout=TIMEOUT_S) as client:
            assert client.post(PATH, json=chat(), headers=heads()).status_code == 200
            assert events(client.post(PATH, json=chat(stream=True), headers=heads()).content)
            with pytest.raises(httpx.TransportError):
                client.post(PATH, json=chat(), headers=heads() | {"X-Mock-Fault": "reset"})
            assert client.get(f"{PREFIX}/health").json()["in_flight"] == 0
        assert (mock.stop()[1], mock.complaints()) == ("", "")


def test_https_that_cannot_be_is_refused_in_one_line(
    complaint: Callable[..., str], tmp_path: Path, certificate: tuple[str, str]
) -> None:
    cert, key = certificate
    no_pem = tmp_path / "no.pem"
    no_pem.write_text("no certificate")
    assert "--tls-cert and --tls-key go together" in complaint("--tls-cert", cert)
    assert "--tls-cert and --tls-key go together" in complaint("--tls-key", key)
    assert "no such file or directory" in complaint("--tls-cert", "/nowhere/x.pem", "--tls-key", key)
    assert "give two PEM files" in complaint("--tls-cert", str(no_pem), "--tls-key", key)
    assert "give two PEM files" in complaint("--tls-cert", cert, "--tls-key", cert)

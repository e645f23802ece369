"""`mock-server verdict` and `mock-server coverage`, as a CI runs them."""

from __future__ import annotations

import json
import socket
import subprocess
import sys
import threading
from collections.abc import Callable, Iterator
from contextlib import contextmanager, suppress
from email.message import Message
from http.server import BaseHTTPRequestHandler, HTTPServer
from typing import NamedTuple, Protocol
from xml.etree import ElementTree as Xml

import pytest

from mock_server.__main__ import main
from mock_server.kit import asking
from mock_server.launch import launch
from tests.mock_server.wire import UNLIMITED, Connection, Mock, chat, raw_call

TOKEN = "let-me-in"  # noqa: S105 - of a mock that lives as long as its test


class Done(NamedTuple):
    """How a command ended, and what it said."""

    returncode: int
    stdout: str
    stderr: str


class Run(Protocol):
    """Runs `mock-server` to its end."""

    def __call__(self, *arguments: str) -> Done: ...


@pytest.fixture
def run(capsys: pytest.CaptureFixture[str]) -> Run:
    def run(*arguments: str) -> Done:
        capsys.readouterr()
        code = main(arguments)
        return Done(code, *capsys.readouterr())

    return run


@pytest.fixture
def complaint(run: Run) -> Callable[..., str]:
    """Runs what cannot work; its one line."""

    def complaint(*arguments: str) -> str:
        done = run(*arguments)
        assert (done.returncode, done.stdout) == (2, "")
        (line,) = done.stderr.splitlines()
        return line.removeprefix("mock-server: ")

    return complaint


def meet_a_fault(mock: Mock, outcome: str, fault: str = "error_event", test: str = "") -> None:
    """A client that gets a broken stream, and what it makes of it."""
    answer = mock.call(chat(stream=True), headers={"X-Mock-Fault": fault}, test=test)
    told = mock.http.post(f"/__mock__/outcomes/{answer.headers['x-request-id']}", json={"outcome": outcome})
    assert told.status_code == 200


@contextmanager
def another_server(
    status: int, body: bytes, location: str = "", seen: Callable[[Message], None] = lambda _: None
) -> Iterator[str]:
    """Something at an address that is no mock; ``seen`` gets the headers of each request."""

    class Handler(BaseHTTPRequestHandler):
        def do_GET(self) -> None:
            seen(self.headers)
            self.send_response(status)
            if location:
                self.send_header("Location", location)
            self.end_headers()
            self.wfile.write(body)

        def log_message(self, *_: object) -> None: ...

    with HTTPServer(("127.0.0.1", 0), Handler) as server:
        thread = threading.Thread(target=server.serve_forever)
        thread.start()
        try:
            yield f"http://127.0.0.1:{server.server_port}"
        finally:
            server.shutdown()
            thread.join()


def test_the_verdict_ends_with_what_it_found(mock: Mock, run: Run) -> None:
    target = ("--target", mock.url)
    command = [sys.executable, "-m", "mock_server", "verdict", *target]
    empty = subprocess.run(command, capture_output=True, text=True, timeout=60)
    assert (empty.returncode, empty.stderr) == (4, "")
    assert empty.stdout.startswith("NOT_EXERCISED: 0 calls, 0 requests")
    assert "the journal is empty: did the client talk to this mock" in empty.stdout
    assert run("verdict", *target, "--inconclusive-ok").returncode == 0
    meet_a_fault(mock, "error", "eof", test="fine")
    meet_a_fault(mock, "ok", test="bad")
    bad = run("verdict", *target)
    assert bad.returncode == 1
    assert "FAIL  error_event_accepted" in bad.stdout
    assert run("verdict", *target, "--test", "fine").returncode == 0
    assert run("verdict", *target, "--test", "unknown").returncode == 4
    assert run("verdict", *target, "--waive", "error_event_accepted=known, see #12").returncode == 0


@pytest.mark.parametrize("command", ["verdict", "coverage"])
@pytest.mark.parametrize("more", [(), ("--inconclusive-ok",)], ids=["", "inconclusive ok"])
def test_a_suite_with_a_wrong_key_or_a_wrong_path_is_a_mistake_and_no_client(
    command: str, more: tuple[str, ...], mock: Mock, run: Run
) -> None:
    mock.call(key="sk-of-nobody-0000", test="key")
    mock.http.post("/v2/llm/auto", json=chat(), headers={"X-Mock-Test": "path"})
    for test, says in (("key", "every request was refused with 401"), ("path", "is the client's base URL right?")):
        done = run(command, "--target", mock.url, "--test", test, *more)
        assert done.returncode == 2
        (line,) = done.stderr.splitlines()
        assert says in line
    mock.call(test="key")
    assert run(command, "--target", mock.url, "--test", "key", *more).returncode == 0


@pytest.mark.parametrize("status", [400, 401, 402, 429, 500, 502])
def test_what_is_sent_again_at_once_is_told_from_what_was_on_its_way(mock: Mock, status: int) -> None:
    def ask(connection: Connection, test: str) -> None:
        connection.send(raw_call(test=test).replace(b"Host:", b"Prefer: code=%d\r\nHost:" % status))
        assert connection.answer().status == status

    for _ in range(6):  # so many are too fast for chance, however busy the machine
        with mock.connect() as connection:
            ask(connection, "again")
    with mock.connect() as one, mock.connect() as two, mock.connect() as three:
        for connection in (one, two, three):
            ask(connection, "together")
    again, together = (mock.control("verdict", test=test) for test in ("again", "together"))
    rule = {429: "retry_after_ignored", 500: "no_backoff", 502: "no_backoff"}.get(status, "non_retryable_retried")
    assert [each["rule"] for each in again["rules"] if each["result"] == "FAIL"] == [rule]
    assert (again["calls"], together["calls"]) == (1, 3)
    assert [each["result"] for each in together["rules"] if each["rule"] == rule] == ["NOT_EXERCISED"]


def test_the_verdict_speaks_json_and_junit(mock: Mock, run: Run) -> None:
    meet_a_fault(mock, "ok")
    told = run("verdict", "--target", mock.url, "--format", "json", "--without", "idempotency")
    verdict = json.loads(told.stdout)
    assert (told.returncode, verdict["result"]) == (1, "FAIL")
    absent = {rule["rule"] for rule in verdict["rules"] if rule["not_applicable"]}
    assert absent == {"idempotency_key_misused"}
    junit = run("verdict", "--target", mock.url, "--format", "junit")
    assert junit.returncode == 1
    assert Xml.fromstring(junit.stdout).find("testsuite/testcase/failure") is not None  # noqa: S314 - our own


def test_the_coverage_ends_with_whether_the_bar_was_reached(mock: Mock, run: Run) -> None:
    target = ("--target", mock.url)
    assert run("coverage", *target).returncode == 4
    assert run("coverage", *target, "--inconclusive-ok").returncode == 0
    assert run("coverage", *target, "--inconclusive-ok", "--fail-under", "1").returncode == 1
    mock.call(headers={"Prefer": "code=402"})
    met = json.loads(run("coverage", *target, "--format", "json").stdout)
    assert met["met"] == 1
    assert run("coverage", *target, "--fail-under", "1").returncode == 0
    assert run("coverage", *target, "--fail-under", "1.5").returncode == 1
    page = run("coverage", *target, "--format", "html", "--without", "streaming")
    assert page.stdout.startswith("<!doctype html>")
    assert page.stdout.count("<td>stream</td>") == 0


@pytest.mark.parametrize("command", ["verdict", "coverage"])
@pytest.mark.parametrize(
    ("arguments", "says"),
    [
        (["--target", "http://127.0.0.1:1"], "nothing to talk to at http://127.0.0.1:1: connection refused"),
        (["--target", "127.0.0.1:8080"], "'127.0.0.1:8080' is no address; give one such as http://127.0.0.1:8080"),
        (["--target", "http://127.0.0.1:99999"], "is no address"),
        (["--target", "http://127.0.0.1:8080/v1"], "give scheme, host and port alone, as http://127.0.0.1:8080"),
        (["--target", "http://me:secret@host"], "give scheme, host and port alone"),
        (["--test", "käse"], "--test must be visible ASCII characters"),
        (["--admin-token", "a\nb"], "--admin-token must be visible ASCII characters"),
        (["--format", "yaml"], "--format"),
        (["--without", "legs"], "--without"),
        (["--colour", "red"], "--colour"),
    ],
    ids=str,
)
def test_what_cannot_be_asked_is_said_in_one_line(
    command: str, arguments: list[str], says: str, complaint: Callable[..., str]
) -> None:
    assert says in complaint(command, *arguments)


@pytest.mark.parametrize(
    ("arguments", "says"),
    [
        (["verdict", "--waive", "no_jiter=x"], "no rule is named 'no_jiter': did you mean 'no_jitter'?"),
        (["verdict", "--waive", "no_jitter"], "to waive no_jitter takes a reason; give RULE=REASON"),
        (["verdict", "--waive", "no_jitter=a", "--waive", "no_jitter=b"], "--waive no_jitter is given twice"),
        (["coverage", "--fail-under", "101"], "--fail-under: must be a number from 0 to 100, not '101'"),
        (["coverage", "--fail-under", "nan"], "--fail-under: must be a number from 0 to 100, not 'nan'"),
    ],
    ids=str,
)
def test_a_mistake_of_one_command_is_said_before_anybody_is_asked(
    arguments: list[str], says: str, complaint: Callable[..., str]
) -> None:
    assert says in complaint(*arguments)


@pytest.mark.parametrize("command", ["verdict", "coverage"])
@pytest.mark.parametrize(
    ("status", "body"),
    [(200, b"<html>hello"), (200, b"{}"), (200, b"[1]"), (404, b"nothing here"), (500, b""), (200, b"\xff")],
    ids=str,
)
def test_another_server_is_never_green(command: str, status: int, body: bytes, complaint: Callable[..., str]) -> None:
    with another_server(status, body) as url:
        assert f"{url} is not this mock" in complaint(command, "--target", url)


def test_a_comparison_with_another_server_names_it(mock: Mock, complaint: Callable[..., str]) -> None:
    with another_server(200, b"hello") as url:
        asked = ("conform", "--target", mock.url, "--api-key", UNLIMITED, "--diff", url)
        assert complaint(*asked).startswith(f"--diff {url}: ")


@pytest.mark.parametrize("status", [301, 302, 307])
def test_a_redirect_is_not_followed_and_the_token_goes_nowhere_else(
    mock: Mock, complaint: Callable[..., str], status: int
) -> None:
    stolen: list[Message] = []
    with (
        another_server(200, b"{}", seen=stolen.append) as elsewhere,
        another_server(status, b"", f"{elsewhere}/__mock__/verdict") as url,
    ):
        said = complaint("verdict", "--target", url, "--admin-token", TOKEN, "--test", "t")
    assert said.startswith(f"{url} redirects ({status}), which is not followed")
    assert stolen == []


def test_a_server_that_drips_is_left_when_the_time_for_the_whole_is_over(
    complaint: Callable[..., str], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(asking, "ANSWERS_WITHIN_S", 0.5)
    over = threading.Event()

    def drip(listening: socket.socket) -> None:
        connection, _ = listening.accept()
        with connection:
            connection.sendall(b"HTTP/1.1 200 OK\r\nX-Drip: ")
            while not over.wait(0.05):
                with suppress(OSError):
                    connection.sendall(b"x")

    with socket.create_server(("127.0.0.1", 0)) as listening:
        dripping = threading.Thread(target=drip, args=(listening,))
        dripping.start()
        try:
            said = complaint("verdict", "--target", f"http://127.0.0.1:{listening.getsockname()[1]}")
        finally:
            over.set()
            dripping.join()
    assert "has not answered within 0.5 s" in said


@pytest.mark.parametrize("command", ["verdict", "coverage"])
def test_what_the_mock_refuses_is_said_in_its_own_words(
    command: str, mock: Mock, complaint: Callable[..., str]
) -> None:
    said = complaint(command, "--target", mock.url, "--test", "a b")
    assert said.startswith(f"{mock.url} refuses: Invalid mock directive: X-Mock-Test must be")


def test_an_admin_token_is_asked_for_and_never_shown(
    run: Run, complaint: Callable[..., str], monkeypatch: pytest.MonkeyPatch
) -> None:
    with launch("--world", "instant", "--admin-token", TOKEN) as mock:
        target = ("verdict", "--target", mock.url)
        assert complaint(*target) == f"{mock.url} wants its admin token; give --admin-token, or $MOCK_ADMIN_TOKEN"
        wrong = complaint(*target, "--admin-token", "wrong-token")
        assert "wants its admin token" in wrong
        assert "wrong-token" not in wrong
        assert run(*target, "--admin-token", TOKEN).returncode == 4
        monkeypatch.setenv("MOCK_ADMIN_TOKEN", TOKEN)
        assert run(*target).returncode == 4


def test_a_proxy_of_the_environment_is_not_asked_for_this_machine(
    mock: Mock, run: Run, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("http_proxy", "http://127.0.0.1:1")
    for target in (mock.url, mock.url.replace("127.0.0.1", "localhost")):
        assert run("verdict", "--target", target).returncode == 4

"""`mock-server conform` as its users run it: against real servers, of this kind and of others."""

from __future__ import annotations

import json
import re
import shlex
import socket
import subprocess
import sys
import threading
from collections.abc import Callable, Iterator
from http.server import BaseHTTPRequestHandler, SimpleHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from typing import Any
from xml.etree import ElementTree as Xml

import pytest

from mock_server.__main__ import main
from mock_server.config import load_world, preset_names
from mock_server.kit.conform.defaults import PAID_CALLS, PATIENCE_S, TIMEOUT_S, TOKENS
from mock_server.kit.conform.pack import UNSEEN
from mock_server.kit.conform.probes import PROBES
from tests.mock_server.conftest import StartMock
from tests.mock_server.kit.conform.foreign import Serve, answer, for_ever, resets, says, serving, silent
from tests.mock_server.wire import Mock

DOCS = (Path(__file__).parents[4] / "docs" / "conformance.md").read_text()
PRO = "sk-test-pro"
SECRET = "sk-live-1234567890-abcdefgh-wxyz"  # noqa: S105 - nobody's
FAULT_FREE = [
    name
    for name in preset_names()
    if (world := load_world(name)).failure_scale == 0.0 and not world.incidents and not world.faults
]
ENDLESS = b"HTTP/1.1 200 OK\r\nContent-Type: text/event-stream\r\n\r\n"
Run = Callable[..., tuple[int, str, str]]


@pytest.fixture
def conform(capfd: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch) -> Run:
    """Runs the command in this process: exit code, stdout, stderr."""
    monkeypatch.delenv("LLM_API_KEY", raising=False)

    def run(url: str, *options: str, key: str | None = PRO) -> tuple[int, str, str]:
        given = [] if key is None else ["--api-key", key]
        code = main(["conform", "--target", url, *given, *options])
        return (code, *capfd.readouterr())

    return run


def refused(said: tuple[int, str, str]) -> str:
    """The one line of complaint of what cannot work."""
    code, out, err = said
    assert (code, out, err.count("\n")) == (2, "", 1), said
    assert err.startswith("mock-server: ")
    return err


def test_fault_free_worlds_are_those_that_are_meant() -> None:
    assert FAULT_FREE == ["calm", "instant"]


@pytest.mark.parametrize("world", FAULT_FREE)
def test_the_mock_passes_in_every_world_without_faults(start_mock: StartMock, conform: Run, world: str) -> None:
    mock = start_mock("--world", world, "--time-scale", "0.01")
    code, out, err = conform(mock.url, "--json")
    report = json.loads(out)
    assert (code, err, report["result"], report["broken"]) == (0, "", "KEPT", 0)
    documented = {c["clause"]: c["result"] for c in report["clauses"] if c["source"] == "documented"}
    assert {clause for clause, result in documented.items() if result != "KEPT"} == {
        *("documented.402", "documented.429", "documented.502")  # keys for them are not given
    }
    assert {c["clause"] for c in report["clauses"] if c["result"] == "CANNOT_CHECK"} >= set(UNSEEN)
    assert report["paid_calls"] == 2
    ledger = mock.control(f"accounts/{PRO}")
    assert ledger["charged"] == report["tokens"] <= report["tokens_at_worst"]


@pytest.mark.parametrize("world", [name for name in preset_names() if name not in FAULT_FREE])
def test_a_world_with_faults_is_not_blamed_for_them(start_mock: StartMock, conform: Run, world: str) -> None:
    mock = start_mock("--world", world, "--time-scale", "0.01")
    code, out, _ = conform(mock.url, "--json")
    report = json.loads(out)
    assert (code, report["broken"]) == (0, 0)


def test_the_documented_command_leaves_nothing_documented_unchecked(
    mock: Mock, capfd: pytest.CaptureFixture[str]
) -> None:
    (block,) = re.findall(r"```\nmock-server (conform --target http://127\.0\.0\.1:8080 .*?)```", DOCS, re.DOTALL)
    command = shlex.split(block.replace("\\\n", " ").replace("http://127.0.0.1:8080", mock.url))
    assert main([*command, "--json"]) == 0
    report = json.loads(capfd.readouterr().out)
    assert report["broken"] == 0
    assert [c for c in report["clauses"] if c["source"] == "documented" and c["result"] != "KEPT"] == []
    assert mock.control("requests/count", status=502)["count"] == 1


def test_the_documented_budgets_are_those_of_the_command(mock: Mock, conform: Run) -> None:
    for option, default in (("--paid N", PAID_CALLS), ("--budget TOKENS", TOKENS)):
        assert f"`{option}` ({default:,}):" in DOCS
    assert f"`--patience` seconds ({PATIENCE_S:g})" in DOCS
    assert f"`--timeout` ({TIMEOUT_S:g})" in DOCS
    (enough,) = re.findall(r"where `--budget` allows for it \(([0-9,]+)\)", DOCS)
    _, out, _ = conform(mock.url, "--json", "--budget", enough.replace(",", ""))
    results = {c["clause"]: c["result"] for c in json.loads(out)["clauses"]}
    assert results["error.CONTEXT_LENGTH_EXCEEDED"] == "KEPT"


@pytest.mark.parametrize(
    ("key", "unchecked"),
    [
        ("sk-test-unlimited", {"header.RateLimit", "limits.refusals_are_free"}),
        ("sk-test-free", set()),
        ("sk-test-empty", {"endpoint", "stream.framing", "response.model", "request.strategy.models"}),
        ("sk-test-error", {"endpoint", "stream.framing", "response.model", "request.strategy.models"}),
        ("sk-test-outage", {"endpoint", "stream.framing", "response.model"}),
    ],
)
def test_what_a_key_may_not_do_is_not_held_against_the_gateway(
    mock: Mock, conform: Run, key: str, unchecked: set[str]
) -> None:
    code, out, _ = conform(mock.url, "--json", key=key)
    report = json.loads(out)
    assert (code, report["broken"]) == (0, 0)
    assert unchecked <= {c["clause"] for c in report["clauses"] if c["result"] == "CANNOT_CHECK"}


def test_a_key_without_rights_is_nothing_to_judge_by(mock: Mock, conform: Run) -> None:
    for key in ("sk-test-revoked", SECRET):
        said = refused(conform(mock.url, key=key))
        assert "the key has no rights there: 401 INVALID_API_KEY; check --api-key" in said
        assert key not in said
    assert mock.control("requests/count")["count"] == 2


def test_the_table_is_for_people(mock: Mock, conform: Run) -> None:
    code, out, err = conform(mock.url)
    assert (code, err) == (0, "")
    lines = out.splitlines()
    assert lines[0] == f"{mock.url} with the key …-pro"
    assert any(line.split()[:3] == ["KEPT", "endpoint", "documented"] for line in lines)
    assert any(line.split()[:4] == ["CANNOT", "CHECK", "limits.buckets", "assumed"] for line in lines)
    assert lines[-3].startswith("KEPT: ")
    assert "2 of them may be paid" in lines[-1]


def test_a_broken_clause_is_exit_code_1_with_its_evidence(start_mock: StartMock, conform: Run, tmp_path: Path) -> None:
    world = tmp_path / "strict.toml"
    world.write_text('extends = "instant"\ndescription = "strict"\n[gateway]\nstrict = true\n')
    mock = start_mock("--world", str(world))
    junit = tmp_path / "junit.xml"
    code, out, _ = conform(mock.url, "--junit", str(junit))
    assert code == 1
    first = out.splitlines()[2:7]
    assert first[0].split()[:3] == ["BROKEN", "request.unknown_fields", "assumed"]
    assert "a field that nobody knows: refused (400 INVALID_REQUEST)" in first[0]
    assert "the contract: Unknown fields are ignored." in first[1]
    assert "(the mock's switch: gateway.strict)" in first[2]
    suite = Xml.parse(junit).getroot().find("testsuite")  # noqa: S314 - our own
    assert suite is not None
    assert suite.get("failures") == "1"
    (case,) = (case for case in suite.iter("testcase") if case.find("failure") is not None)
    assert (case.get("classname"), case.get("name")) == ("conform.assumed", "request.unknown_fields")
    assert suite.get("skipped") == str(sum(case.find("skipped") is not None for case in suite.iter("testcase")))


@pytest.fixture
def http_server() -> Iterator[Callable[[type[BaseHTTPRequestHandler]], str]]:
    servers = []

    def start(handler: type[BaseHTTPRequestHandler]) -> str:
        server = ThreadingHTTPServer(("127.0.0.1", 0), handler)
        servers.append(server)
        threading.Thread(target=server.serve_forever, daemon=True).start()
        return f"http://127.0.0.1:{server.server_port}"

    yield start
    for server in servers:
        server.shutdown()
        server.server_close()


def test_a_bare_http_server_is_no_gateway(http_server: Any, conform: Run) -> None:
    class Files(SimpleHTTPRequestHandler):
        def log_message(self, *_: object) -> None: ...

    assert "the target has no POST /v1/llm/auto: 501 text/html" in refused(conform(http_server(Files)))


class OpenAiLike(BaseHTTPRequestHandler):
    """Answers every POST as OpenAI does."""

    protocol_version = "HTTP/1.1"

    def log_message(self, *_: object) -> None: ...

    def do_POST(self) -> None:
        try:
            json.loads(self.rfile.read(int(self.headers["content-length"])))
            malformed = False
        except ValueError:
            malformed = True
        failed = {"error": {"message": "Invalid", "type": "invalid_request_error", "code": None}}
        good = {"id": "chatcmpl-1", "choices": [{"message": {"role": "assistant", "content": "hi"}}]}
        body = json.dumps(failed if malformed else good).encode()
        self.send_response(400 if malformed else 200)
        self.send_header("Content-Type", "application/json")
        self.send_header("Content-Length", str(len(body)))
        self.end_headers()
        self.wfile.write(body)


def test_another_api_is_no_gateway_and_is_asked_twice_at_most(http_server: Any, conform: Run) -> None:
    said = refused(conform(http_server(OpenAiLike)))
    assert "does not answer like this gateway: neither a refusal (400 application/json) nor an answer (200)" in said


class YesSayer(BaseHTTPRequestHandler):
    """Takes whatever it is asked, and repeats the key; only its envelope is like the gateway's."""

    protocol_version = "HTTP/1.1"
    calls = 0

    def log_message(self, *_: object) -> None: ...

    def do_POST(self) -> None:
        type(self).calls += 1
        self.rfile.read(int(self.headers["content-length"]))
        key = self.headers["authorization"] or "nobody"
        body = json.dumps({"success": True, "response": "\x1b[31m" + key, "model": key, "request_id": key}).encode()
        self.send_response(200)
        self.send_header("Content-Type", "application/json")
        self.send_header("X-Request-Id", key)
        self.send_header("Content-Length", str(len(body)))
        self.end_headers()
        self.wfile.write(body)


def test_a_gateway_that_takes_anything_is_not_paid_beyond_the_budget_and_the_key_stays_secret(
    http_server: Any, conform: Run, tmp_path: Path
) -> None:
    YesSayer.calls = 0
    record, junit = tmp_path / "record.json", tmp_path / "junit.xml"
    url = http_server(YesSayer)
    code, out, err = conform(url, "--paid", "4", "--junit", str(junit), "--record", str(record), key=SECRET)
    assert code == 1
    assert "4 calls may have been paid, which is all that --paid 4 allows" in out
    # Beyond these only what nobody has to pay: what is no JSON, or has no key that is known.
    free = [name for name, probe in PROBES.items() if not probe.costs and probe.method == "POST"]
    free.remove("head.over")  # Python's own server refuses that before
    assert YesSayer.calls == 4 + len(free)
    for said in (out, err, record.read_text(), junit.read_text()):
        for part in (SECRET, SECRET[:12], SECRET[8:20]):
            assert part not in said
        assert "\x1b" not in said
    assert "…wxyz" in out


@pytest.mark.parametrize(
    ("serve", "says_why"),
    [
        (says(b"\x00\xff" * 500), "it is not HTTP"),
        (silent, "no answer in time"),
        (resets, "the connection broke"),
        (says(answer("200 OK", b"\x00\xff", "Content-Type: application/json")), "does not answer like this gateway"),
        (says(answer("200 OK", b"[" * 100_000, "Content-Type: application/json")), "does not answer like this gateway"),
        (
            for_ever(b"HTTP/1.1 200 OK\r\nContent-Type: text/event-stream\r\n\r\n", b"data: {}\n\n"),
            "does not answer like",
        ),
        (says(answer("503 Service Unavailable", b"down")), "does not answer like this gateway"),
    ],
)
def test_whatever_a_stranger_answers_is_one_line(conform: Run, serve: Serve, says_why: str) -> None:
    with serving(serve) as url:
        assert says_why in refused(conform(url, "--timeout", "1"))


def test_a_redirect_is_not_followed_and_the_key_goes_nowhere_else(conform: Run) -> None:
    got: list[bytes] = []
    with serving(lambda _, request: got.append(request)) as elsewhere:
        location = f"Location: {elsewhere}/{SECRET}"
        with serving(says(answer("307 Temporary Redirect", b"", location))) as url:
            said = refused(conform(url, key=SECRET))
    assert f"the target redirects (307) to {elsewhere}/" in said
    assert SECRET not in said
    assert got == []


def test_where_nothing_listens_is_said(conform: Run) -> None:
    with socket.create_server(("127.0.0.1", 0)) as listener:
        port = listener.getsockname()[1]
    assert "no connection: connection refused" in refused(conform(f"http://127.0.0.1:{port}"))


@pytest.mark.parametrize(
    ("url", "options", "key", "why"),
    [
        ("http://gateway.example", [], PRO, "is not this machine, and its answers may cost money"),
        ("http://127.0.0.1:1", ["--diff", "http://gateway.example"], PRO, "is not this machine"),
        ("http://127.0.0.1:1", [], None, "a key is needed: set $LLM_API_KEY or give --api-key"),
        ("http://127.0.0.1:1", [], "a b", "characters that cannot stand in a header"),
        ("http://127.0.0.1:1", ["--key-for", f"418={SECRET}"], PRO, "must be STATUS=KEY with a status of 402"),
        ("http://127.0.0.1:1", ["--paid", "-1"], PRO, "--paid: must be a whole number"),
        ("http://127.0.0.1:1", ["--timeout", "nan"], PRO, "--timeout: must be a number of seconds"),
        ("http://127.0.0.1:1", ["--junit", "/nowhere/x.xml"], PRO, "cannot write /nowhere/x.xml: no such file"),
        ("http://127.0.0.1:1", ["--record", "/"], PRO, "cannot write /: is a directory"),
        ("http://127.0.0.1:1", ["--junit", "x", "--record", "x"], PRO, "name the same file"),
        ("localhost:8080", [], PRO, "is not a base URL such as"),
    ],
)
def test_wrong_usage_is_one_line(conform: Run, url: str, options: list[str], key: str | None, why: str) -> None:
    said = refused(conform(url, *options, key=key))
    assert why in said
    assert SECRET not in said


def test_no_file_is_left_where_nothing_was_judged(conform: Run, tmp_path: Path) -> None:
    old = tmp_path / "junit.xml"
    old.write_text("of the last run")
    refused(conform("http://127.0.0.1:1", "--junit", str(old), "--record", str(tmp_path / "record.json")))
    assert [path.name for path in tmp_path.iterdir()] == ["junit.xml"]
    assert old.read_text() == "of the last run"


def test_without_a_budget_only_what_is_free_is_asked(mock: Mock, conform: Run) -> None:
    code, out, _ = conform(mock.url, "--json", "--paid", "0")
    report = json.loads(out)
    assert (code, report["paid_calls"], report["tokens"]) == (0, 0, 0)
    assert mock.account(PRO)["charged"] == 0
    assert mock.control("requests/count", status=200)["count"] == 0
    assert mock.control("requests/count")["count"] == report["requests"] > 10


def test_the_key_may_come_from_the_environment(mock: Mock, conform: Run, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("LLM_API_KEY", PRO)
    assert conform(mock.url, key=None)[0] == 0


def test_a_reader_that_has_seen_enough_and_an_interrupt_are_quiet(mock: Mock) -> None:
    command = [sys.executable, "-m", "mock_server", "conform", "--target", mock.url, "--api-key", PRO]
    with subprocess.Popen(command, stdout=subprocess.PIPE, stderr=subprocess.PIPE) as process:
        assert process.stdout is not None
        process.stdout.close()
        assert process.stderr is not None
        assert (process.wait(30), process.stderr.read()) == (141, b"")

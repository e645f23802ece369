"""`mock-server proxy` as its users run it."""

from __future__ import annotations

import json
import re
import signal
import socket
import subprocess
from collections.abc import Callable
from pathlib import Path

import httpx
import pytest

from mock_server.__main__ import main
from mock_server.config import load_world
from mock_server.launch import Launched, launch
from tests.mock_server.kit.conform.foreign import Serve, answer, resets, says, serving
from tests.mock_server.kit.proxy.recorders import command, recording
from tests.mock_server.wire import PATH, Mock, chat, heads

PAGE = (Path(__file__).parents[4] / "docs" / "proxy.md").read_text()
SECRET = "sk-live-1234567890-abcdefgh-wxyz"  # noqa: S105 - nobody's
STREAM = chat("the launch is on Tuesday", stream=True, max_tokens=30)


def call(recorder: Launched, body: object = None, key: str = "sk-test-unlimited") -> httpx.Response:
    return httpx.post(recorder.url + PATH, json=STREAM if body is None else body, headers=heads(key), timeout=20)


def closed(port: int) -> bool:
    with socket.socket() as probe:
        return probe.connect_ex(("127.0.0.1", port)) != 0


@pytest.mark.parametrize("number", [signal.SIGINT, signal.SIGTERM])
def test_a_signal_ends_it_with_all_that_was_seen_written_and_nothing_left(
    mock: Mock, tmp_path: Path, number: signal.Signals
) -> None:
    learned, report = tmp_path / "learned.toml", tmp_path / "report.json"
    with recording(mock.url, "--learn", str(learned), "--report", str(report)) as recorder:
        for _ in range(3):
            assert call(recorder).status_code == 200
        assert list(tmp_path.iterdir()) == []
        code, said = recorder.stop(number)
    assert (code, recorder.complaints()) == (0, "")
    assert closed(recorder.port)
    assert sorted(path.name for path in tmp_path.iterdir()) == ["learned.toml", "report.json"]
    assert "3 calls to " in said
    assert "KEPT: clauses broken by the client 0, the gateway 0" in said
    document = json.loads(report.read_bytes())
    assert (document["result"], document["calls"], document["broken"]) == ("KEPT", 3, [])
    assert set(document["recorder"]) == {"work_ms", "late_ms"}
    assert len(load_world(str(learned)).models) == 1


def test_the_world_that_was_learned_is_served(mock: Mock, tmp_path: Path) -> None:
    learned = tmp_path / "learned.toml"
    with recording(mock.url, "--learn", str(learned)) as recorder:
        first = call(recorder).text
        assert recorder.stop()[0] == 0
    with launch("--world", str(learned)) as served:
        answered = httpx.post(served.url + PATH, json=STREAM, headers=heads(), timeout=20)
    told = re.search(r'"model":"([^"]+)","provider":"([^"]+)"', first)
    assert told is not None
    assert told[0] in answered.text


def test_it_ends_with_the_process_that_started_it(mock: Mock) -> None:
    with subprocess.Popen(command(mock.url), stdin=subprocess.PIPE, stdout=subprocess.PIPE) as process:
        assert process.stdin is not None
        assert process.stdout is not None
        assert b" ready on http://127.0.0.1:" in process.stdout.readline()
        process.stdin.close()
        assert process.wait(20) == 4


@pytest.mark.parametrize(("judge", "code"), [("both", 1), ("client", 1), ("gateway", 0)])
def test_a_breach_is_said_at_once_and_in_the_report_and_decides_the_exit_code_of_the_side_that_counts(
    mock: Mock, judge: str, code: int
) -> None:
    with recording(mock.url, "--judge", judge) as recorder:
        number = call(recorder, chat(max_tokens=0)).headers["x-request-id"]
        call(recorder, chat(max_tokens=0))
        ended, said = recorder.stop()
    assert ended == code
    (line,) = recorder.complaints().splitlines()
    assert line.startswith("mock-server proxy: the client breaks request.max_tokens: ")
    assert line.endswith(f"({number})")
    assert "BROKEN  request.max_tokens  assumed  2 of 2 calls" in said


def test_a_gateway_that_drifts_is_said_to(tmp_path: Path) -> None:
    document = b'{"success": true, "model": "m", "response": "hi", "provider": "p", "extra": 1}'
    gateway = serving(says(answer("200 OK", document, "Content-Type: application/json")))
    with gateway as url, recording(url, "--report", str(tmp_path / "report.json")) as recorder:
        call(recorder, chat())
        code, said = recorder.stop()
    assert code == 1
    assert "the gateway breaks answers.keys: more keys than documented: extra" in recorder.complaints()
    broken = {one["clause"]: one["side"] for one in json.loads((tmp_path / "report.json").read_bytes())["broken"]}
    assert broken["answers.keys"] == broken["response.usage.total_tokens"] == "gateway"
    assert "BROKEN: clauses broken by the client 0" in said


@pytest.mark.parametrize(("options", "code"), [([], 4), (["--inconclusive-ok"], 0)])
def test_a_recording_of_nothing_is_no_green_result(mock: Mock, options: list[str], code: int) -> None:
    with recording(mock.url, *options) as recorder:
        ended, said = recorder.stop()
    assert ended == code
    assert said.endswith("NOT EXERCISED: no call came through\n")


def test_where_nothing_was_learned_no_file_is_written_and_an_old_one_stays(mock: Mock, tmp_path: Path) -> None:
    learned = tmp_path / "learned.toml"
    learned.write_text("as it was")
    with recording(mock.url, "--learn", str(learned)) as recorder:
        assert call(recorder, key="sk-test-revoked").status_code == 401
        code, _ = recorder.stop()
    assert (code, learned.read_text()) == (4, "as it was")
    assert "nothing was learned" in recorder.complaints()


def test_no_key_and_no_text_is_in_anything_that_is_said_or_written(mock: Mock, tmp_path: Path) -> None:
    learned, report = tmp_path / "learned.toml", tmp_path / "report.json"
    with recording(mock.url, "--learn", str(learned), "--report", str(report)) as recorder:
        spoken = "".join(re.findall(r'"response":"([^"]+)"', call(recorder).text)).split()
        call(recorder, key=SECRET)
        call(recorder, {"messages": [{"role": SECRET, "content": SECRET}], "api_key": SECRET})
        _, said = recorder.stop()
    everything = said + recorder.complaints() + learned.read_text() + report.read_text()
    assert SECRET[:8] not in everything
    assert "sk-test-unlimited" not in everything
    assert "Tuesday" not in everything
    assert not [word for word in spoken if len(word) > 6 and word in learned.read_text()]


def says_page(connection: socket.socket, _: bytes) -> None:
    connection.sendall(answer("200 OK", b"<html>", "Content-Type: text/html"))


@pytest.mark.parametrize(
    ("serve", "says_what"),
    [
        (says_page, "is no such gateway: POST /v1/llm/auto there is answered with 200, without a key"),
        (says(answer("404 Not Found", b"")), "is no such gateway: POST /v1/llm/auto there is answered with 404"),
        (says(answer("301 Moved", b"", "Location: /")), "redirects (301); give the gateway's own address as --target"),
        (says(b"220 mail.example ESMTP\r\n"), "does not answer: it is not HTTP"),
        (resets, "does not answer: the connection broke"),
    ],
)
def test_what_is_no_such_gateway_is_refused(refused: Callable[..., str], serve: Serve, says_what: str) -> None:
    with serving(serve) as url:
        assert says_what in refused("proxy", "--port", "0", "--target", url)


def test_nobody_there_is_refused(refused: Callable[..., str]) -> None:
    with socket.create_server(("127.0.0.1", 0)) as listener:
        port = listener.getsockname()[1]
    said = refused("proxy", "--port", "0", "--target", f"http://127.0.0.1:{port}")
    assert said.endswith("does not answer: no connection: connection refused; is the gateway running there?")


def test_wrong_usage_is_refused_in_one_line(refused: Callable[..., str], mock: Mock, tmp_path: Path) -> None:
    here = ("proxy", "--port", "0")
    assert "--target" in refused(*here)
    assert "is not a base URL" in refused(*here, "--target", "ftp://x")
    assert "no such directory" in refused(*here, "--target", mock.url, "--learn", str(tmp_path / "no" / "x.toml"))
    assert "is a directory" in refused(*here, "--target", mock.url, "--report", str(tmp_path))
    same = str(tmp_path / "x")
    assert "the same file" in refused(*here, "--target", mock.url, "--learn", same, "--report", same)
    assert "choose another --port" in refused("proxy", "--port", str(mock.port), "--target", mock.url)


def test_the_help_names_every_option_and_the_page_explains_each(capsys: pytest.CaptureFixture[str]) -> None:
    with pytest.raises(SystemExit) as ended:
        main(["proxy", "--help"])
    assert ended.value.code == 0
    options = set(re.findall(r"--[a-z-]+", capsys.readouterr().out)) - {"--help", "--world"}
    assert options >= {"--target", "--learn", "--report", "--judge", "--host", "--port", "--inconclusive-ok"}
    assert [option for option in sorted(options) if f"`{option}" not in PAGE] == []

"""Unusual framings over a real socket, and clients that see no difference."""

from __future__ import annotations

import json
import shutil
import subprocess
from collections.abc import Callable
from typing import Any

import httpx
import pytest

from mock_server.core.faults import FRAMINGS
from tests.mock_server.tape import Planned, tape_of
from tests.mock_server.wire import PATH, Mock, chat, data_of, heads

KEY = "sk-test-pro"
STEADY: dict[str, Any] = {"strategy": {"models": ["slow/steady"]}, "max_tokens": 12}
CHINESE = "写一个产品介绍"


@pytest.mark.parametrize("framing", FRAMINGS)
@pytest.mark.parametrize("fault", ["eof;after=3", "reset;after=3", "fin;stage=before_usage", "eof;stage=before_done"])
def test_a_fault_strikes_at_the_same_place_in_any_framing(
    steady_mock: Mock, test: str, fault: str, framing: str, plan: Callable[..., Planned]
) -> None:
    body = chat(CHINESE, **STEADY, stream=True)
    expected = plan(body, key=KEY, test=test)
    with steady_mock.connect() as connection:
        tape = tape_of(connection, body, key=KEY, test=test, fault=f"{fault};framing={framing}")
    shown = 3 if "after" in fault else len(expected.pieces)
    found = [json.loads(data)["response"] for data, _ in tape.events]
    assert found[: shown + 1] == ["", *(text for text, _ in expected.pieces[:shown])]
    assert len(found) == shown + 1 + ("before_done" in fault)


def framed(mock: Mock, framing: str, test: str) -> bytes:
    """The bytes of a stream in this framing, and a check that chunks are the writes it asks for."""
    with mock.connect() as connection:
        tape = tape_of(connection, chat(CHINESE, **STEADY, stream=True), key=KEY, test=test, fault=f"framing={framing}")
    assert tape.ending == "complete"
    writes = [chunk.data for chunk in tape.chunks]
    body = tape.body
    assert {
        "comments": lambda: body.count(b": a comment\n") == body.count(b"data: "),
        "crlf": lambda: body.count(b"\n") == body.count(b"\r\n") == 2 * body.count(b"data: "),
        "coalesced": lambda: writes[0].count(b"\n\n") == 8 and len(writes) == -(-body.count(b"\n\n") // 8),
        "bytewise": lambda: {len(write) for write in writes} == {1},
        "split_utf8": lambda: sum(write[-1] >= 0xC0 for write in writes) == sum(byte >= 0xC0 for byte in body) > 10,
        "multiline": lambda: body.count(b"data: ") > 3 * len(data_of(body)),
        "retry_lines": lambda: (
            body.count(b"\nretry: 3000\nid: ") == body.count(b"event: ping\n\n") == len(data_of(body))
        ),
    }[framing]()
    return body


@pytest.mark.parametrize("framing", FRAMINGS)
def test_an_unusual_framing_is_no_failure_and_says_the_same(
    steady_mock: Mock, test: str, framing: str, plan: Callable[..., Planned]
) -> None:
    expected = plan(chat(CHINESE, **STEADY, stream=True), key=KEY, test=test)
    *documents, last = data_of(framed(steady_mock, framing, test))
    found = [json.loads(document) for document in documents]
    assert (last, found[-1]["usage"]) == ("[DONE]", expected.usage)
    assert [document["response"] for document in found[1:-1]] == [text for text, _ in expected.pieces]
    entry = steady_mock.control("requests", test=test)["entries"][0]
    assert (entry["fault"], entry["ending"]) == (f"framing={framing}", "complete")
    assert entry["charged"] == expected.usage["total_tokens"]


@pytest.mark.parametrize("framing", FRAMINGS)
def test_httpx_reads_any_framing(steady_mock: Mock, test: str, framing: str, plan: Callable[..., Planned]) -> None:
    body = chat(CHINESE, **STEADY, stream=True)
    expected = plan(body, key=KEY, test=test)
    headers = heads(KEY, test) | {"X-Mock-Fault": f"framing={framing}"}
    with httpx.stream("POST", steady_mock.url + PATH, json=body, headers=headers, timeout=20.0) as answer:
        text = "".join(answer.iter_text())
    *documents, last = data_of(text.encode())
    assert "".join(json.loads(document)["response"] for document in documents) == expected.text
    assert last == "[DONE]"


NODE = """
const [url, body, headers] = process.argv.slice(1);
const answer = await fetch(url, {method: "POST", body, headers: JSON.parse(headers)});
const decoder = new TextDecoder();
let rest = "", data = [], text = "", done = false;
for await (const bytes of answer.body) {
  rest += decoder.decode(bytes, {stream: true});
  let end;
  while ((end = rest.search(/\\r\\n|\\n|\\r(?=[^])/)) >= 0) {
    const line = rest.slice(0, end);
    rest = rest.slice(end + (rest.startsWith("\\r\\n", end) ? 2 : 1));
    if (line.startsWith("data:")) data.push(line.slice(5).replace(/^ /, ""));
    if (line === "" && data.length) {
      const event = data.join("\\n");
      data = [];
      if (event === "[DONE]") done = true; else text += JSON.parse(event).response;
    }
  }
}
console.log(JSON.stringify({text, done}));
"""


@pytest.mark.parametrize("framing", FRAMINGS)
def test_a_correct_reader_on_nodes_fetch_survives_any_framing(
    steady_mock: Mock, test: str, framing: str, plan: Callable[..., Planned]
) -> None:
    node = shutil.which("node")
    if node is None:
        pytest.fail("this test needs Node.js 18 or newer", pytrace=False)
    body = chat(CHINESE, **STEADY, stream=True)
    expected = plan(body, key=KEY, test=test)
    headers = heads(KEY, test) | {"X-Mock-Fault": f"framing={framing}"}
    command = [node, "--input-type=module", "-e", NODE, steady_mock.url + PATH, json.dumps(body), json.dumps(headers)]
    run = subprocess.run(command, capture_output=True, text=True, timeout=30, check=False)
    assert (run.returncode, run.stderr) == (0, "")
    assert json.loads(run.stdout) == {"text": expected.text, "done": True}


BROKEN = """
const [url, body, headers] = process.argv.slice(1);
const answer = await fetch(url, {method: "POST", headers: JSON.parse(headers), body});
let text = "", end = "";
try {
  for await (const piece of answer.body) text += new TextDecoder().decode(piece);
} catch (error) { end = error.cause.code; }
console.log(JSON.stringify({pieces: text.split('"response":').length - 2, end}));
"""


@pytest.mark.parametrize(("kind", "end"), [("reset", "ECONNRESET"), ("fin", "UND_ERR_SOCKET")])
def test_nodes_fetch_reads_the_pieces_before_a_break_and_tells_a_reset_from_a_close(
    steady_mock: Mock, test: str, kind: str, end: str
) -> None:
    node = shutil.which("node")
    if node is None:
        pytest.fail("this test needs Node.js 18 or newer", pytrace=False)
    body = chat(**STEADY, stream=True)
    headers = heads(KEY, test) | {"X-Mock-Fault": f"{kind};stage=mid_stream;after=3"}
    command = [node, "--input-type=module", "-e", BROKEN, steady_mock.url + PATH, json.dumps(body), json.dumps(headers)]
    for _ in range(5):
        run = subprocess.run(command, capture_output=True, text=True, timeout=30, check=False)
        assert json.loads(run.stdout) == {"pieces": 3, "end": end}, run.stderr

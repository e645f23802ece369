"""Code examples of the API's one call, plain and streamed, by language.

All say the documented request; the Node.js one is, word for word, the documentation's own.
"""

from __future__ import annotations

import json
from string import Template
from typing import Any, Final

import msgspec

from mock_server.contract.endpoints import BASE_URL, LLM_AUTO, PLACEHOLDER_KEY
from mock_server.contract.examples import DOCUMENTED_REQUEST
from mock_server.contract.messages import DONE
from mock_server.contract.provenance import DOCUMENTED, Provenance, assumed


class Snippet(msgspec.Struct, frozen=True):
    """One example: ``language`` as readers call it, ``syntax`` of its text, the code itself, which needs a newline."""

    language: str
    syntax: str
    code: str
    provenance: Provenance


class _Literals(msgspec.Struct, frozen=True):
    """How a language writes a value."""

    false: str
    true: str
    quoted_keys: bool = True
    padding: str = ""


_JSON: Final = _Literals("false", "true")
_PYTHON: Final = _Literals("False", "True")
_JAVASCRIPT: Final = _Literals("false", "true", quoted_keys=False, padding=" ")


def _literal(value: Any, style: _Literals) -> str:
    """A JSON value as a literal of the language, on one line."""
    if isinstance(value, bool):
        return style.true if value else style.false
    if isinstance(value, list):
        return f"[{', '.join(_literal(item, style) for item in value)}]"
    if isinstance(value, dict):
        pairs = ", ".join(f"{_key(key, style)}: {_literal(item, style)}" for key, item in value.items())
        return f"{{{style.padding}{pairs}{style.padding}}}"
    return json.dumps(value, ensure_ascii=False)


def _key(key: str, style: _Literals) -> str:
    return json.dumps(key) if style.quoted_keys else key


def _body(stream: bool, style: _Literals, indent: str, *, trailing_comma: bool = False) -> str:
    """The members of the documented request, one to a line, without the braces around them."""
    request = DOCUMENTED_REQUEST | {"stream": stream}
    lines = [f"{indent}{_key(key, style)}: {_literal(value, style)}" for key, value in request.items()]
    return ",\n".join(lines) + ("," if trailing_comma else "")


_CURL: Final = """\
curl $options$url \\
  -H "Authorization: Bearer $key" \\
  -H "Content-Type: application/json" \\
  -d '{
$body
  }'
"""

_HTTPX: Final = """\
import httpx

response = httpx.post(
    "$url",
    headers={"Authorization": "Bearer $key"},
    json={
$body
    },
    timeout=120,
)
response.raise_for_status()
print(response.json()["response"])
"""

_HTTPX_STREAM: Final = """\
import json

import httpx

with httpx.stream(
    "POST",
    "$url",
    headers={"Authorization": "Bearer $key"},
    json={
$body
    },
    timeout=120,
) as response:
    response.raise_for_status()
    for line in response.iter_lines():
        if not line.startswith("data:"):
            continue
        data = line.removeprefix("data:").strip()
        if data == "$done":
            break
        event = json.loads(data)
        if "error" in event:
            raise RuntimeError(event["error"]["message"])
        print(event["response"], end="", flush=True)
"""

_REQUESTS: Final = """\
import requests

response = requests.post(
    "$url",
    headers={"Authorization": "Bearer $key"},
    json={
$body
    },
    timeout=120,
)
response.raise_for_status()
print(response.json()["response"])
"""

_REQUESTS_STREAM: Final = """\
import json

import requests

with requests.post(
    "$url",
    headers={"Authorization": "Bearer $key"},
    json={
$body
    },
    stream=True,
    timeout=120,
) as response:
    response.raise_for_status()
    for line in response.iter_lines():
        if not line.startswith(b"data:"):
            continue
        data = line.removeprefix(b"data:").strip()
        if data == b"$done":
            break
        event = json.loads(data)
        if "error" in event:
            raise RuntimeError(event["error"]["message"])
        print(event["response"], end="", flush=True)
"""

_NODE: Final = """\
import fetch from "node-fetch";

const res = await fetch("$url", {
  method: "POST",
  headers: {
    Authorization: "Bearer $key",
    "Content-Type": "application/json"
  },
  body: JSON.stringify({
$body
  })
});

const data = await res.json();
console.log(data.response);
"""

_NODE_STREAM: Final = """\
const res = await fetch("$url", {
  method: "POST",
  headers: {
    Authorization: "Bearer $key",
    "Content-Type": "application/json"
  },
  body: JSON.stringify({
$body
  })
});
if (!res.ok) throw new Error((await res.json()).error.message);

const decoder = new TextDecoder();
let rest = "";
for await (const chunk of res.body) {
  const lines = (rest + decoder.decode(chunk, { stream: true })).split("\\n");
  rest = lines.pop();
  for (const line of lines) {
    if (!line.startsWith("data:")) continue;
    const data = line.slice("data:".length).trim();
    if (data === "$done") break;
    const event = JSON.parse(data);
    if (event.error) throw new Error(event.error.message);
    process.stdout.write(event.response);
  }
}
"""

_GO_REQUEST: Final = """\
	body := strings.NewReader(`{
$body
	}`)
	req, err := http.NewRequest(http.MethodPost, "$url", body)
	if err != nil {
		log.Fatal(err)
	}
	req.Header.Set("Authorization", "Bearer $key")
	req.Header.Set("Content-Type", "application/json")

	res, err := http.DefaultClient.Do(req)
	if err != nil {
		log.Fatal(err)
	}
	defer res.Body.Close()"""

_GO: Final = """\
package main

import (
	"encoding/json"
	"fmt"
	"log"
	"net/http"
	"strings"
)

func main() {
$request

	var data struct {
		Response string `json:"response"`
	}
	if err := json.NewDecoder(res.Body).Decode(&data); err != nil {
		log.Fatal(err)
	}
	fmt.Println(data.Response)
}
"""

_GO_STREAM: Final = """\
package main

import (
	"bufio"
	"encoding/json"
	"fmt"
	"log"
	"net/http"
	"strings"
)

func main() {
$request
	if res.StatusCode != http.StatusOK {
		log.Fatal(res.Status)
	}

	lines := bufio.NewScanner(res.Body)
	for lines.Scan() {
		data, found := strings.CutPrefix(lines.Text(), "data:")
		data = strings.TrimSpace(data)
		if !found || data == "$done" {
			continue
		}
		var event struct {
			Response string `json:"response"`
			Error    *struct {
				Message string `json:"message"`
			} `json:"error"`
		}
		if err := json.Unmarshal([]byte(data), &event); err != nil {
			log.Fatal(err)
		}
		if event.Error != nil {
			log.Fatal(event.Error.Message)
		}
		fmt.Print(event.Response)
	}
	if err := lines.Err(); err != nil {
		log.Fatal(err)
	}
}
"""


def snippets(*, stream: bool, base_url: str = BASE_URL, key: str = PLACEHOLDER_KEY) -> tuple[Snippet, ...]:
    """The examples in the order of the page, for a gateway at ``base_url``."""

    def fill(template: str, body: str) -> str:
        options = "-N " if stream else ""
        return Template(template).substitute(
            url=base_url + LLM_AUTO.path, key=key, body=body, done=DONE, options=options
        )

    ours = assumed("not in the documentation, which has Node.js alone; says the same request")
    go = (_GO_STREAM if stream else _GO).replace("$request", _GO_REQUEST)
    python = _body(stream, _PYTHON, " " * 8, trailing_comma=True)
    return (
        Snippet("curl", "shell", fill(_CURL, _body(stream, _JSON, " " * 4)), ours),
        Snippet("Python (httpx)", "python", fill(_HTTPX_STREAM if stream else _HTTPX, python), ours),
        Snippet("Python (requests)", "python", fill(_REQUESTS_STREAM if stream else _REQUESTS, python), ours),
        Snippet(
            "Node.js",
            "javascript",
            fill(_NODE_STREAM if stream else _NODE, _body(stream, _JAVASCRIPT, " " * 4)),
            ours if stream else DOCUMENTED,
        ),
        Snippet("Go", "go", fill(go, _body(stream, _JSON, "\t\t")), ours),
    )

"""Runs the programs of the zoo through a plan of failures, and collects what each told and what the mock saw of it."""

from __future__ import annotations

import json
import os
import subprocess
import threading
from collections.abc import Iterator, Mapping, Sequence
from contextlib import ExitStack, contextmanager
from itertools import islice
from pathlib import Path
from typing import Any, Final, NamedTuple

import msgspec

from mock_server.edge.journal import Entry
from mock_server.judge.finding import Result
from mock_server.judge.streams import NO_TIMEOUT_S
from tests.mock_server.wire import UNLIMITED, Mock

TIMEOUT_S: Final = 3.0
"""Every client's time-out for a silent connection."""
PATIENCE_S: Final = 3.0
"""A program that has not ended so long after its last call but one is waiting still."""
WITHIN_S: Final = 120.0
WORLD: Final = """
extends = "instant"
latency_scale = 1.0

[[answers]]
match = { regex = "^(?!.*slow)" }
replies = [{ text = "one two three four five six seven" }]

[models."zoo/slow"]
ttft = { law = "constant", ms = 300.0 }
tokens_per_s = 2.8
window = 100_000
price_in = 0.0
price_out = 0.0
quality = 0.0
"""


class Scene(NamedTuple):
    """One call of a program, of a kind of its command line, and what its tries meet: so many of them, one fault.

    In place of a fault it may be ``replies``, as the control plane takes them.
    """

    name: str
    kind: str = "plain"
    strikes: Mapping[str, Any] | None = None
    times: int = 1

    @property
    def call(self) -> str:
        """The call in the words of the command line; no name is a part of another."""
        return f"{self.kind}@[{self.name}]"


class Told(NamedTuple):
    """What a program told of one call."""

    call: str
    pieces: list[str]
    complete: bool
    error: list[str]

    @property
    def outcome(self) -> str:
        """What its application made of the answer, in the words of an attestation."""
        return "error" if self.error else "ok" if self.complete else "partial"


class Played(NamedTuple):
    """What the mock saw of each scene, a program's tries in order; and of the last, whether it waited still."""

    entries: dict[str, list[Entry]]
    told: dict[str, Told]
    waiting: bool


def queue(mock: Mock, test: str, scenes: Sequence[Scene]) -> None:
    """Let the scenes' faults strike the calls of a test."""
    for scene in scenes:
        if scene.strikes is not None:
            match = {"text": f"[{scene.name}]"}
            if "replies" in scene.strikes:
                post(mock, "answers", {"match": {"contains": match["text"]}, **scene.strikes}, test)
            else:
                post(mock, "faults", {"match": match, "times": scene.times, **scene.strikes}, test)


def post(mock: Mock, path: str, body: object, test: str) -> None:
    """Tell the control plane something about a test."""
    answer = mock.http.post(f"/__mock__/{path}", json=body, headers={"X-Mock-Test": test})
    assert answer.status_code == 200, answer.text


def entries(mock: Mock, test: str) -> list[Entry]:
    """The journal of a test, in the order in which its requests came."""
    listed = mock.control("requests", test=test, limit=1_000)["entries"]
    return sorted(msgspec.convert(listed, list[Entry]), key=lambda entry: entry.arrived_unix_s)


def attest(mock: Mock, entry: Entry, outcome: str) -> None:
    """Say what the application made of an answer."""
    post(mock, f"outcomes/{entry.request_id}", {"outcome": outcome}, entry.test)


def outwait(mock: Mock, test: str) -> None:
    """Let the test's clock pass more time than any known client waits for an answer, while one waits still."""
    post(mock, "clock", {"advance": NO_TIMEOUT_S + 60.0}, test)


@contextmanager
def started(
    command: Sequence[str], environment: Mapping[str, str], folder: Path | None = None
) -> Iterator[subprocess.Popen[bytes]]:
    """A program at work, which is stopped at the end, or when it takes too long."""
    with subprocess.Popen(
        command,
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        bufsize=0,  # lines are read one by one, and none is to be lost to a buffer
        env=os.environ | environment,
        cwd=folder,
    ) as program:
        too_long = threading.Timer(WITHIN_S, program.kill)
        too_long.start()
        try:
            yield program
        finally:
            too_long.cancel()
            program.kill()


def play(
    mock: Mock,
    test: str,
    command: Sequence[str],
    scenes: Sequence[Scene],
    starting: threading.Semaphore,
    folder: Path | None = None,
    patience_s: float = WITHIN_S,
) -> Played:
    """Run a program through the scenes, and attest what it made of each; stop it where the last takes too long.

    ``starting`` limits how many start at once: what takes all cores for a second looks like a silent server.
    """
    queue(mock, test, scenes)
    known = {"LLM_BASE_URL": mock.url, "LLM_API_KEY": UNLIMITED, "LLM_TEST_ID": test, "LLM_TIMEOUT_S": str(TIMEOUT_S)}
    with ExitStack() as stack:
        with starting:
            program = stack.enter_context(started([*command, *(scene.call for scene in scenes)], known, folder))
            assert program.stdout is not None
            lines = list(islice(program.stdout, min(1, len(scenes) - 1)))
        lines += islice(program.stdout, max(0, len(scenes) - 2))
        try:
            last, complaints = program.communicate(timeout=patience_s)
            assert program.returncode == 0, complaints.decode()
            lines.append(last)
        except subprocess.TimeoutExpired:
            assert len(lines) == len(scenes) - 1
            outwait(mock, test)
    mock.control("requests/wait", test=test, count=len(scenes))
    told = {scene.name: Told(**json.loads(line)) for scene, line in zip(scenes, lines, strict=False)}
    assert [one.call for one in told.values()] == [scene.call for scene in scenes][: len(told)]
    seen = by_scene(scenes, entries(mock, test))
    for name, one in told.items():
        attest(mock, seen[name][-1], one.outcome)
    return Played(seen, told, len(told) < len(scenes))


def by_scene(scenes: Sequence[Scene], seen: Sequence[Entry]) -> dict[str, list[Entry]]:
    """Requests by the scene they belong to: a program plays one after the other, each with a body of its own."""
    by_body: dict[str, list[Entry]] = {}
    for entry in seen:
        by_body.setdefault(entry.body_hash, []).append(entry)
    return dict(zip((scene.name for scene in scenes), by_body.values(), strict=True))


def ruled(mock: Mock, test: str) -> dict[str, Result]:
    """What the verdict on a test says, rule by rule."""
    return {rule["rule"]: rule["result"] for rule in mock.control("verdict", test=test)["rules"]}

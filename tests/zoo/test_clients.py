"""Real clients get all that was sent before an answer breaks, and see of the break what the documentation says."""

from __future__ import annotations

import json
import os
import re
import signal
import subprocess
from collections import Counter
from collections.abc import Iterator
from concurrent.futures import Future, ThreadPoolExecutor
from contextlib import suppress
from typing import NamedTuple

import pytest

from mock_server.core.faults import FRAMINGS, parse_fault
from tests.mock_server.conftest import running
from tests.mock_server.wire import UNLIMITED, Mock, chat, events
from zoo.clients import Client, Names, Reader, clients
from zoo.programs import ROOT, version
from zoo.retries import retriers

TIMES = 20
AFTER = 3
AT_ONCE = 3
"""Programs: most of the time each waits for the mock to break."""
WITHIN_S = 300.0
TEXT = "从前，海边住着一位老人。他说：“大海 never sleeps”，于是船队连夜出发，去寻找会唱歌的鲸🐋。"
WORLD = f"""
extends = "instant"

[[answers]]
match = {{ contains = "大海" }}
replies = [{{ text = "{TEXT}" }}]
"""
PLAIN, STREAM = "plain", "stream"
BREAKS = {
    **{f"plain:{fault};stage=before_first_token": ("before_first_token", fault) for fault in ("reset", "fin")},
    **{f"stream:{fault}": ("before_headers", fault) for fault in ("reset", "fin")},
    **{f"stream:{fault};after={AFTER}": ("mid_stream", fault) for fault in ("reset", "fin")},
    **{f"plain:{fault}": ("before_headers", fault) for fault in ("reset", "fin")},
}
"""Calls that break, each with the place and the kind of the break."""
REUSED = ("plain:reset", "plain:fin")
"""Those of them that are made on a connection that was used before; the others come each after a broken one."""
CLEAN_END = f"stream:eof;after={AFTER}"
FRAMED = {f"stream:framing={framing}": framing for framing in FRAMINGS}
READERS = [(client, reader) for client in clients() for reader in client.readers]


class Told(NamedTuple):
    """What a program told of one call."""

    call: str
    pieces: list[str]
    complete: bool
    error: list[str]


class Run(NamedTuple):
    """What a program told of its calls, and how often the mock saw each."""

    client: Client
    reader: Reader
    told: list[Told]
    sent: Counter[str]

    def of(self, call: str) -> list[Told]:
        """What was told of the calls asked for in these words."""
        found = [told for told in self.told if told.call == call]
        assert found
        return found


def calls() -> list[str]:
    """All calls of one program, in order."""
    fresh = [call for call in [*BREAKS, CLEAN_END] if call not in REUSED]
    return [
        *(call for call in fresh for _ in range(TIMES)),
        *FRAMED,
        *(one for call in REUSED for _ in range(TIMES) for one in (PLAIN, call)),
    ]


def told_by(client: Client, reader: Reader, mock: Mock) -> Run:
    """Run a program with all calls."""
    environment = os.environ | {"LLM_BASE_URL": mock.url, "LLM_API_KEY": UNLIMITED, "LLM_TEST_ID": reader.program}
    asked = calls()
    with subprocess.Popen(
        [*client.command(reader), *asked], stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True, env=environment
    ) as program:
        try:
            out, complaints = program.communicate(timeout=WITHIN_S)
        except BaseException:
            program.send_signal(signal.SIGINT)  # lets it end its browser
            with suppress(subprocess.TimeoutExpired):
                program.communicate(timeout=10)
            program.kill()
            raise
    assert program.returncode == 0, complaints
    told = [Told(**json.loads(line)) for line in out.splitlines()]
    assert [one.call for one in told] == asked
    return Run(client, reader, told, sent(mock, reader.program))


def sent(mock: Mock, test: str) -> Counter[str]:
    """How often the mock saw each call, in the words of the programs' command line, with the fault in full."""
    entries = mock.control("requests", test=test, limit=1_000)["entries"]
    return Counter(f"{STREAM if entry['stream'] else PLAIN}:{entry['fault']}" for entry in entries)


@pytest.fixture(scope="module")
def zoo_mock(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Mock]:
    path = tmp_path_factory.mktemp("zoo") / "zoo.toml"
    path.write_text(WORLD, encoding="utf-8")
    with running("--world", str(path)) as mock:
        yield mock


@pytest.fixture(scope="module")
def runs(zoo_mock: Mock) -> Iterator[dict[str, Future[Run]]]:
    """What every program told that runs here."""
    with ThreadPoolExecutor(AT_ONCE) as pool:
        yield {
            f"{client.environment}.{reader.program}": pool.submit(told_by, client, reader, zoo_mock)
            for client, reader in READERS
            if client.lacks(reader) is None
        }


@pytest.fixture(scope="module")
def promised(zoo_mock: Mock) -> list[str]:
    """The pieces of the whole answer, in order."""
    answer = zoo_mock.call(chat("大海", stream=True), test="promised")
    return [text for event in events(answer.content)[0] if (text := event["response"])]


def test_every_client_sees_what_is_documented(
    runs: dict[str, Future[Run]], promised: list[str], subtests: pytest.Subtests
) -> None:
    """All in one test, so that tests that run side by side share what the programs did."""
    for client, reader in READERS:
        with subtests.test(client=reader.program):
            if lacking := client.lacks(reader):
                pytest.skip(f"{reader.program}: {lacking}")
            run = runs[f"{client.environment}.{reader.program}"].result()
            breaks_are_seen_as_documented_and_never_before_what_was_sent(run, promised)
            a_clean_end_is_no_error(run, promised)
            framings_are_survived_as_documented(run, promised)
            calls_are_sent_again_as_documented(run)


def breaks_are_seen_as_documented_and_never_before_what_was_sent(run: Run, promised: list[str]) -> None:
    for call, (place, fault) in BREAKS.items():
        pieces = promised[:AFTER] if place == "mid_stream" else []
        error: Names = getattr(getattr(run.client, place), fault)
        ends = Counter((tuple(told.pieces), told.complete, tuple(told.error)) for told in run.of(call))
        assert ends == {(tuple(pieces), False, error): TIMES}, call


def a_clean_end_is_no_error(run: Run, promised: list[str]) -> None:
    times = 2 if CLEAN_END in run.reader.again else 1
    for told in run.of(CLEAN_END):
        assert told == Told(CLEAN_END, promised[:AFTER] * times, False, [])


def framings_are_survived_as_documented(run: Run, promised: list[str]) -> None:
    for call, framing in FRAMED.items():
        (told,) = run.of(call)
        if framing in run.reader.breaks_on:
            assert (told.complete, bool(told.error)) == (False, True), call
        else:
            assert told == Told(call, promised, True, [])


def calls_are_sent_again_as_documented(run: Run) -> None:
    calls = [*BREAKS, CLEAN_END]
    again = {call: TIMES * (2 if call in run.reader.again else 1) for call in calls}
    assert {call: run.sent[in_full(call)] for call in calls} == again


def in_full(call: str) -> str:
    """A call with all that its fault leaves unsaid."""
    kind, _, fault = call.partition(":")
    return f"{kind}:{parse_fault(fault).text()}"


def test_every_program_has_a_row_and_the_other_way_round() -> None:
    programs = [("python", path.stem) for path in (ROOT / "python").glob("*.py") if path.stem != "calls"]
    programs += [("node", path.stem) for path in (ROOT / "node").glob("*.mjs") if path.stem != "calls"]
    programs += [("go", path.parent.name) for path in (ROOT / "go").glob("*/main.go")]
    reading = [
        ("python" if client.environment == "browser" else client.environment, reader) for client, reader in READERS
    ]
    known: list[tuple[str, str]] = [(environment, reader.program) for environment, reader in reading]
    known += [(retrier.environment, retrier.program) for retrier in retriers() if retrier.program]
    assert sorted(known) == sorted(programs)


def test_what_is_installed_is_pinned_by_hash_and_names_no_host() -> None:
    for folder in ("python", "go"):
        text = (ROOT / folder / "requirements.txt").read_text()
        entries = re.split(r"\n(?=\S)", re.sub(r"^#.*\n", "", text, flags=re.MULTILINE).strip())
        assert [entry for entry in entries if "==" not in entry or "--hash=sha256:" not in entry] == []
        assert "://" not in text
    packages = json.loads((ROOT / "node" / "package-lock.json").read_text())["packages"]
    assert [
        name for name, entry in packages.items() if name and ("integrity" not in entry or "resolved" in entry)
    ] == []
    sources = (ROOT / "go" / "retryablehttp" / "sources.sha256").read_text()
    assert f"go-retryablehttp-dev_{version('go', 'go-retryablehttp')}-" in sources
    assert re.fullmatch(r"([0-9a-f]{64}  [\w.-]+\.deb\n)+", sources)

"""Virtual time against real time: what a run says is the same wherever load does not decide it.

The real runs ask a mock whose clock jumps ahead whenever all that is in flight waits, so that its moments are those of
its plan and not of this machine; its journal tells them.
"""

from __future__ import annotations

import json
import urllib.request
from collections import Counter
from collections.abc import Callable, Iterable
from pathlib import Path
from typing import Any

import pytest

from mock_server.contract.accounts import LOAD_TEST_KEY
from mock_server.launch import Launched, launch
from mock_server.virtual import Agenda
from scenarios.command.options import parser
from scenarios.command.prepare import effective, plan_of
from scenarios.model.policy import Policy
from scenarios.players.virtual import VirtualPlayer
from scenarios.wire.reader import Reader, Reading
from tests.scenarios.conftest import LoadTest, read_rows
from tests.scenarios.ledgers import Kept

WORLD = str(Path(__file__).with_name("unloaded.toml"))
# Of a row, all but wall times, and the id, whose number counts what is asked of the control plane too.
TOLD = (
    *("call_id", "kind", "outcome", "status", "error_code", "provider", "model", "attempts", "prompt_tokens"),
    *("completion_tokens", "stream", "chunks", "planned_ms", "planned_first_ms", "wasted_ms", "key", "expected"),
)
LOADS = {"closed": 'kind = "closed"\nusers = 1', "open": 'kind = "open"\nrate_per_s = 60'}
SCENARIO = """
name = "proof"
world = "instant"
duration_s = 2
timeout_s = 600
[load]
{load}
[workload]
tasks = {{ conversation = 1, code = 1 }}
keys = {{ sk-test-unlimited = 9, sk-test-revoked = 1 }}
streamed = 0.5
chinese = 0.3
max_tokens = 60
prompt_tokens = {{ constant = 30 }}
[client]
policy = "rude"
"""


def scenario_of(kind: str, folder: Path) -> str:
    if kind == "smoke":
        return kind
    path = folder / f"{kind}.toml"
    path.write_text(SCENARIO.format(load=LOADS[kind]), "utf-8")
    return str(path)


def virtual_rows(scenario: str, *words: str) -> list[dict[str, Any]]:
    """The rows of a run in virtual time, played in this process."""
    args = parser().parse_args(["run", scenario, "--virtual", "--world", WORLD, *words])
    kept = Kept()
    VirtualPlayer(plan_of(args, [], effective(args), "r", None), kept, LOAD_TEST_KEY).play(lambda: False)
    return [{name: getattr(row, name) for name in row.__struct_fields__} for row in kept.rows]


class Real:
    """What a run in real time recorded, and the journal of its mock."""

    def __init__(self, mock: Launched, scenario: str, folder: Path, read: Callable[[Path], list[dict[str, Any]]]):
        self._mock = mock
        out = folder / "run"
        key = ("--api-key", LOAD_TEST_KEY, "--target-is-mock")
        code, _, err = LoadTest("run", scenario, "--target", mock.url, *key, "--out", str(out), cwd=folder).finish(120)
        assert (code, err) == (0, "")
        self.rows = read(out)
        self.entries = {entry["request_id"]: entry for entry in self._control("requests?limit=1000000")["entries"]}

    def _control(self, what: str) -> Any:
        with urllib.request.urlopen(f"{self._mock.url}/__mock__/{what}") as answer:
            return json.load(answer)


def canonical(rows: Iterable[dict[str, Any]], moments: Callable[[dict[str, Any]], tuple[float, ...]]) -> list[Any]:
    """What each try says, in the order of calls and tries, and its moments on the world's clock, ms."""
    ordered = sorted(rows, key=lambda row: (row["call_id"], row.get("try", row.get("attempt"))))
    return [
        [row.get("try", row.get("attempt")), *(row[name] for name in TOLD), *(round(at, 3) for at in moments(row))]
        for row in ordered
    ]


def of_real(real: Real, *, in_turn: bool) -> list[Any]:
    begin = min(entry["at_s"] for entry in real.entries.values())

    def moments(row: dict[str, Any]) -> tuple[float, ...]:
        entry = real.entries.get(row["request_id"])
        if entry is None:  # cut before anything was told
            return ()
        first, planned = (entry[name] if row["outcome"] == "ok" else 0.0 for name in ("first_ms", "planned_ms"))
        # Where several are in flight, the clock of one jumps ahead for another: only what was planned is their own.
        return (first, planned, entry["took_ms"], (entry["at_s"] - begin) * 1e3) if in_turn else (first, planned)

    return canonical(real.rows, moments)


def of_virtual(rows: list[dict[str, Any]], *, in_turn: bool) -> list[Any]:
    begin = min(row["sent_s"] for row in rows)

    def moments(row: dict[str, Any]) -> tuple[float, ...]:
        if row["request_id"] is None:
            return ()
        sent, took = row["sent_s"], (row["end_s"] - row["sent_s"]) * 1e3
        first, whole = ((row["first_byte_s"] - sent) * 1e3, took) if row["outcome"] == "ok" else (0.0, 0.0)
        return (first, whole, took, (sent - begin) * 1e3) if in_turn else (first, whole)

    return canonical(rows, moments)


def shared(one: list[Any], other: list[Any]) -> tuple[list[Any], list[Any]]:
    """The calls that both have to their end: a closed load asks as often as time lets it."""
    last = min(rows[-1][1] for rows in (one, other))
    cut = [[row for row in rows if row[1] < last] for rows in (one, other)]
    return cut[0], cut[1]


@pytest.fixture(scope="module")
def real(tmp_path_factory: pytest.TempPathFactory) -> Callable[[str], Real]:
    known: dict[str, Real] = {}

    def run(kind: str) -> Real:
        if kind not in known:
            folder = tmp_path_factory.mktemp(kind)
            with launch("--world", WORLD, "--seed", "1") as mock:
                body = b'{"auto": true}'
                headers = {"Content-Type": "application/json"}
                urllib.request.urlopen(urllib.request.Request(f"{mock.url}/__mock__/clock", body, headers)).close()
                known[kind] = Real(mock, scenario_of(kind, folder), folder, read_rows)
        return known[kind]

    return run


@pytest.mark.parametrize("kind", ["smoke", "closed", "open"])
def test_where_load_does_not_decide_virtual_time_says_what_real_time_does(
    real: Callable[[str], Real], tmp_path: Path, kind: str
) -> None:
    words = ("--duration", "2000s") if kind == "closed" else ()
    in_turn = kind != "open"
    wanted = of_real(real(kind), in_turn=in_turn)
    got = of_virtual(virtual_rows(scenario_of(kind, tmp_path), *words), in_turn=in_turn)
    if kind == "closed":
        wanted, got = shared(wanted, got)
    assert got == wanted
    outcomes = Counter(row[3] for row in got)
    if kind != "smoke":
        assert len(got) > 60
        assert outcomes.keys() >= {"ok", "refused", "malformed", "connection", "stream_broken"}
        assert max(row[0] for row in got) >= 2


def seen_at_the_start(patch: pytest.MonkeyPatch) -> None:
    """The end of an answer is seen when it begins."""
    complete = Reader.complete

    def early(reader: Reader, now: float) -> Reading:
        return complete(reader, reader.reading.first_byte_s or now)

    patch.setattr(Reader, "complete", early)


def absolute_as_duration(patch: pytest.MonkeyPatch) -> None:
    """A moment is taken for the time until then."""
    at = Agenda.at
    patch.setattr(Agenda, "at", lambda agenda, moment, act: at(agenda, agenda.now + moment, act))


def lost_retry(patch: pytest.MonkeyPatch) -> None:
    """A call that failed is not tried again."""
    patch.setattr(Policy, "delay_s", lambda *_args, **_more: None)


@pytest.mark.parametrize("mutant", [seen_at_the_start, absolute_as_duration, lost_retry])
def test_the_proof_sees_planted_mistakes(
    real: Callable[[str], Real],
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
    mutant: Callable[[pytest.MonkeyPatch], None],
) -> None:
    scenario = scenario_of("closed", tmp_path)
    wanted = of_real(real("closed"), in_turn=True)
    mutant(monkeypatch)
    got = of_virtual(virtual_rows(scenario, "--duration", "300s"), in_turn=True)
    wanted, got = shared(wanted, got)
    assert got != wanted


def virtual_run(folder: Path, *words: str) -> Path:
    """The directory of a run by command, with its report."""
    folder.mkdir()
    code, _, err = LoadTest("run", *words, "--virtual", "--out", "run", cwd=folder, report=True).finish(300)
    assert (code, err) == (0, "")
    return folder / "run"


def test_the_same_seed_gives_the_same_files_in_another_process(tmp_path: Path) -> None:
    words = ("steady", "--rate", "30", "--duration", "20s", "--seed", "7")
    one, other = (virtual_run(tmp_path / name, *words) for name in ("one", "other"))
    names = {path.name for path in one.iterdir()}
    assert names >= {"samples.parquet", "manifest.json", "summary.json", "summary.md", "report.html"}
    assert "health.parquet" not in names
    assert not (one / ".parts").exists()
    assert {name for name in names if (one / name).read_bytes() != (other / name).read_bytes()} == set()


@pytest.mark.parametrize("name", ["smoke", "steady"])
def test_the_catalogue_passes_its_gates_in_virtual_time(tmp_path: Path, name: str) -> None:
    out = virtual_run(tmp_path / name, name)
    summary = json.loads((out / "summary.json").read_text("utf-8"))
    assert summary["verdict"]["verdict"] == "PASS"
    assert {gate["result"] for gate in summary["gates"]} == {"PASS"}
    assert summary["manifest"]["virtual"] is True
    assert summary["notes"][0].startswith("Virtual time: ")
    assert "virtual time" in (out / "summary.md").read_text("utf-8").lower()

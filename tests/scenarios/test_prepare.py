from __future__ import annotations

from pathlib import Path
from typing import Any

import msgspec
import pytest

from reports.gate import Gate, Scope
from scenarios.command.catalogue import find
from scenarios.command.options import UsageError, parser
from scenarios.command.prepare import effective, plan_of
from scenarios.model.load import Closed, Open, Stage, Stages
from scenarios.model.scenario import Scenario
from scenarios.record.manifest import write_manifest
from scenarios.record.plan import PLAN, call_of, load_plan, save, script_of, times_of

STEADY = find("steady")
OPEN = STEADY.load
assert isinstance(OPEN, Open)
HEAD = 'name = "mine"\nworld = "w.toml"\n'
RAMP = (
    HEAD
    + 'duration_s = 10\nload.kind = "open"\nload.rate_per_s = 1\nload.to_rate_per_s = 3\nload.arrivals = "constant"'
)
STAGES = HEAD + "[[load.stages]]\nfor_s = 5\nrate_per_s = 2\n[[load.stages]]\nfor_s = 3\nrate_per_s = 4"
CLOSED = HEAD + 'duration_s = 5\nload = { kind = "closed", users = 3, think_s = 2 }\nclient.policy = "polite"'
SCRIPT = (
    HEAD
    + """
duration_s = 5
load.kind = "script"
call = [
  { kind = "long", ask = "q", max_tokens = 500 },
  { kind = "open-ended", ask = "q" },
  { kind = "raw", body = '{"messages": []}' },
  { kind = "no-json", body = '{"messages": [' },
  { kind = "mock", ask = "q", max_tokens = 131_072, mock_only = true },
]
"""
)
REMOTE = ("--target", "https://gateway.example", "--api-key", "sk-gateway-1234")


@pytest.fixture
def mine(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    monkeypatch.delenv("LOAD_TEST_API_KEY", raising=False)
    return tmp_path / "mine.toml"


def made(scenario: str | Path, *words: str) -> Scenario:
    return effective(parser().parse_args(["run", str(scenario), *words]))


def refused(scenario: str | Path, *words: str) -> str:
    with pytest.raises(UsageError) as caught:
        made(scenario, *words)
    return str(caught.value)


@pytest.mark.parametrize(
    ("words", "changes"),
    [
        ((), {}),
        (("--rate", "5"), {"load": msgspec.structs.replace(OPEN, rate_per_s=5)}),
        (("--arrivals", "constant"), {"load": msgspec.structs.replace(OPEN, arrivals="constant")}),
        (
            ("--arrivals", "gamma", "--burstiness", "0.5"),
            {"load": msgspec.structs.replace(OPEN, arrivals="gamma", burstiness=0.5)},
        ),
        (("--users", "7"), {"load": Closed(users=7, think_s=OPEN.think_s)}),
        (("--duration", "1m", "--warmup", "0"), {"duration_s": 60, "warmup_s": 0}),
        (("--timeout", "3s"), {"timeout_s": 3}),
        (("--drain", "0", "--world", "calm"), {"drain_s": 0, "world": "calm"}),
    ],
)
def test_options_override_the_file(words: tuple[str, ...], changes: dict[str, Any]) -> None:
    assert made("steady", *words) == msgspec.structs.replace(STEADY, **changes)


def test_the_drain_follows_the_timeout_that_was_asked_for() -> None:
    assert made("steady").longest_drain_s == STEADY.timeout_s
    assert made("steady", "--timeout", "3s").longest_drain_s == 3


def test_a_rate_makes_every_load_an_open_one_at_that_rate(mine: Path) -> None:
    for source, arrivals in ((RAMP, "constant"), (STAGES, "poisson"), (CLOSED, "poisson")):
        mine.write_text(source)
        load = made(mine, "--rate", "9").load
        assert isinstance(load, Open)
        assert (load.rate_per_s, load.to_rate_per_s, load.arrivals) == (9, None, arrivals)


def test_users_make_every_load_a_closed_one(mine: Path) -> None:
    for source, think_s in ((RAMP, 0), (STAGES, 0), (CLOSED, 2)):
        mine.write_text(source)
        assert made(mine, "--users", "9").load == Closed(users=9, think_s=think_s)


def test_gaps_are_changed_in_every_stage(mine: Path) -> None:
    mine.write_text(STAGES)
    load = made(mine, "--arrivals", "constant").load
    stages = (Stage(for_s=5, rate_per_s=2, arrivals="constant"), Stage(for_s=3, rate_per_s=4, arrivals="constant"))
    assert load == Stages(stages=stages)


@pytest.mark.parametrize(
    ("source", "words", "said"),
    [
        (STAGES, ("--duration", "9s"), "--duration: the stages of "),
        (CLOSED, ("--arrivals", "poisson"), "--arrivals is for an open load"),
        (CLOSED, ("--burstiness", "2"), "--burstiness is for an open load"),
        (CLOSED, ("--processes", "4"), "--processes 4 is more than the 3 users"),
        (RAMP, ("--burstiness", "2"), "--burstiness is for gamma gaps; add --arrivals gamma"),
        (RAMP, ("--duration", "10ms"), "with these options: load: open, 1 to 3 requests/s, constant for 0.01 s are 0"),
        (SCRIPT, ("--warmup", "1s"), "--warmup means nothing"),
        (SCRIPT, ("--users", "2"), "--users means nothing"),
        (CLOSED, ("--max-requests", "99"), "--max-requests cannot be promised for a closed load"),
        (RAMP, ("--max-requests", "19"), "20 calls are more than --max-requests 19"),
        (RAMP + '\nclient.policy = "rude"', ("--max-requests", "99"), "20 calls, each tried up to 5 times, are more"),
        (SCRIPT, ("--max-requests", "4"), "5 calls are more than --max-requests 4"),
        (SCRIPT, (*REMOTE,), "https://gateway.example is not this machine"),
        (SCRIPT, ("--allow-remote", *REMOTE, "--max-requests", "3"), "4 calls are more"),
    ],
)
def test_options_that_contradict_the_file_are_refused(
    mine: Path, source: str, words: tuple[str, ...], said: str
) -> None:
    mine.write_text(source)
    assert said in refused(mine, *words)


def test_as_many_requests_as_are_planned_may_be_sent(mine: Path) -> None:
    mine.write_text(RAMP)
    assert made(mine, "--max-requests", "22", "--warmup", "2s").load.calls(10) == 20
    assert "23 calls are more" in refused(mine, "--max-requests", "22", "--warmup", "3s")


@pytest.mark.parametrize("host", ["127.0.0.1", "127.9.9.9", "[::1]", "localhost", "mock.localhost"])
def test_this_machine_needs_no_leave(host: str) -> None:
    made("steady", "--target", f"http://{host}:1", "--api-key", "k")


@pytest.mark.parametrize("host", ["10.0.0.1", "[::2]", "localhost.example", "0x7f.example", "mock"])
def test_another_machine_needs_leave(host: str) -> None:
    words = ("--target", f"http://{host}:1", "--api-key", "k")
    assert "add --allow-remote" in refused("steady", *words)
    made("steady", *words, "--allow-remote")


def test_no_answer_is_longer_than_asked_for(mine: Path) -> None:
    assert made("steady", "--max-tokens", "100").workload.max_tokens == 100
    assert made("steady", "--max-tokens", "1000").workload.max_tokens == 256
    mine.write_text(SCRIPT)
    plan = plan_of(parser().parse_args(["run", str(mine)]), [], made(mine, "--max-tokens", "100"), "r", None)
    bodies = {call.kind: call.body for call in script_of(plan)}
    limits = {kind: msgspec.json.decode(body)["max_tokens"] for kind, body in bodies.items() if kind != "no-json"}
    assert limits == {"long": 100, "open-ended": 100, "raw": 100, "mock": 131_072}
    assert bodies["no-json"] == b'{"messages": ['


def test_a_world_that_is_a_file_stands_beside_the_scenario(mine: Path) -> None:
    mine.write_text(RAMP)
    assert made(mine).world == str(mine.parent / "w.toml")
    assert made(mine, "--world", "calm").world == "calm"
    mine.write_text(RAMP.replace("w.toml", "calm"))
    assert made(mine).world == "calm"
    mine.write_text(RAMP.replace("w.toml", "/worlds/w.toml"))
    assert made(mine).world == "/worlds/w.toml"


@pytest.mark.parametrize("name", ["steady", "smoke"])
def test_the_plan_carries_all_that_workers_need_when_the_file_is_gone(mine: Path, name: str) -> None:
    mine.write_text((Path(__file__).parents[2] / "scenarios" / "catalogue" / f"{name}.toml").read_text())
    plan = plan_of(parser().parse_args(["run", str(mine)]), [], made(mine), "r", None)
    mine.unlink()
    save(mine.parent, PLAN, plan)
    read = load_plan(mine.parent)
    assert read == plan
    assert times_of(read).tolist() == times_of(plan).tolist()
    assert script_of(read) == script_of(plan)
    assert (mine.parent / PLAN).stat().st_mode & 0o077 == 0
    if name == "steady":
        assert call_of(read, 3) == call_of(plan, 3)


def test_no_whole_key_reaches_the_manifest(mine: Path) -> None:
    key = "sk-team-secret-7890"
    gate = '[[gate]]\nmetric = "count_500"\nmax = 0\nscope.key = '
    mine.write_text(RAMP + f'\nworkload.keys = {{ "{key}" = 1, "sk-other-long-7890" = 2 }}\n{gate}"{key}"')
    scenario = made(mine)
    assert scenario.gates == (Gate("count_500", max=0, scope=Scope(key="…7890")),)
    plan = plan_of(parser().parse_args(["run", str(mine)]), [], scenario, "r", None)
    write_manifest(mine.parent, plan, None, ended_s=0.0, interrupted=False, planned_calls=0)
    text = (mine.parent / "manifest.json").read_text("utf-8")
    assert "secret" not in text
    assert msgspec.json.decode(text)["workload"]["keys"] == {"…7890": 3}
    mine.write_text(RAMP + f'\n{gate}"…7890"')
    assert made(mine).gates == scenario.gates


def test_the_manifest_tells_every_setting_of_the_load(mine: Path) -> None:
    def told(source: str) -> Any:
        mine.write_text(source)
        plan = plan_of(parser().parse_args(["run", str(mine)]), [], made(mine), "r", None)
        write_manifest(mine.parent, plan, None, ended_s=0.0, interrupted=False, planned_calls=0)
        document = msgspec.json.decode((mine.parent / "manifest.json").read_bytes())
        return document["load"], document["workload"] is None, document["client"]["policy"]

    shared = {"to_rate_per_s": None, "arrivals": "poisson", "burstiness": None, "kind": "open"}
    stages = [{**shared, "for_s": 5, "rate_per_s": 2}, {**shared, "for_s": 3, "rate_per_s": 4}]
    gist = {"kind": "open", "rate_per_s": 22 / 8, "arrivals": "poisson", "calls": 22}
    assert told(STAGES) == ({**gist, "stages": stages}, False, "none")
    assert told(CLOSED) == ({"kind": "closed", "users": 3, "think_s": 2}, False, "polite")
    assert told(SCRIPT) == ({"kind": "script", "calls": 5}, True, "none")


@pytest.mark.parametrize("content", [b"\xff\xfe", b"\xef\xbb\xbf" + RAMP.encode()])
def test_a_file_that_is_no_text_is_told_and_a_byte_order_mark_is_none(mine: Path, content: bytes) -> None:
    mine.write_bytes(content)
    if content.startswith(b"\xff"):
        assert "not UTF-8 at byte 0" in refused(mine)
    else:
        assert made(mine).name == "mine"

from __future__ import annotations

import argparse
import re
import subprocess
import sys
from pathlib import Path

import msgspec

from reports.gate import Gate, Scope
from scenarios.command.catalogue import find, names
from scenarios.command.options import parser
from scenarios.model.load import Closed, Open, Stage
from scenarios.model.policy import POLICIES
from scenarios.model.reading import read_scenario
from scenarios.model.scenario import DEFAULT_TIMEOUT_S, ClientRules, Scenario
from scenarios.model.script import ScriptedCall
from scenarios.model.workload import LONGEST_PROMPT_TOKENS, MOST_PROMPT_TOKENS, PromptTokens, Workload

DOC = (Path(__file__).resolve().parents[2] / "docs" / "load-testing.md").read_text("utf-8")


def table(heading: str) -> list[list[str]]:
    """The cells of the first table below a heading or line, without its head."""
    lines = DOC.split(heading, 1)[1].lstrip("\n").splitlines()
    start = next(index for index, line in enumerate(lines) if line.startswith("|"))
    rows = []
    for line in lines[start + 2 :]:
        if not line.startswith("|"):
            break
        rows.append([cell.strip() for cell in line.strip("|").split("|")])
    return rows


def command(name: str) -> argparse.ArgumentParser:
    choices = next(action.choices for action in parser()._actions if action.dest == "command")
    assert choices is not None
    found = dict(choices.items())[name]  # type: ignore[attr-defined]  # a mapping for subcommands
    assert isinstance(found, argparse.ArgumentParser)
    return found


def test_every_command_is_documented() -> None:
    documented = {re.findall(r"`load-test (\w+)", row[0])[0] for row in table("## Commands")}
    choices = next(action.choices for action in parser()._actions if action.dest == "command")
    assert documented == set(choices or ())


def test_every_option_is_documented_with_its_placeholder() -> None:
    actions = [action for action in command("run")._actions if action.option_strings and action.dest != "help"]
    wanted = {" ".join(filter(None, [action.option_strings[0], str(action.metavar or "")])) for action in actions}
    assert {row[0].strip("`") for row in table("### Options of `load-test run`")} == wanted


def test_documented_defaults_are_the_real_ones() -> None:
    documented = {row[0].strip("`").split()[0]: row[2] for row in table("### Options of `load-test run`")}
    run = command("run")
    for option, default in (("seed", "1"), ("processes", "1")):
        assert documented[f"--{option}"] == default
        assert run.get_default(option) == float(default)
    assert documented["--max-in-flight"] == str(run.get_default("max_in_flight"))


def test_every_option_explains_itself() -> None:
    for name in ("list", "show", "run", "recover"):
        for action in command(name)._actions:
            assert action.help


def test_the_table_of_scenarios_is_the_catalogue() -> None:
    rows = {row[0].strip("`"): row[1:5] for row in table("## Scenarios")}
    assert tuple(rows) == names()
    for name, (load, warmup, duration, world) in rows.items():
        scenario = find(name)
        assert load == str(scenario.load)
        assert warmup == f"{scenario.warmup_s:g} s"
        assert duration.removeprefix("at most ") == f"{scenario.duration_s:g} s"
        assert world == f"`{scenario.world}`"


def test_numbers_in_the_text_are_those_of_the_code() -> None:
    steady = find("steady")
    mix = steady.workload
    assert f"{mix.chinese:.0%}".replace("%", " %") + " Chinese" in DOC
    assert f"{mix.streamed:.0%}".replace("%", " %") + " streamed" in DOC
    assert f"{LONGEST_PROMPT_TOKENS:,} tokens" in DOC.replace("\n", " ")
    assert f"`max_tokens`, {mix.max_tokens} in" in DOC
    assert isinstance(steady.load, Open)
    assert f"thinks for {steady.load.think_s:g} s" in DOC
    assert f"{MOST_PROMPT_TOKENS:,}" in DOC
    assert f"`timeout_s = {DEFAULT_TIMEOUT_S:g}`" in DOC
    for name in ("polite", "rude"):
        assert f"`{name}`, at most {POLICIES[name].max_tries} tries" in DOC


def test_the_examples_of_scenario_files_can_be_run() -> None:
    sources = re.findall(r"^```toml\n(.*?)^```", DOC, re.DOTALL | re.MULTILINE)
    whole = [source for source in sources if source.startswith(("name =", "# short.toml"))]
    assert [read_scenario(source, "example").name for source in whole] == ["short", "morning", "errands"]


def test_every_word_of_a_scenario_file_is_documented() -> None:
    words = DOC.split("## A scenario of your own", 1)[1].split("\n## ", 1)[0]
    for types in (Scenario, Open, Stage, Closed, Workload, PromptTokens, ClientRules, ScriptedCall, Gate, Scope):
        for field in msgspec.structs.fields(types):
            assert re.search(rf"\b{field.encode_name}\b", words), field.encode_name


def test_the_options_for_plain_locust_are_those_it_has() -> None:
    code = (
        "from locust.argument_parser import get_empty_argument_parser as make;"
        "from scenarios.command.plain import add_options;"
        "parser = make(); before = len(parser._actions); add_options(parser);"
        "print(*(o for a in parser._actions[before:] for o in a.option_strings))"
    )
    said = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True).stdout
    had = set(said.split())
    documented = {option for row in table("## Plain Locust") for option in re.findall(r"`(--[\w-]+)`", row[0])}
    assert documented == had

from __future__ import annotations

import argparse
import re
import subprocess
import sys
from pathlib import Path

from scenarios.command.options import parser
from scenarios.model.catalog import CATALOG
from scenarios.model.workload import LONGEST_PROMPT_TOKENS

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
    for option, default in (("drain", "60s"), ("timeout", "120s"), ("seed", "1"), ("processes", "1")):
        assert documented[f"--{option}"] == default
        assert run.get_default(option) == float(default.rstrip("s"))
    assert documented["--max-in-flight"] == str(run.get_default("max_in_flight"))


def test_every_option_explains_itself() -> None:
    for name in ("list", "show", "run", "recover"):
        for action in command(name)._actions:
            assert action.help


def test_the_table_of_scenarios_is_the_catalogue() -> None:
    rows = {row[0].strip("`"): row[1:5] for row in table("## Scenarios")}
    assert rows.keys() == CATALOG.keys()
    for name, (load, warmup, duration, world) in rows.items():
        scenario = CATALOG[name]
        assert load == str(scenario.load)
        assert warmup == f"{scenario.warmup_s:g} s"
        assert duration.removeprefix("at most ") == f"{scenario.duration_s:g} s"
        assert world == f"`{scenario.world}`"


def test_numbers_in_the_text_are_those_of_the_code() -> None:
    mix = CATALOG["steady"].mix
    assert f"{mix.chinese:.0%}".replace("%", " %") + " Chinese" in DOC
    assert f"{mix.streamed:.0%}".replace("%", " %") + " streamed" in DOC
    assert f"{LONGEST_PROMPT_TOKENS:,} tokens" in DOC.replace("\n", " ")
    assert f"`max_tokens`, {mix.max_tokens} in" in DOC
    assert f"thinks for {CATALOG['steady'].think_s:g} s" in DOC


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

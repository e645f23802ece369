from __future__ import annotations

import argparse
import json
import socket
from pathlib import Path
from typing import Any

import msgspec
import pytest
from hypothesis import given
from hypothesis import strategies as st

from scenarios.__main__ import main
from scenarios.command import run
from scenarios.command.catalogue import find, names
from scenarios.command.options import UsageError, label, parser, positive, seconds, target_url
from scenarios.command.prepare import without_secrets
from scenarios.model.scenario import Scenario
from scenarios.model.workload import masked


@pytest.fixture(autouse=True)
def in_a_folder_of_its_own(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)
    monkeypatch.delenv("LOAD_TEST_API_KEY", raising=False)


def closed_port() -> int:
    with socket.socket() as sock:
        sock.bind(("127.0.0.1", 0))
        port: int = sock.getsockname()[1]
        return port


def refused(capsys: pytest.CaptureFixture[str], *words: str) -> str:
    """The one line that wrong usage gets; nothing is written or said besides."""
    before = sorted(Path.cwd().rglob("*"))
    assert main(list(words)) == 2
    said = capsys.readouterr()
    assert said.out == ""
    assert len(said.err.splitlines()) == 1
    assert said.err.startswith("load-test: ")
    assert sorted(Path.cwd().rglob("*")) == before
    return said.err


REMOTE = ("--target", "http://127.0.0.1:1", "--api-key", "k")


@pytest.mark.parametrize(
    ("words", "part"),
    [
        ((), "COMMAND"),
        (("run",), "SCENARIO"),
        (("run", "stedy"), "did you mean steady?"),
        (("run", "xyzzy"), "there are smoke, steady"),
        (("show", "smok"), "did you mean smoke?"),
        (("run", "steady", "--rate", "5", "--users", "5"), "give one of them"),
        (("run", "steady", "--rate", "0"), "above 0"),
        (("run", "steady", "--rate", "nan"), "above 0"),
        (("run", "steady", "--users", "1.5"), "whole number"),
        (("run", "steady", "--duration", "soon"), "write 500ms, 30s, 5m or 1h"),
        (("run", "steady", "--duration", "-5s"), "duration"),
        (("run", "steady", "--duration", "0"), "shorter than 1ms"),
        (("run", "steady", "--duration", "99999h"), "30 days"),
        (("run", "steady", "--seed", "-1"), "seed"),
        (("run", "steady", "--label", "x"), "key=value"),
        (("run", "steady", "--arrivals", "weekly"), "invalid choice"),
        (("run", "steady", "--burstiness", "2"), "gamma"),
        (("run", "steady", "--users", "2", "--processes", "3"), "--processes 3 is more than the 2 users"),
        (("run", "steady", "--users", "2", "--arrivals", "poisson"), "--arrivals"),
        (("run", "steady", "--rate", "0.01", "--duration", "1s"), "plan 1 to"),
        (("run", "steady", "--rate", "900000", "--duration", "1h"), "plan 1 to"),
        (("run", "steady", "--target", "ftp://x", "--api-key", "k"), "base URL"),
        (("run", "steady", "--target", "http://a:b@c/", "--api-key", "k"), "base URL"),
        (("run", "steady", "--target", "http://127.0.0.1:1"), "LOAD_TEST_API_KEY"),
        (("run", "steady", *REMOTE, "--world", "calm"), "--world"),
        (("run", "steady", *REMOTE, "--time-scale", "2"), "--time-scale"),
        (("run", "steady", "--target-is-mock"), "needs --target"),
        (
            ("run", "steady", "--virtual", "--target", "http://127.0.0.1:1", "--api-key", "k"),
            "so --target means nothing",
        ),
        (("run", "steady", "--virtual", "--processes", "2"), "so --processes means nothing"),
        (("run", "steady", "--api-key", "a\r\nb", "--target", "http://127.0.0.1:1"), "header"),
        (("run", "smoke", "--rate", "5"), "script"),
        (("run", "smoke", "--processes", "2"), "script"),
        (("run", "steady", "--time-scale", "1e-320"), "is not a number from 1e-06 to 1000"),
        (("run", "steady", "--processes", "100000"), "100,000 is more than 16 for each of the"),
        (("run", "steady", "--gates", "none.toml"), "No such file"),
        (("run", "none.toml"), "none.toml: No such file"),
        (("run", "./"), "Is a directory"),
        (("run", "steady", "--no-such-option"), "unrecognized"),
        (("run", "steady", "--world", "no-such-world"), "no-such-world"),
        (("recover", "nowhere"), "nothing to recover"),
    ],
)
def test_wrong_usage_is_one_line_and_exit_2(
    capsys: pytest.CaptureFixture[str], words: tuple[str, ...], part: str
) -> None:
    assert part in refused(capsys, *words)


def test_an_unreachable_target_writes_nothing(capsys: pytest.CaptureFixture[str]) -> None:
    url = f"http://127.0.0.1:{closed_port()}"
    said = refused(capsys, "run", "steady", "--target", url, "--api-key", "k", "--out", "new")
    assert f"cannot reach {url}: Connection refused" in said


def test_an_out_that_cannot_be_used_is_left_alone(capsys: pytest.CaptureFixture[str]) -> None:
    full, file = Path("full"), Path("file")
    full.mkdir()
    (full / "x").touch()
    file.touch()
    assert "not empty" in refused(capsys, "run", "steady", "--out", "full")
    assert "not a directory" in refused(capsys, "run", "steady", "--out", "file")
    assert "cannot write there" in refused(capsys, "run", "steady", "--out", "file/below")
    assert "cannot write there" in refused(capsys, "run", "steady", "--out", "/proc/below")


@pytest.mark.parametrize(
    ("content", "part"),
    [
        ("gate = 3", "two brackets"),
        ("[[gate]]\nmax = 1", "metric"),
        ('[[gate]]\nmetric = "count_500"\nmax = 1\nmin = 0', "not both"),
        ('[[gate]]\nmetric = "count_500"', "needs max or min"),
        ('[[gate]]\nmetric = "x"\nmax = 1\nfoo = 0', "foo"),
        ('[[gate]]\nmetric = "error_rate"\nmax = inf', "finite"),
        ('[[gate]]\nmetric = "speed"\nmax = 1', "no metric is called 'speed'; there are scheduled_p50_ms, "),
        ("[[gate", "TOML"),
        ('\n[[gate]]\nmetric = "count_500"\nmax = -1', "gates.toml:4: gate 1 (count_500): the limit must be 0 or more"),
    ],
)
def test_a_bad_gates_file_is_refused(capsys: pytest.CaptureFixture[str], content: str, part: str) -> None:
    Path("gates.toml").write_text(content, "utf-8")
    assert part in refused(capsys, "run", "steady", "--gates", "gates.toml")


def test_list_names_every_scenario(capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["list"]) == 0
    lines = capsys.readouterr().out.splitlines()
    assert [line.split()[0] for line in lines] == list(names())
    for line, scenario in zip(lines, map(find, names()), strict=True):
        assert line.endswith(f"{scenario.description} ({scenario.load}, world {scenario.world})")
    assert main(["list", "--json"]) == 0
    documents = json.loads(capsys.readouterr().out)
    assert msgspec.convert(documents, list[Scenario]) == [find(name) for name in names()]


@pytest.mark.parametrize("name", names())
def test_what_show_prints_is_the_same_scenario(capsys: pytest.CaptureFixture[str], name: str) -> None:
    assert main(["show", name]) == 0
    printed = capsys.readouterr().out
    assert printed.startswith("# ")
    Path("copy.toml").write_text(printed, "utf-8")
    assert find("copy.toml") == find(name)
    assert main(["show", "copy.toml"]) == 0
    assert capsys.readouterr().out == printed


def test_an_error_of_its_own_is_one_line_a_file_and_70(
    capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("scenarios.command.cli.names", lambda: 1 // 0)
    assert main(["list"]) == 70
    said = capsys.readouterr().err
    assert len(said.splitlines()) == 1
    trace = Path(said.split()[-1])
    assert "ZeroDivisionError" in trace.read_text()
    trace.unlink()


@pytest.mark.parametrize(
    ("text", "value"), [("500ms", 0.5), ("30s", 30.0), ("1.5m", 90.0), ("2h", 7200.0), ("7", 7.0), (".5s", 0.5)]
)
def test_durations(text: str, value: float) -> None:
    assert seconds(text) == pytest.approx(value)


@given(st.text())
def test_option_types_refuse_or_accept_any_text(text: str) -> None:
    for read in (seconds, positive, target_url, label):
        try:
            result: Any = read(text)
        except argparse.ArgumentTypeError:
            continue
        assert result or result == 0


def test_targets_keep_their_path_and_lose_the_last_slash() -> None:
    assert target_url("https://example.org:8443/base/") == "https://example.org:8443/base"


def test_keys_are_shown_by_their_last_four_characters_only() -> None:
    argv = ["load-test", "run", "--api-key", "sk-secret-9876", "--api-key=sk-secret-9876"]
    assert without_secrets(argv, "sk-secret-9876") == ("load-test", "run", "--api-key", "…9876", "--api-key=…9876")
    assert masked("12345678") == "…"


def test_missing_extras_are_one_line_how_to_get_them(
    capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("importlib.util.find_spec", lambda _name: None)
    assert 'pip install ".[load]"' in refused(capsys, "run", "steady")


def test_without_the_report_extra_the_samples_are_kept_and_the_verdict_is_open(
    capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("importlib.util.find_spec", lambda _name: None)
    assert run.judge(Path("x"), inconclusive_ok=False) == 4
    assert run.judge(Path("x"), inconclusive_ok=True) == 0
    assert "perf-report build x" in capsys.readouterr().err


def test_a_directory_that_cannot_be_written_keeps_the_parts(
    tmp_path: Path,
) -> None:
    with pytest.raises(UsageError, match="load-test recover"):
        run._merge(tmp_path / "gone", interrupted=False)


def test_a_usage_error_never_exits_by_itself() -> None:
    with pytest.raises(UsageError):
        parser().parse_args(["run"])

"""What cannot be measured gets one line on stderr and exit code 2, and nothing in the folder changes."""

import json
import os
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pyarrow as pa
import pyarrow.parquet as pq
import pytest

from reports.__main__ import main
from reports.sample import HEALTH, MANIFEST, SAMPLE_SCHEMA, SAMPLES

Make = Callable[..., Any]


def refusal(run: Path, capsys: pytest.CaptureFixture[str], *options: str) -> str:
    """Build, expecting exit code 2; return the one line said, and check that the folder is as before."""
    before = {path.name: path.read_bytes() for path in run.iterdir()} if run.is_dir() else {}
    assert main(["build", str(run), *options]) == 2
    out, said = capsys.readouterr()
    assert out == ""
    assert said.count("\n") == 1
    assert said.startswith("perf-report: ")
    assert before == ({path.name: path.read_bytes() for path in run.iterdir()} if run.is_dir() else {})
    return said


def truncate(path: Path) -> None:
    path.write_bytes(path.read_bytes()[: path.stat().st_size // 2])


def flip(path: Path) -> None:
    content = bytearray(path.read_bytes())
    for at in range(200, 4000):
        content[at] ^= 0xFF
    path.write_bytes(content)


def rewrite(path: Path, change: Callable[[pa.Table], pa.Table]) -> None:
    pq.write_table(change(pq.read_table(path)), path)


SAMPLES_SPOILT: dict[str, tuple[Callable[[Path], object], str]] = {
    "missing": (Path.unlink, "missing"),
    "no bytes": (lambda path: path.write_bytes(b""), "not a whole Parquet file"),
    "truncated": (truncate, "not a whole Parquet file"),
    "corrupt": (flip, "not a whole Parquet file"),
    "not parquet": (lambda path: path.write_text("call_id,try\n1,0\n" * 9), "not a whole Parquet file"),
    "a column gone": (lambda path: rewrite(path, lambda t: t.drop_columns(["end_s", "kind"])), "missing: kind, end_s"),
    "another version": (
        lambda path: rewrite(path, lambda t: t.replace_schema_metadata({"schema_version": "7"})),
        "schema_version is 7, this perf-report reads 2",
    ),
    "no version": (lambda path: rewrite(path, lambda t: t.replace_schema_metadata(None)), "schema_version is none"),
    "another type": (
        lambda path: rewrite(
            path, lambda t: t.set_column(5, "planned_s", pa.array([f"at {n}" for n in range(len(t))]))
        ),
        "not a whole Parquet file of this schema",
    ),
    "no rows": (lambda path: rewrite(path, lambda t: t.slice(0, 0)), "nothing there to measure"),
    "warm-up only": (lambda path: rewrite(path, lambda t: t.slice(0, 50)), "no request in the measure phase"),
    "an empty cell": (
        lambda path: rewrite(
            path, lambda t: t.set_column(2, "call_id", pa.array([None, *range(1, len(t))], pa.int64()))
        ),
        "call_id",
    ),
    "a strange outcome": (
        lambda path: rewrite(
            path,
            lambda t: t.set_column(
                t.schema.get_field_index("outcome"), "outcome", pa.array(["lucky"] * len(t)).dictionary_encode()
            ),
        ),
        "column outcome holds 'lucky'",
    ),
    "an infinite time": (
        lambda path: rewrite(path, lambda t: t.set_column(5, "planned_s", pa.array([float("inf")] * len(t)))),
        "column planned_s holds an infinite number",
    ),
}


@pytest.mark.parametrize("name", SAMPLES_SPOILT)
def test_samples_that_cannot_be_read_are_refused(make_run: Make, capsys: pytest.CaptureFixture[str], name: str) -> None:
    spoil, said = SAMPLES_SPOILT[name]
    run = make_run().write()
    spoil(run / SAMPLES)
    line = refusal(run, capsys)
    assert said in line
    assert str(run / SAMPLES) in line


def test_a_truncated_health_file_is_refused(make_run: Make, capsys: pytest.CaptureFixture[str]) -> None:
    run = make_run().write()
    truncate(run / HEALTH)
    assert str(run / HEALTH) in refusal(run, capsys)


MANIFESTS: dict[str, tuple[Callable[[dict[str, Any]], Any], str]] = {
    "not an object": (lambda m: [m], "schema_version is None"),
    "another version": (lambda m: m | {"schema_version": 3}, "schema_version is 3, this perf-report reads 2"),
    "a field gone": (lambda m: {k: v for k, v in m.items() if k != "planned_calls"}, "`planned_calls`"),
    "a wrong type": (lambda m: m | {"warmup_s": "five"}, "$.warmup_s"),
    "a negative span": (lambda m: m | {"duration_s": -1}, "must be 0 or more"),
    "an unknown metric": (
        lambda m: m | {"gates": [{"metric": "speed", "max": 1}]},
        "no metric is called 'speed'; there are scheduled_p50_ms",
    ),
    "a gate without limit": (
        lambda m: m | {"gates": [{"metric": "error_rate"}]},
        "gate 1 (error_rate): needs max or min; --gates FILE judges by others",
    ),
    "a share above 1": (lambda m: m | {"gates": [{"metric": "error_rate", "max": 5}]}, "5 % is 0.05; --gates FILE"),
}


@pytest.mark.parametrize("name", MANIFESTS)
def test_a_manifest_that_cannot_be_trusted_is_refused(
    make_run: Make, capsys: pytest.CaptureFixture[str], name: str
) -> None:
    change, said = MANIFESTS[name]
    builder = make_run()
    run = builder.write()
    (run / MANIFEST).write_text(json.dumps(change(builder.manifest)))
    assert said in refusal(run, capsys)


@pytest.mark.parametrize("content", [b"", b"{", b"\xff\xfe", b"[" * 100_000])
def test_a_manifest_that_is_not_json_is_refused(
    make_run: Make, capsys: pytest.CaptureFixture[str], content: bytes
) -> None:
    run = make_run().write()
    (run / MANIFEST).write_bytes(content)
    assert "not readable as JSON" in refusal(run, capsys)


def gate(metric: str, *lines: str) -> str:
    return "\n".join(["[[gate]]", f'metric = "{metric}"', *lines, ""])


GATES_FILES = {
    "broken TOML": ("[[gate]\n", "not readable as TOML"),
    "empty": ("", "holds no [[gate]]"),
    "an empty list": ("gate = []\n", "holds no [[gate]]"),
    "another table": ('[[gates]]\nmetric = "error_rate"\n', "unknown table gates; did you mean [[gate]]?"),
    "another key": ("metric = 3\n", "unknown key metric; did you mean [[gate]]?"),
    "one bracket": ('[gate]\nmetric = "error_rate"\n', "[[gate]], in two brackets"),
    "a misspelt key": (gate("error_rate", "maximum = 1"), "gate 1: unknown key maximum; a [[gate]] has metric"),
    "no metric": ("[[gate]]\nmax = 1\n", "gate 1: needs metric"),
    "no limit": (gate("error_rate", "max = 1") + gate("count_500"), "gate 2 (count_500): needs max or min"),
    "both limits": (gate("error_rate", "max = 1", "min = 0"), "give either max or min, not both"),
    "a limit in words": (gate("error_rate", 'max = "x"'), "gate 1: max must be a number, not 'x'"),
    "a limit of true": (gate("error_rate", "min = true"), "gate 1: min must be a number, not true"),
    "a metric by number": ("[[gate]]\nmetric = 3\n", "gate 1: metric must be a text, not 3"),
    "an infinite limit": (gate("error_rate", "max = inf"), "must be a finite number"),
    "an unknown metric": (gate("speed", "max = 1"), "no metric is called 'speed'"),
    "a share in percent": (gate("error_rate", "max = 5"), "error_rate is a share from 0 to 1; 5 % is 0.05\n"),
    "a share of too much": (gate("call_failure_rate", "max = 101"), "call_failure_rate is a share from 0 to 1\n"),
    "a negative share": (gate("unexpected_rate", "max = -0.1"), "unexpected_rate is a share from 0 to 1\n"),
    "a negative count": (gate("count_500", "max = -1"), "the limit must be 0 or more"),
    "a negative time": (gate("ttft_p95_ms", "max = -1"), "the limit must be 0 or more"),
}


@pytest.mark.parametrize("name", GATES_FILES)
def test_a_gates_file_that_cannot_be_used_is_refused(
    make_run: Make, tmp_path: Path, capsys: pytest.CaptureFixture[str], name: str
) -> None:
    content, said = GATES_FILES[name]
    path = tmp_path / "gates.toml"
    path.write_text(content)
    line = refusal(make_run().write(), capsys, "--gates", str(path))
    assert said in line
    assert str(path) in line


def test_gates_of_the_manifest_that_are_not_used_need_not_be_good(make_run: Make, tmp_path: Path) -> None:
    path = tmp_path / "gates.toml"
    path.write_text(gate("error_rate", "max = 1") + gate("residual_p50_ms", "min = -1"))
    run = make_run().gates({"metric": "error_rate", "max": 5}).write()
    assert main(["build", str(run), "--gates", str(path)]) == 0


def test_a_missing_gates_file_run_directory_or_manifest_is_refused(
    make_run: Make, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    run = make_run().write()
    assert "no such gates file" in refusal(run, capsys, "--gates", str(tmp_path / "none.toml"))
    assert "no such run directory" in refusal(tmp_path / "none", capsys)
    (run / MANIFEST).unlink()
    assert "a run directory made by" in refusal(run, capsys)


def test_a_report_that_cannot_be_written_is_refused_and_leaves_nothing(
    make_run: Make, capsys: pytest.CaptureFixture[str]
) -> None:
    run = make_run().write()
    (run / "report.html").mkdir()
    assert main(["build", str(run)]) == 2
    assert f"{run / 'report.html'}: cannot be written" in capsys.readouterr().err
    assert not list(run.glob(".*"))


def test_an_interrupted_build_is_one_line_and_leaves_no_half_file(
    make_run: Make, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    def interrupt(*_: object) -> str:
        raise KeyboardInterrupt

    run = make_run().write()
    before = {path.name for path in run.iterdir()}
    monkeypatch.setattr("reports.build.Path.replace", interrupt)
    assert main(["build", str(run)]) == 130
    said = capsys.readouterr().err
    assert said.startswith("perf-report: interrupted; the samples are untouched")
    assert said.count("\n") == 1
    assert {path.name for path in run.iterdir()} == before


@pytest.mark.parametrize("package", ["pandas", "numpy", "scipy", "matplotlib", "jinja2", "pyarrow", "msgspec"])
def test_a_missing_extra_says_what_to_install(package: str) -> None:
    hide = f"import sys; sys.modules[{package!r}] = None; from reports.__main__ import main"
    hide += "; sys.exit(main(['build', '.']))"
    done = subprocess.run([sys.executable, "-c", hide], capture_output=True, text=True, check=False)
    assert done.returncode == 2
    assert done.stderr == 'perf-report: reports need more packages: `pip install ".[report]"` in the checkout\n'


def command(run: Path, stdout: Any) -> subprocess.CompletedProcess[str]:
    words = [sys.executable, "-m", "reports", "build", str(run)]
    return subprocess.run(words, stdout=stdout, stderr=subprocess.PIPE, text=True, check=False)


@pytest.mark.parametrize(("limit", "code"), [(5000, 0), (1, 1)])
def test_a_reader_that_has_seen_enough_does_not_change_the_verdict(make_run: Make, limit: int, code: int) -> None:
    run = make_run().gates({"metric": "scheduled_p95_ms", "max": limit}).write()
    reader, writer = os.pipe()
    os.close(reader)
    try:
        done = command(run, writer)
    finally:
        os.close(writer)
    assert (done.returncode, done.stderr) == (code, "")


def test_a_verdict_that_cannot_be_printed_is_one_line_and_exit_code_2(make_run: Make) -> None:
    with Path("/dev/full").open("w") as full:
        done = command(make_run().write(), full)
    assert done.returncode == 2
    assert done.stderr.startswith("perf-report: the verdict cannot be printed (No space left")
    assert done.stderr.count("\n") == 1


@pytest.mark.parametrize(("module", "said"), [("argparse", ""), ("pandas", "perf-report: interrupted; the samples")])
def test_an_interrupt_while_modules_are_read_ends_without_a_traceback(module: str, said: str) -> None:
    interrupt = f"""
import runpy, sys
class Finder:
    def find_spec(self, name, path=None, target=None):
        if name == {module!r}:
            raise KeyboardInterrupt
sys.modules.pop({module!r}, None)
sys.meta_path.insert(0, Finder())
sys.argv = ["perf-report", "build", "."]
runpy.run_module("reports", run_name="__main__")
"""
    done = subprocess.run([sys.executable, "-c", interrupt], capture_output=True, text=True, check=False)
    assert done.returncode == 130
    assert done.stderr.startswith(said)
    assert done.stderr.count("\n") == bool(said)


@pytest.mark.parametrize(
    ("words", "part"),
    [
        ([], "COMMAND"),
        (["frob"], "invalid choice: 'frob'"),
        (["build"], "RUN_DIR"),
        (["build", "run", "more"], "unrecognized arguments: more"),
        (["build", "run", "--gates"], "--gates: expected one argument"),
    ],
)
def test_wrong_usage_is_one_line_and_exit_code_2(
    capsys: pytest.CaptureFixture[str], words: list[str], part: str
) -> None:
    with pytest.raises(SystemExit) as stopped:
        main(words)
    assert stopped.value.code == 2
    said = capsys.readouterr().err
    assert part in said
    assert said.startswith("perf-report: ")
    assert said.count("\n") == 1


def test_samples_written_by_the_schema_alone_are_read(make_run: Make) -> None:
    run = make_run().write()
    assert pq.read_schema(run / SAMPLES).equals(SAMPLE_SCHEMA)
    assert main(["build", str(run)]) == 0

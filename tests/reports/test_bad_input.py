"""What cannot be measured gets one line on stderr and exit code 2, and nothing in the folder changes."""

import json
import math
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


def cells(name: str, *values: Any) -> Callable[[Path], None]:
    """Put values, one after the other, into a column's first cells, leaving its type."""

    def change(table: pa.Table) -> pa.Table:
        at, kind = table.schema.get_field_index(name), table.schema.field(name).type
        column = [*values, *table.column(name).to_pylist()[len(values) :]]
        return table.set_column(at, pa.field(name, kind), pa.array(column, kind))

    return lambda path: rewrite(path, change)


def retyped(name: str, kind: pa.DataType) -> Callable[[Path], None]:
    """Make a column another type's, empty."""

    def change(table: pa.Table) -> pa.Table:
        return table.set_column(table.schema.get_field_index(name), name, pa.nulls(len(table), kind))

    return lambda path: rewrite(path, change)


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
        "column planned_s holds string, not double",
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
    "an infinite time": (cells("planned_s", math.inf), "column planned_s holds a number that is not finite"),
    "a time that is no number": (cells("end_s", math.nan), "column end_s holds a number that is not finite"),
    "an absurd time": (cells("planned_s", 0.0, 1e300), "column planned_s holds 1e+300, and no run lasts so long"),
    "an absurd time before": (cells("sent_s", -1e300), "column sent_s holds 1e+300, and no run lasts so long"),
    "an absurd duration": (cells("overhead_ms", 1e300), "column overhead_ms holds 1e+300"),
    "dates": (retyped("planned_s", pa.timestamp("us")), "column planned_s holds timestamp[us], not double"),
    "days for numbers": (retyped("call_id", pa.date32()), "column call_id holds date32[day], not int64"),
    "numbers for words": (
        retyped("outcome", pa.dictionary(pa.int8(), pa.int64())),
        "column outcome holds int64, not string",
    ),
    "a column twice": (
        lambda path: rewrite(path, lambda t: t.append_column("end_s", t.column("end_s"))),
        "columns there twice: end_s",
    ),
    "no phase": (cells("phase", None), "column phase has empty readings"),
}


@pytest.mark.parametrize("name", SAMPLES_SPOILT)
def test_samples_that_cannot_be_read_are_refused(make_run: Make, capsys: pytest.CaptureFixture[str], name: str) -> None:
    spoil, said = SAMPLES_SPOILT[name]
    run = make_run().write()
    spoil(run / SAMPLES)
    line = refusal(run, capsys)
    assert said in line
    assert str(run / SAMPLES) in line


HEALTH_SPOILT: dict[str, tuple[Callable[[Path], object], str]] = {
    "truncated": (truncate, "not a whole Parquet file"),
    "no number": (cells("cpu_s", math.nan), "column cpu_s holds a number that is not finite"),
    "a tick that is no number": (cells("lag_ms", [0.0, math.nan]), "column lag_ms holds a number that is not finite"),
    "an absurd tick": (cells("lag_ms", [1e30]), "column lag_ms holds 1e+30"),
    "a tick left out": (cells("lag_ms", [0.0, None]), "column lag_ms has empty readings"),
    "no ticks": (cells("lag_ms", None), "column lag_ms has empty readings"),
    "one tick each": (retyped("lag_ms", pa.float32()), "column lag_ms holds float, not list"),
}


@pytest.mark.parametrize("name", HEALTH_SPOILT)
def test_health_readings_that_cannot_be_read_are_refused(
    make_run: Make, capsys: pytest.CaptureFixture[str], name: str
) -> None:
    spoil, said = HEALTH_SPOILT[name]
    run = make_run().write()
    spoil(run / HEALTH)
    line = refusal(run, capsys)
    assert said in line
    assert str(run / HEALTH) in line


MANIFESTS: dict[str, tuple[Callable[[dict[str, Any]], Any], str]] = {
    "not an object": (lambda m: [m], "schema_version is None"),
    "another version": (lambda m: m | {"schema_version": 3}, "schema_version is 3, this perf-report reads 2"),
    "a field gone": (lambda m: {k: v for k, v in m.items() if k != "planned_calls"}, "`planned_calls`"),
    "a wrong type": (lambda m: m | {"warmup_s": "five"}, "$.warmup_s"),
    "a negative span": (lambda m: m | {"duration_s": -1}, "Expected `float` >= 0.0 - at `$.duration_s`"),
    "a window of nothing": (
        lambda m: m | {"duration_s": 1e-300},
        "duration_s is 1e-300; it must be 0, or 1e-06 or more",
    ),
    "a window beyond any": (
        lambda m: m | {"duration_s": 1e300},
        "Expected `float` <= 1000000000.0 - at `$.duration_s`",
    ),
    "a limit beyond any": (
        lambda m: m | {"gates": [{"metric": "error_rate", "max": 10**40}]},
        "gate 1 (error_rate): error_rate is a share",
    ),
    "a limit that no number holds": (
        lambda m: m | {"gates": [{"metric": "scheduled_p95_ms", "max": 10**400}]},
        "Number out of range",
    ),
    "calls beyond counting": (lambda m: m | {"planned_calls": 10**18}, "at `$.planned_calls`"),
    "fewer calls than none": (lambda m: m | {"planned_calls": -1}, "Expected `int` >= 0 - at `$.planned_calls`"),
    "a rate beyond any": (lambda m: m | {"load": m["load"] | {"rate_per_s": 1e300}}, "at `$.load.rate_per_s`"),
    "a machine of depth": (lambda m: m | {"machine": {"cpus": [[[]]]}}, "at `$.machine[...]`"),
    "a version of depth": (lambda m: m | {"schema_version": {"a": [1]}}, "schema_version is another"),
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


@pytest.mark.parametrize(
    "content", [b"", b"{", b"\xff\xfe", b"[" * 100_000, b'{"a": 1e999}', b'{"a": "\\ud800"}', b'{"a":' * 5000 + b"1"]
)
def test_a_manifest_that_is_not_json_is_refused(
    make_run: Make, capsys: pytest.CaptureFixture[str], content: bytes
) -> None:
    run = make_run().write()
    (run / MANIFEST).write_bytes(content)
    assert "not readable as JSON" in refusal(run, capsys)


def test_a_manifest_larger_than_any_is_refused(make_run: Make, capsys: pytest.CaptureFixture[str]) -> None:
    run = make_run().write()
    with (run / MANIFEST).open("r+b") as file:
        file.truncate((64 << 20) + 1)
    assert "larger than any manifest" in refusal(run, capsys)


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


def test_samples_written_by_the_schema_alone_are_read(make_run: Make) -> None:
    run = make_run().write()
    assert pq.read_schema(run / SAMPLES).equals(SAMPLE_SCHEMA)
    assert main(["build", str(run)]) == 0

"""Whatever a run directory holds, it ends with a documented exit code: never a traceback, never a half-written file."""

from __future__ import annotations

import copy
import json
import math
import shutil
from collections.abc import Callable
from pathlib import Path
from typing import Any
from xml.etree import ElementTree

import pyarrow as pa
import pyarrow.parquet as pq
import pytest
from hypothesis import HealthCheck, Phase, given, settings
from hypothesis import strategies as st

from reports.__main__ import main
from reports.sample import HEALTH, JUNIT_XML, MANIFEST, REPORT_HTML, SAMPLES, SUMMARY_JSON, SUMMARY_MD

Make = Callable[..., Any]
FILES = {SUMMARY_JSON, SUMMARY_MD, REPORT_HTML, JUNIT_XML}
# Each example is a whole report, so few, and not made smaller: `--hypothesis-seed` tries others.
some = settings(
    max_examples=8,
    phases=[Phase.explicit, Phase.generate],
    suppress_health_check=[HealthCheck.function_scoped_fixture, HealthCheck.too_slow],
)

numbers = st.one_of(
    st.sampled_from([0, -1, 1, 0.5, 1e-300, -1e300, 1e300, 1e18, 10**18, 10**40, 2**63, 1e9, 5e-324, 12345.678]),
    st.floats(allow_nan=False, allow_infinity=False),
    st.integers(-(10**25), 10**25),
)
# Words that a terminal, a page, XML, Markdown or a plot's own language could act on.
words = st.one_of(
    st.sampled_from(
        [
            "",
            "mock",
            "w0",
            "\x00",
            "\x1b[2J\x1b[1mPASS",
            "a\nPASS  all kept\n",
            "\u202egnp\u2066",
            "\ufffe\uffff",
            "$\\frac{",
        ]
    ),
    st.sampled_from(
        ["<script>", "]]>", "|`*_", "$x^$", "9999-12-31T23:59:59+00:00", "0001-01-01T00:00:00", "x" * 5000]
    ),
    st.text(max_size=20),
)
values = st.recursive(
    st.one_of(st.none(), st.booleans(), numbers, words),
    lambda inner: st.one_of(st.lists(inner, max_size=3), st.dictionaries(words, inner, max_size=3)),
    max_leaves=6,
)


@pytest.fixture(scope="module")
def good(make_shared_run: Make) -> Path:
    """A run of few samples that passes."""
    run: Path = make_shared_run(160, warmup_s=2.0).write()
    return run


def ends_as_promised(
    good: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str], spoil: Callable[[Path], object]
) -> int:
    """Spoil a copy of a good run and report on it; return the exit code."""
    run = tmp_path / "run"
    shutil.rmtree(run, ignore_errors=True)
    shutil.copytree(good, run)
    spoil(run)
    before = {path.name for path in run.iterdir()}
    capsys.readouterr()
    code = main(["build", str(run)])
    said, complained = capsys.readouterr()
    after = {path.name for path in run.iterdir()}
    assert code in (0, 1, 2, 3, 4), complained
    if code == 2:
        assert said == ""
        assert complained.startswith("perf-report: ")
        assert complained.count("\n") == 1
        assert after == before
    else:
        assert complained == ""
        assert after == before | FILES
        verdict = said.split()[0]
        assert json.loads((run / SUMMARY_JSON).read_text())["verdict"]["verdict"] == verdict
        suite = ElementTree.parse(run / JUNIT_XML).getroot()[0]  # noqa: S314 - our own file
        assert [p.get("value") for p in suite.iter("property") if p.get("name") == "verdict"] == [verdict]
        assert not {"\x1b", "\u202e", "\x00"} & set(
            said + (run / REPORT_HTML).read_text() + (run / SUMMARY_MD).read_text()
        )
    return code


def paths(value: Any, path: tuple[Any, ...] = ()) -> list[tuple[Any, ...]]:
    """Where each part of a JSON document stands."""
    inner = value.items() if isinstance(value, dict) else enumerate(value) if isinstance(value, list) else ()
    return [path, *(found for key, part in inner for found in paths(part, (*path, key)))]


@some
@given(data=st.data())
def test_any_manifest(good: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str], data: st.DataObject) -> None:
    document = json.loads((good / MANIFEST).read_text())
    for _ in range(data.draw(st.integers(1, 3))):
        changed = copy.deepcopy(document)
        *parents, last = data.draw(st.sampled_from(paths(document)[1:]))
        where = changed
        for key in parents:
            where = where[key]
        if data.draw(st.integers(0, 5)) == 0:
            del where[last]
        else:
            like = {str: words, float: numbers, int: numbers}.get(type(where[last]), values)
            where[last] = data.draw(st.one_of(like, values))
        document = changed
        if not document:
            break
    text = json.dumps(document)
    ends_as_promised(good, tmp_path, capsys, lambda run: (run / MANIFEST).write_text(text))


CELLS = st.one_of(
    st.just(math.nan), st.sampled_from([math.inf, -math.inf]), numbers.map(lambda n: float(min(max(n, -1e308), 1e308)))
)


def change(table: pa.Table, name: str, data: st.DataObject) -> pa.Table:
    """One to three cells of a column, or its type, or the column itself."""
    at, field = table.schema.get_field_index(name), table.schema.field(name)
    column = table.column(name).to_pylist()
    how = data.draw(st.sampled_from(["cells", "cells", "cells", "cells", "type", "twice", "null"]))
    if how == "twice":
        return table.append_column(field, table.column(name))
    if how == "null":
        return table.set_column(at, name, pa.nulls(len(table), data.draw(st.sampled_from([field.type, pa.null()]))))
    if how == "type":
        other = data.draw(
            st.sampled_from([pa.string(), pa.float32(), pa.timestamp("us"), pa.date32(), pa.list_(pa.int8())])
        )
        return table.set_column(
            at,
            name,
            pa.nulls(len(table), other).fill_null("1") if other == pa.string() else pa.nulls(len(table), other),
        )
    for row in data.draw(st.lists(st.integers(0, len(column) - 1), min_size=1, max_size=3)):
        column[row] = data.draw(cell(field.type, column[row]))
    return table.set_column(at, pa.field(name, field.type), pa.array(column, field.type))


def cell(kind: pa.DataType, value: Any) -> st.SearchStrategy[Any]:
    """A value a column of that type can hold."""
    if pa.types.is_list(kind):
        return st.lists(st.one_of(CELLS, st.none()), max_size=40)
    if pa.types.is_floating(kind):
        return st.one_of(CELLS, st.none(), st.floats(-1, 60))
    if pa.types.is_integer(kind):
        return st.one_of(st.none(), st.integers(-(2 ** (kind.bit_width - 1)), 2 ** (kind.bit_width - 1) - 1))
    if pa.types.is_boolean(kind):
        return st.one_of(st.none(), st.booleans())
    outcomes = ["ok", "refused", "timeout", "cut_off", "never_sent", "lost", "malformed", "warmup", "measure", value]
    return st.one_of(st.none(), words, st.sampled_from(outcomes))


@some
@given(data=st.data())
@pytest.mark.parametrize("name", [SAMPLES, HEALTH])
def test_any_cells(
    good: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str], name: str, data: st.DataObject
) -> None:
    table = pq.read_table(good / name)
    for column in data.draw(st.lists(st.sampled_from(table.schema.names), min_size=1, max_size=2, unique=True)):
        table = change(table, column, data)
    ends_as_promised(good, tmp_path, capsys, lambda run: pq.write_table(table, run / name))


@some
@given(data=st.data())
@pytest.mark.parametrize("name", [MANIFEST, SAMPLES, HEALTH])
def test_any_bytes(
    good: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str], name: str, data: st.DataObject
) -> None:
    content = bytearray((good / name).read_bytes())
    begin = data.draw(st.integers(0, len(content) - 1))
    if data.draw(st.booleans()):
        del content[begin:]
    else:
        content[begin : begin + data.draw(st.integers(0, 8))] = data.draw(st.binary(max_size=8))
    ends_as_promised(good, tmp_path, capsys, lambda run: (run / name).write_bytes(content))

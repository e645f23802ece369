from __future__ import annotations

import subprocess
import sys

import pytest

from reports.gate import Gate, GateError, Scope, read_gates

GATE = '[[gate]]\nmetric = "count_500"\nmax = 1\n'


def test_a_gate_may_be_about_some_of_the_rows() -> None:
    (gate,) = read_gates(GATE + 'scope = { provider = "openai", stream = true }')
    assert gate == Gate("count_500", max=1, scope=Scope(provider="openai", stream=True))


@pytest.mark.parametrize(
    ("text", "key", "part"),
    [
        (GATE.replace("1", "1e40"), ("max",), "gate 1 (count_500): the limit must be at most 1e+12"),
        (GATE.replace("1", "9" * 400), (), "the limit must be at most 1e+12"),
        (GATE.replace("count_500", "eror_rate"), ("metric",), "did you mean error_rate?"),
        (GATE + "mox = 1", ("mox",), "has metric, max or min, and optionally why and scope; did you mean max?"),
        (
            GATE + "scope = { provder = 'x' }",
            ("scope", "provder"),
            "unknown key scope.provder; a scope has provider, model, kind, stream, key; did you mean provider?",
        ),
        (GATE + "scope = { stream = 'yes' }", ("scope", "stream"), "scope.stream must be true or false, not 'yes'"),
        (GATE + "scope = { provider = 3 }", ("scope", "provider"), "scope.provider must be a text, not 3"),
        (GATE + "scope = 'openai'", ("scope",), "scope must be a table, not 'openai'"),
        (GATE + "scope = {}", ("scope",), "a scope has provider, model, kind, stream, key"),
    ],
)
def test_what_is_wrong_with_a_gate_is_told_with_its_key(text: str, key: tuple[str, ...], part: str) -> None:
    with pytest.raises(GateError) as caught:
        read_gates(text)
    assert part in str(caught.value)
    assert (caught.value.number, caught.value.key) == (1, key)


def test_a_number_too_long_to_read_is_no_toml() -> None:
    with pytest.raises(ValueError, match="not readable as TOML"):
        read_gates(GATE.replace("1", "9" * 5000))


def test_reading_gates_imports_nothing_heavy() -> None:
    code = "import sys, reports.gate; print(*sys.modules)"
    said = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True).stdout
    assert not {"pyarrow", "numpy", "pandas"} & set(said.split())

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from mock_server.schema import KeyPath
from scenarios.model.toml import TomlError, line_of, parse

ODD = '''\
# rate_per_s = 1: a comment is no key
name = "x"  # load.rate_per_s = 2
description = """
rate_per_s = 3
[load]
"""
load.kind = "open"
load."rate_per_s" = 4
'a "quoted" key' = 5

[[gate]]
metric = "a"
[[gate]]
# max = 6
metric = "b"
scope = { provider = "x", model = "y" }
more = [
  1,
  { deep = 2 },
]

[x.y.z]
w = 7
[x]
v = 8
'''


@pytest.mark.parametrize("newline", ["\n", "\r\n"])
@pytest.mark.parametrize(
    ("path", "begins"),
    [
        (("name",), "name ="),
        (("description",), "description ="),
        (("load",), "load.kind"),
        (("load", "rate_per_s"), 'load."rate_per_s"'),
        (('a "quoted" key',), "'a "),
        (("gate",), "[[gate]]"),
        (("gate", 1, "metric"), 'metric = "b"'),
        (("gate", 1, "scope", "model"), "scope ="),
        (("gate", 1, "more", 1, "deep"), "more ="),
        (("x",), "[x.y.z]"),
        (("x", "y", "z", "w"), "w ="),
        (("x", "v"), "v ="),
    ],
)
def test_a_key_is_found_where_it_is_written(path: KeyPath, begins: str, newline: str) -> None:
    line = line_of(ODD.replace("\n", newline), path)
    assert ODD.split("\n")[line - 1].startswith(begins)


@pytest.mark.parametrize(
    ("path", "line"), [(("gate", 1, "max"), 13), (("x", "y", "z", "missing"), 22), (("none",), 1), ((), 1)]
)
def test_what_is_missing_is_where_its_table_begins(path: KeyPath, line: int) -> None:
    assert line_of(ODD, path) == line


@given(st.lists(st.sampled_from(["# c", "", '"""', "x = 1", "  "]), max_size=8), st.integers(0, 5))
def test_no_line_of_a_text_or_comment_passes_for_a_key(noise: list[str], after: int) -> None:
    quoted = "\n".join(line for line in noise if line != '"""')
    source = f'a = """\n{quoted}\n"""\n' + "# x = 0\n" * after + "x = 2\n"
    assert source.split("\n")[line_of(source, ("x",)) - 1] == "x = 2"


@pytest.mark.parametrize(
    ("source", "said", "line"),
    [
        ("a = 1\nb = ", "not valid TOML: invalid value", 2),
        ("a = 1\n\na = 2", "not valid TOML: cannot overwrite a value", 3),
        ("[a\n", "not valid TOML: expected ']'", 1),
        ('a = """\nx\n\n', "not valid TOML: ", 2),
        ("a = " + "9" * 5_000, "not valid TOML: a number of thousands of digits", None),
        ("a = " + "[" * 100_000, "nested too deeply", None),
    ],
)
def test_what_is_no_toml_says_so_with_its_line(source: str, said: str, line: int | None) -> None:
    with pytest.raises(TomlError) as caught:
        parse(source)
    assert str(caught.value).startswith(said)
    assert "\n" not in str(caught.value)
    assert caught.value.line == line

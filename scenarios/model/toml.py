"""TOML as people write it: what a text holds, and on which line a key stands."""

from __future__ import annotations

import re
import tomllib
from bisect import bisect_left
from typing import Any

from mock_server.schema import KeyPath


class TomlError(ValueError):
    """A text that is no TOML: why, in one line, and the line, from 1, where that is known."""

    def __init__(self, said: str, line: int | None = None) -> None:
        super().__init__(said)
        self.line = line


def parse(source: str) -> dict[str, Any]:
    """The tables of a TOML text; raises `TomlError`."""
    try:
        return tomllib.loads(source)
    except RecursionError:
        raise TomlError("nested too deeply") from None
    except tomllib.TOMLDecodeError as error:
        said, line = str(error), None
        if place := re.search(r" \(at (?:line (\d+), column \d+|end of document)\)$", said):
            said, line = said[: place.start()], int(place[1] or source.rstrip().count("\n") + 1)
        raise TomlError(f"not valid TOML: {said[:1].lower()}{said[1:]}", line) from None
    except ValueError:  # Python's own limit, which the parser lets through
        raise TomlError("not valid TOML: a number of thousands of digits") from None


def line_of(source: str, path: KeyPath) -> int:
    """The line, from 1, of the statement that brings ``path``, or as much of it as there is, into a valid text.

    The parser keeps no positions, but tells them all the same: every prefix of the text that ends with a whole
    statement is valid itself, and what the prefixes hold only grows. The statement looked for is the last of the
    shortest prefix that holds the path. A statement of many lines counts as its first.
    """
    source = source.replace("\r\n", "\n")  # or a prefix would end in half a line break
    lines = source.split("\n")
    whole = parse(source)
    while not _holds(whole, path):
        path = path[:-1]
    if not path:
        return 1

    def there(count: int) -> bool:
        return _holds(_whole_statements(lines, count)[1], path)

    last = bisect_left(range(len(lines) + 1), True, key=there)
    return _whole_statements(lines, last - 1)[0] + 1


def _whole_statements(lines: list[str], count: int) -> tuple[int, dict[str, Any]]:
    """How many of the first ``count`` lines are whole statements, and what they hold."""
    for kept in range(count, 0, -1):
        try:
            return kept, parse("\n".join(lines[:kept]))
        except TomlError:
            continue
    return 0, {}


def _holds(tree: Any, path: KeyPath) -> bool:
    for step in path:
        try:
            tree = tree[step]
        except (KeyError, IndexError, TypeError):
            return False
    return True

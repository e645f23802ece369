"""Several files are written together or not at all."""

from __future__ import annotations

from itertools import product
from pathlib import Path
from typing import Any

import pytest

from reports.output import write_together
from reports.problem import Unusable

STEPS = ("write_text", "chmod", "replace")
ERRORS = (OSError(28, "No space left on device"), KeyboardInterrupt(), MemoryError())
BEFORE: tuple[dict[str, bytes], ...] = ({}, {"a": b"was", "c": b"was too"}, {"a": b"", "b": b"", "c": b""})


def contents(folder: Path) -> dict[str, bytes]:
    """All that is in a folder."""
    return {path.name: path.read_bytes() if path.is_file() else b"a folder" for path in folder.iterdir()}


def fail_at(patch: pytest.MonkeyPatch, step: str, at: int, error: BaseException) -> None:
    """Let a step go wrong when it is taken for the ``at``-th time."""
    real, calls = getattr(Path, step), []

    def failing(path: Path, *args: Any, **options: Any) -> Any:
        calls.append(path)
        if len(calls) == at:
            raise error
        return real(path, *args, **options)

    patch.setattr(Path, step, failing)


def test_files_are_written_together_or_not_at_all(tmp_path: Path) -> None:
    for number, (before, error, step, at) in enumerate(product(BEFORE, ERRORS, STEPS, (1, 3))):
        folder = tmp_path / str(number)
        folder.mkdir()
        for name, content in before.items():
            (folder / name).write_bytes(content)
        with pytest.MonkeyPatch.context() as patch:
            fail_at(patch, step, at, error)
            with pytest.raises(Unusable if isinstance(error, OSError) else type(error)):
                write_together(folder, {"a": "one", "b": "two", "c": "three"})
        assert contents(folder) == before, (step, at, error)


def test_files_in_place_are_replaced_and_nothing_is_left_beside(tmp_path: Path) -> None:
    (tmp_path / "a").write_text("before")
    write_together(tmp_path, {"a": "one", "b": "two"})
    assert contents(tmp_path) == {"a": b"one", "b": b"two"}


def test_a_folder_that_is_not_there_is_said(tmp_path: Path) -> None:
    with pytest.raises(Unusable, match="cannot be written"):
        write_together(tmp_path / "none", {"a": "text"})

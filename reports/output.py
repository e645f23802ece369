"""Writes several files together or not at all."""

from __future__ import annotations

import contextlib
import shutil
import tempfile
from collections.abc import Mapping
from pathlib import Path
from typing import Final

from reports.problem import Unusable

_MODE: Final = 0o644


def write_together(folder: Path, contents: Mapping[str, str]) -> None:
    """Write every file, or leave the folder as it is; raise Unusable where the folder does not let us.

    All are first written to a folder of their own beside, so that a full disk is met before anything is changed, then
    renamed into place; copies of what stood there are kept until the last one is. Whatever ends this, an interrupt
    too, undoes it.
    """
    name = ""
    try:
        with tempfile.TemporaryDirectory(dir=folder, prefix=".report.") as beside:
            fresh, old = Path(beside) / "new", Path(beside) / "old"
            fresh.mkdir()
            old.mkdir()
            for name, content in contents.items():
                (fresh / name).write_text(content, encoding="utf-8", newline="\n")
                (fresh / name).chmod(_MODE)
            for name in contents:
                if (folder / name).exists():
                    shutil.copy2(folder / name, old / name)
            try:
                for name in contents:
                    (fresh / name).replace(folder / name)
            except BaseException:
                _undo(folder, fresh, old, contents)
                raise
    except OSError as error:
        raise Unusable(f"{folder / name}: cannot be written ({error.strerror}); the samples are untouched") from None


def _undo(folder: Path, fresh: Path, old: Path, contents: Mapping[str, str]) -> None:
    """Put back what stood in the place of each file that is no longer among the fresh ones."""
    for name in contents:
        if not (fresh / name).exists():
            with contextlib.suppress(OSError):
                if (old / name).exists():
                    (old / name).replace(folder / name)
                else:
                    (folder / name).unlink()

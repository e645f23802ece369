"""The tries of a run by column: each column is read when it is asked for, so that few are in memory at once."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, replace
from functools import cached_property
from typing import Any, Final, Self

import numpy as np
import numpy.typing as npt
import pandas as pd
import pyarrow as pa

from reports.dependence import Floats

Mask = npt.NDArray[np.bool_]
Integers = npt.NDArray[np.int64]

# What nearly every number is made of. Words are small; any other column is used once or twice, and read again.
_HELD: Final = frozenset({"planned_s", "sent_s", "first_byte_s", "end_s"})


@dataclass(frozen=True, eq=False)
class Words:
    """A column of words: per row the place of its word among `names`, -1 where it is empty."""

    codes: npt.NDArray[np.signedinteger[Any]]
    names: tuple[str, ...]

    @classmethod
    def of(cls, column: pa.ChunkedArray) -> Self:
        """From a dictionary-encoded column, in the narrowest integers that hold its words."""
        column = column.unify_dictionaries()
        names = tuple(column.chunk(0).dictionary.to_pylist()) if column.num_chunks else ()
        parts = [chunk.indices.fill_null(-1).to_numpy(zero_copy_only=False) for chunk in column.chunks]
        kind = np.min_scalar_type(-len(names) - 1)
        return cls(np.concatenate([np.empty(0, kind), *(part.astype(kind) for part in parts)]), names)

    def __getitem__(self, rows: Any) -> Words:
        """Some of the rows."""
        return replace(self, codes=self.codes[rows])

    def put(self, rows: Mask, word: str | None) -> Words:
        """The same with another word in some rows, or none."""
        names = self.names if word is None or word in self.names else (*self.names, word)
        code = -1 if word is None else names.index(word)
        kind = np.promote_types(self.codes.dtype, np.min_scalar_type(-len(names) - 1))
        return Words(np.where(rows, np.array(code, kind), self.codes), names)

    @property
    def there(self) -> Mask:
        """Which rows are not empty."""
        return self.codes >= 0

    @property
    def used(self) -> set[str]:
        """The words that any row holds."""
        return {self.names[code] for code in self.busiest}

    @property
    def counts(self) -> Integers:
        """How many rows hold each of the names."""
        return np.bincount(self.codes + 1, minlength=len(self.names) + 1)[1:]

    @property
    def busiest(self) -> list[int]:
        """The codes of the words that any row holds, the most frequent first, then in order of appearance."""
        counts = self.counts
        return sorted((code for code in pd.unique(self.codes).tolist() if code >= 0), key=lambda code: -counts[code])

    def among(self, *words: str) -> Mask:
        """Which rows hold one of some words."""
        found = np.zeros(len(self.codes), dtype=bool)
        for code, name in enumerate(self.names):
            if name in words:
                found |= self.codes == code
        return found

    def same_as(self, other: Words) -> Mask:
        """Which rows hold the same word in both columns; what is empty is the same as nothing."""
        if not self.there.any():
            return self.there
        theirs = {name: code for code, name in enumerate(other.names)}
        wanted = np.array([*(theirs.get(name, -2) for name in self.names), -2])
        same: Mask = wanted[self.codes] == other.codes
        return same

    def texts(self) -> list[str]:
        """The word of each row, nothing where it is empty."""
        names = (*self.names, "")
        return [names[code] for code in self.codes]


class Samples:
    """Some tries of a run, in the order of its record.

    `read` gives a whole column, in the type of the schema; `rows` says which of its rows these are, None for all.
    """

    def __init__(
        self, count: int, read: Callable[[str], pa.ChunkedArray], held: dict[str, Floats | Words] | None = None
    ) -> None:
        """All `count` tries of a run; `held` are columns that need not be read."""
        self._read = read
        self._held: dict[str, Floats | Words] = {} if held is None else held
        self._count = count
        self._rows: Mask | None = None

    @classmethod
    def of(cls, table: pa.Table) -> Samples:
        """From a table in memory."""
        return cls(table.num_rows, table.column)

    def __len__(self) -> int:
        """How many tries these are."""
        return self._count

    def where(self, rows: Mask) -> Samples:
        """Some of these tries."""
        if rows.all():
            return self
        kept = rows
        if self._rows is not None:
            kept = self._rows.copy()
            kept[self._rows] = rows
        part = Samples(int(np.count_nonzero(rows)), self._read, self._held)
        part._rows = kept
        return part

    def holding(self, **columns: Floats | Words) -> Samples:
        """The same run with other values in some columns; of a whole run only."""
        return Samples(self._count, self._read, self._held | columns)

    def numbers(self, name: str) -> Floats:
        """One column of numbers as floats, NaN where empty."""
        whole = self._held.get(name)
        if not isinstance(whole, np.ndarray):
            whole = _floats(self._read(name))
        return whole if self._rows is None else whole[self._rows]

    def words(self, name: str) -> Words:
        """One column of words."""
        whole = self._held.get(name)
        if not isinstance(whole, Words):
            whole = Words.of(self._read(name))
        return whole if self._rows is None else whole[self._rows]

    def hold(self, name: str, column: pa.ChunkedArray) -> None:
        """Keep a column that was read, if it will be needed again and again."""
        if name in _HELD:
            self._held[name] = _floats(column)
        elif pa.types.is_dictionary(column.type):
            self._held[name] = Words.of(column)

    def whole_numbers(self, name: str) -> Integers:
        """One column of integers of which none is empty."""
        whole: Integers = self._read(name).to_numpy().astype(np.int64, copy=False)
        return whole if self._rows is None else whole[self._rows]

    def flags(self, name: str) -> Mask:
        """One column of yes and no, of which none is empty."""
        whole: Mask = self._read(name).to_numpy()
        return whole if self._rows is None else whole[self._rows]

    def texts_at(self, name: str, places: Integers) -> list[str]:
        """The texts of a few rows, nothing where empty."""
        rows = places if self._rows is None else np.flatnonzero(self._rows)[places]
        return [text or "" for text in self._read(name).take(pa.array(rows)).to_pylist()]

    @cached_property
    def repeated(self) -> pd.DataFrame:
        """`call_id` and `try` of all tries of the calls that have not just the one try numbered 0, by their rows."""
        calls, tries = self.whole_numbers("call_id"), self.whole_numbers("try")
        ordered = np.sort(calls)
        twice = ordered[1:][ordered[1:] == ordered[:-1]]
        odd = pd.unique(np.concatenate([twice, calls[tries != 0]]))
        rows = np.flatnonzero(pd.Series(calls).isin(odd))
        return pd.DataFrame({"call_id": calls[rows], "try": tries[rows]}, index=rows)

    @cached_property
    def last(self) -> Mask:
        """Which tries are the last of their call; of those with the same number, the last recorded."""
        rows = self.repeated
        found = np.ones(len(self), dtype=bool)
        found[rows.index] = False
        ordered = rows.sort_values(["call_id", "try"], kind="stable")
        found[ordered.drop_duplicates("call_id", keep="last").index] = True
        return found


def _floats(column: pa.ChunkedArray) -> Floats:
    if len(column) == column.null_count:
        return np.broadcast_to(np.float64(np.nan), len(column))
    return np.asarray(column.to_numpy(), dtype=np.float64)

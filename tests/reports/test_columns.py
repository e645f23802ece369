"""Columns of samples: words as codes, parts of parts, and the last try of each call."""

import numpy as np
import pandas as pd
import pyarrow as pa
from hypothesis import given
from hypothesis import strategies as st

from reports.columns import Samples, Words

words = st.lists(st.sampled_from(["a", "b", "c", None]), max_size=30)


def column(values: list[str | None], cut: int = 0) -> pa.ChunkedArray:
    """Words in two pieces, each with a dictionary of its own."""
    pieces = (values[:cut], values[cut:])
    return pa.chunked_array([pa.array(piece, pa.string()).dictionary_encode() for piece in pieces])


@given(words, words, st.integers(0, 30))
def test_words_are_what_was_written_whatever_pieces_they_came_in(
    one: list[str | None], two: list[str | None], cut: int
) -> None:
    n = min(len(one), len(two))
    left, right = Words.of(column(one[:n], cut)), Words.of(column(two[:n]))
    assert left.texts() == [word or "" for word in one[:n]]
    assert left.there.tolist() == [word is not None for word in one[:n]]
    assert left.among("a", "c").tolist() == [word in ("a", "c") for word in one[:n]]
    assert left.same_as(right).tolist() == [a is not None and a == b for a, b in zip(one[:n], two[:n], strict=True)]
    assert left.used == {word for word in one[:n] if word is not None}
    expected = pd.Series(one[:n], dtype=object).value_counts()
    assert [int(left.counts[code]) for code in left.busiest] == sorted(expected.tolist(), reverse=True)


def test_more_words_than_a_byte_numbers_are_kept_apart() -> None:
    names: list[str | None] = [f"word-{at}" for at in range(300)]
    found = Words.of(column(names))
    assert found.texts() == names
    assert Words.of(column(names[:128])).put(np.arange(128) == 5, "new").texts()[4:7] == ["word-4", "new", "word-6"]


@given(st.lists(st.tuples(st.integers(0, 6), st.integers(0, 3)), max_size=20), st.data())
def test_the_last_try_of_a_call_is_the_one_with_the_highest_number(
    rows: list[tuple[int, int]], data: st.DataObject
) -> None:
    frame = pd.DataFrame(rows, columns=["call_id", "try"], dtype=np.int64)
    samples = Samples.of(pa.table({"call_id": pa.array(frame["call_id"]), "try": pa.array(frame["try"])}))
    last = frame.sort_values(["call_id", "try"], kind="stable").drop_duplicates("call_id", keep="last").index
    assert set(np.flatnonzero(samples.last)) == set(last)
    chosen = np.array(data.draw(st.lists(st.booleans(), min_size=len(rows), max_size=len(rows))), dtype=bool)
    part = samples.where(chosen)
    again = part.whole_numbers("try") > 0
    assert part.where(again).whole_numbers("call_id").tolist() == frame[chosen & (frame["try"] > 0)]["call_id"].tolist()

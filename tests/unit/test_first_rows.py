"""A look at a table's first rows takes a bounded part of it, and of memory, whatever its pages hold."""

from __future__ import annotations

import io
from typing import Any

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq
import pytest
from hypothesis import given
from hypothesis import strategies as st

from helix_spark.catalog.places.parquet_shape import bytes_of_first, shape_of
from helix_spark.catalog.records import ArtifactRecord
from helix_spark.catalog.tables.table_reading import FirstRows
from helix_spark.ui.preview import preview_of

ROWS, MOST = 20, 8 << 20


def taken(table: pa.Table, rows: int = ROWS, **options: Any) -> dict[str, int]:
    """Bytes by column, as they are told; with those of the pages."""
    file = io.BytesIO()
    pq.write_table(table, file, **options)
    (group,) = shape_of(file).groups
    return {chunk.path[0]: bytes_of_first(file, chunk, rows, MOST) for chunk in group.chunks}


def test_of_a_long_table_as_much_is_taken_as_of_a_short_one() -> None:
    wide = pa.table({"a": np.random.default_rng(1).random(200_000), "v": [[1.0] * 10] * 200_000})
    found = taken(wide, use_dictionary=False, compression=None, data_page_size=64 << 10)
    assert found["a"] < 200_000
    assert found["v"] < 200_000


@pytest.mark.parametrize("version", ["1.0", "2.0"])
@pytest.mark.parametrize("column", [
    pa.array([[0.0] * 3_000_000]), pa.array([[0.0]] * 10 + [[0.0] * 3_000_000]),
    pa.array([[[0.0] * 1000] * 3000]), pa.array(["a" * 10_000_000]),
])
def test_what_takes_too_much_is_told(column: pa.Array, version: str) -> None:
    assert taken(pa.table({"x": column}), compression="zstd", data_page_version=version)["x"] > MOST


def test_so_is_a_long_text_of_a_dictionary_that_each_row_has() -> None:
    column = pa.DictionaryArray.from_arrays(pa.array([0] * 100, pa.int32()), pa.array(["a" * 1_000_000]))
    options = {"compression": "zstd", "dictionary_pagesize_limit": 1 << 30, "store_schema": False}
    assert taken(pa.table({"x": column}), **options)["x"] > MOST
    assert taken(pa.table({"x": column}), rows=2, **options)["x"] < MOST


@given(st.lists(st.lists(st.integers(0, 3), max_size=20), min_size=1, max_size=60), st.integers(1, 30))
def test_the_values_of_the_first_rows_are_counted(lists: list[list[int]], rows: int) -> None:
    table = pa.table({"x": pa.array(lists, pa.list_(pa.int64()))})
    options = {"use_dictionary": False, "compression": None, "data_page_size": 64, "data_page_version": "1.0"}
    needed = 8 * sum(len(one) or 1 for one in lists[:rows])
    assert taken(table, rows, **options)["x"] >= needed


@given(st.lists(st.tuples(st.integers(0, 10_000), st.integers(0, 255)), min_size=1, max_size=40))
def test_pages_of_garbage_are_an_error_in_words(wrong: list[tuple[int, int]]) -> None:
    file = io.BytesIO()
    pq.write_table(pa.table({"x": [[1.0, 2.0]] * 50, "s": ["a", "b"] * 25}), file, compression="zstd")
    content = bytearray(file.getvalue())
    groups = shape_of(file).groups
    for at, byte in wrong:
        content[4 + at % (len(content) - 4)] = byte
    for chunk in groups[0].chunks:
        try:
            bytes_of_first(io.BytesIO(bytes(content)), chunk, ROWS, MOST)
        except ValueError as error:
            assert str(error)  # noqa: PT017  # any other error fails


def test_a_preview_says_what_it_does_not_show() -> None:
    table = pa.table({"\u202e" * 300: [[float(n) for n in range(100)]], "s": ["x" * 1000]})
    record = ArtifactRecord("0" * 64, "0" * 32, "table", "published", "w", "n", 1, 0.0, rows=1)
    shown = preview_of(FirstRows(table, 70, ("only",), ("long",)), record)
    assert [len(name) for name, _ in shown.columns] == [200, 1]
    assert [len(cell) for cell in shown.rows[0]] == [120, 120]
    for words in ("the first 60 of 69 columns", "can read them: only", "memory: long"):
        assert words in shown.note

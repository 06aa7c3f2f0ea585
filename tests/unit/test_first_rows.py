"""A look at a table's first rows takes a bounded part of it, and of memory, whatever its pages hold."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pyarrow as pa
import pytest

from helix_spark.catalog.catalog import Catalog
from helix_spark.catalog.records import ArtifactRecord
from helix_spark.catalog.tables.table_reading import FirstRows
from helix_spark.history.table_preview import stored_rows
from tests.fakes.written_tables import written

ROWS = 20


def first_rows(folder: Path, table: pa.Table) -> FirstRows:
    catalog = Catalog.open(folder, create=True)
    attempt = catalog.begin_attempt("0" * 64, "table")
    record = ArtifactRecord(
        attempt.signature, attempt.attempt, "table", "published", "w", "n", 1, 0.0, **written(attempt, table)
    )
    return catalog.first_rows(catalog.publish(record), ROWS, 60)


def test_of_a_long_table_as_much_is_taken_as_of_a_short_one(tmp_path: Path) -> None:
    lists = pa.ListArray.from_arrays(np.arange(0, 20_000_001, 10, dtype=np.int32), np.ones(20_000_000))
    long = pa.table({"a": np.random.default_rng(1).random(2_000_000), "v": lists})
    found = first_rows(tmp_path, long)
    assert (found.too_long, found.table.num_rows) == ((), ROWS)
    assert found.table.equals(long.slice(0, ROWS))


@pytest.mark.parametrize("column", [
    pa.array([[0.0] * 3_000_000]), pa.array([[0.0]] * 10 + [[0.0] * 3_000_000]),
    pa.array([[[0.0] * 1000] * 3000]), pa.array(["a" * 10_000_000]),
])
def test_what_takes_too_much_is_told(tmp_path: Path, column: pa.Array) -> None:
    found = first_rows(tmp_path, pa.table({"x": column, "y": range(len(column))}))
    assert (found.too_long, found.table.column_names) == (("x",), ["y"])


def test_a_preview_says_what_it_does_not_show() -> None:
    table = pa.table({"\u202e" * 300: [[float(n) for n in range(100)]], "s": ["x" * 1000]})
    record = ArtifactRecord("0" * 64, "0" * 32, "table", "published", "w", "n", 1, 0.0, rows=1)
    shown, note = stored_rows(FirstRows(table, 70, ("only",), ("long",)), record)
    assert [len(name) for name, _ in shown.columns] == [200, 1]
    assert [len(cell) for cell in shown.rows[0]] == [120, 120]
    for words in ("the first 60 of 69 columns", "can read them: only", "memory: long"):
        assert words in note

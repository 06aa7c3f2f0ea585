"""What is stored of results, told without Spark: a table as it was, and nothing left behind by what fails."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pyarrow as pa
import pyarrow.parquet as pq
import pytest
from pyspark.errors import AnalysisException

from helix_spark.catalog.catalog import Catalog
from helix_spark.catalog.records import ArtifactRecord
from helix_spark.catalog.tables.spark_types import VECTOR
from helix_spark.catalog.tables.table_reading import written_digest
from helix_spark.catalog.tables.table_writing import commit_files
from helix_spark.engine.results import stored_results
from helix_spark.engine.results.node_results import TableResult, ValueResult
from helix_spark.engine.results.stored_results import Origin, StoringError, load, store
from helix_spark.engine.server.session import Sessions
from helix_spark.identity.parts import digest

ROWS = digest("rows")


def column(name: str, kind: Any) -> dict[str, Any]:
    return {"name": name, "type": kind, "nullable": True, "metadata": {}}


VECTORS = {"type": "udt", "class": VECTOR, "pyClass": "pyspark.ml.linalg.VectorUDT", "sqlType": {
    "type": "struct", "fields": [
        column("type", "byte"), column("size", "integer"),
        column("indices", {"type": "array", "elementType": "integer", "containsNull": False}),
        column("values", {"type": "array", "elementType": "double", "containsNull": False}),
    ],
}}
DENSE = pa.array(
    [{"type": 1, "size": None, "indices": None, "values": [1.0, 2.0]}],
    pa.struct([("type", pa.int8()), ("size", pa.int32()), ("indices", pa.list_(pa.int32())),
               ("values", pa.list_(pa.float64()))]),
)


def stored_by_spark(catalog: Catalog) -> ArtifactRecord:
    """A table of one column of vectors, as Spark and Helix store it."""
    attempt = catalog.begin_attempt(ROWS, "table")
    assert isinstance(attempt.path, Path)
    attempt.path.mkdir(parents=True)
    pq.write_table(pa.table({"x": DENSE}), attempt.path / "part-00000-x.parquet", write_page_checksum=True)
    schema = json.dumps({"type": "struct", "fields": [column("x", VECTORS)]})
    commit_files(attempt, schema)
    return catalog.publish(ArtifactRecord(
        ROWS, attempt.attempt, "table", "published", "w", "rows", 1, 0.0, bytes=1, rows=1,
        schema=schema, digest=written_digest(attempt.path),
    ))


class WithoutRows(Sessions):
    """A session that does not find what it is to read."""

    def get(self) -> Any:
        raise AnalysisException("[PATH_NOT_FOUND] it was evicted")


def loaded(catalog: Catalog, record: ArtifactRecord) -> TableResult:
    """The table with its rows in this process."""
    table: Any = load(record, catalog, WithoutRows())
    assert isinstance(table, TableResult)
    table.arrow()
    return table


def test_a_table_that_was_loaded_is_never_written_from_its_rows(catalog: Catalog) -> None:
    """It is held in memory when its stored form is evicted, and a later run wants it stored again."""
    table = loaded(catalog, stored_by_spark(catalog))
    assert table.loaded
    assert not table.pinned
    catalog.evict_all({ROWS: "its room is needed"})
    with pytest.raises(StoringError, match="PATH_NOT_FOUND"):
        store(table, Origin(ROWS, "w", "rows", 2), catalog)
    assert catalog.artifact(ROWS) is None


def test_what_nobody_foresaw_leaves_nothing_behind(catalog: Catalog, monkeypatch: pytest.MonkeyPatch) -> None:
    def defect(*given: object) -> None:
        raise ZeroDivisionError

    monkeypatch.setattr(stored_results, "written_digest", defect)
    table = TableResult(lambda: None, lambda: pa.table({"x": [1.0]}))  # type: ignore[arg-type, return-value]  # no frame
    table.arrow()
    with pytest.raises(ZeroDivisionError):
        store(table, Origin(ROWS, "w", "rows", 1), catalog)
    assert list(catalog.root.glob("tables/*/*")) == []
    assert list(catalog.leases.names()) == []


def test_who_cannot_abandon_what_is_published_gives_its_lease_back(
    catalog: Catalog, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The record is there, and then the disk is full."""
    publish = Catalog.publish

    def full(self: Catalog, record: ArtifactRecord) -> ArtifactRecord:
        self._artifacts.publish(record)
        raise OSError(28, "No space left on device")

    monkeypatch.setattr(Catalog, "publish", full)
    table = TableResult(lambda: None, lambda: pa.table({"x": [1.0]}))  # type: ignore[arg-type, return-value]  # no frame
    table.arrow()
    with pytest.raises(StoringError, match="No space left"):
        store(table, Origin(ROWS, "w", "rows", 1), catalog)
    monkeypatch.setattr(Catalog, "publish", publish)
    assert catalog.artifact(ROWS) is not None
    assert list(catalog.leases.names()) == []
    assert store(ValueResult(1), Origin(digest("one"), "w", "one", 1), catalog).value == "1"


def test_a_huge_value_is_not_put_into_the_records(catalog: Catalog) -> None:
    with pytest.raises(StoringError, match=r"\A'many' was not stored: its value takes 4\.\d MB"):
        store(ValueResult(["x" * 1023] * 4097), Origin(digest("many"), "w", "many", 1), catalog)
    assert catalog.artifact(digest("many")) is None
    assert list(catalog.leases.names()) == []

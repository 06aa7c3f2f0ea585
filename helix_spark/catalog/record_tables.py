"""The records of a catalog as tables that Spark, DuckDB and notebooks query: a copy, a table a kind."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from pathlib import Path
from typing import TYPE_CHECKING, Literal

from helix_spark.catalog.catalog_reader import CatalogReader
from helix_spark.catalog.records import KINDS
from helix_spark.catalog.segments.record_columns import columns_of
from helix_spark.catalog.segments.record_index import TURN_BITS, RecordKind

if TYPE_CHECKING:
    import pyarrow as pa

Format = Literal["delta", "parquet"]


def write_tables(catalog: CatalogReader, folder: Path, form: Format) -> Mapping[str, int]:
    """Write the records of each kind as a Delta table or a Parquet file in a folder that is there; return how many
    there are by kind. Raises CatalogError, OSError.

    A row has its record's fields, and `segment` and `place`, by which rows are ordered as they were appended.
    """
    import pyarrow.parquet as pq
    from deltalake import write_deltalake

    tables = {kind.name: _table(catalog, kind) for kind in KINDS}
    for name, table in tables.items():
        if form == "delta":
            write_deltalake(str(folder / name), table)
        else:
            pq.write_table(table, folder / f"{name}.parquet", compression="zstd")
    return {name: table.num_rows for name, table in tables.items()}


def _table(catalog: CatalogReader, kind: RecordKind) -> pa.Table:
    import pyarrow as pa

    types: Mapping[str, Callable[[], pa.DataType]] = {
        "str": pa.string, "int": pa.int64, "float": pa.float64, "bool": pa.bool_, "strs": lambda: pa.list_(pa.string()),
    }
    columns = columns_of(kind.record_type)
    rows = catalog.cells_of_all(kind)
    turns, *cells = zip(*rows, strict=True) if rows else [()] * (len(columns) + 1)
    arrays = {
        "segment": pa.array([turn >> TURN_BITS for turn in turns], pa.int64()),
        "place": pa.array([turn & (1 << TURN_BITS) - 1 for turn in turns], pa.int64()),
    }
    for (name, column), values in zip(columns.items(), cells, strict=True):
        arrays[name] = pa.array([column.value(one) for one in values], types[column.plain]())
    return pa.table(arrays)

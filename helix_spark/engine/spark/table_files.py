"""Stored tables straight as their files, read and written, with no help of Delta's.

A stored table has one commit, which is checked against its record and names its files. Delta would have Spark read and
replay the log for the same: some jobs, and in a fresh process most of a load's time. To write 337,000 rows took Delta
0.97 s, of which Spark's parquet writer needs 0.58; and 2.8 s the first time in a session.
"""

from __future__ import annotations

import re
from collections.abc import Iterable, Iterator
from types import MappingProxyType
from typing import TYPE_CHECKING, Any

from helix_spark.catalog.cells import parsed_schema
from helix_spark.catalog.tables.spark_types import NO_NAME
from helix_spark.catalog.tables.table_check import CheckedTable
from helix_spark.engine.spark.settings import VERIFIED

if TYPE_CHECKING:
    from pyspark.sql import DataFrame, SparkSession

_PLAIN = re.compile(
    r"byte|short|integer|long|float|double|boolean|string|binary|date|timestamp|timestamp_ntz|decimal\(\d+,-?\d+\)"
)
_VECTORS = frozenset({"org.apache.spark.ml.linalg.VectorUDT", "org.apache.spark.ml.linalg.MatrixUDT"})

_MOST_FILES = 32
"""With more paths than this, Spark lists them by a job (`spark.sql.sources.parallelPartitionDiscovery.threshold`)."""

_GLOB = re.compile(r"[\[\]{}*?\\,]")
"""What Spark's reader takes for a pattern in a path."""


def frame_over_files(spark: SparkSession, table: CheckedTable) -> DataFrame | None:
    """Return the table's rows, or None where only Delta reads them: types that parquet does not tell by itself, no
    files or many, a path that the reader would take for a pattern.

    Args:
        table: checked already: none of this is looked at again.
    """
    schema = parsed_schema(table.schema)
    if not 0 < len(table.files) <= _MOST_FILES or not _are_told_by_parquet(_parts(schema)):
        return None
    if any(_GLOB.search(str(file)) for file in table.files):
        return None
    from pyspark.sql.types import StructType

    reader = spark.read.options(**READ_FILES).schema(StructType.fromJson(dict(schema)))
    frame: DataFrame = reader.parquet(*(file.spark_uri for file in table.files))
    return frame


def can_be_files(schema: str) -> bool:
    """Return whether a table may be written as files that are committed afterwards: of types and names that parquet
    tells and that take no feature of Delta's, and no two names that differ only in case. Else Delta writes it, or says
    why it cannot be.

    Args:
        schema: Spark's, as JSON.
    """
    parts = list(_parts(parsed_schema(schema)))
    structs = [one for one in parts if isinstance(one, list)]
    return (
        bool(structs[0]) and all(len({name.lower() for name in names}) == len(names) for names in structs)
        and not any(NO_NAME.search(name) for names in structs for name in names)
        # Delta notes in its protocol that a table has times without a zone.
        and _are_told_by_parquet(parts) and "timestamp_ntz" not in parts
    )


AS_FILES = MappingProxyType({
    "mapreduce.fileoutputcommitter.algorithm.version": "1",
    "mapreduce.fileoutputcommitter.marksuccessfuljobs": "false",
})
"""Options by which a folder of parquet files holds those of tasks that came to their end, and nothing else."""

READ_FILES = MappingProxyType({"datetimeRebaseMode": "CORRECTED", "int96RebaseMode": "CORRECTED", **VERIFIED})
"""What was written without Spark does not tell by which calendar: by the one that all others use."""


def _parts(schema: Any) -> Iterator[Any]:
    """Yield the names of a schema's fields, a list for each struct, the outermost first, and its leaves' types; of
    Spark ML's vectors the class."""
    match schema:
        case {"type": "struct", "fields": fields}:
            yield [field["name"] for field in fields]
            for field in fields:
                if "__COLLATIONS" in field.get("metadata", {}):
                    yield "collated"  # which parquet knows nothing of
                yield from _parts(field["type"])
        case {"type": "array" | "map"}:
            for part in {"elementType", "keyType", "valueType"} & schema.keys():
                yield from _parts(schema[part])
        case {"type": "udt"}:
            yield schema.get("class")
        case _:
            yield schema


def _are_told_by_parquet(parts: Iterable[Any]) -> bool:
    leaves = [one for one in parts if not isinstance(one, list)]
    return all(isinstance(one, str) and (one in _VECTORS or _PLAIN.fullmatch(one) is not None) for one in leaves)

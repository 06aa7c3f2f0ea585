"""Reads sources with Spark."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Any

from helix_spark.engine.marking import marked
from helix_spark.errors import ResultTypeError
from helix_spark.workflow.sources import DeltaSource, FileSource, MemorySource, ReaderSource, Source

if TYPE_CHECKING:
    from pyspark.sql import DataFrame, SparkSession


def read_source(source: Source, spark: SparkSession) -> DataFrame:
    """A source's table. Nothing is read yet, except to infer a schema.

    Raises:
        ResultTypeError: a reader function returned something else than a DataFrame.
    """
    match source:
        case FileSource(format=format, paths=paths, schema=schema, options=options):
            reader = spark.read.format(format).options(**dict(options))
            if schema is not None:
                reader = reader.schema(_schema(schema))
            return marked(reader.load([_absolute(path) for path in paths]))  # the files may be others than last time
        case DeltaSource(path=path, version=version):
            delta = spark.read.format("delta")
            return (delta if version is None else delta.option("versionAsOf", version)).load(_absolute(path))
        case ReaderSource(read=read):
            made = read(spark)
            if type(made).__name__ != "DataFrame":
                got = "nothing (did you forget `return`?)" if made is None else f"a {type(made).__name__}"
                raise ResultTypeError(f"the reader must return a Spark DataFrame; it returned {got}")
            return marked(made)
        case MemorySource():
            raise AssertionError("tables in memory are not read")


def _schema(schema: str) -> Any:
    """DDL text as it is, a StructType from its JSON."""
    if not schema.lstrip().startswith("{"):
        return schema
    import json

    from pyspark.sql.types import StructType

    return StructType.fromJson(json.loads(schema))


def _absolute(path: str) -> str:
    return path if "://" in path else str(Path(path).expanduser().absolute())

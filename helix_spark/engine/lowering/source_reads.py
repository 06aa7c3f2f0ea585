"""Reads sources with Spark."""

from __future__ import annotations

import re
from typing import TYPE_CHECKING, Any

from helix_spark.catalog.places.place import LocalPath
from helix_spark.engine.results.pinning import marked
from helix_spark.errors import ResultTypeError
from helix_spark.workflow.sources import DeltaSource, FileSource, MemorySource, ReaderSource, Source

if TYPE_CHECKING:
    from pyspark.sql import DataFrame, SparkSession

_PATTERN = re.compile(r"[\[\]{}*?\\]")
"""What makes a pattern of a path for Spark's reader."""


def read_source(source: Source, spark: SparkSession) -> DataFrame:
    """Return a source's table. Nothing is read yet, except to infer a schema.

    Raises:
        ResultTypeError: a reader function returned something else than a DataFrame.
    """
    match source:
        case FileSource(format=format, schema=schema):
            reader = spark.read.format(format).options(**_options(source))
            if schema is not None:
                reader = reader.schema(_schema(schema))
            return marked(reader.load(_paths(source)))  # the files may be others than last time
        case DeltaSource(path=path, version=version, commit=commit):
            delta = spark.read.format("delta")
            if version is not None:
                delta = delta.option("versionAsOf", version)
            if commit:  # Delta knows logs by path and by such options: of another table in its place it would not ask
                delta = delta.option("fs.helix.commit", commit)
            return marked(delta.load(_on_this_disk(path)))
        case ReaderSource(read=read):
            made = read(spark)
            if type(made).__name__ != "DataFrame":
                got = "nothing (did you forget `return`?)" if made is None else f"a {type(made).__name__}"
                raise ResultTypeError(f"the reader must return a Spark DataFrame; it returned {got}")
            return marked(made)
        case MemorySource():
            raise AssertionError("tables in memory are not read")


def _schema(schema: str) -> Any:
    """Return DDL text as it is, and a StructType from its JSON."""
    if not schema.lstrip().startswith("{"):
        return schema
    import json

    from pyspark.sql.types import StructType

    return StructType.fromJson(json.loads(schema))


def _paths(source: FileSource) -> list[str]:
    """Return a source's paths as Spark is told of them. Where the author vouches for the version, nobody has looked at
    the files: what a path without a scheme means is for Spark's settings to say."""
    if source.version is None:
        return [_signed(path) for path in source.paths]
    return [path if "://" in path else str(_absolute(path)) for path in source.paths]


def _options(source: FileSource) -> dict[str, str]:
    """Return a source's options. One is a path, too, and Spark wants to find the others below it."""
    return {
        name: _on_this_disk(value) if name.lower() == "basepath" and source.version is None else value
        for name, value in source.options
    }


def _signed(path: str) -> str:
    """Return a path as it was looked at when its version was told: what is there under the very name is no pattern."""
    if "://" in path and not path.startswith("file://"):
        return path
    place = _absolute(path.removeprefix("file://"))
    told = place.spark_uri
    return _PATTERN.sub(r"\\\g<0>", told) if _PATTERN.search(told) and place.exists() else told


def _on_this_disk(path: str) -> str:
    """Return a path with its scheme: one without was signed from this machine's disk, and `fs.defaultFS` may name
    another place, which would be read instead."""
    return path if "://" in path else _absolute(path).spark_uri


def _absolute(path: str) -> LocalPath:
    return LocalPath(path).expanduser().absolute()

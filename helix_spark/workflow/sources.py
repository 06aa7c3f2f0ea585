"""Sources as frozen data. The engine reads them; `identity.data_version` returns their versions."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any, Literal

from helix_spark.errors import OperatorError
from helix_spark.workflow.declared_at import caller

if TYPE_CHECKING:
    import pandas as pd
    import pyarrow as pa
    from pyspark.sql import DataFrame, SparkSession
    from pyspark.sql.types import StructType

FileFormat = Literal["csv", "json", "parquet", "text"]


@dataclass(frozen=True, slots=True)
class FileSource:
    """Files that Spark reads: paths of files, folders or globs.

    Attributes:
        format: csv, json, parquet or text.
        paths: paths as the author wrote them.
        schema: DDL text, or None to have Spark infer it.
        options: reader options, sorted by name.
        version: the author's name for a version of data that cannot be listed (object stores), or None.
    """

    format: FileFormat
    paths: tuple[str, ...]
    schema: str | None = None
    options: tuple[tuple[str, str], ...] = ()
    version: str | None = None


@dataclass(frozen=True, slots=True)
class DeltaSource:
    """A Delta table at one version; the newest at the time of the run if `version` is None. `commit` is the digest of
    that version's commit once it was read, else empty."""

    path: str
    version: int | None = None
    commit: str = ""


@dataclass(frozen=True, slots=True, eq=False)
class MemorySource:
    """A pandas DataFrame or pyarrow Table; its version is its content."""

    data: Any


@dataclass(frozen=True, slots=True)
class ReaderSource:
    """A function of the session that returns a DataFrame, and the author's name for the version of its data."""

    read: Callable[..., Any]
    version: str


Source = FileSource | DeltaSource | MemorySource | ReaderSource

Paths = str | Path | Sequence[str | Path]


def _files(
    format: FileFormat, path: Paths, schema: str | StructType | None, options: dict[str, object], version: str | None
) -> FileSource:
    paths = tuple(map(str, [path] if isinstance(path, str | Path) else path))
    if not paths or not all(paths):
        raise OperatorError(
            f"{format}() was given no path", where=caller(), remedy="give the path of a file, a folder or a glob"
        )
    ddl = schema if schema is None or isinstance(schema, str) else schema.json()  # `toDDL` would need a JVM
    texts = {name: str(value).lower() if isinstance(value, bool) else str(value) for name, value in options.items()}
    return FileSource(format, paths, ddl, tuple(sorted(texts.items())), version)


def csv(
    path: Paths, schema: str | StructType | None = None, *, header: bool = False, version: str | None = None,
    **options: object,
) -> FileSource:
    """Read CSV files.

    Args:
        path: a file, a folder, a glob, or a list of these.
        schema: DDL text such as "age double", or a StructType; without one, Spark reads the files twice to infer it.
        header: True if the first line of each file has the column names.
        version: your name for the version of data in an object store, where files cannot be listed; change it when the
            data changes.
        options: options of Spark's reader, by name.

    Raises:
        OperatorError: there is no path. A plan or a run raises SourceError if no file matches.

    >>> csv("adult.data", "age double", sep=", ").options
    (('header', 'false'), ('sep', ', '))
    """
    if schema is None:
        options.setdefault("inferSchema", True)
    return _files("csv", path, schema, {"header": header, **options}, version)


def json(
    path: Paths, schema: str | StructType | None = None, *, version: str | None = None, **options: object
) -> FileSource:
    """Read JSON files, one object a line unless ``multiLine=True``. Arguments and errors are those of `hx.csv`."""
    return _files("json", path, schema, options, version)


def parquet(path: Paths, *, version: str | None = None, **options: object) -> FileSource:
    """Read Parquet files. Arguments and errors are those of `hx.csv`."""
    return _files("parquet", path, None, options, version)


def text(path: Paths, *, version: str | None = None, **options: object) -> FileSource:
    """Read text files into a column ``value``, a row a line unless ``wholetext=True``. Errors are those of `hx.csv`."""
    return _files("text", path, None, options, version)


def delta(path: str | Path, *, version: int | None = None) -> DeltaSource:
    """Read a Delta table.

    Args:
        path: a folder, or a URI in an object store.
        version: an integer from 0; None for the newest at the time of the run. A plan or a run raises SourceError if
            there is no such table or version.
    """
    return DeltaSource(str(path), version)


def table(data: pd.DataFrame | pa.Table) -> MemorySource:
    """Read a table in memory: a pandas DataFrame (without its index) or a pyarrow Table.

    Raises:
        OperatorError: `data` is neither.
    """
    if type(data).__module__.split(".")[0] not in ("pandas", "pyarrow"):
        raise OperatorError(
            f"table() was given a {type(data).__name__}", where=caller(),
            remedy="give a pandas.DataFrame or a pyarrow.Table",
        )
    return MemorySource(data)


def reader(read: Callable[[SparkSession], DataFrame], *, version: str) -> ReaderSource:
    """Read the DataFrame that a function of the Spark session returns.

    Args:
        read: a function that takes the session and returns a DataFrame.
        version: your name for the version of the data; change it when the data changes.

    >>> reader(lambda spark: spark.read.format("jdbc").load(), version="2026-11-01").version
    '2026-11-01'
    """
    return ReaderSource(read, version)

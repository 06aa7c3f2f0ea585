"""Loads stored results: checked against their records first, and with Spark only where Spark must read them."""

from __future__ import annotations

import atexit
import re
import tempfile
import time
from collections.abc import Iterable, Iterator
from contextlib import contextmanager
from functools import cache
from typing import TYPE_CHECKING, Any
from uuid import uuid4

from helix_spark.answers.stored_tables import frame_over_files
from helix_spark.catalog.catalog_reader import CatalogReader
from helix_spark.catalog.places.json_text import parsed
from helix_spark.catalog.places.place import LocalPath, Place, is_out_of_reach
from helix_spark.catalog.records import ArtifactRecord
from helix_spark.catalog.tables.model_files import StrangeModelError, checked_digest
from helix_spark.catalog.tables.spark_types import NeedsSparkError
from helix_spark.catalog.tables.table_check import DamagedArtifactError, unreached
from helix_spark.catalog.verification import examine
from helix_spark.engine.results.node_results import ModelResult, NodeResult, TableResult, ValueResult, collect
from helix_spark.engine.spark.borrowed import master_of
from helix_spark.engine.spark.gateway import first_line
from helix_spark.engine.spark.settings import is_on_this_machine
from helix_spark.errors import CatalogError
from helix_spark.forks import Birthplace, remove_own

if TYPE_CHECKING:
    import pyarrow as pa
    from pyspark.sql import DataFrame

    from helix_spark.engine.spark.session import Sessions


class DamagedResultError(CatalogError):
    """A stored result cannot be had; the engine quarantines it and plans anew.

    Attributes:
        record: of the result.
    """

    def __init__(self, record: ArtifactRecord, cause: object) -> None:
        self.record = record
        super().__init__(f"the stored result of {record.node!r} cannot be read: {cause}")


def load(record: ArtifactRecord, catalog: CatalogReader, sessions: Sessions) -> NodeResult:
    """Load a stored result. A table is read when its rows are asked for.

    Raises:
        DamagedResultError: now, or when the rows are asked for.
        CatalogError: what is stored is sound, or was not reached.
    """
    if record.kind == "value":
        try:
            return ValueResult(parsed(record.value or "null"))
        except ValueError as error:
            raise DamagedResultError(record, error) from error
    if record.kind == "model":
        return _model(record, catalog, sessions)
    if record.schema is None:  # plans are made on records without schemas, but for those of late iterations
        whole = catalog.artifact(record.signature)
        if whole is None or whole.attempt != record.attempt:
            raise DamagedResultError(record, "it is not stored any more")
        record = whole

    def rows() -> pa.Table:
        start = time.perf_counter()
        with _damage(record):
            try:
                found = catalog.read_arrow(record)
            except NeedsSparkError:
                return collect(_frame(record, catalog, sessions))
        table.read_seconds = time.perf_counter() - start
        return found

    table = TableResult(lambda: _frame(record, catalog, sessions), rows)
    table.loaded = True
    return table


def unread_by_spark(
    error: BaseException, records: Iterable[ArtifactRecord], catalog: CatalogReader
) -> CatalogError | None:
    """Return what is wrong with a stored result that a failed Spark job could not read, by the attempt in the path that
    Spark names; None where that is not what failed.

    A worker that does not see the catalog's folder, or a store that refuses for once, says nothing of what is stored;
    to put it aside would be to delete it. So it is examined here, whole, and is a DamagedResultError only if that finds
    damage.

    Args:
        records: of the results that the run loads.
    """
    if isinstance(error, DamagedResultError):
        return error
    text = f"{error}\n{error.__cause__ or ''}"  # the author is shown the first lines only
    named, record = _UNREADABLE.search(text), next((one for one in records if one.attempt in text), None)
    if named is None or record is None or isinstance(error, CatalogError):
        return None
    try:
        if examine(catalog, record, deep=True).bad:
            return DamagedResultError(record, named[0])
    except CatalogError as unreachable:
        return unreachable
    found = CatalogError(
        f"the stored result of {record.node!r} is sound here, but Spark's workers cannot read it",
        exists=first_line(error), remedy="the catalog's folder must be seen by all workers, under the same path; "
        "recompute=True on the node does without what is stored",
    )
    found.__cause__ = error
    return found


_UNREADABLE = re.compile(
    r"FAILED_READ_FILE[.\w]*|PATH_NOT_FOUND|DELTA_[A-Z_]+|MALFORMED_RECORD_IN_PARSING|ChecksumException"
    "|FileNotFoundException"
)


def _frame(record: ArtifactRecord, catalog: CatalogReader, sessions: Sessions) -> DataFrame:
    with _damage(record):
        checked = catalog.check_table(record)
        spark = sessions.get()
        frame = frame_over_files(spark, checked)
        if frame is None:
            # By version: a lost last log entry would otherwise roll the table back without a word.
            stored = spark.read.format("delta").option("versionAsOf", record.version or 0)
            path = catalog.path_of(record)
            assert path is not None
            frame = stored.load(path.spark_uri)
        return frame


def _model(record: ArtifactRecord, catalog: CatalogReader, sessions: Sessions) -> ModelResult:
    """Load a model, checked before Spark is needed; the start of a session does not count as reading."""
    path = catalog.path_of(record)
    assert path is not None
    start = time.perf_counter()
    copy = checked(record, path)
    checking = time.perf_counter() - start
    spark = sessions.get()
    from py4j.protocol import Py4JError
    from pyspark.errors import PySparkException
    from pyspark.ml.util import DefaultParamsReader

    start = time.perf_counter()
    read = path if copy is None or not is_on_this_machine(master_of(spark)) else copy
    try:
        model: Any = DefaultParamsReader.loadParamsInstance(read.spark_uri, spark)
    except (PySparkException, Py4JError) as error:
        checked(record, path)  # it may have been evicted meanwhile
        raise CatalogError(
            f"Spark could not load the stored result of {record.node!r}: {first_line(error)}",
            exists="what is stored is kept", remedy="run again; recompute=True on the node does without it",
        ) from error
    return ModelResult(model, checking + time.perf_counter() - start)


def checked(record: ArtifactRecord, path: Place) -> LocalPath | None:
    """Check that a folder holds the recorded model, and nothing but a model of Spark ML's. Return a copy of what was
    checked, for Spark on this machine to read; None of a very large one.

    Between a look at a catalog's files and Spark's reading of them somebody else may write there; and Spark reads
    whatever lies in a folder.

    Raises:
        DamagedResultError: it is not.
        CatalogError: it was not reached.
    """
    # A name of its own for each: of some models, as ALS's, Spark reads the files when rows are asked for.
    copy = _private() / uuid4().hex if record.bytes <= _LARGEST_COPY else None
    try:
        digest = checked_digest(path, copy)
    except (OSError, StrangeModelError) as error:
        if is_out_of_reach(error):
            raise unreached(path, error) from error
        raise DamagedResultError(record, error) from error
    if record.digest not in (None, digest):
        raise DamagedResultError(record, "its files are not those that were written")
    return copy


_LARGEST_COPY = 256 << 20
"""Bytes of a model, which take half a second to copy."""


@cache
def _private() -> LocalPath:
    """Return a folder that nobody else writes to, for as long as this process lives."""
    folder = LocalPath(tempfile.mkdtemp(prefix="helix-models-"))
    atexit.register(remove_own, folder, Birthplace())
    return folder


@contextmanager
def _damage(record: ArtifactRecord) -> Iterator[None]:
    try:
        yield
    except DamagedArtifactError as error:
        raise DamagedResultError(record, error.what) from error

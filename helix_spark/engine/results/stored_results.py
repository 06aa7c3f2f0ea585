"""Stored results: written apart and published by one record, behind the answer; loaded once they are checked."""

from __future__ import annotations

import atexit
import json
import re
import tempfile
import time
from collections.abc import Callable, Iterable, Iterator
from contextlib import contextmanager, suppress
from dataclasses import dataclass
from functools import cache
from pathlib import Path
from typing import TYPE_CHECKING, Any
from uuid import uuid4

from helix_spark.answers.stored_tables import AS_FILES, MOST_PARTITIONS, can_be_files, frame_over_files, with_partitions
from helix_spark.catalog.catalog import Catalog
from helix_spark.catalog.catalog_reader import CatalogReader
from helix_spark.catalog.failpoints import reach
from helix_spark.catalog.places.json_text import DEEPEST, is_too_deep, parsed
from helix_spark.catalog.places.place import LocalPath, Place
from helix_spark.catalog.records import LARGEST_VALUE, ArtifactKind, ArtifactRecord
from helix_spark.catalog.tables.attempts import Attempt, physical_bytes
from helix_spark.catalog.tables.model_files import StrangeModelError, checked_digest
from helix_spark.catalog.tables.spark_types import NeedsSparkError, foreign_classes
from helix_spark.catalog.tables.table_reading import DamagedArtifactError, explained_damage, read_commit
from helix_spark.catalog.tables.table_writing import commit_files
from helix_spark.catalog.verification import examine
from helix_spark.engine.results.node_results import (
    ColumnResult,
    ModelResult,
    NodeResult,
    TableResult,
    ValueResult,
    collect,
)
from helix_spark.engine.spark.borrowed import holding, master_of
from helix_spark.engine.spark.gateway import first_line, spark_errors
from helix_spark.engine.spark.settings import WHILE_WE_WRITE, is_on_this_machine
from helix_spark.errors import CatalogError, HelixError
from helix_spark.forks import Birthplace, remove_own
from helix_spark.sizes import format_size
from helix_spark.versions import may_observe

if TYPE_CHECKING:
    import pyarrow as pa
    from pyspark.sql import DataFrame

    from helix_spark.engine.server.session import Sessions


class StoringError(HelixError):
    """A result could not be stored. The run goes on; the result is computed again when it is needed."""


@dataclass(frozen=True, slots=True)
class Origin:
    """Where a result comes from, what it takes to compute it again from nothing, and what its author wishes of it: for
    its record. `at_hand` is True if storing it takes no more than writing it."""

    signature: str
    workflow: str
    node: str
    iteration: int
    recompute_seconds: float = 0.0
    at_hand: bool = True
    insisted: bool = False
    fixed: bool = False


def store(
    result: NodeResult, origin: Origin, catalog: Catalog, check: Callable[[], None] = lambda: None,
    partitions: Callable[[], int] | None = None,
) -> ArtifactRecord:
    """Write a result and publish it. The first record of a signature wins. Raises StoringError where it could not be
    written or published; what was written is gone again.

    `check` is called when all is written and nothing published; it raises CatalogError to have it not published. A
    table with a column of its rows' places (`stored_tables.PLACE`) is written as files, or not at all; `partitions`
    says how many it had, once it is written.
    """
    begun = time.perf_counter()
    kind: ArtifactKind = "model" if isinstance(result, ModelResult) else "table"
    attempt = catalog.begin_attempt(origin.signature, "value" if isinstance(result, ValueResult) else kind)
    try:
        reach("store.begun")
        catalog.check()
        written = _write(result, attempt, catalog, partitions)
        record = ArtifactRecord(
            signature=origin.signature, attempt=attempt.attempt, kind=attempt.kind, event="published",
            workflow=origin.workflow, node=origin.node, iteration=origin.iteration, at=time.time(),
            recompute_seconds=origin.recompute_seconds, insisted=origin.insisted, fixed=origin.fixed,
            write_seconds=time.perf_counter() - begun if origin.at_hand else 0.0, **written,
        )
        reach("store.written")
        check()
        return catalog.publish(catalog.vouch(record))
    except BaseException as error:  # an unforeseen one, too, leaves an orphaned folder
        with suppress(CatalogError):  # the disk that refused the write may refuse this too; `gc` finds what is left
            catalog.abandon(attempt)
        if isinstance(error, spark_errors()):
            raise StoringError(f"{origin.node!r} was not stored: {first_line(error)}") from error
        raise


def _write(
    result: NodeResult, attempt: Attempt, catalog: Catalog, partitions: Callable[[], int] | None
) -> dict[str, Any]:
    """Write a result; return what its record says of it, by field."""
    match result:
        case ValueResult(value=value):
            if len(text := json.dumps(value)) > LARGEST_VALUE:
                raise CatalogError(
                    f"as a value it takes {format_size(len(text))}, and {format_size(LARGEST_VALUE)} are stored at "
                    "most; a reducer may return a table"
                )
            if is_too_deep(value):
                raise CatalogError(f"its lists and dicts lie more than {DEEPEST} deep in each other")
            return {"value": text}
        case ModelResult(model=model):
            assert attempt.path is not None
            digest = _save_model(model, attempt.path)
            return {"bytes": physical_bytes(attempt.path), "digest": digest}
        case TableResult():
            assert attempt.path is not None
            rows = None
            if result.at_hand:
                catalog.write_arrow(attempt, result.arrow())
            else:
                rows = _save_frame(result.frame(), attempt, partitions)
            commit = read_commit(attempt.path)
            if None not in (rows, commit.rows) and rows != commit.rows:
                raise CatalogError(
                    f"{rows:,} rows were written, and its files have {commit.rows:,}: the catalog's folder must be "
                    "seen by all of Spark's workers"
                )
            return {
                "bytes": physical_bytes(attempt.path), "rows": commit.rows if rows is None else rows,
                "schema": commit.schema, "digest": catalog.written_digest(attempt),
            }
        case ColumnResult():
            raise AssertionError("columns are not stored")


def _save_model(model: Any, path: Place) -> str:
    try:
        model.write().save(path.spark_uri)
        return checked_digest(path)
    except StrangeModelError as error:
        raise CatalogError(f"{error}; none but Spark ML's own is loaded from a catalog") from error
    except Exception as error:  # the writer of a class that is not Spark's may raise anything, or not be there
        raise CatalogError(f"its {type(model).__name__} cannot be written ({first_line(error)})") from error


def _save_frame(frame: DataFrame, attempt: Attempt, partitions: Callable[[], int] | None) -> int | None:
    """Write a table, on a disk as plain files where that will do. Return the rows that were counted as they were
    written, so that files which this process does not see are missed; None where they were not counted."""
    import pyspark
    from pyspark.sql import Observation
    from pyspark.sql import functions as F

    assert attempt.path is not None
    schema = frame.schema.json()
    if foreign := foreign_classes(schema):
        raise CatalogError(f"a column is of the class {foreign[0]}; none but Spark ML's is loaded from a catalog")
    seen = Observation() if may_observe(pyspark.__version__) else None
    counted = frame if seen is None else frame.observe(seen, F.count(F.lit(1)).alias("rows"))
    is_local = isinstance(attempt.path, LocalPath)
    is_seen = seen is not None or is_on_this_machine(master_of(frame.sparkSession))
    as_files = can_be_files(schema) and (is_seen if is_local else partitions is not None)
    if partitions is not None and not as_files:
        raise CatalogError(
            "it has a column of a type, or of a name, that files by themselves do not tell" if is_seen or not is_local
            else "with this version of pyspark nobody tells whether files of workers elsewhere are missing"
        )
    # A server reports the progress of short writes, too, if it looks so often.
    progress = {} if partitions is None else {"spark.connect.progress.reportInterval": "10ms"}
    with holding(frame.sparkSession, WHILE_WE_WRITE | progress):
        # In an object store Delta's tasks need rename nothing.
        form, options = ("parquet", AS_FILES) if as_files else ("delta", {"userMetadata": attempt.attempt})
        counted.write.format(form).options(**options).save(attempt.path.spark_uri)
    if partitions is not None:
        if (number := partitions()) > MOST_PARTITIONS:
            raise CatalogError(f"it has {number:,} partitions, more than {MOST_PARTITIONS:,}")
        schema = with_partitions(schema, number)
    if as_files:
        commit_files(attempt, schema)
    rows: int | None = None if seen is None else seen.get["rows"]
    return rows


def export_model(model: Any, folder: Path) -> str:
    """Write a fitted Spark ML model into a folder that does not exist, as a pipeline: the one form that trackers load
    without knowing the model's class. Return the name of the class that reads it. Raises OSError if it is not in the
    folder: the workers of a cluster wrote it to their own disks."""
    from pyspark.ml import PipelineModel

    pipeline = model if isinstance(model, PipelineModel) else PipelineModel([model])
    pipeline.write().save(f"file://{folder}")
    if len(list(folder.rglob("metadata/part-*"))) < 1 + len(pipeline.stages):
        raise OSError("Spark's workers wrote it to disks of their own; they and the driver need one in common")
    return f"{PipelineModel.__module__}.{PipelineModel.__qualname__}"


class DamagedResultError(CatalogError):
    """A stored result, of this record, cannot be had; the engine quarantines it and plans anew."""

    def __init__(self, record: ArtifactRecord, cause: object) -> None:
        self.record = record
        place = f" in the shared catalog {record.shared}" if record.shared else ""
        super().__init__(f"the stored result of {record.node!r}{place} cannot be read: {cause}")


def load(record: ArtifactRecord, catalog: CatalogReader, sessions: Sessions) -> NodeResult:
    """Load a stored result; a table is read when its rows are asked for. Raises DamagedResultError, now or then;
    CatalogError where what is stored is sound, or was not reached."""
    if record.kind == "value":
        try:
            return ValueResult(parsed(record.value or "null"))
        except ValueError as error:
            raise DamagedResultError(record, error) from error
    if record.kind == "model":
        with damage_of(record):
            return _model(record, catalog, sessions)
    if record.schema is None:  # plans are made on records without schemas, but for those of late iterations
        if (whole := catalog.artifact(record.signature)) is None or whole.attempt != record.attempt:
            raise DamagedResultError(record, "it is not stored any more")
        record = whole

    def rows() -> pa.Table:
        start = time.perf_counter()
        with damage_of(record):
            try:
                found = catalog.read_arrow(record)
            except NeedsSparkError:
                return collect(_frame(record, catalog, sessions))
        table.read_seconds = time.perf_counter() - start
        return found

    def frame() -> DataFrame:
        found: DataFrame | None = sessions.kept_table(catalog.id + record.signature)
        table.kept = found is not None
        return _frame(record, catalog, sessions) if found is None else found

    table = TableResult(frame, rows, loaded=True)
    return table


def kept_result(signature: str, catalog: CatalogReader, sessions: Sessions) -> TableResult | None:
    """Return the result whose rows an earlier run has left in a server's memory; None if they are not there."""
    frame = sessions.kept_table(catalog.id + signature)
    return None if frame is None else TableResult(lambda: frame, kept=True)


def unread_by_spark(
    error: BaseException, records: Iterable[ArtifactRecord], catalog: CatalogReader
) -> CatalogError | None:
    """Return what is wrong with a stored result that a failed Spark job could not read, by the attempt in the path that
    Spark names; None where that is not what failed. `records` are of the results that the run loads.

    A worker that does not see the catalog's folder says nothing of what is stored. So it is examined here, whole, and
    is a DamagedResultError only if that finds damage."""
    if isinstance(error, DamagedResultError):
        return error
    text = f"{error}\n{error.__cause__ or ''}"  # the author is shown the first lines only
    named, record = _UNREADABLE.search(text), next((one for one in records if one.attempt in text), None)
    if named is None or record is None or isinstance(error, CatalogError):
        return None
    try:
        if record.shared or examine(catalog, record, deep=True).bad:
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
    with damage_of(record):
        checked = catalog.check_table(record)
        spark = sessions.get()
        if (frame := frame_over_files(spark, checked)) is None:
            # By version: a lost last log entry would otherwise roll the table back without a word.
            stored = spark.read.format("delta").option("versionAsOf", 0)
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
    checked, for Spark on this machine to read; None of a very large one. Raises DamagedArtifactError, CatalogError
    where it was not reached.

    Between this check of a catalog's files and Spark's reading of them others may write there; and Spark reads
    whatever lies in a folder."""
    # A name of its own for each: of some models, as ALS's, Spark reads the files when rows are asked for.
    copy = _private() / uuid4().hex if record.bytes <= 256 << 20 else None  # which take half a second to copy
    with explained_damage(path):
        if record.digest not in (None, checked_digest(path, copy)):
            raise ValueError("its files are not those that were written")
    return copy


@cache
def _private() -> LocalPath:
    """Return a folder of this process alone, which goes with it."""
    folder = LocalPath(tempfile.mkdtemp(prefix="helix-models-"))
    atexit.register(remove_own, folder, Birthplace())
    return folder


@contextmanager
def damage_of(record: ArtifactRecord) -> Iterator[None]:
    """Raise DamagedResultError for a damaged result, and for all that keeps one in a shared catalog from being had."""
    try:
        yield
    except DamagedResultError:
        raise
    except CatalogError as error:
        if record.shared or isinstance(error, DamagedArtifactError):
            raise DamagedResultError(record, error.what) from error
        raise

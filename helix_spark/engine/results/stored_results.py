"""Stored results: written to a folder, then published by one record; checked and loaded again."""

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
from helix_spark.catalog.tables.attempts import Attempt
from helix_spark.catalog.tables.model_files import StrangeModelError, checked_digest
from helix_spark.catalog.tables.spark_types import NeedsSparkError, foreign_classes
from helix_spark.catalog.tables.table_reading import DamagedArtifactError, explained_damage, read_commit, written_digest
from helix_spark.catalog.tables.table_writing import commit_files, write_arrow
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
    """The origin of a result, for its record: its node, the seconds to compute it from the sources, its author's
    wishes. `at_hand` is True if storing it is only writing it."""

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
    """Write a result and publish it. The first record of a signature wins. Raises StoringError or CatalogError where it
    could not be written or published, and removes its files.

    `check` is called between writing and publishing; it raises CatalogError to prevent publishing. A table with a
    column of its rows' places (`stored_tables.PLACE`) is written only as files; `partitions` then returns its number of
    partitions, once it is written.
    """
    start = time.perf_counter()
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
            write_seconds=time.perf_counter() - start if origin.at_hand else 0.0, **written,
        )
        reach("store.written")
        check()
        return catalog.publish(catalog.write_manifest(record))
    except BaseException as error:  # any error would leave an orphaned folder
        with suppress(CatalogError):  # a full disk may refuse this, too; `gc` removes the folder later
            catalog.abandon(attempt)
        if isinstance(error, spark_errors()):
            raise StoringError(f"{origin.node!r} was not stored: {first_line(error)}") from error
        raise


def _write(
    result: NodeResult, attempt: Attempt, catalog: Catalog, partitions: Callable[[], int] | None
) -> dict[str, Any]:
    """Write a result; return the fields of its record that describe the files."""
    match result:
        case ValueResult(value=value):
            if len(text := json.dumps(value)) > LARGEST_VALUE:
                raise CatalogError(
                    f"its value takes {format_size(len(text))}, and at most {format_size(LARGEST_VALUE)} are stored; "
                    "return a table instead"
                )
            if is_too_deep(value):
                raise CatalogError(f"its lists and dicts are nested more than {DEEPEST} deep")
            return {"value": text}
        case ModelResult(model=model):
            assert attempt.path is not None
            digest = _save_model(model, attempt.path)
            return {"bytes": attempt.path.total_bytes(), "digest": digest}
        case TableResult():
            assert attempt.path is not None
            rows = None
            if result.at_hand:
                write_arrow(attempt, result.arrow())
            else:
                rows = _save_frame(result.frame(), attempt, partitions)
            commit = read_commit(attempt.path)
            if None not in (rows, commit.rows) and rows != commit.rows:
                raise CatalogError(
                    f"{rows:,} rows were written, and its files have {commit.rows:,}: the catalog's folder must be "
                    "visible to all of Spark's workers"
                )
            return {
                "bytes": attempt.path.total_bytes(), "rows": commit.rows if rows is None else rows,
                "schema": commit.schema, "digest": written_digest(attempt.path),
            }
        case ColumnResult():
            raise AssertionError("columns are not stored")


def _save_model(model: Any, path: Place) -> str:
    try:
        model.write().save(path.spark_uri)
        return checked_digest(path)
    except StrangeModelError as error:
        raise CatalogError(f"{error}; none but Spark ML's own is loaded from a catalog") from error
    except Exception as error:  # the writer of a user-defined class may raise anything, or be missing
        raise CatalogError(f"its {type(model).__name__} cannot be written ({first_line(error)})") from error


def _save_frame(frame: DataFrame, attempt: Attempt, partitions: Callable[[], int] | None) -> int | None:
    """Write a table, on a disk as plain files if its types allow that. Return the number of rows that Spark counted as
    it wrote them, to detect files that this process does not see; None if it did not count."""
    import pyspark
    from pyspark.sql import Observation
    from pyspark.sql import functions as F

    assert attempt.path is not None
    schema = frame.schema.json()
    if foreign := foreign_classes(schema):
        raise CatalogError(f"a column is of the class {foreign[0]}; none but Spark ML's is loaded from a catalog")
    observation = Observation() if may_observe(pyspark.__version__) else None
    counted = frame if observation is None else frame.observe(observation, F.count(F.lit(1)).alias("rows"))
    is_local = isinstance(attempt.path, LocalPath)
    is_verified = observation is not None or is_on_this_machine(master_of(frame.sparkSession))
    as_files = can_be_files(schema) and (is_verified if is_local else partitions is not None)
    if partitions is not None and not as_files:
        raise CatalogError(
            "it has a column of a type, or of a name, that plain files do not store" if is_verified or not is_local
            else "this version of pyspark cannot detect missing files of workers on other machines"
        )
    # At this interval a server reports the progress of short writes, too.
    progress = {} if partitions is None else {"spark.connect.progress.reportInterval": "10ms"}
    with holding(frame.sparkSession, WHILE_WE_WRITE | progress):
        # In an object store, Delta's tasks rename no files.
        form, options = ("parquet", AS_FILES) if as_files else ("delta", {"userMetadata": attempt.attempt})
        counted.write.format(form).options(**options).save(attempt.path.spark_uri)
    if partitions is not None:
        if (number := partitions()) > MOST_PARTITIONS:
            raise CatalogError(f"it has {number:,} partitions, more than {MOST_PARTITIONS:,}")
        schema = with_partitions(schema, number)
    if as_files:
        commit_files(attempt, schema)
    rows: int | None = None if observation is None else observation.get["rows"]
    return rows


def export_model(model: Any, folder: Path) -> str:
    """Write a fitted Spark ML model into a new folder, as a pipeline: the only form that trackers load without knowing
    the model's class. Return the name of the class that reads it. Raises OSError if workers wrote it to their own
    disks."""
    from pyspark.ml import PipelineModel

    pipeline = model if isinstance(model, PipelineModel) else PipelineModel([model])
    pipeline.write().save(f"file://{folder}")
    if len(list(folder.rglob("metadata/part-*"))) < 1 + len(pipeline.stages):
        raise OSError("Spark's workers wrote it to their own disks; they and the driver need a shared one")
    return f"{PipelineModel.__module__}.{PipelineModel.__qualname__}"


class DamagedResultError(CatalogError):
    """The stored result of this record cannot be read; the engine quarantines it and plans again."""

    def __init__(self, record: ArtifactRecord, cause: object) -> None:
        self.record = record
        place = f" in the shared catalog {record.shared}" if record.shared else ""
        super().__init__(f"the stored result of {record.node!r}{place} cannot be read: {cause}")


def load(record: ArtifactRecord, catalog: CatalogReader, sessions: Sessions) -> NodeResult:
    """Load a stored result; a table is read when its rows are needed. Raises DamagedResultError, now or then;
    CatalogError if the stored result is sound or could not be reached."""
    if record.kind == "value":
        try:
            return ValueResult(parsed(record.value or "null"))
        except ValueError as error:
            raise DamagedResultError(record, error) from error
    if record.kind == "model":
        with damage_of(record):
            return _model(record, catalog, sessions)
    if record.schema is None:  # most plans have records without schemas
        if (complete := catalog.artifact(record.signature)) is None or complete.attempt != record.attempt:
            raise DamagedResultError(record, "it is not stored any more")
        record = complete

    def rows() -> pa.Table:
        start = time.perf_counter()
        with damage_of(record):
            try:
                arrow = catalog.read_arrow(record)
            except NeedsSparkError:
                return collect(_frame(record, catalog, sessions))
        table.read_seconds = time.perf_counter() - start
        return arrow

    def frame() -> DataFrame:
        kept: DataFrame | None = sessions.kept_table(catalog.id + record.signature)
        table.kept = kept is not None
        return _frame(record, catalog, sessions) if kept is None else kept

    table = TableResult(frame, rows, loaded=True)
    return table


def kept_result(signature: str, catalog: CatalogReader, sessions: Sessions) -> TableResult | None:
    """Return the result whose rows an earlier run left in a server's memory; None if they are not there."""
    frame = sessions.kept_table(catalog.id + signature)
    return None if frame is None else TableResult(lambda: frame, kept=True)


def unread_by_spark(
    error: BaseException, records: Iterable[ArtifactRecord], catalog: CatalogReader
) -> CatalogError | None:
    """Return an error on the stored result that a failed Spark job could not read, by the attempt in the path that it
    names; None if the job failed for another reason. `records` are of the results that the run loads.

    It is a DamagedResultError only if an examination here finds damage: a worker may just not see the folder."""
    if isinstance(error, DamagedResultError):
        return error
    text = f"{error}\n{error.__cause__ or ''}"  # the error itself has only the first lines
    problem, record = _UNREADABLE.search(text), next((each for each in records if each.attempt in text), None)
    if problem is None or record is None or isinstance(error, CatalogError):
        return None
    try:
        if record.shared or examine(catalog, record, deep=True).bad:
            return DamagedResultError(record, problem[0])
    except CatalogError as unreachable:
        return unreachable
    unread = CatalogError(
        f"the stored result of {record.node!r} is sound here, but Spark's workers cannot read it",
        exists=first_line(error), remedy="the catalog's folder must be visible to all workers, under the same path; "
        "recompute=True on the node computes it again",
    )
    unread.__cause__ = error
    return unread


_UNREADABLE = re.compile(
    r"FAILED_READ_FILE[.\w]*|PATH_NOT_FOUND|DELTA_[A-Z_]+|MALFORMED_RECORD_IN_PARSING|ChecksumException"
    "|FileNotFoundException"
)


def _frame(record: ArtifactRecord, catalog: CatalogReader, sessions: Sessions) -> DataFrame:
    with damage_of(record):
        checked = catalog.check_table(record)
        spark = sessions.get()
        if (frame := frame_over_files(spark, checked)) is None:
            # By version: a lost last log entry would otherwise roll the table back silently.
            stored = spark.read.format("delta").option("versionAsOf", 0)
            path = catalog.path_of(record)
            assert path is not None
            frame = stored.load(path.spark_uri)
        return frame


def _model(record: ArtifactRecord, catalog: CatalogReader, sessions: Sessions) -> ModelResult:
    """Load a model; check its files before Spark is needed. The start of a session does not count as reading."""
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
            exists="the stored result is kept", remedy="run again; recompute=True on the node computes it again",
        ) from error
    return ModelResult(model, checking + time.perf_counter() - start)


def checked(record: ArtifactRecord, path: Place) -> LocalPath | None:
    """Check that a folder has the recorded model, and only Spark ML's classes. Return a copy of the checked files, for
    Spark on this machine to read; None if they are very large. Raises DamagedArtifactError; CatalogError if the folder
    could not be reached.

    The copy is safe from processes that write to the catalog's folder later: Spark reads any file there."""
    # Each copy has its own name: of some models, such as ALS, Spark reads the files only when rows are needed.
    copy = _copies_folder() / uuid4().hex if record.bytes <= 256 << 20 else None  # copying so much takes 0.5 s
    with explained_damage(path):
        if record.digest not in (None, checked_digest(path, copy)):
            raise ValueError("its files are not those that were written")
    return copy


@cache
def _copies_folder() -> LocalPath:
    """Return a private folder of this process, removed at its exit."""
    folder = LocalPath(tempfile.mkdtemp(prefix="helix-models-"))
    atexit.register(remove_own, folder, Birthplace())
    return folder


@contextmanager
def damage_of(record: ArtifactRecord) -> Iterator[None]:
    """Raise DamagedResultError for a damaged result, and for any failure to read one from a shared catalog."""
    try:
        yield
    except DamagedResultError:
        raise
    except CatalogError as error:
        if record.shared or isinstance(error, DamagedArtifactError):
            raise DamagedResultError(record, error.what) from error
        raise

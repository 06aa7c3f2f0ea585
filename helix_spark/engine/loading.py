"""Loads stored results: checked against their records first, and with Spark only where Spark must read them."""

from __future__ import annotations

import json
import re
import time
from collections.abc import Iterable, Iterator
from contextlib import contextmanager
from typing import TYPE_CHECKING, Any

from helix_spark.catalog.catalog import Catalog
from helix_spark.catalog.file_digest import digest_of_model
from helix_spark.catalog.model_classes import foreign_class
from helix_spark.catalog.places import Place
from helix_spark.catalog.records import ArtifactRecord
from helix_spark.catalog.single_objects import is_store_failing
from helix_spark.catalog.spark_types import NeedsSparkError
from helix_spark.catalog.table_check import DamagedArtifactError, unread
from helix_spark.engine.narrow_tables import LEFT_OUT, with_left_out
from helix_spark.engine.results import ModelResult, NodeResult, TableResult, ValueResult, collect
from helix_spark.engine.table_files import frame_over_files
from helix_spark.errors import CatalogError

if TYPE_CHECKING:
    import pyarrow as pa
    from pyspark.sql import DataFrame

    from helix_spark.engine.session import Sessions


class DamagedResultError(CatalogError):
    """A stored result cannot be had; the engine quarantines it and plans anew.

    Attributes:
        record: of the result.
    """

    def __init__(self, record: ArtifactRecord, cause: object) -> None:
        self.record = record
        super().__init__(f"the stored result of {record.node!r} cannot be read: {cause}")


def load(record: ArtifactRecord, catalog: Catalog, sessions: Sessions) -> NodeResult:
    """A stored result. A table is read when its rows are asked for.

    Raises:
        DamagedResultError: now, or when the rows are asked for.
    """
    if record.kind == "value":
        return ValueResult(json.loads(record.value or "null"))
    if record.kind == "model":
        return _model(record, catalog, sessions)

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
    table.left_out = record.left_out
    return table


def damaged_by(error: BaseException, records: Iterable[ArtifactRecord]) -> DamagedResultError | None:
    """The stored result that a failed Spark job could not read, told by the attempt in the path that Spark names, or in
    the message of a column that was not stored.

    None where it was the object store that failed: what it holds must not be put aside for that.

    Args:
        records: of the results that this run loads.
    """
    text = str(error)
    if error.__cause__ is not None:
        text += f"\n{error.__cause__}"  # the author is shown the first lines only
    found = _UNREADABLE.search(text)
    hit = next((record for record in records if record.attempt in text), None)
    if found is None or hit is None or _STORE_FAILED.search(text):
        return None
    return DamagedResultError(hit, "a column that was not stored is read" if found[0] == LEFT_OUT else found[0])


_UNREADABLE = re.compile(
    rf"{LEFT_OUT}|FAILED_READ_FILE[.\w]*|PATH_NOT_FOUND|DELTA_[A-Z_]+|MALFORMED_RECORD_IN_PARSING|ChecksumException"
    "|FileNotFoundException"
)


_STORE_FAILED = re.compile(
    r"AWS\w+Exception|SdkClientException|AccessDeniedException: s3a|hadoop\.net\.ConnectTimeoutException"
)
"""How S3A says that the store refused or did not answer. What is gone is a FileNotFoundException, as on a disk."""


def _frame(record: ArtifactRecord, catalog: Catalog, sessions: Sessions) -> DataFrame:
    with _damage(record):
        checked = catalog.check_table(record)
        spark = sessions.get()
        frame = frame_over_files(spark, checked)
        if frame is None:
            # By version: a lost last log entry would otherwise roll the table back without a word.
            stored = spark.read.format("delta").option("versionAsOf", record.version or 0)
            frame = stored.load(str(catalog.path_of(record)))
        return with_left_out(frame, record) if record.left_out else frame


def _model(record: ArtifactRecord, catalog: Catalog, sessions: Sessions) -> ModelResult:
    """Checked before Spark is asked for anything; the start of a session is not taken for the reading."""
    path = catalog.path_of(record)
    assert path is not None
    start = time.perf_counter()
    _check_files(record, path)
    _check_classes(record, path)
    checked = time.perf_counter() - start
    spark = sessions.get()
    from py4j.protocol import Py4JError
    from pyspark.errors import PySparkException
    from pyspark.ml.util import DefaultParamsReader

    start = time.perf_counter()
    try:
        model: Any = DefaultParamsReader.loadParamsInstance(str(path), spark)
    except (PySparkException, Py4JError) as error:
        raise DamagedResultError(record, error) from error
    return ModelResult(model, checked + time.perf_counter() - start)


def _check_files(record: ArtifactRecord, path: Place) -> None:
    try:
        digest = digest_of_model(path)
    except OSError as error:
        if is_store_failing(error):
            raise unread(path, "", error) from error
        raise DamagedResultError(record, error) from error
    if record.digest not in (None, digest):
        raise DamagedResultError(record, "its files are not those that were written")


def _check_classes(record: ArtifactRecord, path: Place) -> None:
    """Loading a model imports the class that its metadata names: none but Spark ML's own is loaded."""
    try:
        foreign = foreign_class(path)
    except (OSError, ValueError) as error:
        if is_store_failing(error):
            raise unread(path, "", error) from error
        raise DamagedResultError(record, f"its metadata cannot be read ({error})") from error
    if foreign is not None:
        raise DamagedResultError(record, f"it names the class {foreign}, which is not Spark ML's")


@contextmanager
def _damage(record: ArtifactRecord) -> Iterator[None]:
    try:
        yield
    except DamagedArtifactError as error:
        raise DamagedResultError(record, error.what) from error

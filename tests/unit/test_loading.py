"""What is said of a stored result that cannot be had: only what is known to be damaged is put aside."""

from __future__ import annotations

import dataclasses
import errno
import shutil
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pandas as pd
import pyarrow as pa
import pytest

import helix_spark as hx
from helix_spark.catalog.catalog import Catalog
from helix_spark.catalog.leases import Leases
from helix_spark.catalog.places.place import LocalPath
from helix_spark.catalog.records import ArtifactRecord
from helix_spark.catalog.tables import table_reading
from helix_spark.catalog.tables.model_files import checked_digest
from helix_spark.catalog.tables.table_reading import DamagedArtifactError
from helix_spark.catalog.verification import check_stored
from helix_spark.engine.results.stored_results import DamagedResultError, load, unread_by_spark
from helix_spark.engine.server.session import Sessions
from helix_spark.engine.spark import gateway
from helix_spark.engine.spark.gateway import end_of_jvm
from helix_spark.errors import CatalogError, NodeError, SetupError
from helix_spark.identity.parts import digest
from helix_spark.run.executing import prepare_catalog
from helix_spark.run.foresight import RecordsRead
from tests.fakes.doubled import workflow
from tests.fakes.observer import Warned
from tests.fakes.policy import LoadsGladly
from tests.fakes.run import make_run, make_tools
from tests.fakes.written_tables import written


def stored_table(catalog: Catalog) -> ArtifactRecord:
    attempt = catalog.begin_attempt(digest("rows"), "table")
    return catalog.publish(ArtifactRecord(
        attempt.signature, attempt.attempt, "table", "published", "census", "rows", 1, 0.0,
        **written(attempt, pa.table({"x": [float(i) for i in range(500)]})),
    ))


def stored_model(catalog: Catalog) -> ArtifactRecord:
    attempt = catalog.begin_attempt(digest("model"), "model")
    assert isinstance(attempt.path, Path)
    (attempt.path / "metadata").mkdir(parents=True)
    (attempt.path / "metadata" / "part-00000").write_text('{"class": "pyspark.ml.PipelineModel"}')
    return catalog.publish(ArtifactRecord(
        attempt.signature, attempt.attempt, "model", "published", "census", "model", 1, 0.0,
        bytes=attempt.path.total_bytes(), digest=checked_digest(attempt.path),
    ))


def folder(catalog: Catalog, record: ArtifactRecord) -> Path:
    path = catalog.path_of(record)
    assert isinstance(path, Path)
    return path


def flip(file: Path, at: int = 30) -> None:
    data = bytearray(file.read_bytes())
    data[at] ^= 1
    file.write_bytes(data)


def test_a_model_whose_bytes_changed_is_damaged_though_its_size_is_the_same(catalog: Catalog) -> None:
    record = stored_model(catalog)
    path = catalog.path_of(record)
    assert check_stored(path, record, deep=False) == ()
    file = folder(catalog, record) / "metadata" / "part-00000"
    file.write_text(file.read_text().replace(" ", "\t"))
    with pytest.raises(DamagedArtifactError, match="not those that were written"):
        check_stored(path, record, deep=False)


# Models that Spark does not load


@pytest.fixture
def failing(monkeypatch: pytest.MonkeyPatch) -> Callable[[Exception], Any]:
    """Sessions in which Spark fails to load whatever it is asked for."""
    from pyspark.ml.util import DefaultParamsReader

    def sessions(error: Exception) -> Any:
        def fails(path: str, _: object) -> Any:
            assert path.startswith("file:///")
            raise error

        monkeypatch.setattr(DefaultParamsReader, "loadParamsInstance", fails)
        return LocalSessions()

    return sessions


class LocalSessions:
    """Sessions of Spark on this machine; a session is its own client and its own settings."""

    host = "localhost"

    def get(self, *setting: str) -> Any:
        return "local[2]" if setting else self

    @property
    def client(self) -> LocalSessions:
        return self

    conf = client


def spark_error(text: str) -> Exception:
    from pyspark.errors import PySparkException

    return PySparkException(text)


def test_a_sound_model_is_not_damaged_by_sparks_failing_to_load_it(catalog: Catalog, failing: Any) -> None:
    record = stored_model(catalog)
    with pytest.raises(CatalogError, match="Spark could not load the stored result of 'model': out of luck") as caught:
        load(record, catalog, failing(spark_error("out of luck\nat java")))
    assert not isinstance(caught.value, DamagedResultError)
    assert unread_by_spark(caught.value, [record], catalog) is None


def test_a_model_that_is_evicted_while_spark_loads_it_is_gone(catalog: Catalog, failing: Any) -> None:
    record = stored_model(catalog)
    sessions = failing(spark_error("no such file"))

    def evicted() -> Any:
        shutil.rmtree(folder(catalog, record))
        return LocalSessions().get()

    sessions.get = evicted
    with pytest.raises(DamagedResultError):
        load(record, catalog, sessions)


@pytest.mark.parametrize("has_digest", [True, False])
def test_the_end_of_the_jvm_is_told_and_no_model_blamed(
    catalog: Catalog, failing: Any, monkeypatch: pytest.MonkeyPatch, has_digest: bool
) -> None:
    from py4j.protocol import Py4JNetworkError

    record = stored_model(catalog)
    record = record if has_digest else dataclasses.replace(record, digest=None)
    monkeypatch.setattr(gateway, "how_ended", lambda error: "was killed by signal 9")
    with pytest.raises(CatalogError) as caught:
        load(record, catalog, failing(Py4JNetworkError("answer from Java side is empty")))
    assert not isinstance(caught.value, DamagedResultError)
    ended = end_of_jvm(caught.value)
    assert isinstance(ended, SetupError)
    assert "killed by signal 9" in ended.what


@pytest.mark.parametrize("has_digest", [True, False])
def test_a_store_that_refuses_is_told_and_no_model_blamed(catalog: Catalog, failing: Any, has_digest: bool) -> None:
    record = stored_model(catalog)
    record = record if has_digest else dataclasses.replace(record, digest=None)
    refused = spark_error(f"getFileStatus on {record.attempt}: AWSBadRequestException, PATH_NOT_FOUND")
    with pytest.raises(CatalogError) as caught:
        load(record, catalog, failing(refused))
    assert not isinstance(caught.value, DamagedResultError)
    assert unread_by_spark(caught.value, [record], catalog) is None


def test_an_error_of_an_authors_is_not_the_end_of_a_jvm(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(gateway, "how_ended", lambda error: "was killed by signal 9")
    failed = NodeError("rows", "scanner 'rows' failed")
    failed.__cause__ = ConnectionError("gone")
    assert end_of_jvm(failed) is None
    assert end_of_jvm(CatalogError("the disk is full")) is None


# Tables that Spark's workers do not read


def failed_job(catalog: Catalog, record: ArtifactRecord, why: str = "FAILED_READ_FILE.NO_HINT") -> Exception:
    return RuntimeError(f"[{why}] while reading file file:{folder(catalog, record)}/part-0\nat org.apache")


def test_a_table_that_is_sound_here_is_not_damaged_by_a_worker_that_cannot_read_it(catalog: Catalog) -> None:
    record = stored_table(catalog)
    found = unread_by_spark(failed_job(catalog, record), [record], catalog)
    assert found is not None
    assert not isinstance(found, DamagedResultError)
    assert "sound here, but Spark's workers cannot read it" in found.what
    assert "must be visible to all workers" in str(found)
    assert "[FAILED_READ_FILE.NO_HINT] while reading" in str(found)


@pytest.mark.parametrize("harm", [
    lambda path: flip(next(path.glob("part-*"))), lambda path: next(path.glob("part-*")).unlink(), shutil.rmtree,
], ids=["a page", "a file", "all"])
def test_a_table_that_is_damaged_here_too_is(catalog: Catalog, harm: Callable[[Path], object]) -> None:
    record = stored_table(catalog)
    harm(folder(catalog, record))
    assert isinstance(unread_by_spark(failed_job(catalog, record), [record], catalog), DamagedResultError)


def test_a_run_that_a_worker_fails_keeps_what_is_sound(tmp_path: Path) -> None:
    def failing(catalog: Path) -> hx.Workflow:
        wf = hx.Workflow("shared")
        wf.source("data", hx.table(pd.DataFrame({"a": [1, 2, 3]})))

        @wf.scanner(keep="always")
        def rows(data: pd.DataFrame) -> pd.DataFrame:
            return data * 2

        @wf.reducer(output=True)
        def total(rows: pd.DataFrame) -> int:
            for path in catalog.glob("tables/*/*"):
                raise RuntimeError(f"[FAILED_READ_FILE.NO_HINT] file:{path}/part-0")
            return int(rows.a.sum())

        return wf

    with hx.Helix(tmp_path / "catalog", policy="always") as helix:
        assert helix.run(failing(tmp_path / "elsewhere"))["total"] == 12
    with hx.Helix(tmp_path / "catalog", policy=LoadsGladly()) as helix:
        with pytest.raises(CatalogError, match="'rows' is sound here"):
            helix.run(failing(tmp_path / "catalog"))
        helix.wait()
        assert "rows" in {record.node for record in helix.catalog.live()}
        (last, _) = helix.catalog.iterations("shared")
        assert last.status == "failed"
        assert "sound here" in last.error


@pytest.mark.parametrize("code", [errno.EMFILE, errno.EACCES, errno.ESTALE])
def test_a_table_that_cannot_be_opened_now_is_not_damaged(
    catalog: Catalog, monkeypatch: pytest.MonkeyPatch, code: int
) -> None:
    record = stored_table(catalog)

    def refused(path: object) -> Any:
        raise OSError(code, "refused")

    monkeypatch.setattr(table_reading, "_opened", refused)
    table: Any = load(record, catalog, Sessions())
    with pytest.raises(CatalogError, match="cannot be read now") as caught:
        table.arrow()
    assert not isinstance(caught.value, DamagedResultError)


def test_a_model_that_may_not_be_read_is_not_damaged(catalog: Catalog, monkeypatch: pytest.MonkeyPatch) -> None:
    record = stored_model(catalog)

    def refused(self: LocalPath, most: int) -> bytes:
        raise PermissionError(errno.EACCES, "Permission denied")

    monkeypatch.setattr(LocalPath, "read_at_most", refused)
    with pytest.raises(CatalogError, match="cannot be read now") as caught:
        load(record, catalog, Sessions())
    assert not isinstance(caught.value, DamagedResultError)


# Records without schemas


def test_a_record_that_a_plan_had_without_its_schema_is_looked_up(catalog: Catalog) -> None:
    record = stored_table(catalog)
    known = catalog.snapshot("census").artifacts[record.signature]
    assert known.schema is None
    log = folder(catalog, record) / "_delta_log" / f"{0:020}.json"
    log.write_text(log.read_text().replace('\\"double\\"', '\\"long\\"'))
    table: Any = load(known, catalog, Sessions())
    with pytest.raises(DamagedResultError, match="its columns are not the recorded ones"):
        table.arrow()


def test_one_that_was_evicted_since_is_not_stored_any_more(catalog: Catalog) -> None:
    record = stored_table(catalog)
    known = catalog.snapshot("census").artifacts[record.signature]
    catalog.evict_all({record.signature: "room is needed"})
    with pytest.raises(DamagedResultError, match="not stored any more"):
        load(known, catalog, Sessions())


# What surrounds a run


def test_a_folder_that_is_back_by_now_is_not_put_aside(catalog: Catalog) -> None:
    record, gone = stored_table(catalog), stored_model(catalog)
    shutil.rmtree(folder(catalog, gone))
    observer = Warned()
    view = dataclasses.replace(catalog.snapshot("w"), missing=(record, gone))
    run = make_run(make_tools(catalog=catalog, observer=observer), records=RecordsRead(view, {}))
    prepare_catalog(run)
    assert catalog.live() == (record,)
    assert observer.warnings == [
        "the stored result of 'model' cannot be loaded: its folder is gone; it is computed again when needed"
    ]


def test_a_catalog_is_there_before_anything_is_leased_in_it(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    seen: list[bool] = []
    take = Leases.take

    def noted(self: Leases, name: str) -> Any:
        seen.append((tmp_path / "catalog" / "helix.json").exists())
        return take(self, name)

    monkeypatch.setattr(Leases, "take", noted)
    monkeypatch.setattr("helix_spark.run.executing.WORTH_WAITING", 0.0)
    with hx.Helix(tmp_path / "catalog", policy="always") as helix:
        helix.run(workflow())
    assert seen
    assert all(seen)

"""What is taken for a stored model: Spark ML's own files that name its own classes, and nothing besides."""

from __future__ import annotations

import gzip
import inspect
import json
import os
import shutil
from collections.abc import Callable
from importlib import import_module
from pathlib import Path
from typing import Any

import pyarrow as pa
import pyarrow.parquet as pq
import pytest

from helix_spark.catalog.tables import model_files
from helix_spark.catalog.tables.model_files import TRUSTED, StrangeModelError, checked_digest
from tests.faults.model_digests import digest_of_model

ID = "0123abcd-0123-4567-89ab-0123456789ab"
TEXT, TABLE = f"part-00000-{ID}-c000.txt", f"part-00000-{ID}-c000.snappy.parquet"
TRAP = '{"class": "catalog.trap.Trap"}'


def metadata(folder: Path, named: str, **more: Any) -> Path:
    (folder / "metadata").mkdir(parents=True)
    file = folder / "metadata" / TEXT
    file.write_text(json.dumps({"class": f"org.apache.spark.ml.{named}", "uid": "it_1", "paramMap": {}, **more}) + "\n")
    (folder / "metadata" / "_SUCCESS").touch()
    (folder / "metadata" / f".{TEXT}.crc").write_bytes(b"crc")
    return file


def data(folder: Path, **keys: str) -> Path:
    (folder / "data").mkdir()
    table = pa.table({"coefficients": [1.0]}).replace_schema_metadata(keys)
    pq.write_table(table, folder / "data" / TABLE)
    return folder / "data" / TABLE


@pytest.fixture
def model(tmp_path: Path) -> Path:
    """A pipeline of an assembler and a regression."""
    folder = tmp_path / "model"
    metadata(folder, "PipelineModel", paramMap={"stageUids": ["va_1", "lr_1"]})
    metadata(folder / "stages" / "0_va_1", "feature.VectorAssembler")
    metadata(folder / "stages" / "1_lr_1", "classification.LogisticRegressionModel")
    data(folder / "stages" / "1_lr_1")
    return folder


def test_a_model_has_the_digest_of_its_files_and_a_copy_nothing_else(model: Path, tmp_path: Path) -> None:
    copy = tmp_path / "copy"
    assert checked_digest(model, copy) == digest_of_model(model) == digest_of_model(copy)
    files = {path.relative_to(copy) for path in copy.rglob("*") if path.is_file()}
    assert files == {path.relative_to(model) for path in model.rglob("*") if path.is_file() and path.suffix != ".crc"}


def test_every_class_that_spark_ml_loads_is_trusted_but_the_one_that_runs_sql() -> None:
    found = set()
    for name in ("classification", "clustering", "evaluation", "feature", "fpm", "pipeline", "recommendation",
                 "regression", "tuning"):
        module = import_module(f"pyspark.ml.{name}")
        found |= {
            f"pyspark.ml.{name}.{each}" for each, value in vars(module).items()
            if inspect.isclass(value) and value.__module__ == module.__name__ and hasattr(value, "read")
            and not each.startswith("_")
        }
    assert found - TRUSTED == {"pyspark.ml.feature.SQLTransformer"}


def _stage(model: Path) -> Path:
    return model / "stages" / "1_lr_1"


ADDED: dict[str, Callable[[Path], object]] = {
    "a second file of metadata": lambda model: (model / "metadata" / "part-00001").write_text(TRAP),
    "a second one of a stage": lambda model: (
        _stage(model) / "metadata" / TEXT.replace("00000", "00001")).write_text(TRAP),
    "a hidden file": lambda model: (model / "metadata" / ".part-00001").write_text(TRAP),
    "a file that Spark leaves out": lambda model: (model / "metadata" / "_part-00001").write_text(TRAP),
    "a compressed one": lambda model: (model / "metadata" / "part-00000.gz").write_bytes(gzip.compress(TRAP.encode())),
    "a folder among metadata": lambda model: metadata(model / "metadata" / "a=1", "Pipeline"),
    "a file among folders": lambda model: (model / "payload.pkl").write_bytes(b"x"),
    "a file among tables": lambda model: (_stage(model) / "data" / "native.so").write_bytes(b"x"),
    "a link": lambda model: (_stage(model) / "data" / TABLE.replace("00000", "00001")).symlink_to("/dev/zero"),
    "a link to a folder": lambda model: (model / "more").symlink_to("/etc"),
    "a pipe": lambda model: os.mkfifo(model / "metadata" / "part-00000"),
    "a name with dots": lambda model: metadata(model / "stages" / "...", "Pipeline"),
}


@pytest.mark.parametrize("add", ADDED.values(), ids=ADDED)
def test_a_folder_that_holds_more_is_no_model(model: Path, add: Callable[[Path], object]) -> None:
    add(model)
    with pytest.raises(StrangeModelError):
        checked_digest(model)


def test_a_folder_without_metadata_is_no_model(model: Path) -> None:
    shutil.rmtree(model / "metadata")
    with pytest.raises(StrangeModelError, match="no metadata"):
        checked_digest(model)


@pytest.mark.parametrize("named", [
    "catalog.trap.Trap", "os.system", "pyspark.ml.Trap", "pyspark.ml.connect.classification.LogisticRegressionModel",
    "pyspark.ml.util.os", "org.apache.spark.ml.feature.SQLTransformer", "org.apache.spark.mllib.evil.Model", 3, None,
    "org.apache.spark.mllib.clustering.DistributedLDAModel",
])
def test_a_class_that_is_not_trusted_is_not_loaded(model: Path, named: object) -> None:
    file = model / "metadata" / TEXT
    told = json.loads(file.read_text())
    file.write_text(json.dumps(told | {"class": named}))
    with pytest.raises(StrangeModelError, match="class"):
        checked_digest(model)


def test_nor_is_one_of_a_stage(model: Path) -> None:
    (_stage(model) / "metadata" / TEXT).write_text(TRAP)
    with pytest.raises(StrangeModelError, match=r"catalog\.trap\.Trap"):
        checked_digest(model)


@pytest.mark.parametrize("text", [
    '{"class": "catalog.trap.Trap", "class": "org.apache.spark.ml.PipelineModel"}',
    '{"class": "org.apache.spark.ml.PipelineModel"}\n{"class": "catalog.trap.Trap"}',
    '{"class": "org.apache.spark.ml.PipelineModel", "a": ' + "[" * 100_000 + "]" * 100_000 + "}", "[]", "{", "",
])
def test_metadata_that_two_could_read_in_two_ways_are_none(model: Path, text: str) -> None:
    (model / "metadata" / TEXT).write_text(text)
    with pytest.raises(StrangeModelError):
        checked_digest(model)


@pytest.mark.parametrize("params", [
    {"stageUids": ["/../../../elsewhere/evil"]}, {"stageUids": "../x"}, {"stageUids": [{"a": 1}]},
    {"estimatorParamMaps": [[{"parent": "p", "name": "classifier", "value": '"/elsewhere/evil"', "isJson": "false"}]]},
    {"estimatorParamMaps": [[{"parent": "p", "name": "classifier", "value": "s3a://evil/x", "isJson": False}]]},
])
def test_folders_that_metadata_name_lie_in_the_model(model: Path, params: dict[str, Any]) -> None:
    file = model / "metadata" / TEXT
    told = json.loads(file.read_text())
    file.write_text(json.dumps(told | {"paramMap": params}))
    with pytest.raises(StrangeModelError, match="name the folder"):
        checked_digest(model)


def test_a_table_of_a_model_names_no_class_of_a_column(model: Path) -> None:
    file = _stage(model) / "data" / TABLE
    trap = {"type": "udt", "class": "org.evil.Trap", "sqlType": "long"}
    field = {"name": "a", "type": trap, "nullable": True, "metadata": {}}
    schema = json.dumps({"type": "struct", "fields": [field]})
    pq.write_table(
        pa.table({"a": [1]}).replace_schema_metadata({"org.apache.spark.sql.parquet.row.metadata": schema}), file
    )
    with pytest.raises(StrangeModelError, match=r"org\.evil\.Trap"):
        checked_digest(model)


def test_a_table_of_a_model_is_not_a_bomb(model: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(model_files, "_MOST_BYTES", 1 << 20)
    file = _stage(model) / "data" / TABLE
    pq.write_table(pa.table({"a": pa.nulls(4_000_000, pa.int64())}), file, compression="zstd")
    assert file.stat().st_size < 20_000
    with pytest.raises(StrangeModelError, match="implausible"):
        checked_digest(model)

"""What `verify` finds, and that it changes nothing."""

from __future__ import annotations

import errno
import shutil
from pathlib import Path
from typing import Any

import pyarrow as pa
import pytest

from helix_spark.catalog.catalog import Catalog
from helix_spark.catalog.records import ArtifactRecord, IterationRecord, NodeRecord
from helix_spark.catalog.tables import table_reading
from helix_spark.catalog.verification import verify
from helix_spark.identity.parts import digest
from tests.fakes.written_tables import written
from tests.faults.model_digests import digest_of_model


@pytest.fixture
def catalog(tmp_path: Path) -> Catalog:
    """A table, a model of two files and a value."""
    made = Catalog.open(tmp_path / "catalog", create=True)
    table = made.begin_attempt(digest("table"), "table")
    made.publish(ArtifactRecord(
        table.signature, table.attempt, "table", "published", "census", "rows", 1, 0.0,
        **written(table, pa.table({"x": [float(i) for i in range(500)]})),
    ))
    model = made.begin_attempt(digest("model"), "model")
    assert model.path is not None
    (model.path / "metadata").mkdir(parents=True)
    (model.path / "metadata" / "part-00000").write_text('{"class": "pyspark.ml.PipelineModel"}')
    made.publish(ArtifactRecord(
        model.signature, model.attempt, "model", "published", "census", "model", 1, 0.0,
        bytes=model.path.total_bytes(), digest=digest_of_model(model.path),
    ))
    value = made.begin_attempt(digest("value"), "value")
    made.publish(ArtifactRecord(
        value.signature, value.attempt, "value", "published", "census", "auc", 1, 0.0, value="0.5"
    ))
    return made


def verdicts(catalog: Catalog, *, deep: bool) -> dict[str, str]:
    return {finding.record.node: finding.verdict for finding in verify(catalog, deep=deep).findings}


def folder(catalog: Catalog, node: str) -> Path:
    path = catalog.path_of(next(record for record in catalog.live() if record.node == node))
    assert path is not None
    return path


@pytest.mark.parametrize("deep", [False, True])
def test_all_is_sound(catalog: Catalog, deep: bool) -> None:
    assert set(verdicts(catalog, deep=deep).values()) == {"sound"}


def test_a_page_is_read_only_when_deep(catalog: Catalog) -> None:
    file = next(folder(catalog, "rows").glob("part-*"))
    data = bytearray(file.read_bytes())
    data[30] ^= 1
    file.write_bytes(data)
    assert verdicts(catalog, deep=False)["rows"] == "sound"
    assert verdicts(catalog, deep=True)["rows"] == "damaged"


@pytest.mark.parametrize("deep", [False, True])
def test_a_model_that_changed_or_a_folder_that_is_gone(catalog: Catalog, deep: bool) -> None:
    (folder(catalog, "model") / "metadata" / "part-00000").write_text('{"class": "pyspark.ml.Pipeline"}')
    shutil.rmtree(folder(catalog, "rows"))
    assert verdicts(catalog, deep=deep) == {"rows": "damaged", "model": "damaged", "auc": "sound"}


def test_what_cannot_be_reached_is_not_called_damaged(catalog: Catalog, monkeypatch: pytest.MonkeyPatch) -> None:
    def refused(path: object) -> Any:
        raise PermissionError(errno.EACCES, "Permission denied")

    monkeypatch.setattr(table_reading, "_opened", refused)
    assert set(verdicts(catalog, deep=False).values()) == {"sound"}
    assert verdicts(catalog, deep=True) == {"rows": "not reached", "model": "sound", "auc": "sound"}
    assert not verify(catalog, deep=True).sound


def test_nodes_are_looked_at_in_one_question(catalog: Catalog, monkeypatch: pytest.MonkeyPatch) -> None:
    for number in (1, 2):
        run = str(number) * 32
        nodes = [
            NodeRecord(run, "census", number, name, "scanner", (), "compute", "new", digest(name), digest(name), "[]")
            for name in ("rows", "model")
        ]
        catalog.append_iteration(IterationRecord(run, "census", number, "done", 0.0), nodes)
    monkeypatch.setattr(Catalog, "nodes", None)
    assert verify(catalog, deep=True).iterations == 2


@pytest.mark.parametrize("deep", [False, True])
def test_files_of_records_are_looked_at_also_where_an_index_has_them(catalog: Catalog, deep: bool) -> None:
    catalog.append_iteration(IterationRecord("1" * 32, "census", 1, "done", 0.0))
    assert verify(catalog, deep=deep).sound
    file = max((Path(str(catalog.root)) / "records").glob("*.segment"))
    file.write_bytes(file.read_bytes()[:-1])
    found = verify(catalog, deep=deep)
    assert not found.sound
    assert found.rejections == (f"{file.name} is damaged: it does not match its checksum",)

"""`helix export`: tables, values and models as files, never over anything, and what it says of what is not there."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pandas as pd
import pyarrow as pa
import pyarrow.csv as pa_csv
import pyarrow.parquet as pq
import pytest
from click.testing import CliRunner, Result

import helix_spark as hx
from helix_spark.catalog.catalog import Catalog
from helix_spark.catalog.places.place import LocalPath
from helix_spark.catalog.records import ArtifactRecord, IterationRecord, NodeRecord
from helix_spark.catalog.tables.model_files import checked_digest
from helix_spark.cli.main import helix
from helix_spark.identity.parts import digest
from tests.fakes.doubled import workflow as shared
from tests.fakes.written_tables import written


def results() -> hx.Workflow:
    wf = hx.Workflow("results")
    wf.source("data", hx.table(pd.DataFrame({"a": [1, 2, 3]})))

    @wf.scanner
    def rows(data: pd.DataFrame) -> pd.DataFrame:
        return data.assign(b=data.a * 2.5, said="x, y")

    @wf.scanner
    def nested(data: pd.DataFrame) -> pa.Table:
        return pa.table({"a": [1], "vector": [[0.0, 1.0]], "raw": [b"\xff"]})

    @wf.reducer
    def parts(rows: pd.DataFrame, nested: pd.DataFrame) -> list[int]:
        return [len(rows), len(nested)]

    @wf.reducer(output=True)
    def odd(parts: list[int]) -> dict[str, float]:
        return {"rows": float(parts[0]), "nothing": float("nan")}

    return wf


@pytest.fixture(scope="module")
def catalog(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A catalog in which all of a run is stored, and, by hand, a model of a workflow of its own."""
    folder = tmp_path_factory.mktemp("exported") / "catalog"
    with hx.Helix(folder, policy="always") as session:
        session.run(results())
    opened = Catalog.open(folder, create=False)
    attempt = opened.begin_attempt(digest("model"), "model")
    assert isinstance(attempt.path, Path)
    (attempt.path / "stages" / "0" / "metadata").mkdir(parents=True)
    (attempt.path / "metadata").mkdir()
    for file in METADATA:
        (attempt.path / file).write_text(PIPELINE)
    (attempt.path / "metadata" / ".part-00000.crc").write_bytes(b"sum")
    opened.publish(ArtifactRecord(
        attempt.signature, attempt.attempt, "model", "published", "models", "model", 1, 0.0,
        digest=checked_digest(attempt.path),
    ))
    ended = IterationRecord("a" * 32, "models", 1, "done", 0.0, outputs='{"auc": 0.9}')
    opened.append_iteration(ended, [node_of("models", "model", "learner")])
    return folder


METADATA, PIPELINE = ("metadata/part-00000", "stages/0/metadata/part-00000"), '{"class": "pyspark.ml.PipelineModel"}'


def node_of(workflow: str, name: str, kind: str) -> NodeRecord:
    """Of the only node of an iteration, whose result is of this name's signature."""
    return NodeRecord("a" * 32, workflow, 1, name, kind, (), "compute", "", digest(name), digest(name), "[]")


def export(catalog: Path, *words: object, workflow: str = "results") -> Result:
    return CliRunner().invoke(
        helix, ["export", *map(str, words), "--catalog", str(catalog), "--workflow", workflow]
    )


def test_a_table_is_written_as_its_ending_says(catalog: Path, tmp_path: Path) -> None:
    done = export(catalog, 1, "rows", tmp_path / "rows.parquet")
    assert done.exit_code == 0, done.stderr
    assert done.stdout == f"wrote {tmp_path / 'rows.parquet'}\n"
    assert export(catalog, 1, "rows", tmp_path / "rows.csv").exit_code == 0
    expected = {"a": [1, 2, 3], "b": [2.5, 5.0, 7.5], "said": ["x, y"] * 3}
    assert pq.read_table(tmp_path / "rows.parquet").to_pydict() == expected
    assert pa_csv.read_csv(tmp_path / "rows.csv").to_pydict() == expected
    assert sorted(one.name for one in tmp_path.iterdir()) == ["rows.csv", "rows.parquet"], "nothing is left behind"


@pytest.mark.long
def test_a_value_is_json_and_an_output_s_stays_when_it_is_evicted(tmp_path: Path) -> None:
    folder = tmp_path / "catalog"
    with hx.Helix(folder, policy="always") as session:
        session.run(results())
    assert export(folder, 1, "parts", tmp_path / "parts.json").exit_code == 0
    assert json.loads((tmp_path / "parts.json").read_text()) == [3, 1]
    opened = Catalog.open(folder, create=False)
    opened.evict_all({record.signature: "to make room" for record in opened.live()})
    assert export(folder, 1, "odd", tmp_path / "odd.json").exit_code == 0
    assert json.loads((tmp_path / "odd.json").read_text()) == {"rows": 3.0, "nothing": "NaN"}
    gone = export(folder, 1, "rows", tmp_path / "rows.csv")
    assert gone.exit_code == 2
    assert "the result of 'rows' of iteration 1 of 'results' is not stored" in gone.stderr
    assert "to make room; still stored of it: nothing" in gone.stderr
    assert not (tmp_path / "rows.csv").exists()


def test_a_model_is_its_folder_as_it_is_stored(catalog: Path, tmp_path: Path) -> None:
    done = export(catalog, 1, "model", tmp_path / "model", workflow="models")
    assert done.exit_code == 0, done.stderr
    files = {str(one.relative_to(tmp_path)): one.read_bytes() for one in tmp_path.rglob("*") if one.is_file()}
    assert files == {f"model/{file}": PIPELINE.encode() for file in METADATA}


def test_a_model_whose_files_changed_is_not_written(catalog: Path, tmp_path: Path) -> None:
    opened = Catalog.open(catalog, create=False)
    stored = opened.path_of(opened.live_among([digest("model")])[digest("model")])
    assert isinstance(stored, Path)
    (stored / METADATA[1]).write_text(PIPELINE.replace("Model", ""))
    try:
        done = export(catalog, 1, "model", tmp_path / "model", workflow="models")
    finally:
        (stored / METADATA[1]).write_text(PIPELINE)
    assert done.exit_code == 3
    assert "is damaged: its files are not those that were written" in done.stderr
    assert list(tmp_path.iterdir()) == []


def test_a_model_that_cannot_be_read_is_not_told_as_one_that_cannot_be_written(
    catalog: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    def gone(self: LocalPath) -> Any:
        raise FileNotFoundError(2, "No such file or directory", str(self))

    monkeypatch.setattr(LocalPath, "files", gone)
    done = export(catalog, 1, "model", tmp_path / "model", workflow="models")
    assert done.exit_code == 3
    assert "the stored result of 'model' cannot be read: [Errno 2]" in done.stderr
    assert "a run may have evicted it meanwhile" in done.stderr
    assert list(tmp_path.iterdir()) == []


def test_a_damaged_table_is_not_written(tmp_path: Path) -> None:
    folder = tmp_path / "catalog"
    with hx.Helix(folder, policy="always") as session:
        session.run(shared())
    file = next((folder / "tables").rglob("part-*"))
    data = bytearray(file.read_bytes())
    data[20] ^= 1
    file.write_bytes(data)
    assert export(folder, 1, "rows", tmp_path / "rows.csv", workflow="shared").exit_code == 3
    assert [one.name for one in tmp_path.iterdir()] == ["catalog"]


@pytest.mark.parametrize(
    ("node", "name", "words"),
    [
        ("rows", "rows.json", "'rows' is a table, which is written as .parquet or .csv"),
        ("rows", "rows", "such as rows.parquet"),
        ("parts", "parts.csv", "'parts' is a value, which is written as .json"),
        ("nested", "nested.csv", "CSV cannot hold the columns vector, raw of 'nested': lists, structs or bytes"),
        ("rwos", "rows.csv", "did you mean 'rows'?"),
        ("rows", "nowhere/rows.csv", "there is no folder"),
    ],
)
def test_what_makes_no_sense_is_refused_and_nothing_is_written(
    catalog: Path, tmp_path: Path, node: str, name: str, words: str
) -> None:
    done = export(catalog, 1, node, tmp_path / name)
    assert done.exit_code == 2
    assert words in done.stderr
    assert list(tmp_path.iterdir()) == []


def test_nothing_is_overwritten(catalog: Path, tmp_path: Path) -> None:
    (tmp_path / "rows.csv").write_text("mine")
    (tmp_path / "link.csv").symlink_to(tmp_path / "gone")
    for name in ("rows.csv", "link.csv"):
        done = export(catalog, 1, "rows", tmp_path / name)
        assert done.exit_code == 2
        assert f"{tmp_path / name} exists" in done.stderr
    assert (tmp_path / "rows.csv").read_text() == "mine"
    assert not (tmp_path / "gone").exists()


def test_a_catalog_or_an_iteration_that_is_not_there(catalog: Path, tmp_path: Path) -> None:
    assert export(tmp_path / "nowhere", 1, "rows", tmp_path / "rows.csv").exit_code == 3
    done = export(catalog, 7, "rows", tmp_path / "rows.csv")
    assert done.exit_code == 2
    assert "there is no iteration 7" in done.stderr


def test_a_table_that_an_earlier_version_stored_in_part_is_not_written(tmp_path: Path) -> None:
    opened = Catalog.open(tmp_path / "catalog", create=True)
    attempt = opened.begin_attempt(digest("rows"), "table")
    fields = written(attempt, pa.table({"a": [1, 2], "b": [3, 4]}))
    schema = json.loads(fields["schema"])
    schema["fields"].append({**schema["fields"][0], "name": "unread"})
    opened.publish(ArtifactRecord(
        attempt.signature, attempt.attempt, "table", "published", "results", "rows", 1, 0.0,
        **fields | {"schema": json.dumps(schema)},
    ))
    ended = IterationRecord("a" * 32, "results", 1, "done", 0.0)
    opened.append_iteration(ended, [node_of("results", "rows", "scanner")])
    done = export(tmp_path / "catalog", 1, "rows", tmp_path / "rows.csv")
    assert done.exit_code == 3
    assert "its columns are not the recorded ones" in done.stderr
    assert not (tmp_path / "rows.csv").exists()

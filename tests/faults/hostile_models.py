"""Hostile stored models: what Spark would read beside what is checked, classes that run something, folders
elsewhere."""

from __future__ import annotations

import gzip
import json
import os
import shutil
import signal
import sys
import uuid
from collections.abc import Callable, Iterator
from contextlib import contextmanager, suppress
from pathlib import Path
from typing import TYPE_CHECKING, Any

from helix_spark.catalog.catalog import Catalog
from helix_spark.catalog.places.place import LocalPath
from helix_spark.catalog.records import ArtifactRecord
from helix_spark.engine.results.stored_results import load
from helix_spark.engine.server.session import Sessions
from helix_spark.errors import CatalogError
from helix_spark.identity.parts import digest
from tests.faults.model_digests import digest_of_model
from tests.faults.row import Tally, fault
from tests.faults.shared_catalogs import Shared, hostile, hostile_row
from tests.faults.traps import write_module

if TYPE_CHECKING:
    from pyspark.sql import SparkSession

TRAP = """
class Trap:
    @classmethod
    def load(cls, path):
        return cls()

    def transform(self, frame):
        return frame
"""
CLASS = "helix_trap_of_models.Trap"
SECONDS = 60
_SPARK_REFUSED = "it was handed to Spark, which refused it"
_SPARE = json.dumps({"class": CLASS, "uid": "x", "padding": "x" * 5000})


class Outside:
    """What is outside of the catalog: a folder with a model that is a trap, and a file that is there once a trap has
    sprung."""

    def __init__(self, folder: Path) -> None:
        self.outside, self.mark = folder / "outside", folder / "sprung"
        trap = self.outside / "evil"
        (trap / "metadata").mkdir(parents=True)
        (trap / "metadata" / "part-00000").write_text(_SPARE)


class Sound(Outside):
    """A fitted pipeline of an indexer and a regression, as Spark ML writes it, and what is outside of the catalog."""

    def __init__(self, folder: Path, spark: Any) -> None:
        from pyspark.ml import Estimator, Pipeline, Transformer
        from pyspark.ml.classification import LogisticRegression
        from pyspark.ml.feature import StringIndexer, VectorAssembler

        super().__init__(folder)
        self.frame = spark.createDataFrame([("a", 0.0), ("b", 1.0)] * 10, ["s", "label"])
        stages: list[Estimator[Any] | Transformer] = [
            StringIndexer(inputCol="s", outputCol="i"), VectorAssembler(inputCols=["i"], outputCol="features"),
            LogisticRegression(maxIter=1),
        ]
        self.model = folder / "sound"
        Pipeline(stages=stages).fit(self.frame).write().save(f"file://{self.model}")


def metadata(folder: Path) -> Path:
    """The file of a part of a model that names its class; what is beside it and would tell is gone."""
    (file,) = (folder / "metadata").glob("part-*")
    for beside in (folder / "metadata").glob(".*.crc"):
        beside.unlink()
    return file


def _stage(model: Path, number: int) -> Path:
    return next((model / "stages").glob(f"{number}_*"))


def _edit(file: Path, **changes: Any) -> None:
    file.write_text(json.dumps(json.loads(file.read_text()) | changes) + "\n")


def _statement(model: Path, statement: str) -> None:
    stage = _stage(model, 0)
    shutil.rmtree(stage / "data")
    told = json.loads(metadata(stage).read_text())
    _edit(metadata(stage), **{
        "class": "org.apache.spark.ml.feature.SQLTransformer", "paramMap": {"statement": statement},
        "defaultParamMap": {}, "uid": told["uid"],
    })


def _grid(model: Path, sound: Outside) -> None:
    """A search whose grid has a classifier that lies elsewhere."""
    value = {"parent": "x", "name": "classifier", "value": json.dumps(str(sound.outside / "evil")), "isJson": "false"}
    inner = model / "inner"
    inner.mkdir()
    for name in ("metadata", "stages"):
        shutil.move(model / name, inner / name)
    for name in ("bestModel", "estimator"):
        shutil.copytree(inner, model / name)
    shutil.rmtree(inner)
    (model / "evaluator" / "metadata").mkdir(parents=True)
    evaluator = {"class": "org.apache.spark.ml.evaluation.BinaryClassificationEvaluator", "uid": "e", "paramMap": {},
                 "defaultParamMap": {}, "sparkVersion": "4.2.0", "timestamp": 1}
    (model / "evaluator" / "metadata" / "part-00000").write_text(json.dumps(evaluator))
    (model / "metadata").mkdir()
    own = evaluator | {"class": "org.apache.spark.ml.tuning.CrossValidatorModel", "uid": "cv",
                       "paramMap": {"estimatorParamMaps": [[value]], "numFolds": 2, "seed": 1}, "avgMetrics": [0.5],
                       "persistSubModels": False}
    (model / "metadata" / "part-00000").write_text(json.dumps(own))


def _named_column(model: Path) -> None:
    import pyarrow as pa
    import pyarrow.parquet as pq

    folder = _stage(model, 2) / "data"
    (file,) = folder.glob("part-*.parquet")
    for beside in folder.glob(".*.crc"):
        beside.unlink()
    table = pq.read_table(file)
    field = {"name": "x", "type": {"type": "udt", "class": "java.util.ArrayList", "pyClass": CLASS,
                                   "sqlType": "long"}, "nullable": True, "metadata": {}}
    schema = json.dumps({"type": "struct", "fields": [field]})
    more = {**(table.schema.metadata or {}), b"org.apache.spark.sql.parquet.row.metadata": schema.encode()}
    pq.write_table(table.append_column("x", pa.nulls(len(table), pa.int64())).replace_schema_metadata(more), file)


def _elsewhere(file: Path, sound: Outside) -> None:
    moved = sound.outside / f"{file.name}-{len(list(sound.outside.iterdir()))}"
    shutil.move(file, moved)
    file.symlink_to(moved)


def _pipe(file: Path) -> None:
    file.unlink()
    os.mkfifo(file)


def _stage_elsewhere(model: Path, sound: Outside) -> None:
    file = metadata(model)
    told = json.loads(file.read_text())
    above = "/".join([".."] * 40)
    told["paramMap"]["stageUids"][0] = f"/{above}{sound.outside}/evil"
    file.write_text(json.dumps(told) + "\n")


Change = Callable[[Path, Outside], object]
HOSTILE_MODELS: dict[str, Change] = {
    "a second file of metadata": lambda model, _: (model / "metadata" / "part-00001").write_text(_SPARE),
    "a second file of metadata of a stage": lambda model, _: (
        _stage(model, 2) / "metadata" / "part-00001").write_text(_SPARE),
    "a compressed file of metadata beside": lambda model, _: (
        model / "metadata" / "part-00001.gz").write_bytes(gzip.compress(_SPARE.encode() + os.urandom(20_000))),
    "a folder among metadata": lambda model, _: shutil.copytree(model / "metadata", model / "metadata" / "a=1"),
    "a hidden file among metadata": lambda model, _: (model / "metadata" / "_part-00001").write_text(_SPARE),
    "a class of ours": lambda model, _: metadata(model).write_text(_SPARE),
    "a stage of a class of ours": lambda model, _: metadata(_stage(model, 1)).write_text(_SPARE),
    "a class named twice": lambda model, _: metadata(model).write_text(
        metadata(model).read_text().replace('"class"', f'"class":"{CLASS}","class"', 1)),
    "two lines of metadata": lambda model, _: metadata(model).write_text(_SPARE + "\n" + metadata(model).read_text()),
    "a stage that lies elsewhere": _stage_elsewhere,
    "a grid whose value lies elsewhere": _grid,
    "a statement that starts a program": lambda model, sound: _statement(
        model, f"SELECT TRANSFORM(s) USING 'touch {sound.mark}' AS (s) FROM __THIS__"),
    "a statement that calls Java": lambda model, sound: _statement(
        model, "SELECT *, reflect('java.lang.System', 'setProperty', 'helix.trap', 'sprung') AS i FROM __THIS__"),
    "a class of Spark's that is no model": lambda model, _: _edit(metadata(model), **{
        "class": "pyspark.ml.connect.classification.LogisticRegressionModel"}),
    "a name in a module of Spark's that is none of its classes": lambda model, _: _edit(metadata(model), **{
        "class": "pyspark.ml.util.os"}),
    "a column of a class": lambda model, _: _named_column(model),
    "metadata that lie elsewhere": lambda model, sound: _elsewhere(metadata(model), sound),
    "a file of a stage that lies elsewhere": lambda model, sound: _elsewhere(
        next((_stage(model, 2) / "data").glob("part-*")), sound),
    "metadata that are a pipe": lambda model, _: _pipe(metadata(model)),
    "metadata of 64 GiB": lambda model, _: os.truncate(metadata(model), 64 << 30),
    "metadata nested without end": lambda model, _: metadata(model).write_text("[" * 200_000),
    "a payload beside": lambda model, _: (model / "payload.so").write_bytes(b"\x7fELF"),
}


@contextmanager
def within(seconds: int) -> Iterator[None]:
    """Ends what hangs by an error."""
    def late(*_: object) -> None:
        raise TimeoutError(f"hung for {seconds} s")

    before = signal.signal(signal.SIGALRM, late)
    signal.alarm(seconds)
    try:
        yield
    finally:
        signal.alarm(0)
        signal.signal(signal.SIGALRM, before)


def _publish(
    catalog: Catalog, name: str, sound: Path, hostile: Path | None = None, *, with_digest: bool = True
) -> ArtifactRecord:
    """Stores a sound model. A hostile one is put in its place, as by somebody who hands a catalog on: the record tells
    of that one, and our own publishing, which refuses links and pipes, never sees it."""
    told, attempt = LocalPath(hostile or sound), catalog.begin_attempt(digest("hostile", name), "model")
    assert isinstance(attempt.path, Path)
    shutil.copytree(sound, attempt.path)
    digest_told = digest_of_model(LocalPath(sound))
    with suppress(OSError):  # of what cannot be read there is none
        digest_told = digest_of_model(told)
    record = catalog.publish(ArtifactRecord(
        attempt.signature, attempt.attempt, "model", "published", "job", "model", 1, 0.0,
        bytes=told.total_bytes(), digest=digest_told if with_digest else None,
    ))
    if hostile is not None:
        shutil.rmtree(attempt.path)
        hostile.rename(attempt.path)
    return record


class _Sessions(Sessions):
    """Remembers whether Spark was asked for. Something may be done then: what is stored was checked by that time."""

    def __init__(self, sessions: Sessions, then: Callable[[], object] = lambda: None) -> None:
        self._sessions, self._then = sessions, then
        self.asked = False

    @property
    def started(self) -> bool:
        return self._sessions.started

    @property
    def ended(self) -> bool:
        return self._sessions.ended

    def get(self) -> SparkSession:
        self.asked = True
        self._then()
        return self._sessions.get()

    def activate(self) -> None:
        self._sessions.activate()

    def note_work(self) -> None:
        self._sessions.note_work()


def _tried(record: ArtifactRecord, catalog: Catalog, sessions: _Sessions, sound: Sound) -> str:
    """What went wrong with loading, and using, a model; empty if nothing did."""
    try:
        with within(SECONDS):
            loaded: Any = load(record, catalog, sessions)
            loaded.model.transform(sound.frame).count()
            loaded.model.transform(sound.frame).collect()
        what = "it was loaded"
    except CatalogError:
        what = _SPARK_REFUSED if sessions.asked else ""
    except TimeoutError as error:
        what = str(error)
    except Exception as error:  # noqa: BLE001  # what Spark makes of it: it was handed to Spark, then
        what = f"it was handed to Spark: {type(error).__name__}"
    if sound.mark.exists():
        sound.mark.unlink()
        what = "something was executed"
    sys.modules.pop(CLASS.partition(".")[0], None)
    return what


@fault("hostile stored models that are loaded", "refused before Spark is asked; nothing executed", short=0, full=30,
       spark=True)
def hostile_models(folder: Path, count: int, tally: Tally) -> None:
    catalog = Catalog.open(folder / "catalog", create=True)
    (folder / "modules").mkdir()
    sys.path.insert(0, str(folder / "modules"))
    try:
        with Sessions() as sessions:
            sound = Sound(folder, sessions.get())
            write_module(folder / "modules", CLASS.partition(".")[0], sound.mark, TRAP)
            sane = _tried(_publish(catalog, "sound", sound.model), catalog, _Sessions(sessions), sound)
            tally.expect(sane == "it was loaded", f"the sound one: {sane or 'refused'}")
            for name, change in list(HOSTILE_MODELS.items())[:count]:
                for with_digest in (True, False):
                    model = folder / "changed"
                    shutil.copytree(sound.model, model)
                    change(model, sound)
                    record = _publish(
                        catalog, f"{name} {with_digest}", sound.model, model, with_digest=with_digest
                    )
                    what = _tried(record, catalog, _Sessions(sessions), sound)
                    tally.expect(not what, f"{name}{'' if with_digest else ', without a digest'}: {what}")
            _swapped(folder, catalog, sessions, sound, tally)
    finally:
        sys.path.remove(str(folder / "modules"))


def _swapped(folder: Path, catalog: Catalog, sessions: Sessions, sound: Sound, tally: Tally) -> None:
    record = _publish(catalog, "swapped", sound.model)
    path = catalog.path_of(record)
    assert isinstance(path, Path)
    swapping = _Sessions(sessions, lambda: metadata(path).write_text(_SPARE))
    what = _tried(record, catalog, swapping, sound)
    tally.expect(what in (_SPARK_REFUSED, "it was loaded"), f"changed after it was checked: {what}")


GROUP = "models"
SHORT = ("a second file of metadata", "a class of ours", "metadata that lie elsewhere", "metadata that are a pipe")


def write_model(folder: Path) -> None:
    """A pipeline of an indexer, an assembler and a regression, as Spark ML writes it, so far as Helix looks at it."""
    import pyarrow as pa
    import pyarrow.parquet as pq

    stages = {
        "StringIndexer_a": ("feature.StringIndexerModel", pa.table({"labelsArray": [[["a", "b"]]]})),
        "VectorAssembler_b": ("feature.VectorAssembler", None),
        "LogisticRegression_c": ("classification.LogisticRegressionModel", pa.table({"numClasses": [2]})),
    }
    _write_metadata(folder, "PipelineModel", "PipelineModel_d", stageUids=list(stages))
    for number, (uid, (name, data)) in enumerate(stages.items()):
        stage = folder / "stages" / f"{number}_{uid}"
        _write_metadata(stage, name, uid)
        if data is not None:
            (stage / "data").mkdir()
            pq.write_table(data, stage / "data" / f"part-00000-{uuid.UUID(int=number)}-c000.snappy.parquet")


def _write_metadata(folder: Path, name: str, uid: str, **parameters: Any) -> None:
    (folder / "metadata").mkdir(parents=True)
    told = {
        "class": f"org.apache.spark.ml.{name}", "timestamp": 1, "sparkVersion": "4.2.0", "uid": uid,
        "paramMap": parameters, "defaultParamMap": {},
    }
    (folder / "metadata" / "part-00000").write_text(f"{json.dumps(told)}\n")
    (folder / "metadata" / "_SUCCESS").touch()


def _put(shared: Shared, change: Change) -> None:
    """A model in the place of the table `rows`: its record says that it is one, and names what lies there."""
    row = next(row for row in shared.rows("artifacts") if row["node"] == "rows" and row["event"] == "published")
    model = shared.catalog / "models" / row["signature"] / row["attempt"]
    model.parent.mkdir(parents=True)
    write_model(model)
    outside, digest = Outside(shared.outside), digest_of_model(model)
    write_module(shared.project, CLASS.partition(".")[0], outside.mark, TRAP)
    change(model, outside)
    with suppress(OSError):  # of what cannot be read there is none
        digest = digest_of_model(model)
    shared.change(
        "artifacts", lambda one: one["attempt"] == row["attempt"], kind="model", schema=None, rows=None, files=None,
        digest=digest, bytes=sum(path.lstat().st_size for path in model.rglob("*") if path.is_file()),
    )


def _hostile(name: str, change: Change) -> None:
    hostile(GROUP, name, short=name in SHORT)(lambda shared: _put(shared, change))


_hostile("a sound one in the place of a table", lambda _model, _outside: None)
for _name, _change in HOSTILE_MODELS.items():
    _hostile(_name, _change)


hostile_row("a shared catalog with hostile models", GROUP)

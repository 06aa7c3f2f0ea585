"""Hostile models in a catalog that somebody handed on, looked at and run by commands: nothing of them reaches Spark.

That the same models are refused where Spark is at hand, and are the only ones that are, is a row of its own.
"""

from __future__ import annotations

import contextlib
import json
import uuid
from pathlib import Path
from typing import Any

from tests.faults.hostile_models import CLASS, HOSTILE_MODELS, TRAP, Change, Outside
from tests.faults.model_digests import digest_of_model
from tests.faults.shared_catalogs import Shared, hostile, hostile_row

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
    (shared.project / f"{CLASS.partition('.')[0]}.py").write_text(TRAP.format(mark=str(outside.mark)))
    change(model, outside)
    with contextlib.suppress(OSError):  # of what cannot be read there is none
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

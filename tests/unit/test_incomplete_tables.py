"""Tables that earlier versions of Helix stored without columns that nothing read: never loaded, computed again."""

from __future__ import annotations

import json
from dataclasses import replace
from pathlib import Path

import pandas as pd
import pyarrow as pa
import pytest
from warned import Warned

import helix_spark as hx
from helix_spark.catalog.catalog import Catalog
from helix_spark.catalog.records import ArtifactRecord
from helix_spark.catalog.tables.table_check import DamagedArtifactError
from helix_spark.catalog.verification import verify
from helix_spark.identity.parts import digest
from helix_spark.planner.problem import State

TABLE = pa.table({"a": [1, 2], "b": [3, 4]})
WHY = "an earlier version of Helix stored it without `b`"


def publish(catalog: Catalog, signature: str) -> ArtifactRecord:
    """Publish `TABLE` as an earlier version did that knew no reader of the column `b`."""
    attempt = catalog.begin_attempt(signature, "table")
    stats = catalog.write_arrow(attempt, TABLE.drop_columns(["b"]))
    fields = [{"name": name, "type": "long", "nullable": True, "metadata": {}} for name in TABLE.column_names]
    return catalog.publish(ArtifactRecord(
        signature, attempt.attempt, "table", "published", "w", "rows", 1, 0.0, bytes=stats.bytes, rows=stats.rows,
        files=stats.files, version=0, digest=catalog.written_digest(attempt), left_out=("b",),
        schema=json.dumps({"type": "struct", "fields": fields}),
    ))


def sums(places: int) -> hx.Workflow:
    wf = hx.Workflow("w")
    wf.source("data", hx.table(TABLE.to_pandas()))

    @wf.scanner
    def rows(data: pd.DataFrame) -> pd.DataFrame:
        return data

    @wf.reducer(output=True)
    def total(rows: pd.DataFrame) -> float:
        return round(float(rows.to_numpy().sum()), places)

    return wf


def test_no_reader_takes_such_a_table_for_the_whole_one(tmp_path: Path) -> None:
    catalog = Catalog.open(tmp_path, create=True)
    record = publish(catalog, digest("rows"))
    for one, why in ((record, WHY), (replace(record, left_out=()), "its columns are not the recorded ones")):
        with pytest.raises(DamagedArtifactError, match=why):
            catalog.read_arrow(one)
        with pytest.raises(DamagedArtifactError, match=why):
            catalog.first_rows(one, 1, 10)
    (finding,) = verify(catalog, deep=False).findings
    assert finding.verdict == "damaged"


def test_it_is_not_planned_with_but_computed_stored_whole_and_said_why(tmp_path: Path) -> None:
    heard = Warned()
    with hx.Helix(tmp_path, policy="always", observer=heard) as helix:
        first = helix.run(sums(1))
        first.wait()
        signature = first.plan["rows"].signature
        helix.catalog.evict(signature, "to have one of an earlier version in its place")
        record = publish(helix.catalog, signature)
    with hx.Helix(tmp_path, policy="always", observer=heard) as helix:
        plan = helix.plan(sums(2))
        assert (plan["rows"].state, plan["rows"].stored) == (State.COMPUTE, False)
        assert plan["rows"].reason == f"unchanged, but its result is gone: {WHY}"
        iteration = helix.run(sums(2))
        iteration.wait()
        assert iteration["total"] == 10.0
        stored = helix.catalog.artifact(signature)
        assert stored is not None
        assert (stored.attempt != record.attempt, stored.left_out) == (True, ())
        assert helix.catalog.read_arrow(stored).equals(TABLE)
        path = helix.catalog.path_of(record)
        assert path is not None
        assert not path.exists()
        assert helix.plan(sums(3))["rows"].stored
        assert verify(helix.catalog, deep=True).sound
    assert heard.warnings == [
        f"the stored result of 'rows' cannot be loaded: {WHY}; it is computed again when needed"
    ]


def test_its_bytes_are_room_that_a_run_has(tmp_path: Path) -> None:
    catalog = Catalog.open(tmp_path, create=True)
    others = publish(catalog, digest("of another workflow"))
    used = catalog.bytes_used()
    with hx.Helix(tmp_path, budget=10**9) as helix:
        assert helix.plan(sums(1)).used == used - others.bytes

"""Which outputs an iteration has on record as they are now."""

from __future__ import annotations

import json
from dataclasses import replace
from typing import Any

import pandas as pd
import pytest

import helix_spark as hx
from helix_spark.catalog.catalog_reader import CatalogView
from helix_spark.catalog.history import PastIteration, PastNode
from helix_spark.catalog.records import IterationRecord
from helix_spark.dag.compilation import compile_workflow
from helix_spark.dag.node import Dag
from helix_spark.identity.signing import Signed, describe, resolve
from helix_spark.run.run_outputs import recorded_outputs


def declared(**wishes: Any) -> tuple[Dag, dict[str, Signed]]:
    wf = hx.Workflow("w")

    @wf.scanner(output=True, **wishes)
    def rows() -> pd.DataFrame:
        return pd.DataFrame({"a": [1]})

    @wf.reducer(output=True)
    def mean() -> float:
        return 1.0

    dag = compile_workflow(wf)
    return dag, resolve(dag, describe(dag, {}), run="run", equivalent={}, known_random={})


def past(signed: dict[str, Signed], names: dict[str, str] | None = None, **fields: Any) -> PastIteration:
    """An iteration that had these outputs, by the names that they have now."""
    names = names or {"rows": "rows", "mean": "mean"}
    nodes = tuple(PastNode(old, "reducer", (), signed[now].signature, output=True) for now, old in names.items())
    outputs = {"rows": {"table": "rows", "rows": 1}, "mean": 1.0}
    record = IterationRecord("0" * 32, "w", 3, "done", 0.0, outputs=json.dumps(outputs))
    return PastIteration(replace(record, **fields), nodes)


def told(*iterations: PastIteration, **wishes: Any) -> set[str]:
    dag, signed = declared(**wishes)
    view = CatalogView("w", {}, (), None, (), iterations, 4, 0)
    return set(recorded_outputs(view, dag, signed, dag.outputs))


def test_an_output_is_told_by_its_name_and_signature() -> None:
    _, signed = declared()
    assert told(past(signed)) == {"rows", "mean"}
    assert told(past(signed), past(signed, status="failed")) == {"rows", "mean"}
    assert told(past(signed, {"rows": "mean", "mean": "rows"})) == set(), "their names were exchanged"
    assert told(past(signed, {"rows": "rows"})) == {"rows"}
    assert told() == set()


@pytest.mark.parametrize("fields", [
    {"status": "failed"}, {"error": "the file changed while it was read"}, {"outputs": "{}"},
    {"outputs": json.dumps({"rows": {"table": "rows", "rows": None}, "mean": {"value": "str", "bytes": 9}})},
])
def test_what_an_iteration_does_not_have_whole_is_not_told(fields: dict[str, Any]) -> None:
    _, signed = declared()
    assert told(past(signed, **fields)) == set()


@pytest.mark.parametrize("wish", [{"recompute": True}, {"keep": "always"}, {"fresh": True}])
def test_what_is_wished_of_each_run_is_not_told(wish: dict[str, Any]) -> None:
    _, signed = declared(**wish)
    assert "rows" not in told(past(signed), **wish)

"""What functions are lowered to: found out once for each signature, and known ever after."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from pathlib import Path

import pandas as pd
import pytest
from pyspark.sql import DataFrame, SparkSession
from workflows import PEOPLE, computed

import helix_spark as hx
from helix_spark.dag.node import Node
from helix_spark.engine.equivalence import Stubs
from helix_spark.engine.iteration import Iteration

pytestmark = pytest.mark.spark


@pytest.fixture
def asked(monkeypatch: pytest.MonkeyPatch) -> list[str]:
    """Names of the nodes whose plan is asked for, in order."""
    names: list[str] = []
    before = Stubs.lowered

    def noted(self: Stubs, node: Node, inputs: Sequence[str]) -> str | None:
        names.append(node.name)
        return before(self, node, inputs)

    monkeypatch.setattr(Stubs, "lowered", noted)
    return names


def older(data: DataFrame) -> DataFrame:
    return data.select((data.age + 1).alias("age"))


def older_in_other_words(data: DataFrame) -> DataFrame:
    aged = data.age
    return data.select((aged + 1).alias("age"))


def workflow(people: Path, scanner: Callable[[DataFrame], DataFrame], more: int) -> hx.Workflow:
    wf = hx.Workflow("ages")
    wf.source("data", hx.csv(str(people), schema="age double"))
    wf.scanner(name="older")(scanner)

    @wf.scanner
    def oldest(older: DataFrame) -> DataFrame:
        return older.select((older.age + more).alias("age"))

    @wf.reducer(output=True)
    def total(oldest: pd.DataFrame) -> float:
        return float(oldest.age.sum())

    return wf


def test_a_function_that_is_computed_again_is_not_lowered_again(
    spark: SparkSession, tmp_path: Path, asked: list[str]
) -> None:
    people = tmp_path / "people.csv"
    people.write_text("".join(f"{age}\n" for age in PEOPLE.age))

    def run(scanner: Callable[[DataFrame], DataFrame], more: int) -> Iteration:
        asked.clear()
        with hx.Helix(tmp_path / "catalog", policy="never", spark=spark) as helix:
            iteration = helix.run(workflow(people, scanner, more))
            iteration.wait()
            return iteration

    first = run(older, 1)
    assert {"older", "oldest"} <= set(asked)
    second = run(older, 2)
    assert "older" in computed(second), "with nothing stored it runs again"
    assert "older" not in asked
    assert second["total"] == first["total"] + len(PEOPLE)
    third = run(older_in_other_words, 2)
    assert third.plan["older"].signature == first.plan["older"].signature, "what it was lowered to is still known"
    assert "older" in asked, "its code is new, so its plan is looked at"
    assert third["total"] == second["total"]

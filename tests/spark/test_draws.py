"""Several right answers, as a plan tells them: which of equal rows stay depends on the order in which rows come."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pandas as pd
import pytest
from pyspark.ml.classification import RandomForestClassifier
from pyspark.sql import DataFrame, SparkSession
from pyspark.sql import functions as F

import helix_spark as hx
from helix_spark.planner.problem import State
from tests.fakes.observer import Warned
from tests.fakes.policy import loading
from tests.spark.workflows import PEOPLE, computed

pytestmark = pytest.mark.spark


def choosing(weight: int, **wishes: Any) -> hx.Workflow:
    wf = hx.Workflow("choosing")
    wf.source("data", hx.table(PEOPLE))

    @wf.scanner(**wishes)
    def chosen(data: DataFrame) -> DataFrame:
        return data.dropDuplicates(["sex"])

    @wf.reducer(output=True)
    def oldest(chosen: pd.DataFrame) -> float:
        return float(chosen.age.max()) * weight

    return wf


def run(folder: Path, spark: SparkSession, workflow: hx.Workflow) -> Any:
    """As a process of its own."""
    with hx.Helix(folder, policy=loading("always"), spark=spark, observer=Warned()) as helix:
        iteration = helix.run(workflow)
        iteration.wait()
        return iteration


def test_one_of_several_right_answers_is_reused_and_the_plan_says_so(tmp_path: Path, spark: SparkSession) -> None:
    first = run(tmp_path, spark, choosing(1))
    again = run(tmp_path, spark, choosing(2))
    assert again["oldest"] == 2 * first["oldest"]
    assert again.plan["chosen"].state is State.LOAD
    assert again.plan["chosen"].proof == "instance"
    reason = again.plan["chosen"].reason
    assert "one of several right answers (`chosen` uses dropDuplicates of some columns, which depends" in reason


def timed(**wishes: Any) -> hx.Workflow:
    wf = hx.Workflow("timed")
    wf.source("data", hx.table(PEOPLE))

    @wf.scanner(**wishes)
    def stamped(data: DataFrame) -> DataFrame:
        return data.withColumn("at", F.current_timestamp())

    @wf.reducer(output=True)
    def newest(stamped: pd.DataFrame) -> str:
        return str(stamped["at"].max())

    return wf


def test_what_asks_the_clock_stands_while_it_is_fixed_and_no_longer(tmp_path: Path, spark: SparkSession) -> None:
    first = run(tmp_path, spark, timed(fixed=True))
    assert run(tmp_path, spark, timed(fixed=True))["newest"] == first["newest"]
    free = run(tmp_path, spark, timed())
    assert free["newest"] != first["newest"]
    assert "asks the clock" in free.plan["stamped"].reason


@pytest.mark.parametrize("wishes", [{}, {"fixed": True}])
def test_an_instance_that_was_lost_is_another_one_when_it_is_made_again(
    tmp_path: Path, spark: SparkSession, wishes: dict[str, Any]
) -> None:
    first = run(tmp_path, spark, choosing(1, **wishes))
    with hx.Helix(tmp_path, spark=spark, observer=Warned()) as helix:
        helix.catalog.evict_all({first.plan["chosen"].signature: "its room is needed"})
    kept = run(tmp_path, spark, choosing(1, **wishes))
    assert kept.plan["chosen"].signature == first.plan["chosen"].signature
    assert computed(kept) == set()
    again = run(tmp_path, spark, choosing(2, **wishes))
    assert again.plan["chosen"].signature != first.plan["chosen"].signature
    assert {"chosen", "oldest"} <= computed(again)
    back = run(tmp_path, spark, choosing(1, **wishes))
    assert back.plan["chosen"].signature == again.plan["chosen"].signature
    assert computed(back) == {"oldest"}


def test_what_was_not_kept_of_an_instance_is_not_computed_for_who_asks_for_it(
    tmp_path: Path, spark: SparkSession
) -> None:
    wf = choosing(1)
    wf.output(hx.NodeRef(wf, "chosen"))
    first = run(tmp_path, spark, wf)
    with hx.Helix(tmp_path, spark=spark, observer=Warned()) as helix:
        helix.catalog.evict_all({first.plan["chosen"].signature: "its room is needed"})
        again = helix.run(wf)
        assert again.plan["chosen"].state is not State.COMPUTE or (
            again.plan["chosen"].signature != first.plan["chosen"].signature
        )


def test_forests_draw_their_rows_by_partition_and_are_instances(tmp_path: Path, spark: SparkSession) -> None:
    def forest(digits: int) -> hx.Workflow:
        wf = hx.Workflow("forest")
        data = wf.source("data", hx.table(PEOPLE))
        age = wf.extractor("age_of", hx.Fields("age"), on=data)
        examples = wf.synthesizer("examples", data, features=[age], label="rich = 1")
        wf.learner("model", RandomForestClassifier, on=examples, numTrees=2, seed=1)

        @wf.reducer(output=True)
        def trees(model: Any) -> float:
            return round(model.getNumTrees, digits)

        return wf

    run(tmp_path, spark, forest(1))
    again = run(tmp_path, spark, forest(2))
    assert again.plan["model"].proof == "instance"
    assert again.plan["model"].state is State.LOAD

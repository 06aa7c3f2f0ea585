"""Models that turn out to be draws, and what becomes of them where a run meets a damaged result."""

from __future__ import annotations

import random
from pathlib import Path
from typing import Any

import pandas as pd
import pytest
from pyspark.ml import Model
from pyspark.sql import DataFrame, SparkSession

import helix_spark as hx
from helix_spark.hermetic.action import current
from helix_spark.planner.problem import State
from tests.fakes.doubled import workflow
from tests.fakes.observer import Warned
from tests.fakes.policy import loading

pytestmark = pytest.mark.spark


class Drawn(Model):
    """A model of which the run alone tells that it is a draw."""

    def _transform(self, dataset: DataFrame) -> DataFrame:
        return dataset


def modelled(weight: int, **wishes: Any) -> hx.Workflow:
    wf = hx.Workflow("modelled")
    wf.source("data", hx.table(pd.DataFrame({"a": [1, 2, 3]})))

    @wf.scanner
    def rows(data: pd.DataFrame) -> pd.DataFrame:
        return data * 2

    @wf.learner(**wishes)
    def model(data: pd.DataFrame) -> Model:
        action = current()
        assert action is not None
        action.disturbed = random.random() < 1  # as where another function had drawn meanwhile
        return Drawn()

    @wf.reducer(output=True)
    def total(model: Model, rows: pd.DataFrame) -> int:
        return int(rows.a.sum()) * weight

    return wf


def cut_short(catalog: Path) -> None:
    for file in catalog.glob("tables/*/*/part-*"):
        file.write_bytes(file.read_bytes()[:-100])


@pytest.mark.long
def test_what_is_made_of_chance_before_the_damage_is_met_is_not_held(spark: SparkSession, tmp_path: Path) -> None:
    with hx.Helix(tmp_path, spark=spark, policy="always") as helix:
        helix.run(workflow(1))
    cut_short(tmp_path)
    with hx.Helix(tmp_path, spark=spark, policy=loading("always"), observer=Warned()) as helix:
        assert helix.plan(modelled(1))["model"].random == (), "its code does not tell"
        first = helix.run(modelled(1))
        assert first["total"] == 12
        assert first.plan["model"].state is State.COMPUTE, "once more, in the second try"
        first.wait()
        again = helix.plan(modelled(2))
        assert again["model"].state is State.COMPUTE
        assert "drew numbers while another" in again["model"].reason


def test_a_draw_that_stood_does_not_stand_for_who_fixes_it_no_more(spark: SparkSession, tmp_path: Path) -> None:
    """That it is a draw is found out by the run alone, and is on record as of any other."""
    with hx.Helix(tmp_path, spark=spark, policy="never", observer=Warned()) as helix:
        first = helix.run(modelled(1, fixed=True))
        assert helix.plan(modelled(2, fixed=True))["model"].held
        assert helix.plan(modelled(2, fixed=True))["model"].signature == first.plan["model"].signature
        again = helix.plan(modelled(2))["model"]
        assert again.state is State.COMPUTE
        assert "drew numbers while another" in again.reason
    with hx.Helix(tmp_path, spark=spark, policy="never", observer=Warned()) as helix:
        anew = helix.plan(modelled(1, fixed=True))["model"]
        assert anew.signature != first.plan["model"].signature, "another draw is another result"
        assert anew.random == ()

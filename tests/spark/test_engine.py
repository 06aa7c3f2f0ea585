"""Run, edit, run again: only what the edit touched is computed, and the answer is the one from scratch."""

from __future__ import annotations

import shutil
import threading
import time
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pandas as pd
import pyarrow as pa
import pytest
from pyspark.ml import Model, Pipeline
from pyspark.ml.classification import OneVsRest, RandomForestClassifier
from pyspark.ml.clustering import KMeans, KMeansModel
from pyspark.ml.evaluation import MulticlassClassificationEvaluator
from pyspark.ml.feature import StandardScaler, VectorAssembler
from pyspark.ml.tuning import TrainValidationSplit
from pyspark.sql import Column, DataFrame, SparkSession

import helix_spark as hx
from helix_spark.engine.spark.driver_client import driver_client
from helix_spark.planner.problem import State
from tests.fakes.observer import Warned
from tests.fakes.policy import loading
from tests.spark.workflows import PEOPLE, Census, computed

pytestmark = pytest.mark.spark


class Catalog:
    """Opens the same catalog again and again, as processes that follow each other do: nothing is held in memory."""

    def __init__(self, folder: Path, spark: SparkSession) -> None:
        self.folder, self.spark, self.heard = folder, spark, Warned()

    def open(self, policy: str = "always", **options: Any) -> hx.Helix:
        self.heard = Warned()
        return hx.Helix(self.folder, policy=loading(policy), spark=self.spark, observer=self.heard, **options)

    def run(self, workflow: hx.Workflow, policy: str = "always", **options: Any) -> Any:
        with self.open(policy, **options) as helix:
            iteration = helix.run(workflow)
            iteration.sizes = iteration.wait()
            return iteration


@pytest.fixture
def catalog(tmp_path: Path, spark: SparkSession) -> Catalog:
    return Catalog(tmp_path / "catalog", spark)


@pytest.fixture
def from_scratch(tmp_path: Path, spark: SparkSession) -> Callable[[hx.Workflow], dict[str, Any]]:
    def run(workflow: hx.Workflow) -> dict[str, Any]:
        with hx.Helix(tmp_path / "fresh" / str(time.perf_counter_ns()), policy="never", spark=spark) as helix:
            return dict(helix.run(workflow).outputs)

    return run


@dataclass(frozen=True)
class Session:
    """What a session is set to, and how many tables it keeps persisted."""

    settings: dict[str, str]
    persisted: int


def looked_at(spark: SparkSession) -> Session:
    noted_by_delta = "spark.databricks.delta.lastCommitVersionInSession"
    settings = {name: value for name, value in spark.conf.getAll.items() if name != noted_by_delta}
    return Session(settings, persisted(spark))


@dataclass(frozen=True)
class First:
    """A catalog in which the first version of the census workflow was run and stored, its answers, and the session
    before and after that."""

    folder: Path
    outputs: dict[str, Any]
    before: Session
    after: Session


@pytest.fixture(scope="module")
def first(tmp_path_factory: pytest.TempPathFactory, spark: SparkSession) -> First:
    folder, before = tmp_path_factory.mktemp("census") / "catalog", looked_at(spark)
    made = Catalog(folder, spark).run(Census().workflow())
    return First(folder, dict(made.outputs), before, looked_at(spark))


@pytest.fixture
def after_first(first: First) -> Path:
    return first.folder


FEATURES = {"examples", "model", "predictions", "accuracy", "weights"}


def test_what_an_extractor_does_to_a_value_or_a_model_is_its_own_affair(spark: SparkSession, tmp_path: Path) -> None:
    wf = hx.Workflow("own")
    data = wf.source("data", hx.table(PEOPLE))

    @wf.reducer
    def counts(data: pd.DataFrame) -> dict[str, int]:
        return {str(sex): int(count) for sex, count in data.sex.value_counts().items()}

    @wf.extractor
    def share(data: DataFrame, counts: dict[str, int]) -> Column:
        return (data.sex == "M").cast("double") / counts.pop("F")

    wf.output(wf.synthesizer("examples", data, features=[share]))
    wf.output("counts")
    with hx.Helix(tmp_path / "catalog", policy="always", spark=spark) as helix:
        iteration = helix.run(wf)
        assert iteration["counts"] == PEOPLE.sex.value_counts().to_dict()


@pytest.mark.parametrize(
    ("edit", "touched", "must_not"),
    [
        pytest.param(
            {"digits": 3}, {"accuracy"}, {"model", "predictions", "examples", "bucket.fit"}, marks=pytest.mark.long
        ),
        ({"reg": 0.01}, {"model", "predictions", "accuracy", "weights"}, {"rows", "bucket.fit", "examples"}),
        ({"bins": 3}, {"bucket.fit", "bucket", *FEATURES}, {"sex_is.fit", "work_is.fit"}),
        pytest.param(
            {"drop_last": False}, {"sex_is", *FEATURES}, {"sex_is.fit", "work_is.fit", "bucket.fit"},
            marks=pytest.mark.long,
        ),
        pytest.param(
            {"offset": 1.0}, {"older", *FEATURES}, {"sex_is.fit", "work_is.fit", "bucket.fit"}, marks=pytest.mark.long
        ),
    ],
    ids=["digits", "reg", "bins", "drop_last", "offset"],
)
def test_an_edit_computes_what_it_touched_and_refits_nothing_else(
    after_first: Path, spark: SparkSession, from_scratch: Callable[[hx.Workflow], dict[str, Any]],
    edit: dict[str, Any], touched: set[str], must_not: set[str],
) -> None:
    made = Catalog(after_first, spark).run(Census(**edit).workflow(), policy="never")
    assert touched <= computed(made)
    assert not must_not & computed(made)
    assert dict(made.outputs) == from_scratch(Census(**edit).workflow())


def test_an_unchanged_rerun_loads_its_answers_and_runs_nothing(after_first: Path, spark: SparkSession) -> None:
    made = Catalog(after_first, spark).run(Census().workflow(), policy="never")
    assert set(made.plan.in_state(State.LOAD)) == {"accuracy", "weights"}
    assert computed(made) == set()


def test_who_asks_for_what_a_rerun_did_not_need_has_it_loaded(after_first: Path, spark: SparkSession) -> None:
    with Catalog(after_first, spark).open("never") as helix:
        made = helix.run(Census().workflow())
        assert {"model", "predictions"} <= set(made.plan.in_state(State.PRUNE))
        assert made.table("predictions").count() == len(made.pandas("predictions")) > 0
        assert list(made.model("model").coefficients) == made["weights"]
        with pytest.raises(hx.HelixError, match="'older' is a column, not a table") as caught:
            made.table("older")
        assert "get a table that contains the column: examples" in str(caught.value)


def test_what_was_stored_is_said_and_an_unused_extractor_is_dropped(after_first: Path, spark: SparkSession) -> None:
    plan = Catalog(after_first, spark).open().plan(Census().workflow())
    assert set(plan.dropped) == {"unused", "unused.fit"}
    stored = {node.name for node in plan.nodes if node.stored}
    assert stored == {
        "rows", "bucket.fit", "sex_is.fit", "work_is.fit", "examples", "model", "predictions", "accuracy", "weights",
    }


def test_going_back_to_an_earlier_version_computes_nothing(catalog: Catalog, first: First) -> None:
    shutil.copytree(first.folder, catalog.folder)
    edited = catalog.run(Census(reg=0.01).workflow())
    assert edited["weights"] != first.outputs["weights"]
    back = catalog.run(Census().workflow())
    assert computed(back) == set()
    assert dict(back.outputs) == first.outputs


def test_in_one_session_results_are_held_in_memory_though_nothing_is_stored(catalog: Catalog) -> None:
    with catalog.open(policy="never") as helix:
        first = helix.run(Census().workflow())
        again = helix.run(Census().workflow())
        edited = helix.run(Census(digits=2).workflow())
        assert again.outputs == first.outputs
        assert computed(again) == set()
        assert computed(edited) == {"accuracy"}
        assert edited.wait() == {}


# Merging


def test_equal_nodes_are_computed_once(catalog: Catalog) -> None:
    wf = hx.Workflow("twins")
    wf.source("data", hx.table(PEOPLE))

    @wf.scanner
    def one(data: DataFrame) -> DataFrame:
        return data.where(data.age > 30)

    @wf.scanner
    def two(data: DataFrame) -> DataFrame:
        return data.where(data.age > 30)

    @wf.reducer(output=True)
    def difference(one: DataFrame, two: DataFrame) -> int:
        return one.count() - two.count()

    made = catalog.run(wf)
    assert made["difference"] == 0
    assert [node.name for node in made.plan.nodes] == ["data", "one", "difference"]
    assert made.plan["two"] is made.plan["one"]
    assert made.table("two").count() == made.table("one").count()


def test_of_equal_nodes_those_are_outputs_that_were_asked_for(catalog: Catalog) -> None:
    wf = hx.Workflow("twins")
    wf.source("data", hx.table(PEOPLE))

    @wf.reducer
    def first(data: pd.DataFrame) -> int:
        return len(data)

    @wf.reducer(output=True)
    def second(data: pd.DataFrame) -> int:
        return len(data)

    @wf.reducer(output=True)
    def both(first: int, second: int) -> int:
        return first + second

    assert dict(catalog.run(wf).outputs) == {"second": 200, "both": 400}


# Forms


def forms(factor: int = 2) -> hx.Workflow:
    wf = hx.Workflow("forms")
    wf.source("data", hx.table(pa.table({"a": [1, 2, 3]})))

    @wf.scanner
    def in_spark(data: DataFrame) -> DataFrame:
        return data.selectExpr(f"a * {factor} as a")

    @wf.scanner
    def in_pandas(in_spark: pd.DataFrame) -> pd.DataFrame:
        return in_spark + 1

    @wf.scanner
    def in_arrow(in_pandas: pa.Table) -> pa.Table:
        return in_pandas.append_column("b", in_pandas["a"])

    @wf.reducer(output=True)
    def table(in_arrow: DataFrame) -> DataFrame:
        return in_arrow.selectExpr("sum(a) as a", "sum(b) as b")

    @wf.reducer(output=True)
    def total(in_arrow: pa.Table, in_spark: DataFrame, table: pd.DataFrame) -> dict[str, int]:
        return {"arrow": sum(in_arrow["a"].to_pylist()), "spark": in_spark.count(), "pandas": table.b.iloc[0]}

    return wf


def test_a_function_gets_its_tables_in_the_form_it_asks_for(catalog: Catalog) -> None:
    made = catalog.run(forms())
    assert made["total"] == {"arrow": 15, "spark": 3, "pandas": 15}
    assert made["table"] == {"table": "table", "rows": 1}
    again = catalog.run(forms())
    assert again["total"] == made["total"]
    assert again.pandas("table").to_dict("records") == [{"a": 15, "b": 15}]
    assert again.table("table").columns == ["a", "b"]


# Models


def scaled(name: str, model_name: str = "scaler") -> hx.Workflow:
    wf = hx.Workflow(name)
    wf.source("data", hx.table(PEOPLE))

    @wf.scanner
    def points(data: DataFrame) -> DataFrame:
        return VectorAssembler(inputCols=["age", "rich"], outputCol="x").transform(data)

    wf.learner(model_name, StandardScaler, on=points, inputCol="x", outputCol="y", output=True)
    return wf


def test_a_model_is_stored_once_whichever_workflow_made_it(catalog: Catalog) -> None:
    first = catalog.run(scaled("one"))
    other = catalog.run(scaled("two", "another"))
    assert other.plan["another"].stored  # whether it is loaded is for the costs to say: this fit takes less than a load
    assert list(other.model("another").std) == list(first.model("scaler").std)
    models = [path for path in (catalog.folder / "models").glob("*/*") if path.is_dir()]
    assert len(models) == 1


def clusters(**parameters: Any) -> hx.Workflow:
    wf = hx.Workflow("clusters")
    wf.source("data", hx.table(PEOPLE))

    @wf.scanner
    def points(data: DataFrame) -> DataFrame:
        return VectorAssembler(inputCols=["age"], outputCol="features").transform(data).select("features")

    wf.learner("model", KMeans, on=points, k=2, maxIter=2, **parameters)

    @wf.reducer(output=True)
    def cost(model: KMeansModel) -> float:
        return float(model.summary.trainingCost) if model.hasSummary else 0.0

    @wf.reducer(output=True)
    def centers(model: KMeansModel) -> list[list[float]]:
        return [center.tolist() for center in model.clusterCenters()]

    return wf


def test_a_learner_that_is_to_draw_anew_is_never_reused_and_says_who_is_to_blame(catalog: Catalog) -> None:
    catalog.run(clusters(fresh=True))
    again = catalog.run(clusters(fresh=True))
    assert {"model", "cost", "centers"} <= computed(again)
    assert again.plan["model"].reason == (
        "its result may differ each time: you asked for a new draw of `model` in each run (fresh=True)"
    )
    assert again.plan["centers"].reason == "reads `model`, whose result may differ each time"
    assert "model" not in again.sizes


def test_a_seeded_learner_is_reused(catalog: Catalog) -> None:
    first = catalog.run(clusters(seed=1))
    again = catalog.run(clusters(seed=1))
    assert computed(again) == set()
    assert again["centers"] == first["centers"]


def hidden(which: str) -> Any:
    """A stage without a seed, whose code does not show which class it calls."""
    clusters, forest = KMeans, RandomForestClassifier
    if which == "plain":
        return clusters().setK(2).setMaxIter(2)
    if which == "pipeline":
        return Pipeline(stages=[OneVsRest(classifier=forest(numTrees=2), labelCol="rich")])
    return TrainValidationSplit(
        estimator=forest(numTrees=2, labelCol="rich"), estimatorParamMaps=[{}],
        evaluator=MulticlassClassificationEvaluator(labelCol="rich"), seed=1,
    )


@pytest.mark.parametrize(
    "which", ["pipeline", *(pytest.param(one, marks=pytest.mark.long) for one in ("plain", "tuner"))]
)
def test_a_stage_without_a_seed_inside_a_function_takes_one_that_stays(catalog: Catalog, which: str) -> None:
    def build() -> hx.Workflow:
        wf = hx.Workflow("unseeded")
        wf.source("data", hx.table(PEOPLE))

        @wf.learner(keep="always")
        def model(data: DataFrame) -> Model:
            points = VectorAssembler(inputCols=["age"], outputCol="features").transform(data)
            return hidden(which).fit(points)

        @wf.reducer(output=True)
        def kind(model: Model) -> str:
            return type(model).__name__

        return wf

    first = catalog.run(build())
    assert "model" in first.sizes
    again = catalog.run(build())
    assert computed(again) == set()
    assert again.plan["model"].random == ()


def test_fixed_keeps_the_first_result_as_the_result(catalog: Catalog) -> None:
    def build() -> hx.Workflow:
        wf = hx.Workflow("fixed")
        wf.source("data", hx.table(PEOPLE))

        @wf.scanner
        def drawn(data: DataFrame) -> DataFrame:
            from pyspark.sql import functions as F

            return data.withColumn("draw", F.rand())

        hx.fixed(drawn)

        @wf.reducer(output=True)
        def total(drawn: pd.DataFrame) -> float:
            return float(drawn.draw.sum())

        return wf

    first = catalog.run(build(), policy="never")
    assert "drawn" in first.sizes
    again = catalog.run(build(), policy="never")
    assert again["total"] == first["total"]


def test_a_table_that_python_workers_made_is_there_for_the_first_edit(tmp_path: Path, spark: SparkSession) -> None:
    def build(least: int) -> hx.Workflow:
        wf = hx.Workflow("parse")
        wf.source("data", hx.table(PEOPLE))

        @wf.scanner
        def parsed(data: DataFrame) -> DataFrame:
            return data.mapInPandas(lambda batches: batches, data.schema)

        @wf.synthesizer
        def chosen(parsed: DataFrame) -> DataFrame:
            return parsed.where(parsed.age > least)

        @wf.reducer(output=True)
        def count(chosen: DataFrame) -> int:
            return chosen.count()

        return wf

    with hx.Helix(tmp_path / "catalog", policy=loading("never"), spark=spark) as helix:
        first = helix.run(build(30))
        assert not first.plan["parsed"].keep
        assert first.node_seconds["parsed"] > 0
        first.wait()
        edited = helix.run(build(50))
        assert edited.plan["parsed"].state is State.LOAD
        assert edited["count"] == int((PEOPLE.age > 50).sum())


def waited_for(people: pd.DataFrame) -> hx.Workflow:
    """Fits of two sorts start at the same time over one costly table, two functions over another one."""
    wf = hx.Workflow("waiting")
    wf.source("data", hx.table(people))

    @wf.scanner
    def costly(data: DataFrame) -> DataFrame:
        rows = data.repartition(2, "age")  # rows of a literal would be computed while the plan is optimised
        return rows.selectExpr("*", "aggregate(sequence(1, 60000), 0D, (sum, x) -> sum + x * age) AS total")

    work = wf.extractor("work_is", hx.OneHot("work"), on=costly)
    total = wf.extractor("total_bucket", hx.Bucketizer("total", bins=2), on=costly)
    wf.synthesizer("examples", costly, features=[work, total], label="age > 40")

    @wf.scanner
    def looked_at(examples: DataFrame) -> DataFrame:
        return examples.selectExpr("label", "aggregate(sequence(1, 60000), 0D, (sum, x) -> sum + x * label) AS more")

    @wf.reducer(output=True)
    def rows(looked_at: pd.DataFrame) -> int:
        return len(looked_at)

    @wf.reducer(output=True)
    def late(looked_at: pd.DataFrame) -> float:
        return float(looked_at.label.sum())

    return wf


@pytest.mark.long
def test_a_table_that_several_wait_for_is_charged_with_its_own_seconds(catalog: Catalog) -> None:
    catalog.run(waited_for(PEOPLE.head(4)), policy="never")  # so that the JVM has done the like before
    seconds = catalog.run(waited_for(PEOPLE.iloc[40:80]), policy="never").node_seconds
    assert seconds["work_is.fit"] + seconds["total_bucket.fit"] < seconds["costly"]
    assert seconds["rows"] + seconds["late"] < seconds["looked_at"] / 2


# The session


def persisted(spark: SparkSession) -> int:
    """How many tables the session keeps persisted."""
    client = driver_client(spark)
    assert client is not None
    return int(client.classic.sparkContext._jsc.sc().getPersistentRDDs().size())


def test_the_users_session_is_left_as_it_was(first: First, spark: SparkSession) -> None:
    assert first.after == first.before
    assert spark.range(3).count() == 3


def test_tables_that_differ_each_time_are_let_go_too(catalog: Catalog) -> None:
    def build() -> hx.Workflow:
        wf = hx.Workflow("chance")
        wf.source("data", hx.table(PEOPLE))

        @wf.scanner
        def drawn(data: DataFrame) -> DataFrame:
            from pyspark.sql import functions as F

            return data.withColumn("draw", F.rand())

        @wf.reducer(output=True)
        def least(drawn: DataFrame) -> float:
            return float(drawn.selectExpr("min(draw)").first()[0])

        @wf.reducer(output=True)
        def most(drawn: DataFrame) -> float:
            return float(drawn.selectExpr("max(draw)").first()[0])

        return wf

    tables = persisted(catalog.spark)
    catalog.run(build())
    assert persisted(catalog.spark) == tables


def test_functions_on_the_driver_take_turns_and_each_has_its_own_seconds(catalog: Catalog) -> None:
    wf = hx.Workflow("branches")
    wf.source("data", hx.table(PEOPLE))

    @wf.reducer
    def left(data: pd.DataFrame) -> int:
        time.sleep(0.5)
        return len(data)

    @wf.reducer
    def right(data: pd.DataFrame) -> int:
        time.sleep(0.5)
        return len(data) + 1

    @wf.reducer(output=True)
    def total(left: int, right: int) -> int:
        return left + right

    made = catalog.run(wf)
    assert made["total"] == 401
    assert min(made.node_seconds["left"], made.node_seconds["right"]) > 0.45
    assert made.node_seconds["data"] < 0.1


@pytest.mark.long
def test_many_runs_at_once_take_turns(catalog: Catalog) -> None:
    with catalog.open() as helix:
        outcomes: list[Any] = []

        def run(factor: int) -> None:
            outcomes.append((factor, helix.run(forms(factor))["total"]["arrow"]))

        threads = [threading.Thread(target=run, args=(factor,)) for factor in (1, 2, 3)]
        for thread in threads:
            thread.start()
        for thread in threads:
            thread.join()
    assert sorted(outcomes) == [(1, 9), (2, 15), (3, 21)]

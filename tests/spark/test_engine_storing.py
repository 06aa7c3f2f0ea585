"""What is stored comes back as it was; what cannot be stored, is damaged or was overtaken is told, and computed."""

from __future__ import annotations

import datetime as dt
import shutil
import time
from collections.abc import Callable
from dataclasses import replace
from decimal import Decimal
from pathlib import Path
from typing import Any

import pandas as pd
import pyarrow as pa
import pytest
from pyspark.ml import Estimator, Model
from pyspark.ml.feature import StandardScaler, VectorAssembler
from pyspark.ml.util import DefaultParamsWritable
from pyspark.sql import DataFrame, SparkSession
from pyspark.sql import functions as F

import helix_spark as hx
from helix_spark.catalog.catalog import Catalog
from helix_spark.costs.model import LOAD
from helix_spark.engine.results import stored_results
from helix_spark.errors import NodeError
from helix_spark.planner.joint import policy_named
from helix_spark.planner.problem import State
from helix_spark.planner.storage import Decision, PlanningProblem
from helix_spark.run.iteration import Iteration
from helix_spark.run.preparation import calibrated_loads
from tests.fakes.observer import Warned
from tests.fakes.policy import loading
from tests.spark.workflows import PEOPLE, computed, physical_bytes

pytestmark = [pytest.mark.spark, pytest.mark.usefixtures("stages_compiled")]


@pytest.fixture
def catalog(tmp_path: Path) -> Path:
    return tmp_path / "catalog"


@pytest.fixture
def heard() -> Warned:
    return Warned()


@pytest.fixture
def run(catalog: Path, spark: SparkSession, heard: Warned) -> Callable[..., Iteration]:
    def once(workflow: hx.Workflow, policy: str = "always", **options: Any) -> Iteration:
        with hx.Helix(catalog, policy=loading(policy), spark=spark, observer=heard, **options) as helix:
            iteration = helix.run(workflow)
            iteration.wait()
            return iteration

    return once


def table_of(make: Callable[..., DataFrame], **wishes: Any) -> hx.Workflow:
    """data -> made -> size: the table is stored, and an edit of `size` loads it."""
    wf = hx.Workflow("table")
    wf.source("data", hx.table(PEOPLE))
    wf.output(wf.scanner(name="made", **wishes)(make))
    return wf


# Loaded equals computed


def types(data: DataFrame) -> DataFrame:
    rows = [
        (1, Decimal("12345678901234.5678"), dt.datetime(1969, 7, 20, 20, 17, 40, 123456), dt.date(1582, 10, 15), "",
         [1, None], {"k": None}, (None, "x"), b"\x00\xff", float("nan"), True),
        (None,) * 11,
        (-1, Decimal("-0.0001"), dt.datetime(9999, 12, 31), dt.date(1, 1, 1), "naïve\n\0", [], {}, (1.5, ""), b"",
         float("-inf"), False),
    ]
    schema = (
        "i int, d decimal(18,4), t timestamp, day date, s string, a array<int>, m map<string,double>, "
        "n struct<x: double, y: string not null>, b binary, f float, l boolean"
    )
    return data.sparkSession.createDataFrame(rows, schema)


def vectors(data: DataFrame) -> DataFrame:
    made = VectorAssembler(inputCols=["age", "rich"], outputCol="x").transform(data.where("age < 23"))
    return made.select("x", F.lit(1).alias("never_null"))


def no_rows(data: DataFrame) -> DataFrame:
    return data.where("age < 0")


@pytest.mark.parametrize("make", [types, vectors, pytest.param(no_rows, marks=pytest.mark.long)])
def test_what_is_loaded_is_what_was_computed(run: Callable[..., Iteration], make: Callable[..., DataFrame]) -> None:
    first = run(table_of(make))
    before = first.table("made")
    schema, rows = before.schema, sorted(map(repr, before.collect()))
    again = run(table_of(make))
    assert again.plan["made"].state is State.LOAD
    assert again.table("made").schema == schema
    assert sorted(map(repr, again.table("made").collect())) == rows
    arrow = run(table_of(make)).arrow("made")
    assert arrow.num_rows == len(rows)
    assert all(field.nullable for field in schema.fields)


@pytest.mark.parametrize("through_spark", [False, True])
def test_a_frame_of_pandas_comes_back_as_its_readers_first_saw_it(
    run: Callable[..., Iteration], through_spark: bool
) -> None:
    def build(words: str) -> hx.Workflow:
        wf = hx.Workflow("pandas")
        wf.source("data", hx.table(PEOPLE))

        @wf.scanner
        def made(data: pd.DataFrame) -> pd.DataFrame:
            return pd.DataFrame({
                "when": pd.to_datetime(["2026-01-02 03:04:05.678", None]), "word": [None, "x"], "big": [2**40, -1],
                "zoned": pd.to_datetime(["2026-01-02T00:00:00+02:00", None]), "kind": pd.Categorical(["a", "b"]),
                "small": pd.array([1, 2], "uint8"),
            })

        @wf.scanner
        def in_spark(made: DataFrame) -> DataFrame:
            return made.where("big > 0")

        @wf.reducer(output=True)
        def seen(made: pd.DataFrame) -> list[str]:
            return [*made.dtypes.map(str), *map(str, made.to_dict("records")), words]

        if through_spark:
            wf.output(in_spark)
        return wf

    first, again = run(build("first")), run(build("again"))
    assert again.plan["made"].state is State.LOAD
    assert again["seen"][:-1] == first["seen"][:-1]
    if through_spark:
        assert again.table("in_spark").schema == first.table("in_spark").schema


def test_a_table_that_is_in_memory_is_counted_and_stored_without_spark(catalog: Path) -> None:
    wf = hx.Workflow("here")
    wf.source("data", hx.table(PEOPLE))

    @wf.scanner(output=True)
    def made(data: pd.DataFrame) -> pd.DataFrame:
        return data

    with hx.Helix(catalog, policy="always") as helix:
        helix.sessions._running = lambda: None  # type: ignore[method-assign]  # as in a process without a session
        iteration = helix.run(wf)
        assert iteration["made"] == {"table": "made", "rows": 200}
        assert set(iteration.wait()) == {"made"}
        assert not helix.sessions.started


# Wishes and budgets


def test_keep_outranks_the_policy(run: Callable[..., Iteration]) -> None:
    assert set(run(table_of(no_rows, keep="always"), policy="never").wait()) == {"made"}
    assert "made" not in run(table_of(vectors, keep="never"), policy="always").wait()


def test_with_no_budget_tables_are_not_stored_and_the_answer_is_the_same(
    run: Callable[..., Iteration], catalog: Path
) -> None:
    first = run(table_of(vectors), budget=0)
    again = run(table_of(vectors), budget=0)
    assert physical_bytes(catalog) == 0
    assert first.outputs == again.outputs
    assert "made" in computed(again)


def test_what_is_recorded_behind_an_answer_takes_no_more_than_the_budget_has(
    run: Callable[..., Iteration], catalog: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    run(table_of(vectors))
    stored = Catalog.open(catalog, create=False)
    budget = stored.root.total_bytes() + 200_000  # all that the next run records has room

    def merged(catalog_of_run: Catalog, **given: object) -> None:
        (catalog / "records" / "merged").write_bytes(b"0" * 300_000)

    monkeypatch.setattr(Catalog, "maintain", merged)
    made = run(table_of(vectors), budget=budget)
    last = stored.last_event(made.plan["made"].signature)
    assert "made" not in computed(made)
    assert last is not None
    assert "records of the run" in last.why
    assert physical_bytes(catalog) == 0


def test_a_run_that_fails_ends_within_the_budget_too(
    run: Callable[..., Iteration], catalog: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    def failing() -> hx.Workflow:
        wf = table_of(vectors)

        @wf.reducer(output=True)
        def broken(made: pd.DataFrame) -> float:
            raise ValueError(f"{len(made)} rows are too many")

        return wf

    run(table_of(vectors))
    stored = Catalog.open(catalog, create=False)
    assert physical_bytes(catalog) > 0
    budget = stored.root.total_bytes() + 200_000
    records = Catalog.append_iteration

    def larger(catalog_of_run: Catalog, *of_run: Any) -> None:
        records(catalog_of_run, *of_run)
        (catalog / "records" / "merged").write_bytes(b"0" * 300_000)

    monkeypatch.setattr(Catalog, "append_iteration", larger)
    with pytest.raises(NodeError, match="too many"):
        run(failing(), budget=budget)
    assert physical_bytes(catalog) == 0


class Either:
    """Keeps `large` where it is said to fit, else `small`."""

    name = "either"

    def decide(self, problem: PlanningProblem) -> Decision:
        nodes = {node.name: node for node in problem.nodes}
        fits = nodes["large"].bytes <= (problem.budget or 0) - problem.overhead
        kept = nodes["large" if fits else "small"].signature
        stored = {node.signature for node in problem.nodes if node.stored}
        decision = policy_named("never").decide(problem)
        return replace(decision, keep=frozenset({kept}), evict=frozenset(stored - {kept}))


class Stores(Warned):
    """Remembers what was being stored."""

    def __init__(self) -> None:
        super().__init__()
        self.stores: list[str] = []

    def storing(self, name: str) -> None:
        self.stores.append(name)


@pytest.mark.long
def test_what_is_too_large_leaves_its_room_and_is_not_written_again(catalog: Path, spark: SparkSession) -> None:
    def version(edit: int) -> hx.Workflow:
        wf = hx.Workflow("sizes")
        wf.source("data", hx.table(PEOPLE))

        @wf.scanner
        def large(data: DataFrame) -> DataFrame:
            rows = data.sparkSession.range(100_000, numPartitions=2)
            return rows.selectExpr("sha2(cast(id as string), 256) AS text", f"id + {edit} AS number")

        @wf.scanner(output=True)
        def small(large: DataFrame) -> DataFrame:
            return large.where("number < 100")

        return wf

    stores, sizes = [], []
    for edit in range(3):
        heard = Stores()
        with hx.Helix(catalog, policy=Either(), spark=spark, observer=heard, budget="2 MB") as helix:
            iteration = helix.run(version(edit))
            kept = {"small"} if edit else set()  # what turned out too large has gone by the end of the run
            assert iteration.wait().keys() == kept == {record.node for record in helix.catalog.live()}
            sizes.append((iteration.plan["large"].bytes_known, iteration.plan["large"].bytes > 2_000_000))
        stores.append(heard.stores)
    assert stores == [["large"], ["small"], ["small"]]
    assert sizes == [(False, False), (True, True), (True, True)]


# What cannot be stored


def tabbed(data: DataFrame) -> DataFrame:
    return data.withColumnRenamed("age", "age\tin years")


def intervals(data: DataFrame) -> DataFrame:
    return data.withColumn("span", F.expr("make_dt_interval(1, 2)"))


def twice(data: DataFrame) -> DataFrame:
    return data.select("age", "age")


@pytest.mark.parametrize("make", [tabbed, *(pytest.param(one, marks=pytest.mark.long) for one in (intervals, twice))])
def test_a_schema_that_cannot_be_stored_is_told_and_the_run_goes_on(
    run: Callable[..., Iteration], heard: Warned, make: Callable[..., DataFrame]
) -> None:
    for _ in range(2):
        made = run(table_of(make))
        assert made["made"] == {"table": "made", "rows": 200}
        stored = made.wait()
        assert "made" in stored or any("'made' was not stored" in text for text in heard.warnings)
    assert made.table("made").count() == 200


def test_a_write_that_fails_does_not_fail_the_run(
    run: Callable[..., Iteration], heard: Warned, catalog: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    def full(*args: Any, **kwargs: Any) -> Any:
        raise OSError(28, "No space left on device")

    monkeypatch.setattr("helix_spark.engine.results.stored_results._write", full)
    made = run(table_of(no_rows))
    assert made["made"]["rows"] == 0
    assert "No space left on device" in " ".join(heard.warnings)
    monkeypatch.undo()
    again = run(table_of(no_rows))
    assert "made" in computed(again)
    assert "made" in again.wait()


# Damage


def model_and_table(digits: int = 6) -> hx.Workflow:
    wf = hx.Workflow("damage")
    wf.source("data", hx.table(PEOPLE))

    @wf.scanner(keep="always")
    def points(data: DataFrame) -> DataFrame:
        return VectorAssembler(inputCols=["age", "rich"], outputCol="x").transform(data).select("x", "age")

    scaler = wf.learner("scaler", StandardScaler, on=points, inputCol="x", outputCol="y", keep="always")
    wf.output(scaler)

    @wf.reducer(output=True)
    def mean(points: DataFrame) -> float:
        return round(float(points.selectExpr("avg(age)").first()[0]), digits)

    return wf


def flip_a_byte(file: Path) -> None:
    content = bytearray(file.read_bytes())
    content[len(content) // 2] ^= 0xFF
    file.write_bytes(bytes(content))


def data_files(catalog: Path, folder: str) -> list[Path]:
    return sorted(path for path in (catalog / folder).rglob("*.parquet") if "_delta_log" not in path.parts)


@pytest.fixture(scope="module")
def undamaged(tmp_path_factory: pytest.TempPathFactory, spark: SparkSession) -> tuple[Path, float, list[float]]:
    """A catalog in which it was run, the mean and what the model says; tests damage copies of it."""
    folder = tmp_path_factory.mktemp("undamaged") / "catalog"
    with hx.Helix(folder, policy=loading("never"), spark=spark, observer=Warned()) as helix:
        made = helix.run(model_and_table())
        made.wait()
        return folder, made["mean"], list(made.model("scaler").std)


@pytest.mark.parametrize("harm", [
    pytest.param(flip_a_byte, id="byte flipped"), pytest.param(Path.unlink, id="file gone", marks=pytest.mark.long),
    pytest.param(lambda file: file.write_bytes(b""), id="file empty", marks=pytest.mark.long),
])
@pytest.mark.parametrize("folder", ["tables", "models"])
def test_a_damaged_result_is_told_computed_again_and_the_answer_is_right(
    run: Callable[..., Iteration], heard: Warned, catalog: Path, undamaged: tuple[Path, float, list[float]],
    folder: str, harm: Callable[[Path], object],
) -> None:
    sound, mean, std = undamaged
    shutil.copytree(sound, catalog)
    files = data_files(catalog, folder)
    assert files
    for file in files:
        harm(file)
    again = run(model_and_table(digits=5), policy="never")
    assert again["mean"] == round(mean, 5)
    assert list(again.model("scaler").std) == std
    assert any("cannot be read" in text and "computed again" in text for text in heard.warnings)
    healed = run(model_and_table(digits=4), policy="never")
    assert healed["mean"] == round(mean, 4)


# A source that changes meanwhile


def test_nothing_is_stored_of_a_source_that_changed_while_it_ran(spark: SparkSession, tmp_path: Path) -> None:
    file = tmp_path / "numbers.csv"

    def build() -> hx.Workflow:
        wf = hx.Workflow("moving")
        wf.source("data", hx.csv(file, schema="a int"))

        @wf.scanner
        def rows(data: pd.DataFrame) -> pd.DataFrame:
            return data

        @wf.reducer(output=True)
        def total(rows: pd.DataFrame) -> int:
            return int(rows.a.sum())

        return wf

    class Editor(Warned):
        """Writes the file anew once the run reads it."""

        def node_started(self, name: str) -> None:
            super().node_started(name)
            if name == "rows":
                file.write_text("10\n20\n")

    file.write_text("1\n2\n")
    editor, options = Editor(), {"policy": "always", "spark": spark}
    with hx.Helix(tmp_path / "moving", observer=editor, **options) as helix:
        assert helix.run(build()).wait() == {}
    assert any("source `data` changed while the iteration ran" in text for text in editor.warnings)
    with hx.Helix(tmp_path / "moving", **options) as helix:
        again = helix.run(build())
        assert {"rows", "total"} <= computed(again)
        assert again["total"] == 30


@pytest.mark.parametrize("collects", [False, True])
def test_nothing_is_published_of_a_source_that_changed_while_it_was_written(
    spark: SparkSession, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, collects: bool
) -> None:
    """A table that nobody keeps in memory is read from its files once more, even if its rows were looked at."""
    file = tmp_path / "numbers.csv"

    def build() -> hx.Workflow:
        wf = hx.Workflow("moving")
        wf.source("data", hx.csv(file, schema="a int"))

        @wf.scanner
        def rows(data: DataFrame) -> DataFrame:
            return data.selectExpr("a * 2 AS a")

        if collects:

            @wf.reducer(output=True)
            def total(rows: pd.DataFrame) -> int:
                return int(rows.a.sum())
        else:

            @wf.reducer(name="total", output=True)
            def total_of_all(rows: DataFrame) -> int:
                return int(rows.groupBy().sum("a").collect()[0][0])

        return wf

    def edited(point: str) -> None:
        if point == "store.begun":
            file.write_text("10\n20\n")

    file.write_text("1\n2\n")
    editor, options = Warned(), {"policy": "always", "spark": spark}
    with monkeypatch.context() as patched:
        patched.setattr(stored_results, "reach", edited)
        with hx.Helix(tmp_path / "moving", observer=editor, **options) as helix:
            assert "rows" not in helix.run(build()).wait()
    told = "'rows' was not stored: the data that `data` reads changed while it was written"
    assert any(told in text for text in editor.warnings)
    with hx.Helix(tmp_path / "moving", **options) as helix:
        file.write_text("1\n2\n")
        again = helix.run(build())
        assert not again.plan["rows"].stored
        assert again["total"] == 6


class Constant(Model, DefaultParamsWritable):
    """A model of somebody's own, which its class can write."""

    def _transform(self, dataset: DataFrame) -> DataFrame:
        return dataset.selectExpr("*", "1.0 AS prediction")


class Unwritable(Model):
    """One that cannot be written."""

    def _transform(self, dataset: DataFrame) -> DataFrame:
        return dataset.selectExpr("*", "1.0 AS prediction")


class ConstantEstimator(Estimator):
    """Fits nothing."""

    def __init__(self, writable: bool) -> None:
        super().__init__()
        self.writable = writable

    def _fit(self, dataset: DataFrame) -> Any:
        return Constant() if self.writable else Unwritable()


@pytest.mark.parametrize("writable", [True, False])
def test_a_model_of_somebodys_own_is_not_stored_and_all_else_is(
    spark: SparkSession, tmp_path: Path, writable: bool
) -> None:
    def build() -> hx.Workflow:
        wf = hx.Workflow("own")
        data = wf.source("data", hx.table(PEOPLE))
        age = wf.extractor("age_of", hx.Fields("age"), on=data)
        examples = wf.synthesizer("examples", data, features=[age], label="rich")
        model = wf.learner("model", ConstantEstimator, on=examples, writable=writable)
        wf.predict("predictions", model, examples)

        @wf.reducer(output=True)
        def total(predictions: pd.DataFrame) -> float:
            return float(predictions.prediction.sum())

        return wf

    heard = Warned()
    with hx.Helix(tmp_path / "own", policy="always", spark=spark, observer=heard) as helix:
        first = helix.run(build())
        stored = first.wait()
        assert first["total"] == len(PEOPLE)
        assert {"examples", "predictions", "total"} <= stored.keys()
        assert "model" not in stored
    (told,) = [text for text in heard.warnings if "'model' was not stored" in text]
    assert ("none but Spark ML's own is loaded" in told) == writable
    assert ("its Unwritable cannot be written" in told) == (not writable)
    assert not any("defect" in text for text in heard.warnings)
    with hx.Helix(tmp_path / "own", policy="never", spark=spark, observer=heard) as helix:
        assert helix.run(build())["total"] == len(PEOPLE)


def test_new_data_is_seen(run: Callable[..., Iteration], tmp_path: Path) -> None:
    def build() -> hx.Workflow:
        wf = hx.Workflow("grows")
        wf.source("data", hx.csv(tmp_path / "*.csv", schema="a int"))

        @wf.reducer(output=True)
        def total(data: DataFrame) -> int:
            return int(data.selectExpr("sum(a)").first()[0])

        return wf

    (tmp_path / "1.csv").write_text("1\n")
    assert run(build())["total"] == 1
    (tmp_path / "2.csv").write_text("2\n")
    again = run(build())
    assert again["total"] == 3
    assert "source `data`" in again.plan["data"].reason


def test_a_table_in_memory_may_be_of_arrow(run: Callable[..., Iteration]) -> None:
    wf = hx.Workflow("arrow")
    wf.source("data", hx.table(pa.table({"a": pa.array([1, None], pa.int8())})), output=True)
    assert run(wf).arrow("data")["a"].to_pylist() == [1, None]


# What reading takes is learnt


@pytest.mark.long
def test_what_reading_by_itself_took_is_on_record_and_calibrates_loads(
    run: Callable[..., Iteration], catalog: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    def workflow(digits: int) -> hx.Workflow:
        wf = hx.Workflow("read")
        wf.source("data", hx.table(PEOPLE))

        @wf.scanner(keep="always")
        def made(data: DataFrame) -> DataFrame:
            return data.where(data.age > 30)

        @wf.reducer(output=True)
        def age(made: pd.DataFrame) -> float:
            return round(float(made.age.mean()), digits)

        return wf

    def on_record(iteration: Iteration) -> float | None:
        signature = iteration.plan["made"].signature
        known = Catalog.open(catalog, create=False).results(declared=(), signatures=[signature])
        return known.measured[signature].read_seconds

    first = run(workflow(1))
    assert on_record(first) is None
    read = Catalog.read_arrow

    def slowly(self: Catalog, record: Any) -> Any:
        time.sleep(1.5)
        return read(self, record)

    monkeypatch.setattr(Catalog, "read_arrow", slowly)
    again = run(workflow(2))
    assert again.plan["made"].state is State.LOAD
    assert (on_record(again) or 0.0) >= 1.5
    last = run(workflow(3))
    other = {artifact.kind: artifact for artifact in Catalog.open(catalog, create=False).live()}["table"]
    view = Catalog.open(catalog, create=False).snapshot("read")
    known = Catalog.open(catalog, create=False).results(declared=(), signatures=view.artifacts)
    loads = calibrated_loads(view.artifacts, known.measured)
    assert loads["table"].seconds(other.bytes) > LOAD["table"].seconds(other.bytes)
    assert last["age"] == pytest.approx(first["age"], abs=0.1)
